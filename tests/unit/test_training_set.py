import json

import numpy as np
import pandas as pd
import pytest
from dataset_files import TARGETS, cache, csv_table, write_csv, write_images

from rarecxr.data import image_file as pixels
from rarecxr.data.filters import apply
from rarecxr.data.image_file import ImageFile
from rarecxr.data.image_index import index_images
from rarecxr.data.labels import label_images
from rarecxr.data.resize import reduce_area
from rarecxr.data.split import draw_patients, split_patients
from rarecxr.data.training_set import make_training_set
from rarecxr.data.validation_set import make_validation_set
from rarecxr.study.configuration.image_sets import TrainingSetSettings, ValidationSetSettings
from rarecxr.study.findings import ALL, FINDINGS, NEGATIVES
from rarecxr.study.place import Place

FILTERS = {
    "soft": {"kind": "gaussian", "size_px": 5, "sigma_px": 1.1},
    "dark": {"kind": "minimum", "size_px": 3},
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The files that a training set is made from: 60 patients, one image of them unreadable."""
    folder = tmp_path_factory.mktemp("study")
    index = folder / "images.parquet"
    files = {"train_csv": write_csv(folder / "train.csv", csv_table(range(60)))}
    index_images(files, ["AP", "PA"], index)
    table = pd.read_parquet(index)
    write_images(folder, table["image"])
    split_patients(index, 20, 15, TARGETS, 1, folder / "split.csv")
    splits = pd.read_csv(folder / "split.csv").set_index("patient")["split"]
    positive = table[(table["Fracture"] == 1) & table["patient"].map(splits).eq("train")]
    (folder / positive["image"].iloc[0]).write_bytes(b"broken")
    cache(folder, index, folder)
    readable = folder / "pixels_readable.parquet"
    label_images(readable, {"default": "ones"}, "ignore", folder / "labels.parquet")
    draw_patients(readable, folder / "split.csv", TARGETS, 3, 1, 0, folder / "draw0.csv")
    return folder


def trained(study, fraction):
    """The fraction's training patients, read from the draw by hand."""
    draw = pd.read_csv(study / "draw0.csv")
    count = round(len(draw) * fraction / 100)
    return set(draw.loc[draw["rank"] < count, "patient"])


def columns_of(path):
    return ImageFile(path).columns


def cached(study, keys):
    """Images of the pixel cache."""
    cache = ImageFile(study / "pixels.h5")
    return cache.read(cache.rows_of(keys))


def made(
    study,
    output,
    finding="Fracture",
    fraction=100.0,
    filters=None,
    split=None,
    draw_csv=None,
    **settings,
):
    make_training_set(
        pixels=study / "pixels.h5",
        labels=study / "labels.parquet",
        split=split or study / "split.csv",
        draw_csv=draw_csv or study / "draw0.csv",
        output=output,
        place=Place(
            study="test",
            finding=finding,
            recipe="base" if finding == NEGATIVES else "filtered",
            fraction=fraction,
            draw=0,
        ),
        settings=TrainingSetSettings(
            filters=filters or {},
            **{
                "target_findings": TARGETS,
                "findings": list(FINDINGS),
                "resolution": 8,
                **settings,
            },
        ),
    )
    return output


@pytest.mark.parametrize("fraction", [50, 100])
@pytest.mark.parametrize("finding", TARGETS)
def test_it_holds_the_fractions_positives_and_no_others(study, tmp_path, finding, fraction):
    columns = columns_of(made(study, tmp_path / "set.h5", finding, fraction))
    labels = pd.read_parquet(study / "labels.parquet")
    splits = pd.read_csv(study / "split.csv").set_index("patient")["split"]
    wanted = (labels[finding] == 1) & labels["patient"].isin(trained(study, fraction))
    readable = ~labels["image"].isin(pd.read_csv(study / "pixels_rejected.csv")["image"])
    assert columns["image"].tolist() == labels.loc[wanted & readable, "image"].tolist()
    assert (splits[columns["patient"]] == "train").all()
    assert all(
        patient == image.split("/")[1]
        for image, patient in zip(columns["image"], columns["patient"], strict=True)
    )


def test_negatives_are_negative_for_every_target_finding(study, tmp_path):
    columns = columns_of(made(study, tmp_path / "set.h5", NEGATIVES))
    labels = pd.read_parquet(study / "labels.parquet").set_index("image")
    assert len(columns["image"]) > 0
    assert (labels.loc[columns["image"], TARGETS] == 0).all(axis=None)
    # Masked labels are no negatives: of all training images only these are surely without.
    surely = labels[
        (labels[TARGETS] == 0).all(axis=1) & labels["patient"].isin(trained(study, 100))
    ]
    assert columns["image"].tolist() == surely.index.tolist()


def test_each_filter_makes_one_copy_of_every_image(study, tmp_path, monkeypatch):
    monkeypatch.setattr(pixels, "BLOCK_BYTES", 7 * 256)
    output = made(study, tmp_path / "set.h5", filters=FILTERS)
    images, columns = ImageFile(output).read(), columns_of(output)
    plain = columns["filter"] == "none"
    keys = columns["image"][plain]
    expected = reduce_area(cached(study, keys), 8)
    np.testing.assert_array_equal(images[plain], expected)
    for name, settings in FILTERS.items():
        copies = columns["filter"] == name
        assert columns["image"][copies].tolist() == keys.tolist()
        np.testing.assert_array_equal(images[copies], apply(expected, **settings))
    assert len(images) == 3 * plain.sum()


def test_it_says_where_it_comes_from(study, tmp_path):
    about = ImageFile(made(study, tmp_path / "set.h5", fraction=50.0, filters=FILTERS)).attributes
    assert about["finding"] == "Fracture"
    assert (about["recipe"], about["fraction"], about["draw"]) == ("filtered", 50, 0)
    assert about["study"] == "test"
    assert about["pixels"] == ImageFile(study / "pixels.h5").content
    negatives = ImageFile(made(study, tmp_path / "negatives.h5", NEGATIVES))
    assert negatives.attributes["finding"] == "negatives"


def test_images_that_cannot_be_read_are_nowhere(study, tmp_path):
    lost = pd.read_csv(study / "pixels_rejected.csv")["image"].tolist()
    assert len(lost) == 1
    labels = pd.read_parquet(study / "labels.parquet")
    assert not labels["image"].isin(lost).any()
    assert len(labels) == len(pd.read_parquet(study / "images.parquet")) - 1
    assert not set(lost) & set(columns_of(made(study, tmp_path / "set.h5"))["image"])


def test_the_same_inputs_give_the_same_bytes(study, tmp_path):
    one = made(study, tmp_path / "one.h5", filters=FILTERS)
    other = made(study, tmp_path / "other.h5", filters=dict(reversed(FILTERS.items())))
    assert one.read_bytes() == other.read_bytes()


def test_a_fraction_without_positives_is_refused(study, tmp_path):
    labels = pd.read_parquet(study / "labels.parquet")
    labels["Fracture"] = np.float32(0)
    labels.to_parquet(tmp_path / "labels.parquet")
    for name in ("pixels.h5", "split.csv", "draw0.csv"):
        (tmp_path / name).symlink_to(study / name)
    with pytest.raises(
        ValueError, match="patients in 50 % has an image with Fracture; use a larger"
    ):
        made(tmp_path, tmp_path / "set.h5", fraction=50)
    labels["Fracture"] = np.float32(1)
    labels.to_parquet(tmp_path / "labels.parquet")
    with pytest.raises(ValueError, match="has an image that is negative for Lung Lesion, Pleural"):
        made(tmp_path, tmp_path / "set.h5", NEGATIVES, fraction=50)
    assert not (tmp_path / "set.h5").exists()


def test_a_draw_of_another_split_is_refused(study, tmp_path):
    split = pd.read_csv(study / "split.csv")
    split["split"] = split["split"].map({"train": "test", "test": "train", "val": "val"})
    split.to_csv(tmp_path / "split.csv", index=False)
    with pytest.raises(ValueError, match="not in the training split"):
        made(study, tmp_path / "set.h5", split=tmp_path / "split.csv")


def test_a_cache_that_lacks_images_without_a_reason_is_refused(study, tmp_path):
    for name in ("labels.parquet", "split.csv", "draw0.csv"):
        (tmp_path / name).symlink_to(study / name)
    index = pd.read_parquet(study / "images.parquet").iloc[:40]
    index.to_parquet(tmp_path / "images.parquet")
    cache(tmp_path, tmp_path / "images.parquet", study)
    with pytest.raises(ValueError, match="images are not in this file"):
        made(tmp_path, tmp_path / "set.h5")


def test_a_resolution_that_the_cache_cannot_give_is_refused(study, tmp_path):
    for resolution in (12, 32):
        with pytest.raises(ValueError, match="divided by a whole number"):
            made(study, tmp_path / "set.h5", resolution=resolution)


def test_only_target_findings_have_training_sets(study, tmp_path):
    with pytest.raises(ValueError, match="'Edema' is none of the target findings"):
        made(study, tmp_path / "set.h5", "Edema")


def test_labels_stand_beside_their_images_and_copies(study, tmp_path):
    output = made(study, tmp_path / "set.h5", filters=FILTERS)
    file = ImageFile(output)
    labels, names = file.columns["labels"], json.loads(file.attributes["findings"])
    assert names == list(FINDINGS)
    table = pd.read_parquet(study / "labels.parquet").set_index("image")
    expected = table.loc[columns_of(output)["image"], names].to_numpy(np.float32)
    np.testing.assert_array_equal(labels, expected)


def test_the_conditional_gans_set_holds_every_readable_training_image(study, tmp_path):
    columns = columns_of(made(study, tmp_path / "set.h5", ALL, fraction=50))
    labels = pd.read_parquet(study / "labels.parquet")
    inside = labels[labels["patient"].isin(trained(study, 50))]["image"]
    unreadable = set(pd.read_csv(study / "pixels_rejected.csv")["image"])
    assert columns["image"].tolist() == [image for image in inside if image not in unreadable]


# Validation sets


@pytest.mark.parametrize("finding", ["Fracture", NEGATIVES])
def test_a_validation_set_holds_the_validation_patients_images_alone(study, tmp_path, finding):
    output, few = tmp_path / "validation.h5", ["Fracture"]
    make_validation_set(
        pixels=study / "pixels.h5", labels=study / "labels.parquet", split=study / "split.csv",
        output=output, finding=finding, study="test",
        settings=ValidationSetSettings(target_findings=few, resolution=8),
    )  # fmt: skip
    columns = columns_of(output)
    splits = pd.read_csv(study / "split.csv").set_index("patient")["split"]
    assert set(splits[columns["patient"]]) == {"val"}
    labels = pd.read_parquet(study / "labels.parquet")
    mine = (labels["Fracture"] == 1) if finding in few else (labels["Fracture"] == 0)
    wanted = labels[mine & labels["patient"].map(splits).eq("val")]["image"]
    unreadable = set(pd.read_csv(study / "pixels_rejected.csv")["image"])
    assert columns["image"].tolist() == [image for image in wanted if image not in unreadable]
    expected = reduce_area(cached(study, columns["image"]), 8)
    np.testing.assert_array_equal(ImageFile(output).read(), expected)


def test_a_validation_set_may_be_empty(study, tmp_path):
    labels = pd.read_parquet(study / "labels.parquet")
    labels["Fracture"] = np.float32(0)
    labels.to_parquet(tmp_path / "labels.parquet")
    output = tmp_path / "validation.h5"
    make_validation_set(
        pixels=study / "pixels.h5", labels=tmp_path / "labels.parquet", split=study / "split.csv",
        output=output, finding="Fracture", study="test",
        settings=ValidationSetSettings(target_findings=TARGETS, resolution=8),
    )  # fmt: skip
    empty = ImageFile(output)
    assert len(empty) == 0
    assert empty.read().shape == (0, 8, 8)
