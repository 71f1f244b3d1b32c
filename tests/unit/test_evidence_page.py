"""The tables of docs/evidence.md are those of the CSV files beside it."""

import importlib.util
from pathlib import Path

import pandas as pd
import pytest

_SCRIPT = Path(__file__).parents[2] / "docs/make_evidence.py"
_spec = importlib.util.spec_from_file_location("make_evidence", _SCRIPT)
make_evidence = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make_evidence)


def test_every_marked_table_is_what_its_files_say():
    text = make_evidence.PAGE.read_text(encoding="utf-8")
    assert make_evidence.filled(text) == text


@pytest.fixture
def folder(tmp_path):
    change = {f"change_vs_baseline{end}": value for end, value in _ENDS.items()}
    cells = [
        {"finding": "Fracture", "fraction": 10, "arm": "none", "n_positive": 40, "auc": 0.7},
        {"finding": "Fracture", "fraction": 10, "arm": "gan", "n_positive": 40, "auc": 0.65}
        | change
        | {"verdict_vs_baseline": "worse"},
    ]
    pd.DataFrame(cells).to_csv(tmp_path / "summary.csv", index=False)
    overall = {"arm": "gan", "role": "baseline", "reference": "none", "cells": 1}
    pd.DataFrame([overall | {"change": -0.05, "low": -0.08, "high": -0.02}]).to_csv(
        tmp_path / "overall.csv", index=False
    )
    return tmp_path


_ENDS = {"": -0.05, "_low": -0.08, "_high": -0.02}


def test_a_cell_has_its_change_half_its_interval_and_its_verdict(folder):
    lines = make_evidence.changes(folder).splitlines()
    assert lines[0] == "| finding | fraction | positives | none | gan |"
    assert lines[2] == "| Fracture | 10 % | 40 | 0.700 | −0.050 ±0.030 ▼ |"
    assert lines[3].endswith("| **−0.050** ±0.030 |")


def test_a_marked_table_is_replaced_and_what_surrounds_it_stays(folder, monkeypatch):
    monkeypatch.setattr(make_evidence, "DOCS", folder)
    (folder / "evidence").mkdir()
    for name in ("summary.csv", "overall.csv"):
        (folder / name).rename(folder / "evidence" / name)
    (folder / "evidence").rename(folder / "made")
    (folder / "evidence").mkdir()
    (folder / "made").rename(folder / "evidence/one")
    page = "before\n<!-- table: changes one -->\nold\n<!-- end -->\nafter\n"
    made = make_evidence.filled(page)
    assert made.startswith("before\n<!-- table: changes one -->\n")
    assert made.endswith("<!-- end -->\nafter\n")
    assert "old" not in made
    assert make_evidence.filled(made) == made
