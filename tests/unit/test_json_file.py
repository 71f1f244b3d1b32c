"""Files of JSON: read as they were written, or refused by name."""

import pytest

from rarecxr.bank.quality_warnings import read_warnings
from rarecxr.core.json_file import read_json, write_json


def test_what_was_written_is_read(tmp_path):
    values = {"b": [1, None, "ü"], "a": {"c": 0.1}}
    write_json(tmp_path / "x.json", values)
    assert read_json(tmp_path / "x.json", ["a", "b"]) == values
    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert text.index('"a"') < text.index('"b"')


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "an empty file"),
        (b'{"banks": [', "damaged, or not a file of JSON"),
        (b"\x00\xff", "damaged, or not a file of JSON"),
        (b"[" * 100_000, "damaged, or not a file of JSON"),
        (b"[1]", "holds list, not an object"),
        (b"{}", "lacks banks, draw; it holds nothing"),
        (b'{"draw": 0, "more": 1}', "lacks banks; it holds draw, more"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_damaged_file_is_refused_by_name_with_a_remedy(tmp_path, content, words):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"x\.json: {words}.*run the workflow again"):
        read_json(path, ["draw", "banks"])


def test_a_changed_file_is_refused(tmp_path):
    write_json(tmp_path / "x.json", {"auc": 0.75})
    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    (tmp_path / "x.json").write_text(text.replace("0.75", "0.85"), encoding="utf-8")
    with pytest.raises(ValueError, match=r"x\.json: damaged, or changed since it was written"):
        read_json(tmp_path / "x.json")


def test_a_damaged_quality_file_is_a_warning_at_the_end_of_a_run(tmp_path):
    write_json(tmp_path / "a.json", {"warnings": ["flat"]})
    (tmp_path / "b.json").write_bytes(b"")
    first, second = read_warnings([tmp_path / f"{name}.json" for name in "abc"])
    assert first == f"{tmp_path / 'a.json'}: flat"
    assert second.startswith(f"{tmp_path / 'b.json'}: an empty file")
