import csv
import hashlib
import io
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from rarecxr.phantoms.dataset import (
    HEADER,
    NOTICE,
    encode,
    grade_of,
    make_phantoms,
    study_views,
)
from rarecxr.study.configuration.phantom import PhantomSettings
from rarecxr.study.findings import FINDINGS

# The header of CheXpert's own train.csv, typed from the published file.
CHEXPERT_HEADER = (
    "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,"
    "Lung Opacity,Lung Lesion,Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,"
    "Pleural Effusion,Pleural Other,Fracture,Support Devices"
)
SMALL = PhantomSettings(
    patients=40,
    expert_patients=12,
    resolution=48,
    difficulty=0.3,
    prevalence={},
    studies_per_patient=2.9,
    seed=5,
)


def small(**changed):
    return SMALL.model_copy(update=changed)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantom")
    make_phantoms(folder, SMALL)
    return folder


@pytest.fixture(scope="module", params=["train", "valid"])
def split(request, root):
    return request.param, pd.read_csv(root / f"{request.param}.csv")


def digests(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_header_is_chexperts_to_the_letter(root):
    for name in ("train.csv", "valid.csv"):
        first = (root / name).read_bytes().split(b"\n", 1)[0]
        assert first == CHEXPERT_HEADER.encode()
    assert ",".join(HEADER) == CHEXPERT_HEADER


def test_every_row_is_one_image_and_every_image_one_row(root, split):
    name, table = split
    listed = [path.split("/", 1)[1] for path in table["Path"]]
    stored = [path.relative_to(root).as_posix() for path in (root / name).rglob("*.*")]
    assert sorted(listed) == sorted(stored)
    assert len(set(listed)) == len(listed)


def test_paths_follow_chexperts_layout(split):
    name, table = split
    pattern = re.compile(
        rf"Phantom-v1\.0-small/{name}/patient(\d{{5}})/study(\d+)/view(\d)_(frontal|lateral)\.jpg"
    )
    seen = {}
    for path, view in zip(table["Path"], table["Frontal/Lateral"], strict=True):
        match = pattern.fullmatch(path)
        assert match, path
        assert match[4] == view.lower()
        seen.setdefault((match[1], match[2]), []).append(int(match[3]))
    # Views are numbered 1, 2, ... inside each study, studies 1, 2, ... inside each patient.
    assert all(views == list(range(1, len(views) + 1)) for views in seen.values())
    studies = {}
    for patient, study in seen:
        studies.setdefault(patient, []).append(int(study))
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in studies.values())


def test_no_patient_is_in_both_csvs(root):
    patients = [
        set(pd.read_csv(root / name)["Path"].str.extract(r"(patient\d{5})")[0])
        for name in ("train.csv", "valid.csv")
    ]
    assert [len(p) for p in patients] == [SMALL.patients, SMALL.expert_patients]
    assert not patients[0] & patients[1]


