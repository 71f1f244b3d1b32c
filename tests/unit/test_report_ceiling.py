"""The page says what could have been found, and what the ceiling is, before any result."""

import re

import numpy as np
import pandas as pd
import pytest
from simulated_study import SimulatedStudy

from rarecxr.report.ceiling import reach, share_table, worth_table
from rarecxr.report.page import make_report
from rarecxr.statistics.evaluation import evaluate

ARMS = ("none", "oversample", "balanced_gan", "more_real")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    made = SimulatedStudy(
        tmp_path_factory.mktemp("study"), patients=900, expert_patients=20, arms=ARMS, seeds=2
    )
    evaluate(**made.evaluate(resamples=200, subgroup_resamples=100))
    make_report(**made.make_report())
    return made


def read(study, name):
    return pd.read_csv(study.root / "report" / f"{name}.csv")


def test_a_share_is_the_ratio_of_the_mean_changes(study):
    overall = read(study, "overall").set_index(["arm", "role"])["change"]
    for row in read(study, "ceiling").itertuples():
        assert row.change == pytest.approx(overall[row.arm, row.role], abs=2e-6)
        assert row.ceiling == pytest.approx(overall["more_real", row.role], abs=2e-6)
        assert row.share == pytest.approx(row.change / row.ceiling, rel=1e-3)
        assert row.share_low < row.share < row.share_high


def test_the_page_says_what_could_be_found_before_its_answer(study):
    page = (study.root / "report/index.html").read_text(encoding="utf-8")
    found = re.search(r"With 80 % power this study detects .*?</p>", page).group()
    assert page.index(found) < page.index('<p class="word">')
    assert "arm more_real" in found
    assert 'id="ceiling"' in page
    assert 'id="worth"' in page


def test_what_is_withheld_is_said_with_its_reason():
    row = {"arm": "gan", "role": "baseline", "reference": "none", "ceiling_arm": "more_real"}
    numbers = ("change", "ceiling")
    row |= {f"{name}{end}": 0.001 for name in numbers for end in ("", "_low", "_high")}
    row |= dict.fromkeys(["share", "share_low", "share_high"], np.nan) | {"withheld": "too little"}
    table = pd.DataFrame([row])
    summary = pd.DataFrame({"arm": ["gan"], "change_vs_baseline_detectable": [0.03]})
    overall = pd.DataFrame([{"arm": "gan", "role": "baseline", "cells": 1, "detectable": 0.03}])
    assert reach(summary, overall, table, "gan").endswith("is not given: too little.")
    assert share_table(table).rows[0][-1].note == "too little"
    worth = {"arm": "gan", "dose": 2.0, "change": 0.01, "change_low": 0.0, "change_high": 0.02}
    worth |= {"worth": np.inf, "worth_low": 1.5, "worth_high": np.inf, "most_real": 2.0}
    cell = worth_table(pd.DataFrame([worth | {"withheld": np.nan}])).rows[0][-1]
    assert (cell.text, cell.note) == ("above 2.00 ×", "1.50 × or more")
