"""A study's folder is what its manifest lists, wherever it lies, or each difference is named."""

import base64
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from simulated_study import SimulatedStudy

from rarecxr.core.files import sha256
from rarecxr.manifest import MANIFEST, check_manifest, recorded_rules, write_manifest

SCRIPT = Path(__file__).parents[2] / "workflow/scripts/check_study.py"
RUN = "classifier/none/100/draw0/seed0/predictions.parquet"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A study in results/sim with files of every stage, its logs, and Snakemake's records."""
    home = tmp_path_factory.mktemp("home")
    root = home / "results/sim"
    study = SimulatedStudy(root, patients=60, expert_patients=5, arms=("none", "gan"), seeds=1)
    study.make_gans()
    for name in ("logs/evaluate.log", "state/run/lock", "benchmarks/evaluate.tsv"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x", encoding="utf-8")
    records = home / ".snakemake/metadata"
    inputs = ["results/sim/dataset/split.csv", "config/published.csv", "/home/me/data/train.csv"]
    record(records, f"results/sim/{RUN}", "train_classifier", inputs)
    record(records, "results/sim/bank", "make_bank", [])
    (records / "nonsense").write_bytes(b"\xff")
    return root


def record(records, path, rule, inputs, longest=40):
    """As Snakemake writes it: in base64, long names in folders whose names begin with @."""
    name = base64.urlsafe_b64encode(path.encode()).decode()
    parts = [name[start : start + longest] for start in range(0, len(name), longest)]
    place = records.joinpath(*(f"@{part}" for part in parts[:-1]), parts[-1])
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps({"rule": rule, "input": inputs}), encoding="utf-8")


@pytest.fixture
def study(made, tmp_path):
    """A copy of it elsewhere, with its manifest."""
    number = write_manifest(made)
    listed = json.loads((made / MANIFEST).read_text(encoding="utf-8"))["files"]
    assert number == len(listed) > 20
    copy = tmp_path / "restored"
    shutil.copytree(made, copy)
    return copy


def differences(study):
    return check_manifest(study)[1]


def test_a_copy_has_all_that_is_listed_with_digest_size_rule_and_inputs(made, study):
    number, found = check_manifest(study)
    assert found == []
    listed = json.loads((study / MANIFEST).read_text(encoding="utf-8"))["files"]
    everything = {path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file()}
    left = {name for name in everything if name.split("/")[0] in ("logs", "state", "benchmarks")}
    hidden = {name for name in everything if name.split("/")[-1].startswith(".")}
    assert set(listed) == everything - left - hidden - {MANIFEST}
    assert number == len(listed)
    assert listed[RUN] == {
        "bytes": (made / RUN).stat().st_size,
        "sha256": sha256(made / RUN),
        "rule": "train_classifier",
        # Nothing says where a user's files lie.
        "inputs": ["config/published.csv", "dataset/split.csv", "train.csv"],
    }
    # Files in a folder that is recorded as a whole.
    banks = [about for name, about in listed.items() if name.startswith("bank/")]
    assert banks
    assert all(about["rule"] == "make_bank" for about in banks)


def test_a_manifest_made_again_is_the_same_to_the_byte(made, study):
    before = (made / MANIFEST).read_bytes()
    write_manifest(made)
    assert (made / MANIFEST).read_bytes() == before


def test_missing_changed_and_unknown_files_are_named(study):
    (study / RUN).unlink()
    path = study / "dataset/split.csv"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    path = study / "dataset/labels.parquet"
    size = path.stat().st_size
    os.truncate(path, size - 1)
    (study / "report/notes.txt").parent.mkdir(exist_ok=True)
    (study / "report/notes.txt").touch()
    # What jobs write about themselves may change.
    (study / "logs/evaluate.log").unlink()
    assert sorted(differences(study)) == [
        f"changed: dataset/labels.parquet: {size - 1} bytes, not {size}",
        "changed: dataset/split.csv: other content of the same size",
        f"missing: {RUN} (rule train_classifier makes it)",
        "unknown: report/notes.txt",
    ]


def test_no_manifest_is_written_of_a_damaged_file(study):
    path = study / RUN
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"predictions\.parquet: damaged, or changed since"):
        write_manifest(study)


def test_a_damaged_or_missing_manifest_is_named(study, tmp_path):
    text = (study / MANIFEST).read_text(encoding="utf-8")
    (study / MANIFEST).write_text(text.replace('"bytes"', '"bites"', 1), encoding="utf-8")
    with pytest.raises(ValueError, match=r"manifest\.json: damaged, or changed"):
        check_manifest(study)
    (study / MANIFEST).unlink()
    with pytest.raises(FileNotFoundError, match=r"manifest\.json: no such file; .*--write"):
        check_manifest(study)
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        check_manifest(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="holds no results"):
        write_manifest(tmp_path / "empty")


def test_without_records_files_are_listed_without_rules(study):
    assert recorded_rules(study) == {}
    write_manifest(study)
    assert differences(study) == []
    listed = json.loads((study / MANIFEST).read_text(encoding="utf-8"))["files"]
    assert "rule" not in listed[RUN]


def run(*arguments):
    return subprocess.run(
        [sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, encoding="utf-8"
    )


def test_the_command_ends_with_an_error_if_anything_differs(study):
    done = run(study)
    assert done.returncode == 0
    assert "all as listed" in done.stdout
    (study / RUN).unlink()
    done = run(study)
    assert done.returncode == 1
    assert done.stdout.startswith(f"missing: {RUN} (rule train_classifier makes it)")
    assert "1 differences from manifest.json" in done.stderr
    assert run(study, "--write").returncode == 0
    assert run(study).returncode == 0
    done = run(study / "nowhere")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
