import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from rarecxr.report import answer as answers
from rarecxr.report import banks
from rarecxr.report import wording as words
from rarecxr.report.tables import console
from rarecxr.statistics.comparisons import References
from rarecxr.statistics.summary import COLUMNS
from rarecxr.study.headline import headline_arm, recipes_of

REFERENCES = References("none", "oversample")
ARMS = {"none": {}, "oversample": {"oversample": True}, "gan": {"recipe": "plain"}}


def make_row(finding, fraction, arm, **values):
    row = dict.fromkeys(COLUMNS, np.nan)
    row |= {"finding": finding, "fraction": fraction, "arm": arm, "draws": 1, "seeds": 3}
    row |= {"interval_over": "patients", "verdict_vs_baseline": "", "verdict_vs_control": ""}
    row |= {"n_positive_patients": 50, "auc": 0.7, "prevalence": 0.05}
    return row | values


def make_summary(verdicts, verdicts_control=(), baseline="none"):
    """A summary of one finding, one fraction per verdict: arms none and gan."""
    rows = []
    for fraction, verdict in enumerate(verdicts, start=1):
        rows.append(make_row("Fracture", fraction, baseline))
        change = {"better": 0.02, "worse": -0.02}.get(verdict, 0.0)
        row = make_row("Fracture", fraction, "gan", change_vs_baseline=change)
        row["verdict_vs_baseline"] = verdict
        row["auc"] += change
        if not verdict.startswith("too few"):
            row["change_vs_baseline_low"] = change - 0.01
            row["change_vs_baseline_high"] = change + 0.01
        if verdicts_control:
            rows.append(make_row("Fracture", fraction, "oversample"))
            row["change_vs_control"] = 0.01
            row["verdict_vs_control"] = verdicts_control[fraction - 1]
        rows.append(row)
    return pd.DataFrame(rows)


def make_overall(summary):
    """The table of mean changes that belongs to `make_summary`."""
    change = summary.loc[summary["arm"] == "gan", "change_vs_baseline"].mean()
    row = {"arm": "gan", "role": "baseline", "reference": "none", "change": change}
    return pd.DataFrame([row | {"low": change - 0.004, "high": change + 0.004}])


def answer(summary, arm="gan", definitions=ARMS):
    return answers.answer(summary, make_overall(summary), arm, REFERENCES, definitions)


def test_numbers_are_written_with_a_true_minus_and_no_signed_zero():
    assert words.signed(-0.0214) == "−0.021"
    assert words.signed(0.0214) == "+0.021"
    assert words.signed(-0.0002) == "0.000"
    assert words.share(float("nan")) == words.signed(float("nan")) == words.percent(np.nan) == "–"
    assert words.interval(-0.01, 0.02, words.signed) == "[−0.010, +0.020]"
    assert words.interval(np.nan, np.nan) == ""
    assert words.p_value(0.0004) == "< 0.001"
    assert words.count(22023) == "22\u202f023"
    assert words.plural(1, "cell") == "1 cell"
    assert words.plural(2, "cell") == "2 cells"


@pytest.mark.parametrize(
    ("verdicts", "word"),
    [
        (["better"] * 3, "Yes"),
        (["better", "inconclusive"], "In part"),
        (["better", "worse"], "It depends"),
        (["worse", "inconclusive"], "No"),
        (["no difference that matters"] * 2, "No"),
        (["no difference that matters", "inconclusive"], "Not shown"),
        (["too few positives"] * 2, "Not shown"),
    ],
)
def test_the_answer_in_a_word(verdicts, word):
    assert answer(make_summary(verdicts)).word == word


def test_the_answer_counts_every_cell_once():
    verdicts = ["better"] * 4 + ["worse", "no difference that matters"]
    verdicts += ["inconclusive"] * 3 + ["too few positives"]
    found = answer(make_summary(verdicts, ["inconclusive"] * 10))
    about_baseline, about_control = found.sentences
    assert "better in 4 of 10 cells, worse in 1" in about_baseline
    assert "without a difference that matters in 1, inconclusive in 3" in about_baseline
    assert "not tested in 1" in about_baseline
    assert "Mean change over the cells: +0.006 [+0.002, +0.010]." in about_baseline
    assert "as many repeated real positives (arm oversample)" in about_control
    assert "better in 0 of 10 cells, worse in none, inconclusive in 10" in about_control


def test_a_study_without_synthetic_images_says_so():
    found = answer(make_summary(["better"]), None)
    assert found.word == "Not asked"


def test_without_its_baseline_a_study_claims_nothing():
    summary = make_summary(["inconclusive"], baseline="real_images")
    change = [name for name in summary if name.startswith("change_vs_baseline")]
    summary[change], summary["verdict_vs_baseline"] = np.nan, ""
    found = answer(summary)
    assert found.word == "Not answered"
    assert "The baseline, arm none, was not run" in " ".join(found.sentences)
    assert "better in" not in " ".join(found.sentences)


def test_a_baseline_with_synthetic_images_answers_nothing():
    arms = ARMS | {"none": {"recipe": "plain"}}
    found = answer(make_summary(["better"]), definitions=arms)
    assert found.word == "Not answered"
    assert "The baseline, arm none, is itself trained on synthetic images" in found.sentences[0]


