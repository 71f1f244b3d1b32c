"""The leak check of networks that were pretrained on images without labels."""

import pandas as pd
import pytest

from rarecxr.core.files import sha256
from rarecxr.core.provenance import digest_of_images
from rarecxr.core.tensors import read_tensor_file, to_bytes
from rarecxr.data.study_files import StudyFiles
from rarecxr.leakage import check_leakage

PARTS = ["train"] * 6 + ["val", "test", "reserve", "unused"]
IMAGES = [f"image{number}.png" for number in range(2 * len(PARTS))]
# Of a training patient's images one could not be read.
TRAINED = IMAGES[1:12]
CELL = {"fraction": "50", "draw": 0}


def write_network(path, files, images=TRAINED, seed=0, **more):
    """A network that says what it was pretrained on."""
    origin = {
        "inputs": {"split": sha256(files.split), **more},
        "settings": {"temperature": 0.2},
        "seed": seed,
        "study": "tiny",
    }
    content = {"trained_on": digest_of_images(images), "provenance": origin}
    path.write_bytes(to_bytes(content))


def write_run(path, files, start=None, **more):
    """Predictions of a run that says from which network it started."""
    inputs = {"labels": files.labels, "split": files.split, "draw": files.draws[0]}
    inputs |= {"pretrained": start} if start else {}
    judged = pd.DataFrame({"image": IMAGES[14:16], "patient": "patient7", "split": "test"})
    judged.attrs = {
        "trained_on": digest_of_images(IMAGES[1:6]),
        "provenance": {
            "inputs": {name: sha256(file) for name, file in inputs.items()} | more,
            "settings": {"fraction": 50.0, "draw": 0},
            "seed": 0,
        },
    }
    judged.to_parquet(path)


@pytest.fixture
def study(tmp_path):
    """Arguments of `check_leakage` for two runs at 50 %, of which one starts from a network."""
    files = StudyFiles(
        tmp_path / "labels.parquet",
        tmp_path / "split.csv",
        [tmp_path / "draw0.csv"],
        tmp_path / "rejected.csv",
    )
    patients = [f"patient{number}" for number in range(len(PARTS))]
    owners = [patients[number // 2] for number in range(len(IMAGES))]
    pd.DataFrame({"image": IMAGES, "patient": owners}).to_parquet(files.labels)
    pd.DataFrame({"patient": patients, "split": PARTS}).to_csv(files.split, index=False)
    ranks = pd.DataFrame({"patient": patients[:6], "rank": range(6), "minimum": 0})
    ranks.to_csv(files.draws[0], index=False)
    rejected = pd.DataFrame({"image": IMAGES[:1], "patient": owners[:1]})
    rejected.to_csv(files.rejected, index=False)
    pd.DataFrame({"image": [], "row": [], "note": [], "detail": []}).to_csv(
        tmp_path / "notes.csv", index=False
    )
    network = tmp_path / "model.pt"
    write_network(network, files)
    arms = {"none": False, "pretrained_unlabelled": True}
    runs = [
        {
            **{"arm": arm, "seed": 0, "real": True, "recipe": None, "negatives": False, **CELL},
            **{"reserve": False, "unlabelled": own, "predictions": tmp_path / f"{arm}.parquet"},
        }
        for arm, own in arms.items()
    ]
    for run in runs:
        write_run(run["predictions"], files, network if run["unlabelled"] else None)
    return {
        "files": files,
        "notes": tmp_path / "notes.csv",
        "gans": [],
        "validation_sets": [],
        "banks": [],
        "features": [],
        "pretrainings": [{"seed": 0, "pretrained": network}],
        "runs": runs,
        "output": tmp_path / "leakage.csv",
    }


def test_a_network_of_all_training_patients_is_no_leak(study):
    check_leakage(**study)
    looked = pd.read_csv(study["output"]).set_index("check")
    assert looked.loc["pretrained networks", "files"] == 1
    assert looked.loc["pretrained networks", "items"] > 0


@pytest.mark.parametrize("other", IMAGES[12::2], ids=PARTS[6:])
def test_an_image_of_another_patient_is_found(study, other):
    network = study["pretrainings"][0]["pretrained"]
    write_network(network, study["files"], [*TRAINED, other])
    write_run(study["runs"][1]["predictions"], study["files"], network)
    with pytest.raises(ValueError, match=r"pretrained networks: .*model\.pt: what it was trained"):
        check_leakage(**study)


def test_labels_among_its_inputs_are_found(study):
    network = study["pretrainings"][0]["pretrained"]
    write_network(network, study["files"], labels=sha256(study["files"].labels))
    write_run(study["runs"][1]["predictions"], study["files"], network)
    with pytest.raises(ValueError, match="pretrained networks: .*1 labels were among its inputs"):
        check_leakage(**study)


def test_a_run_that_started_from_another_network_is_found(study, tmp_path):
    other = tmp_path / "other.pt"
    write_network(other, study["files"], IMAGES)
    write_run(study["runs"][1]["predictions"], study["files"], other)
    with pytest.raises(ValueError, match=r"classifiers: .*unlabelled\.parquet: its pretrained is"):
        check_leakage(**study)


def test_a_run_of_another_arm_that_started_from_a_network_is_found(study):
    network = study["pretrainings"][0]["pretrained"]
    write_run(study["runs"][0]["predictions"], study["files"], network)
    problem = r"classifiers: .*none\.parquet: 1 networks do not belong to this arm"
    with pytest.raises(ValueError, match=problem):
        check_leakage(**study)


def test_networks_of_different_settings_are_a_mixture(study, tmp_path):
    second = tmp_path / "second.pt"
    write_network(second, study["files"], seed=1)
    study["pretrainings"].append({"seed": 1, "pretrained": second})
    check_leakage(**study)
    told = read_tensor_file(second, "a network")
    told["provenance"]["settings"]["temperature"] = 0.5
    second.write_bytes(to_bytes(told))
    with pytest.raises(ValueError, match=r"mixes results .*\n.*settings\.temperature is 0\.[25]"):
        check_leakage(**study)
