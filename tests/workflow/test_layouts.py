"""A tiny study of phantoms in the layout of every publisher, from its own files to the report."""

from pathlib import Path

import format_files as layout
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from rarecxr.data.image_file import ImageFile
from rarecxr.phantoms.dataset import make_phantoms
from rarecxr.study.configuration.phantom import PhantomSettings

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]

ROOT = "data/published"
# The phantoms' finding that stands for the rare one of each data set.
DRAWN = "Lung Lesion"


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    """Frontal phantoms: patient (number), study, view, whether they show the finding, pixels."""
    root = tmp_path_factory.mktemp("phantoms")
    settings = PhantomSettings(
        patients=60,
        expert_patients=1,
        resolution=64,
        prevalence={"scale": 1.0, DRAWN: 0.4},
        studies_per_patient=2.0,
        seed=1,
    )
    make_phantoms(root=root, settings=settings)
    table = pd.read_csv(root / "train.csv")
    table = table[table["AP/PA"].isin(["AP", "PA"])].reset_index(drop=True)
    names = table["Path"].str.extract(r"(train/patient(\d+)/study(\d+)/.*)")
    table["patient"], table["study"] = names[1].astype(int), names[2].astype(int)
    table["view"] = table["AP/PA"]
    table["positive"] = (table[DRAWN] == 1).astype(int)
    table["pixels"] = [np.asarray(Image.open(root / path).convert("L")) for path in names[0]]
    return table[["patient", "study", "view", "positive", "pixels"]]


def is_tested(patient):
    """A fifth of the patients, in the published splits of the layouts below."""
    return patient % 5 == 0


def write_nih(root, table):
    number = table.groupby("patient").cumcount()
    lines = [
        layout.nih_line(row.patient, n, "Hernia" if row.positive else "No Finding", view=row.view)
        for n, row in zip(number, table.itertuples(), strict=True)
    ]
    tested = [
        f"{patient:08d}_{n:03d}.png"
        for n, patient in zip(number, table["patient"], strict=True)
        if is_tested(patient)
    ]
    layout.nih(root, lines, tested, draw=lambda n: table["pixels"][n])


def write_mimic(root, table):
    patients, studies = 10_000_000 + table["patient"], 50_000_000 + table.index
    parts = ["test" if is_tested(patient) else "train" for patient in table["patient"]]
    names = [f"{number:08x}-dicom" for number in table.index]
    images = list(zip(patients, studies, names, table["view"], parts, strict=True))
    labels = {
        study: f"{'1.0' if positive else ''},{'' if positive else '1.0'},0.0"
        for study, positive in zip(studies, table["positive"], strict=True)
    }
    layout.mimic(root, images, labels, draw=lambda n: table["pixels"][n])


def write_padchest(root, table):
    lines = [
        layout.padchest_line(
            n,
            f"{row.patient:04d}A7",
            "['hiatal hernia', 'nodule']" if row.positive else "['normal']",
            folder=n % 3,
            view=row.view,
        )
        for n, row in enumerate(table.itertuples())
    ]
    layout.padchest(root, lines, draw=lambda n: table["pixels"][n])


def write_vindr(root, table):
    """One image of each patient: the data set names no patients."""
    first = table.drop_duplicates("patient").reset_index(drop=True)
    votes = {True: ["0,1,0", "0,1,0", "0,0,0"], False: ["0,0,0", "0,0,0", "1,0,0"]}
    tested = first["patient"].map(is_tested)
    order = pd.concat([first[~tested], first[tested]])["pixels"].tolist()
    names = first["patient"].map(lambda patient: f"{patient:032x}")
    training = {
        name: votes[bool(positive)]
        for name, positive in zip(names[~tested], first["positive"][~tested], strict=True)
    }
    consensus = {
        name: votes[bool(positive)][0]
        for name, positive in zip(names[tested], first["positive"][tested], strict=True)
    }
    layout.vindr(root, training, consensus, draw=lambda n: order[n])


