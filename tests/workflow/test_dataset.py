"""The dataset stage as Snakemake runs it: what stops before images are decoded, what is stale."""

import shutil

import pandas as pd
import pytest
from house import make_real_images

from rarecxr.data.image_file import ImageFile

DATA = "data/Phantom-v1.0-small"


@pytest.fixture
def unrun(house):
    """A study whose images are there and which has not run."""
    make_real_images(house)
    return house


def test_labels_that_cannot_give_an_answer_stop_the_study_before_any_job(unrun):
    unrun.configure(dataset__blank="ignore")
    output = unrun.snakemake("--dry-run", check=False)
    assert "cannot give an answer with dataset.blank: ignore" in output
    assert "with dataset.blank: zeros nothing would be missing" in output
    assert "rule index_images" not in output


def test_labels_that_leave_a_split_without_an_answer_stop_it_before_images_are_decoded(unrun):
    unrun.configure(dataset__planned_findings=[])
    unrun.snakemake("--until", "split_patients")
    split = unrun.folder / "results/tiny/dataset/split.csv"
    # Who has a certain positive decides the split and stays as it is.
    tested = pd.read_csv(split).query("split == 'test'")["patient"]
    path = unrun.folder / DATA / "train.csv"
    table = pd.read_csv(path)
    is_tested = table["Path"].str.extract("(patient[0-9]+)")[0].isin(tested)
    table.loc[is_tested & (table["Lung Lesion"] != 1), "Lung Lesion"] = None
    table.loc[~is_tested & table["Lung Lesion"].isna(), "Lung Lesion"] = 0
    table.to_csv(path, index=False)
    unrun.configure(dataset__blank="ignore")
    output = unrun.snakemake(check=False)
    assert "an image of test that is negative for Lung Lesion" in output
    assert not list(split.parent.glob("pixels_*"))


def test_files_that_the_csv_does_not_name_make_nothing_stale(done):
    study = next((done.folder / DATA / "train").rglob("view1_frontal.jpg")).parent
    shutil.copy(study / "view1_frontal.jpg", study / "._view1_frontal.jpg")
    shutil.copy(study / "view1_frontal.jpg", study / "view9_frontal.jpg")
    (study.parents[1] / ".thumbnails").mkdir()
    shutil.copy(study / "view1_frontal.jpg", study.parents[1] / ".thumbnails/view1_frontal.jpg")
    (done.folder / DATA / "ages.png").write_bytes(b"a plot of the user's own")
    assert done.stale_jobs() == set()


def test_a_copy_with_new_times_repeats_nothing(finished, tmp_path):
    """Every file of the tiny study is below the size up to which Snakemake compares contents."""
    copy = type(finished)(tmp_path / "copy")
    shutil.copytree(finished.folder, copy.folder, copy_function=shutil.copyfile)
    assert copy.stale_jobs() == set()


def full_edition(house):
    """Move the images to where the full-size edition of CheXpert has them."""
    root = house.folder / DATA
    first = root / "CheXpert-v1.0 batch 1 (validate & csv)"
    first.mkdir()
    for name in ("train.csv", "valid.csv", "valid"):
        (root / name).rename(first / name)
    for number, patient in enumerate(sorted((root / "train").iterdir())):
        batch = root / f"CheXpert-v1.0 batch {number // 25 + 2} (train {number // 25 + 1})"
        batch.mkdir(exist_ok=True)
        patient.rename(batch / patient.name)
    (root / "train").rmdir()


def test_the_full_size_edition_of_chexpert_is_read_as_it_unpacks(unrun):
    full_edition(unrun)
    unrun.snakemake("--until", "cache_pixels")
    dataset = unrun.folder / "results/tiny/dataset"
    index = pd.read_parquet(dataset / "images.parquet")
    assert index["image"].str.match("(train|valid)/patient").all()
    assert ImageFile(dataset / "pixels_32.h5").columns["image"].tolist() == index["image"].tolist()


def test_links_lead_out_of_the_data_set_only_where_that_is_allowed(unrun):
    (unrun.folder / DATA / "train").rename(unrun.folder / "elsewhere")
    (unrun.folder / DATA / "train").symlink_to(unrun.folder / "elsewhere")
    output = unrun.snakemake("--until", "cache_pixels", check=False)
    assert "images out of this folder" in output
    assert "set dataset.follow_links to true" in output
    unrun.configure(dataset__follow_links=True)
    unrun.snakemake("--until", "cache_pixels")
    assert (unrun.folder / "results/tiny/dataset/pixels_32.h5").is_file()
