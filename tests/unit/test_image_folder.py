import os

import pandas as pd
import pytest
from dataset_files import cache, patients_of, write_images

from rarecxr.data.image_file import ImageFile
from rarecxr.data.image_folder import ImageFolder

KEYS = [
    "train/patient00001/study1/view1_frontal.jpg",
    "train/patient00001/study2/view1_frontal.jpg",
    "train/patient21514/study1/view1_frontal.jpg",
    "train/patient43018/study1/view1_frontal.jpg",
    "valid/patient64541/study1/view1_frontal.jpg",
]
# Where the full-size edition has them.
FULL = [
    "CheXpert-v1.0 batch 2 (train 1)/patient00001/study1/view1_frontal.jpg",
    "CheXpert-v1.0 batch 2 (train 1)/patient00001/study2/view1_frontal.jpg",
    "CheXpert-v1.0 batch 3 (train 2)/patient21514/study1/view1_frontal.jpg",
    "CheXpert-v1.0 batch 4 (train 3)/patient43018/study1/view1_frontal.jpg",
    "CheXpert-v1.0 batch 1 (validate & csv)/valid/patient64541/study1/view1_frontal.jpg",
]


def places(root, keys=KEYS):
    folder = ImageFolder(root)
    return [os.path.relpath(folder.place(key), root) for key in keys]


@pytest.mark.parametrize("written", ["{}", "{}/", "{}//"])
def test_the_small_edition_has_its_files_where_their_keys_say(tmp_path, written):
    write_images(tmp_path, KEYS)
    assert places(written.format(tmp_path)) == KEYS
    keys = ["patient00001/study1/a.jpg", "nowhere/patient00001/study1/a.jpg"]
    assert places(tmp_path, keys) == keys


def test_the_full_edition_has_them_in_batches(tmp_path):
    write_images(tmp_path, FULL)
    assert places(tmp_path) == FULL
    missing = "train/patient99999/study1/view1_frontal.jpg"
    assert places(tmp_path, [missing]) == [missing]


def test_batches_may_hold_a_folder_train(tmp_path):
    write_images(tmp_path, [path.replace(")/patient", ")/train/patient") for path in FULL])
    assert places(tmp_path) == [path.replace(")/patient", ")/train/patient") for path in FULL]


def test_both_editions_give_the_same_cache(tmp_path):
    pd.DataFrame({"image": KEYS, "patient": patients_of(KEYS)}).to_parquet(
        tmp_path / "images.parquet"
    )
    for root, files in (("small", KEYS), ("full", FULL)):
        write_images(tmp_path / root, files)
        cache(tmp_path, tmp_path / "images.parquet", tmp_path / root, root)
    assert (tmp_path / "full.h5").read_bytes() == (tmp_path / "small.h5").read_bytes()
    assert ImageFile(tmp_path / "full.h5").columns["image"].tolist() == KEYS


def test_a_patient_in_two_batches_is_refused(tmp_path):
    write_images(tmp_path, [*FULL, FULL[0].replace("batch 2", "batch 3")])
    with pytest.raises(ValueError, match=r"patient00001 is in .*batch 2 .* and in .*batch 3"):
        places(tmp_path)


def test_tables_are_found_in_both_editions(tmp_path):
    folder = tmp_path / "CheXpert-v1.0 batch 1 (validate & csv)"
    folder.mkdir()
    assert ImageFolder(tmp_path).table("train.csv") == f"{tmp_path}/train.csv"
    (folder / "train.csv").touch()
    assert ImageFolder(tmp_path).table("train.csv") == str(folder / "train.csv")
    (tmp_path / "train.csv").touch()
    assert ImageFolder(tmp_path).table("train.csv") == f"{tmp_path}/train.csv"


@pytest.fixture
def linked(tmp_path):
    """A data set behind a link, and what lies outside of it."""
    write_images(tmp_path / "real", KEYS)
    write_images(tmp_path / "outside", KEYS)
    (tmp_path / "root").symlink_to(tmp_path / "real")
    return tmp_path


def outside(root, keys=KEYS, **options):
    folder = ImageFolder(root, **options)
    return [key for key in keys if folder.leads_out(folder.place(key)) is not None]


def to_file(linked):
    (linked / "real" / KEYS[1]).unlink()
    (linked / "real" / KEYS[1]).symlink_to(linked / "outside" / KEYS[1])
    return KEYS[1:2]


def to_file_by_another_link(linked):
    (linked / "real/between").symlink_to(linked / "outside" / KEYS[1])
    (linked / "real" / KEYS[1]).unlink()
    (linked / "real" / KEYS[1]).symlink_to(linked / "real/between")
    return KEYS[1:2]


def to_patient(linked):
    (linked / "real/train/patient00001").rename(linked / "gone")
    (linked / "real/train/patient00001").symlink_to("../../outside/train/patient00001")
    return KEYS[:2]


def to_split(linked):
    (linked / "real/train").rename(linked / "gone")
    (linked / "real/train").symlink_to(linked / "outside/train")
    return KEYS[:4]


def to_a_folder_whose_name_begins_alike(linked):
    (linked / "outside").rename(linked / "real2")
    (linked / "real/train").rename(linked / "gone")
    (linked / "real/train").symlink_to(linked / "real2/train")
    return KEYS[:4]


def test_links_inside_and_to_the_root_lead_nowhere_else(linked):
    (linked / "real/train").rename(linked / "real/images")
    (linked / "real/train").symlink_to("images")
    assert outside(linked / "root") == []
    assert outside(f"{linked}/real/../root//") == []


@pytest.mark.parametrize(
    "link",
    [to_file, to_file_by_another_link, to_patient, to_split, to_a_folder_whose_name_begins_alike],
)
def test_links_that_lead_out_are_found_unless_they_may(linked, link):
    expected = link(linked)
    for root in (linked / "root", linked / "real"):
        assert outside(root) == expected
        assert outside(root, follow_links=True) == []
    pd.DataFrame({"image": KEYS, "patient": patients_of(KEYS)}).to_parquet(
        linked / "images.parquet"
    )
    with pytest.raises(
        ValueError, match=rf"links lead {len(expected)} of 5 images out .*set dataset.follow_links"
    ):
        cache(linked, linked / "images.parquet", linked / "root")
    cache(linked, linked / "images.parquet", linked / "root", follow_links=True)


def test_a_link_to_itself_leads_nowhere(linked):
    path = linked / "real" / KEYS[1]
    path.unlink()
    path.symlink_to(path)
    assert outside(linked / "root") == []
