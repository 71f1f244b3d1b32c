import numpy as np
import pandas as pd
import pytest
from dataset_files import csv_table, write_csv

from rarecxr.data.image_index import index_images
from rarecxr.data.labels import apply_policies, label_images
from rarecxr.study.findings import FINDINGS

RAW = pd.DataFrame({"Edema": [1, 0, -1, np.nan], "Fracture": [-1, np.nan, 0, 1]}, dtype=np.float32)
NAN = np.nan


@pytest.mark.parametrize(
    ("uncertain", "blank", "edema", "fracture"),
    [
        ({"default": "ones"}, "zeros", [1, 0, 1, 0], [1, 0, 0, 1]),
        ({"default": "zeros"}, "zeros", [1, 0, 0, 0], [0, 0, 0, 1]),
        ({"default": "ignore"}, "zeros", [1, 0, NAN, 0], [NAN, 0, 0, 1]),
        ({"default": "ones"}, "ignore", [1, 0, 1, NAN], [1, NAN, 0, 1]),
        ({"default": "ones", "Fracture": "ignore"}, "zeros", [1, 0, 1, 0], [NAN, 0, 0, 1]),
        ({"Edema": "ones"}, "zeros", [1, 0, 1, 0], [NAN, 0, 0, 1]),
        ({"default": "ignore", "Edema": "zeros"}, "ignore", [1, 0, 0, NAN], [NAN, NAN, 0, 1]),
    ],
)
def test_policies_are_what_their_names_say(uncertain, blank, edema, fracture):
    applied = apply_policies(RAW, uncertain, blank)
    np.testing.assert_array_equal(applied["Edema"], np.float32(edema))
    np.testing.assert_array_equal(applied["Fracture"], np.float32(fracture))
    assert (applied.dtypes == np.float32).all()


@pytest.mark.parametrize(
    ("uncertain", "blank", "complaint"),
    [
        ({"default": "one"}, "zeros", "dataset.uncertain.default: got 'one'; takes ones, zeros"),
        ({"default": "ones", "edema": "ones"}, "zeros", "'edema' is no finding"),
        ({"default": "ones"}, "ones", "dataset.blank: got 'ones'; takes zeros, no_finding, ignore"),
    ],
)
def test_other_policies_are_refused(uncertain, blank, complaint):
    with pytest.raises(ValueError, match=complaint):
        apply_policies(RAW, uncertain, blank)


def test_no_finding_rules_out_what_is_blank_but_devices():
    raw = pd.DataFrame(
        {
            "No Finding": [1, 1, 1, 0, np.nan, -1],
            "Edema": [np.nan, 1, -1, np.nan, np.nan, np.nan],
            "Support Devices": [np.nan, 1, 0, np.nan, np.nan, np.nan],
        },
        dtype=np.float32,
    )
    applied = apply_policies(raw, {"default": "ignore"}, "no_finding")
    np.testing.assert_array_equal(applied["No Finding"], [1, 1, 1, 0, NAN, NAN])
    np.testing.assert_array_equal(applied["Edema"], [0, 1, NAN, NAN, NAN, NAN])
    np.testing.assert_array_equal(applied["Support Devices"], [NAN, 1, 0, NAN, NAN, NAN])
    assert (applied.dtypes == np.float32).all()


def test_only_the_labels_change(tmp_path):
    files = {"train_csv": write_csv(tmp_path / "train.csv", csv_table(range(20)))}
    index_images(files, ["AP"], tmp_path / "i.parquet")
    label_images(tmp_path / "i.parquet", {"default": "ones"}, "zeros", tmp_path / "l.parquet")
    raw, applied = pd.read_parquet(tmp_path / "i.parquet"), pd.read_parquet(tmp_path / "l.parquet")
    others = [name for name in raw.columns if name not in FINDINGS]
    pd.testing.assert_frame_equal(applied[others], raw[others])
    assert list(applied.columns) == list(raw.columns)
    for finding in FINDINGS:
        assert applied[finding].eq(1).sum() == raw[finding].isin([1, -1]).sum()
        assert applied[finding].isin([0, 1]).all()
