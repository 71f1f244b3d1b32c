"""An external test set beside a study that is finished: what it runs, and what comes of it."""

import pandas as pd
import pytest
from format_files import nih, nih_line

from rarecxr.core.files import sha256

pytestmark = [pytest.mark.timeout(3600)]

READ = {"index_external", "decode_external", "cache_external", "label_external"}
REPORT = {"check_leakage", "evaluate", "make_report"}
RUNS = 6 * 2


def add_set(house, **changed):
    """Thirty patients of another hospital, as the NIH publishes its images."""
    findings = ("Nodule", "Mass", "No Finding")
    lines = [nih_line(number, 0, findings[number % 3]) for number in range(1, 31)]
    root = house.folder / "data/other"
    if not root.exists():
        nih(root, lines)
    labels = {"Lung Lesion": ["Nodule", "Mass"]}
    settings = {"root": "data/other", "format": "nih", "labels": labels, **changed}
    house.configure(dataset__external={"other": settings})


def test_an_external_set_trains_nothing(done):
    add_set(done)
    jobs = done.stale_jobs()
    assert {rule for rule, _ in jobs} == READ | REPORT | {"predict_external"}
    # One for each arm.
    assert sum(rule == "predict_external" for rule, _ in jobs) == 6


@pytest.mark.long
def test_an_external_set_is_tested_with_what_is_there(done):
    results = done.folder / "results/tiny"
    trained = {path: sha256(path) for path in results.rglob("*.pt")}
    own = {name: results / "report" / f"{name}.csv" for name in ("summary", "overall", "curves")}
    before = {name: path.read_bytes() for name, path in own.items()}
    add_set(done)
    done.snakemake()
    assert {path: sha256(path) for path in trained} == trained
    assert {name: path.read_bytes() for name, path in own.items()} == before
    assert len(list(results.glob("classifier/*/*/draw0/seed0/external_other.parquet"))) == RUNS
    table = pd.read_csv(results / "report/external.csv")
    assert len(table) == RUNS
    assert set(table["finding"]) == {"Lung Lesion"}
    assert set(table["n_positive"]) == {20}
    looked = pd.read_csv(results / "report/leakage.csv").set_index("check")
    assert looked.loc["external predictions", "files"] == RUNS
    assert looked.loc["external images", "items"] >= 30
    page = (results / "report/index.html").read_text(encoding="utf-8")
    assert 'id="s-external"' in page

    assert done.stale_jobs() == set()
    # Another name of a label changes no prediction.
    add_set(done, labels={"Lung Lesion": "Mass"})
    assert done.stale_rules() == {"label_external", *REPORT}
    # Nor does who is tested with change a training.
    add_set(done, views=["PA", "AP", "Frontal"])
    assert done.stale_rules() == READ | REPORT | {"predict_external"}