def test_cells_are_written_as_chexpert_writes_them(root):
    allowed = {"train": {"1.0", "0.0", "-1.0", ""}, "valid": {"1.0", "0.0"}}
    for name, values in allowed.items():
        with open(root / f"{name}.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        found = {row[finding] for row in rows for finding in FINDINGS}
        assert found == values
        for row in rows:
            assert row["AP/PA"] in ({""} if row["Frontal/Lateral"] == "Lateral" else {"AP", "PA"})
            assert row["Age"].isdigit()


def test_no_finding_excludes_every_pathology(root):
    train = pd.read_csv(root / "train.csv")
    others = [f for f in FINDINGS if f not in ("No Finding", "Support Devices")]
    nothing = ~train[others].isin([1.0, -1.0]).any(axis=1)
    assert ((train["No Finding"] == 1.0) == nothing).all()
    valid = pd.read_csv(root / "valid.csv")
    assert ((valid["No Finding"] == 1.0) == (valid[others].sum(axis=1) == 0)).all()


def test_a_study_has_one_set_of_labels_and_a_patient_one_sex(split):
    _, table = split
    study = table["Path"].str.rsplit("/", n=1).str[0]
    labels = table[list(FINDINGS)].fillna(9).groupby(study)
    assert (labels.nunique() == 1).all(axis=None)
    patient = table["Path"].str.extract(r"(patient\d{5})")[0]
    assert (table.groupby(patient)[["Sex", "Age"]].nunique() == 1).all(axis=None)


def test_one_unknown_sex_and_a_few_ages_of_zero(root):
    train, valid = pd.read_csv(root / "train.csv"), pd.read_csv(root / "valid.csv")
    assert (train["Sex"] == "Unknown").sum() == 1
    assert set(train["Sex"]) == {"Female", "Male", "Unknown"}
    assert set(valid["Sex"]) <= {"Female", "Male"}
    zero = train.loc[train["Age"] == 0, "Path"].str.extract(r"(patient\d{5})")[0].nunique()
    assert zero == 3
    assert valid["Age"].between(18, 90).all()


def test_images_are_grey_jpegs_with_the_shorter_side_asked_for(root, split):
    name, table = split
    shapes = set()
    for path in table["Path"]:
        with Image.open(root / path.split("/", 1)[1]) as image:
            assert (image.format, image.mode) == ("JPEG", "L")
            assert min(image.size) == SMALL.resolution
            assert max(image.size) <= 1.3 * SMALL.resolution + 1
            shapes.add(image.size)
    assert {w > h for w, h in shapes} == {True, False}


def test_every_image_says_that_it_is_a_phantom(root, split):
    name, _ = split
    for path in (root / name).rglob("*.jpg"):
        with Image.open(path) as image:
            assert image.info["comment"].decode() == NOTICE
            assert image.getexif()[0x010E] == NOTICE
    assert "not clinical data" in NOTICE


def test_no_two_images_are_the_same(root):
    images = [digest for path, digest in digests(root).items() if path.endswith(".jpg")]
    assert len(set(images)) == len(images)


def test_same_bytes_whatever_the_number_of_processes(root, tmp_path):
    make_phantoms(tmp_path, SMALL, threads=2)
    assert digests(tmp_path) == digests(root)


def test_a_patient_does_not_depend_on_how_many_there_are(root, tmp_path):
    make_phantoms(tmp_path, small(patients=6, expert_patients=1))
    few = digests(tmp_path / "train")
    many = digests(root / "train")
    common = set(few) & set(many)
    # All but the patient whose sex is unknown, and who has one image only, in either.
    differing = {path.split("/")[0] for path in common if few[path] != many[path]}
    assert len({path.split("/")[0] for path in common}) == 6
    assert len(differing) <= 2
    other = digests(root / "valid")
    assert not set(few.values()) & set(other.values())


def test_another_seed_draws_other_patients(root, tmp_path):
    make_phantoms(tmp_path, small(patients=4, expert_patients=1, seed=6))
    assert not set(digests(tmp_path).values()) & set(digests(root).values())


def test_images_without_findings_do_not_change_with_difficulty(tmp_path):
    for difficulty in (0.0, 1.0):
        settings = small(patients=8, expert_patients=30, difficulty=difficulty)
        make_phantoms(tmp_path / str(difficulty), settings)
    table = pd.read_csv(tmp_path / "0.0" / "valid.csv")
    healthy = (table[list(FINDINGS[1:])].sum(axis=1) == 0).to_numpy()
    assert 0 < healthy.sum() < len(table)
    for path, same in zip(table["Path"], healthy, strict=True):
        inner = path.split("/", 1)[1]
        first, second = ((tmp_path / d / inner).read_bytes() for d in ("0.0", "1.0"))
        assert (first == second) == same


@pytest.mark.parametrize("wanted", [0.0, 0.145, 0.4])
def test_views_come_in_the_shares_asked_for(wanted):
    rng = np.random.default_rng(2)
    views = [v for _ in range(8000) for v in study_views(rng, rng.normal(), wanted)]
    lateral = np.mean([view == "Lateral" for view in views])
    assert lateral == pytest.approx(wanted, abs=4 * np.sqrt(0.25 / len(views)))
    # CheXpert: 29,437 of 191,027 frontals are PA.
    pa = np.mean([view == "PA" for view in views if view != "Lateral"])
    assert pa == pytest.approx(29437 / 191027, abs=4 * np.sqrt(0.13 / 8000))


def test_the_ill_are_taken_lying():
    rng = np.random.default_rng(3)
    well, ill = (
        np.mean([study_views(rng, illness, 0.1)[0] == "PA" for _ in range(2000)])
        for illness in (-1.5, 1.5)
    )
    assert well > 3 * ill


def test_a_failed_run_leaves_the_old_data_set(root, monkeypatch):
    before = digests(root)
    monkeypatch.setattr("rarecxr.phantoms.dataset.render", lambda *a, **k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        make_phantoms(root, SMALL)
    assert digests(root) == before
    assert sorted(path.name for path in root.iterdir()) == [
        "train",
        "train.csv",
        "valid",
        "valid.csv",
    ]


def test_grades_fall_with_difficulty_and_stay_in_range():
    severity = np.linspace(0, 1, 11)
    difficulties = (-1, -0.6, -0.2, 0, 0.3, 0.7, 1)
    grades = np.array([[grade_of(s, d) for s in severity] for d in difficulties])
    assert (grades > 0).all()
    assert (grades <= 1).all()
    # The most severe case is drawn in full up to 0.
    assert (np.diff(grades[:, :-1], axis=0) < 0).all()
    assert (grades[:4, -1] == 1).all()
    assert (np.diff(grades[3:], axis=0) < 0).all()
    # Milder cases are fainter, but at -1, where all are drawn in full.
    assert (grades[0] == 1).all()
    assert (np.diff(grades[1:], axis=1) > 0).all()


def test_encoding_keeps_the_picture():
    rows, columns = np.mgrid[:40, :50]
    picture = (2 * rows + 2 * columns).astype(np.uint8)
    back = np.asarray(Image.open(io.BytesIO(encode(picture, 95))))
    assert np.abs(back.astype(int) - picture).max() <= 3
