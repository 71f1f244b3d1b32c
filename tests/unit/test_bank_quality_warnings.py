"""Warnings of banks, as they are printed at the end of a run."""

import json

from rarecxr.bank.quality_warnings import read_warnings


def test_the_warnings_of_all_banks_are_listed_with_their_files(tmp_path):
    contents = {"good": {"warnings": []}, "old": {}, "bad": {"warnings": ["flat", "all alike"]}}
    for name, content in contents.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    paths = [tmp_path / f"{name}.json" for name in (*contents, "missing")]
    bad = tmp_path / "bad.json"
    assert read_warnings(paths) == [f"{bad}: flat", f"{bad}: all alike"]