def test_a_control_that_repeats_no_positives_is_not_said_to():
    found = answer(make_summary(["better"], ["better"]), definitions=ARMS | {"oversample": {}})
    assert "Compared with the control (arm oversample)" in found.sentences[1]


@pytest.mark.parametrize(
    ("preferred", "arm"),
    [(["c", "b"], "c"), (["gan"], "a"), ([], "a"), (["none"], "a")],
)
def test_the_answer_is_about_the_first_preferred_arm_or_else_any_with_a_recipe(preferred, arm):
    arms = ("alone", "none", "more", "a", "b", "c")
    definitions = {name: {"recipe": "plain"} for name in ("a", "b", "c", "none")}
    definitions |= {"more": {"reserve": True}, "alone": {"recipe": "plain", "real": False}}
    assert list(recipes_of(arms, definitions)) == ["alone", "none", "a", "b", "c"]
    assert headline_arm(preferred, arms, definitions, "none") == arm
    assert headline_arm(preferred, ("none", "more", "alone"), definitions, "none") is None


def test_the_console_shows_every_cell_with_half_the_interval_and_a_mark(tmp_path):
    summary = make_summary(["better", "inconclusive", "too few positives"])
    summary.to_csv(tmp_path / "summary.csv", index=False)
    lines = console(tmp_path / "summary.csv", "none").splitlines()
    assert lines[0].split() == ["finding", "fraction", "none", "gan"]
    assert lines[2].split() == [
        "Fracture",
        ["1", "%"][0],
        "%",
        "0.700",
        "+0.020",
        "±0.010",
        "▲",
    ]
    assert lines[3].split()[-2:] == ["0.000", "±0.010"]
    assert lines[4].split()[-1] == "0.000"
    assert "too few positive test patients: Fracture" in lines[-1]


def test_the_console_needs_neither_matplotlib_nor_scipy():
    code = (
        "import sys, rarecxr.report.tables;"
        "print([n for n in ('matplotlib', 'scipy', 'h5py', 'jinja2', 'torch') if n in sys.modules])"
    )
    path = {"PYTHONPATH": "workflow/scripts"}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=path, encoding="utf-8"
    )
    assert result.stdout.strip() == "[]", result.stderr


def make_quality(c2st):
    floor = {"kid": 0.001, "c2st": 0.5}
    return {
        "reference": "validation",
        "sharpness": {"real": 0.4, "synthetic": 0.5},
        "spaces": {
            "random": {
                "images": 60,
                "bank": {"kid": 0.0123456, "c2st": c2st},
                "floor": floor,
            },
            "pixels": {"too_few_images": True},
        },
    }


def test_quality_files_become_rows_with_floors_beside_the_change():
    summary = make_summary(["better"])
    identity = {"recipe": "plain", "finding": "Fracture", "fraction": "1"}
    qualities, warnings = banks.read_qualities(
        [(identity | {"draw": draw}, make_quality(c2st)) for draw, c2st in ((0, 0.8), (1, 0.9))]
    )
    assert warnings.empty
    assert len(qualities) == 4
    assert qualities["kid"].notna().sum() == 2
    table = banks.quality_table(qualities, summary, {"gan": "plain"})
    shown = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [row["feature space"].text for row in shown] == ["random", "pixels"]
    # Draws are averaged.
    assert shown[0]["C2ST AUROC"].text == "0.850"
    assert shown[0]["C2ST AUROC"].note == "0.500"
    assert shown[0]["KID"].text == "0.012"
    assert shown[0]["sharpness"].text == "0.500"
    assert shown[0]["sharpness"].note == "0.400"
    assert shown[0]["change of the AUROC"].text == "gan +0.020"
    assert shown[1]["KID"].text == "–"
    assert "precision" not in table.columns
    assert sum(cell.span for cell in table.groups) == len(table.columns)
    beside = banks.quality_and_change(qualities, summary, {"gan": "plain"})
    assert beside.loc[beside["space"] == "random", "change"].tolist() == [pytest.approx(0.02)]
    assert banks.quality_table(qualities.iloc[:0], summary, {}) is None


def test_the_alignment_of_pairs_stands_beside_that_of_other_images():
    quality = make_quality(0.8)
    quality["alignment"] = {
        "pixels": {"pairs": 0.9, "others": 0.1, "images": 60},
        "random": {"pairs": 0.75, "others": -0.01, "images": 60},
    }
    identity = {"recipe": "paired_plain", "finding": "Fracture", "fraction": "1", "draw": 0}
    qualities, _ = banks.read_qualities([(identity, quality)])
    by_space = qualities.set_index("space")
    assert by_space.loc["random", ["alignment", "alignment_floor"]].tolist() == [0.75, -0.01]
    assert by_space.loc["pixels", ["alignment", "alignment_floor"]].tolist() == [0.9, 0.1]
    table = banks.quality_table(qualities, make_summary(["better"]), {"gan": "plain"})
    shown = dict(zip(table.columns, table.rows[0], strict=True))
    assert (shown["alignment"].text, shown["alignment"].note) == ("0.750", "−0.010")
    plain, _ = banks.read_qualities([(identity | {"recipe": "plain"}, make_quality(0.8))])
    assert "alignment" not in banks.quality_table(plain, make_summary(["better"]), {}).columns
