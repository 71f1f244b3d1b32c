"""What `make doctor` sees, and that it names what mends it."""

import importlib.util
import os
import py_compile
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dataset_files import write_images
from format_files import nih, nih_line

from rarecxr import doctor
from rarecxr.study.check import check
from rarecxr.study.configuration.study import Configuration
from rarecxr.study.findings import FINDINGS

ROOT = Path(__file__).parents[2]
REFERENCE = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
HEADER = f"Path,Sex,Age,Frontal/Lateral,AP/PA,{','.join(FINDINGS)}\n"
TARGETS = REFERENCE["dataset"]["target_findings"]


@pytest.fixture
def study(tmp_path):
    """A function that gives a configuration with some keys of some sections changed."""

    def configured(**sections):
        changed = {name: {**REFERENCE[name], **keys} for name, keys in sections.items()}
        return check({**REFERENCE, **changed})

    return configured


@pytest.fixture
def data(tmp_path):
    """A data set of 8 patients: every second one has every finding, and one is lateral."""
    keys = [f"train/patient{n:05}/study1/view1_frontal.jpg" for n in range(8)]
    rows = []
    for n, key in enumerate(keys):
        view = "Lateral,," if n == 7 else "Frontal,AP,"
        label = ["1.0", "0.0"][n % 2]
        rows.append(f"CheXpert-v1.0-small/{key},Male,60,{view}{','.join([label] * 14)}\n")
    root = tmp_path / "data"
    root.mkdir()
    (root / "train.csv").write_text(HEADER + "".join(rows), encoding="utf-8")
    write_images(root, keys)
    return root


def lines(findings):
    return [(finding.level, finding.text) for finding in findings]


def look(config, folder):
    return list(doctor.check_data(config, folder, sample=200))


def test_rows_patients_positives_and_readable_images_are_counted(study, data, tmp_path):
    found = lines(look(study(dataset={"root": "data", "expert_csv": None}), tmp_path))
    assert found == [
        ("ok", "train.csv: 8 rows, 7 of the views AP, PA, 7 patients"),
        *(
            (
                "ok",
                f"train.csv: {finding}: 4 positive images of 4 patients, 3 negative; 0 uncertain",
            )
            for finding in TARGETS
        ),
        ("ok", "train.csv: 7 of 7 images that were opened can be read"),
    ]


def test_missing_and_damaged_images_are_wrong_and_the_first_is_named(study, data, tmp_path):
    (data / "train/patient00000/study1/view1_frontal.jpg").unlink()
    (data / "train/patient00003/study1/view1_frontal.jpg").write_bytes(b"")
    *_, last = look(study(dataset={"root": "data", "expert_csv": None}), tmp_path)
    assert last.level == "wrong"
    assert "5 of 7 images that were opened can be read; train/patient00000/study1" in last.text
    assert "max_rejected (0.001)" in last.advice
    kept = study(dataset={"root": "data", "expert_csv": None, "max_rejected": 0.5})
    assert look(kept, tmp_path)[-1].level == "note"


def test_a_finding_without_a_positive_or_negative_image_is_wrong(study, data, tmp_path):
    path = data / "train.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("0.0", "1.0"), encoding="utf-8")
    found = look(study(dataset={"root": "data", "expert_csv": None}), tmp_path)
    wrong = [finding for finding in found if finding.level == "wrong"]
    assert len(wrong) == len(TARGETS)
    assert "there is no negative image" in wrong[0].advice


def test_a_folder_or_file_that_is_not_there_is_named_with_what_is(study, data, tmp_path):
    (finding,) = look(study(dataset={"root": "elsewhere"}), tmp_path)
    assert finding.text == f"dataset.root: there is no folder elsewhere (below {tmp_path})"
    (data / "train.csv").rename(data / "training.csv")
    (finding,) = look(study(dataset={"root": str(data), "expert_csv": None}), tmp_path)
    assert "there is no file" in finding.text
    assert finding.advice == "CSV files there: training.csv"


def test_a_csv_with_a_wrong_value_is_told_with_its_line(study, data, tmp_path):
    path = data / "train.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("Male", "M", 1), encoding="utf-8")
    (finding,) = look(study(dataset={"root": "data", "expert_csv": None}), tmp_path)
    assert finding.level == "wrong"
    assert "train.csv" in finding.text
    assert "Sex" in finding.text


@pytest.mark.parametrize(("kept", "compiled"), [(True, False), (False, True), (False, False)])
def test_packages_that_every_job_compiles_anew_are_noted(monkeypatch, tmp_path, kept, compiled):
    package = tmp_path / "snakemake.py"
    package.write_text("", encoding="utf-8")
    if compiled:
        py_compile.compile(str(package))
    monkeypatch.setattr(sys, "dont_write_bytecode", not kept)
    found = importlib.util.spec_from_file_location("snakemake", package)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found)
    notes = [finding for finding in doctor.check_packages() if "byte code" in finding.text]
    assert [finding.level for finding in notes] == ([] if kept or compiled else ["note"])


