"""What doctor, progress and cost say of external test sets."""

from pathlib import Path

import pytest
from dataset_files import csv_table, write_csv
from format_files import nih, nih_line

from rarecxr.cost.counts import counts_of_files
from rarecxr.cost.planned import planned_jobs
from rarecxr.doctor import check_external
from rarecxr.progress.jobs import STAGE_OF, planned
from rarecxr.study.configuration.study import Configuration
from rarecxr.study.plan import Plan

LABELS = {"Lung Lesion": ["Nodule", "Mass"], "Pleural Other": "Pleural_Thickening"}


def study(folder, **settings):
    north = {"root": "nih", "format": "nih", "labels": LABELS, **settings}
    own = {"root": "own", "expert_csv": None, "external": {"north": north}, "fractions": [100]}
    return Configuration(dataset=own)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "own").mkdir()
    write_csv(tmp_path / "own/train.csv", csv_table(range(1, 120)))
    findings = ("Nodule", "Mass", "Pleural_Thickening", "No Finding")
    nih(tmp_path / "nih", [nih_line(n, 0, findings[n % 4]) for n in range(1, 41)])
    return tmp_path


def test_doctor_counts_the_positives_of_a_set_and_opens_its_images(folder):
    found = list(check_external(study(folder), folder, sample=10))
    texts = [finding.text for finding in found]
    assert texts[0] == "north: 40 images of 40 patients"
    assert "north: Lung Lesion: 20 positive images of 20 patients" in texts
    assert "north: Pleural Other: 10 positive images of 10 patients" in texts
    assert texts[-1] == "north: 10 of 10 images that were opened can be read"
    assert {finding.level for finding in found} == {"ok"}


def test_doctor_says_what_a_set_lacks(folder):
    for path in list(Path(folder, "nih").rglob("*.png"))[:30]:
        path.unlink()
    labels = {"Lung Lesion": "Mass", "Pleural Other": None}
    config = study(folder, labels=labels)
    found = {finding.text: finding for finding in check_external(config, folder, sample=40)}
    assert found["north: Pleural Other: has no such label, and no result"].level == "note"
    wrong = next(finding for finding in found.values() if finding.level == "wrong")
    assert "10 of 40 images that were opened can be read" in wrong.text
    assert "dataset.external.north.max_rejected (0.001)" in wrong.advice
    few = study(folder, labels={"Lung Lesion": "Hernia", "Pleural Other": "Mass"})
    (line,) = [one for one in check_external(few, folder, sample=1) if "Lesion" in one.text]
    assert (line.level, line.text) == (
        "note",
        "north: Lung Lesion: 0 positive images of 0 patients",
    )
    assert "fewer than 10 (report.statistics) there is no interval" in line.advice


def test_doctor_names_a_folder_that_is_not_there(folder):
    (finding,) = check_external(study(folder, root="nowhere"), folder, sample=1)
    assert finding.text.startswith("dataset.external.north.root: there is no folder nowhere")


def test_progress_knows_the_jobs_of_a_set(folder):
    plan = Plan(study(folder, shards=3))
    jobs = [job for job in planned(plan) if STAGE_OF[job.rule] == "external test sets"]
    names = [job.name for job in jobs]
    assert names.count("index_external/north") == names.count("label_external/north") == 1
    assert [name for name in names if name.startswith("decode")] == [
        f"decode_external/north/{shard}" for shard in range(3)
    ]
    assert sum(name.startswith("predict_external/north/") for name in names) == len(plan.arms)
    alone = Plan(Configuration(dataset={"root": "own", "expert_csv": None}))
    assert not [job for job in planned(alone) if "external" in job.rule]


def test_cost_counts_the_images_of_a_set(folder):
    plan = Plan(study(folder, shards=2))
    counts = counts_of_files(plan, folder)
    assert counts.external == {"north": 40}
    precision = dict.fromkeys(("train_gan", "train_classifier", "train_features"), "fp32")
    jobs = list(planned_jobs(plan, counts, precision))
    decoded = [job.parts[0].units for job in jobs if job.rule == "decode_images"]
    assert decoded == [counts.images, 20, 20]
    (evaluated,) = [job for job in jobs if job.rule == "evaluate"]
    assert evaluated.parts[0].units == len(plan.runs()) * (counts.judged + 40)
