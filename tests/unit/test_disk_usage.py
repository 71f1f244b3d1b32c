"""What a study occupies is counted once, whole, and under the right heading."""

import pytest

from rarecxr.core.disk_usage import table, usage

FILES = {
    "dataset/pixels_64.h5": 5000,
    "dataset/pixels_64_rejected.csv": 10,
    "dataset/split.csv": 300,
    "gan/plain/10/draw0/fracture/training_set.h5": 9000,
    "gan/plain/10/draw0/fracture/generator.pt": 4000,
    "state/gan/plain/10/draw0/fracture/resume_0.pt": 20000,
    "bank/plain/10/draw0/fracture.h5": 7000,
    "bank/plain/10/draw0/fracture_quality.json": 100,
    "classifier/none/10/draw0/seed0/model.pt": 30000,
    "classifier/none/10/draw0/seed0/history.csv": 50,
    "external/north/pixels_64.h5": 600,
    "external/north/labels.parquet": 40,
    "report/figures/roc.svg": 60,
    "logs/evaluate.log": 5,
}


@pytest.fixture
def results(tmp_path):
    for name, size in FILES.items():
        path = tmp_path / "study" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
    return tmp_path / "study"


def test_every_file_is_counted_where_it_belongs(results):
    counted = {part.place: part.files for part in usage(results)}
    assert counted == {
        "state": 1,
        "gan/*/training_set.h5": 1,
        "dataset/pixels_*": 2,
        "external/pixels_*": 1,
        "external": 1,
        "bank/*.h5": 1,
        "gan": 1,
        "classifier/*/model.pt": 1,
        "classifier": 1,
        "report": 1,
        "the rest": 3,
    }


def test_sizes_are_those_of_the_disk(results):
    expected = sum(path.stat().st_blocks * 512 for path in results.rglob("*") if path.is_file())
    assert sum(part.size for part in usage(results)) == expected
    assert table(usage(results)).splitlines()[-1].split()[:3] == [
        f"{expected / 1e9:.3f}",
        "GB",
        str(len(FILES)),
    ]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing: there is no such folder; give results/"):
        usage(tmp_path / "nothing")