def test_a_gpu_that_cannot_be_used_is_told(study, monkeypatch):
    from rarecxr.core import devices

    monkeypatch.setattr(devices, "unusable_gpu", lambda: "the driver is too old")
    (finding,) = doctor.check_gpu(study())
    assert (finding.level, finding.text) == ("note", "the driver is too old")
    (finding,) = doctor.check_gpu(study(gan={"device": "cuda"}))
    assert finding.level == "wrong"


def test_a_large_study_without_a_gpu_is_noted(study, monkeypatch):
    from rarecxr.core import devices

    monkeypatch.setattr(devices, "unusable_gpu", lambda: None)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert [f.level for f in doctor.check_gpu(study())] == ["ok"]
    large = {"gan": {"resolution": 128}, "dataset": {"resolution": 128}}
    assert [f.level for f in doctor.check_gpu(study(**large))] == ["note"]


def test_a_full_disk_is_wrong(study, tmp_path, monkeypatch):
    usage = doctor.shutil._ntuple_diskusage(10**12, 10**12, 10**9)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage)
    (finding,) = doctor.check_disk(study(), tmp_path)
    assert (finding.level, finding.text) == ("wrong", f"1 GB free in {tmp_path}")


def test_a_file_of_weights_that_is_not_there_is_wrong(study, tmp_path):
    config = study(classifier={"weights": "nowhere.pth"})
    wrong = [finding for finding in doctor.check_weights(config, tmp_path) if finding.advice]
    assert [finding.level for finding in wrong] == ["wrong"]
    assert "nowhere.pth" in wrong[0].text


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A function that puts a shell script on the path under a name."""

    def install(name, text):
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    return install


@pytest.mark.parametrize(
    ("text", "level", "said"),
    [
        ("echo conda 24.5.0", "note", "24.7.1 or newer"),
        ('[ "$1" = config ] && echo "  - defaults" || echo conda 26.7.1', "note", "Miniforge"),
        ('[ "$1" = config ] && echo "  - conda-forge" || echo conda 26.7.1', "ok", ""),
    ],
)
def test_conda_is_new_enough_and_asks_no_channel_with_terms(program, text, level, said):
    program("conda", text)
    (finding,) = doctor.check_conda()
    assert finding.level == level
    assert said in finding.advice


def test_partitions_of_a_cluster_are_listed(program):
    program("sbatch", "exit 0")
    program("sinfo", "echo 'gpu  gpu:a100:4   2-00:00:00'; echo 'cpu (null) 1-00:00:00'")
    *_, finding = doctor.check_slurm()
    assert finding.text.endswith("cpu (null) 1-00:00:00; gpu gpu:a100:4 2-00:00:00")


def test_the_command_ends_with_what_is_wrong_and_takes_a_configuration(tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("dataset: {root: nowhere}\n", encoding="utf-8")
    command = [sys.executable, ROOT / "workflow/scripts/doctor.py", "--directory", tmp_path]

    def run(*more):
        return subprocess.run([*command, *more], capture_output=True, encoding="utf-8")

    done = run("--configfile", own)
    assert done.returncode == 1
    assert "there is no folder nowhere" in done.stdout
    # The machine may lack something, too.
    assert re.search(r"doctor: [1-9]\d* to be mended", done.stderr)
    own.write_text("dataset: {rot: nowhere}\n", encoding="utf-8")
    done = run("--configfile", own)
    assert "dataset.rot: no such key" in done.stderr
    assert "Traceback" not in done.stderr
    own.write_text("- 1\n", encoding="utf-8")
    assert "holds no settings" in run("--configfile", own).stderr


def test_a_data_set_of_another_format_is_looked_at_as_it_is_published(tmp_path):
    lines = [nih_line(n, 0, "Hernia" if n % 2 else "No Finding") for n in range(8)]
    nih(tmp_path / "data", lines)
    settings = {"root": "data", "format": "nih", "target_findings": ["Hernia"]}
    config = Configuration(dataset={**settings, "findings": ["Hernia", "Mass"]})
    assert lines_of(config, tmp_path) == [
        ("ok", "nih: 8 rows, 8 of the views AP, PA, 8 patients"),
        ("ok", "nih: Hernia: 4 positive images of 4 patients, 4 negative; 0 uncertain"),
        ("ok", "nih: 8 of 8 images that were opened can be read"),
    ]
    (tmp_path / "data/images_001/images/00000000_000.png").unlink()
    assert lines_of(config, tmp_path)[-1][0] == "wrong"
    (tmp_path / "data/Data_Entry_2017_v2020.csv").unlink()
    ((level, text),) = lines_of(config, tmp_path)
    assert level == "wrong"
    assert text.startswith("dataset.tables.images: there is no file Data_Entry_2017_v2020.csv")


def lines_of(config, folder):
    return lines(look(config, folder))
