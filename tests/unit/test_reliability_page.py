"""docs/reliability.md says what its record says, and nothing else."""

import importlib.util
import json
from pathlib import Path

import pytest
from test_faults import KILLS, TRIALS
from trials import STAGES, append, read_record

_SCRIPT = Path(__file__).parents[2] / "docs/make_reliability.py"
_spec = importlib.util.spec_from_file_location("make_reliability", _SCRIPT)
make_reliability = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make_reliability)


def line(**more):
    about = {"fault": "disk full", "stage": "evaluate", "trial": "", "what": "", "tries": 1}
    return {**about, "outcome": "error names the reason", "tables": "identical", **more}


def test_the_page_is_what_the_script_makes_of_the_record():
    wanted = make_reliability.page(make_reliability.read(), make_reliability.number_of_trials())
    assert make_reliability.PAGE.read_text(encoding="utf-8") == wanted


def test_every_line_of_the_record_is_of_a_trial_and_ended_with_identical_results():
    lines = make_reliability.read()
    assert lines
    for each in lines:
        assert [each["fault"], each["stage"], each["trial"]] in TRIALS
        assert each["tables"] == "identical"
        assert each["tries"] >= 1
        assert each["outcome"] in make_reliability.OUTCOMES


def test_tries_are_added_up_by_stage_and_outcome():
    lines = [
        line(fault="kill -9", what="job", tries=4, outcome="recovered"),
        line(fault="kill -9", what="group", tries=2, outcome="recovered"),
        line(stage="make_bank"),
        line(stage="evaluate"),
    ]
    page = make_reliability.page(lines, 9)
    assert "| evaluate, make_bank (2 stages) | 1 | – | the job stopped" in page
    assert "| evaluate | 6 | group 2, job 4 | the next run went on by itself |" in page
    assert "**3 trials, 8 faults, 6 of them kills**" in page
    assert "runs all of it (9 trials)" in page
    assert page.count("Not run yet") == len(make_reliability.WHAT) - 2


def test_a_soaks_kills_are_counted_by_the_stage_that_was_hit():
    lines = [
        line(fault="soak", stage="all", what="job", tries=2, outcome="recovered", hit="evaluate"),
        line(fault="soak", stage="all", what="group", tries=1, outcome="recovered", hit="evaluate"),
        line(fault="soak", stage="all", what="job", tries=5, outcome="recovered"),
    ]
    page = make_reliability.page(lines, 9)
    assert "| all | 8 | group 1, job 7 |" in page
    assert "| stage | group | job |\n| --- | --- | --- |\n| evaluate | 1 | 2 |" in page


def test_all_of_the_trials_are_at_least_a_hundred_kills_and_every_fault_in_its_stages():
    by_fault = {fault: [t for t in TRIALS if t[0] == fault] for fault in make_reliability.WHAT}
    assert sum(map(len, by_fault.values())) == len(TRIALS)
    assert len(by_fault["kill -9"]) * sum(KILLS.values()) >= 100
    for fault in ("kill -9", "disk full", "read-only output"):
        assert {stage for _, stage, _ in by_fault[fault]} == set(STAGES)


def test_a_line_that_was_cut_off_costs_no_other(tmp_path):
    record = tmp_path / "docs/faults.jsonl"
    append(record, [line(stage="a"), line(stage="b")])
    record.write_bytes(record.read_bytes()[:-10])
    append(record, [line(stage="c")])
    assert [each["stage"] for each in read_record(record)] == ["a", "c"]
    with pytest.raises(json.JSONDecodeError):
        make_reliability.read(record)