def write_chexpert_plus(root, table):
    number = table.groupby("patient").cumcount() + 1
    images = [
        ("train", row.patient, n, row.view)
        for n, row in zip(number, table.itertuples(), strict=True)
    ]
    labels = {
        n: {"Fracture": 1.0 if positive else None, "No Finding": None if positive else 1.0}
        for n, positive in enumerate(table["positive"])
    }
    layout.chexpert_plus(root, images, labels, draw=lambda n: table["pixels"][n])


def write_table(root, table):
    columns = {
        "file": [f"images/{n}.png" for n in table.index],
        "pid": table["patient"].map("P{}".format),
        "proj": table["view"].map({"AP": "ant-post", "PA": "post-ant"}),
        "hernia": table["positive"],
        "part": ["test" if is_tested(patient) else "train" for patient in table["patient"]],
    }
    root.mkdir(parents=True)
    pd.DataFrame(columns).to_parquet(root / "ours.parquet")
    for n, pixels in enumerate(table["pixels"]):
        layout.write_image(root / f"images/{n}.png", n, draw=lambda _, pixels=pixels: pixels)


# By format who writes it, and what the study says beside the format and its root.
FORMATS = {
    "nih": (
        write_nih,
        {
            "findings": ["Hernia", "No Finding"],
            "target_findings": ["Hernia"],
            "split": "published",
        },
    ),
    "mimic": (
        write_mimic,
        {
            "findings": ["Fracture", "No Finding"],
            "target_findings": ["Fracture"],
            "split": "published",
        },
    ),
    "padchest": (
        write_padchest,
        {"findings": ["hiatal hernia", "No Finding"], "target_findings": ["hiatal hernia"]},
    ),
    "vindr": (
        write_vindr,
        {
            "findings": ["Nodule/Mass", "No Finding"],
            "target_findings": ["Nodule/Mass"],
            "split": "published",
            "uncertain": "zeros",
        },
    ),
    "chexpert-plus": (
        write_chexpert_plus,
        {"findings": ["Fracture", "No Finding"], "target_findings": ["Fracture"]},
    ),
    "table": (
        write_table,
        {
            "findings": ["Hernia (hiatal)"],
            "target_findings": ["Hernia (hiatal)"],
            "split": "published",
            "tables": {"images": "ours.parquet"},
            "columns": {
                "path": "file",
                "patient": "pid",
                "view": "proj",
                "split": "part",
                "findings": {"Hernia (hiatal)": "hernia"},
            },
            "view_names": {"ant-post": "AP", "post-ant": "PA"},
        },
    ),
}


@pytest.mark.parametrize("format", FORMATS)
def test_a_tiny_study_runs_from_the_publishers_files_to_the_report(house, phantoms, format):
    write, settings = FORMATS[format]
    write(Path(house.folder, ROOT), phantoms)
    house.configure(
        dataset__root=ROOT,
        dataset__format=format,
        dataset__planned_findings=[],
        dataset__fractions=[100],
        dataset__reserve_percent=0,
        classifier__arms=["none", "filtered_gan", "balanced_gan"],
        **{f"dataset__{key}": value for key, value in settings.items()},
    )
    house.snakemake()
    (finding,) = settings["target_findings"]
    results = house.folder / "results/tiny"

    index = pd.read_parquet(results / "dataset/images.parquet")
    images = phantoms.drop_duplicates("patient") if format == "vindr" else phantoms
    assert len(index) == len(images)
    assert (index[finding] == 1).sum() == images["positive"].sum()
    assert index["patient"].nunique() == phantoms["patient"].nunique()
    cached = ImageFile(results / "dataset/pixels_32.h5")
    assert cached.columns["image"].tolist() == index["image"].tolist()

    split = pd.read_csv(results / "dataset/split.csv", dtype=str).set_index("patient")["split"]
    if "published" in settings.values():
        tested = phantoms["patient"].drop_duplicates().map(is_tested)
        assert (split == "test").sum() == tested.sum()

    summary = pd.read_csv(results / "report/summary.csv")
    assert set(summary["finding"]) == {finding}
    assert set(summary["arm"]) == {"none", "filtered_gan", "balanced_gan"}
    page = (results / "report/index.html").read_text(encoding="utf-8")
    assert finding in page
    if format == "vindr":
        assert "every image counts as a patient of its own" in " ".join(page.split())
    assert house.stale_jobs() == set()
