"""Which images of several patients show one picture, from the notes alone."""

import pandas as pd
import pytest
from dataset_files import cache, patients_of, write_images
from PIL import Image

from rarecxr.data.image_notes import NOTE_COLUMNS, copies_under_other_patients, read_notes

KEYS = [f"train/patient{number // 2:05d}/study1/view{number % 2}.png" for number in range(40)]


def test_copies_of_each_picture_are_one_list_whatever_their_order(tmp_path):
    write_images(tmp_path / "data", KEYS)
    # Two of the first patient and two of another; three patients; two views of one patient.
    groups = [[0, 1, 7, 6], [10, 21, 39], [16, 17]]
    for group in groups:
        for level, place in enumerate(group[1:], start=1):
            image = Image.open(tmp_path / "data" / KEYS[group[0]])
            image.save(tmp_path / "data" / KEYS[place], compress_level=level)
    pd.DataFrame({"image": KEYS, "patient": patients_of(KEYS)}).to_parquet(tmp_path / "i.parquet")
    cache(tmp_path, tmp_path / "i.parquet", tmp_path / "data")
    found = copies_under_other_patients(read_notes(tmp_path / "pixels_notes.csv"))
    assert sorted(map(sorted, found)) == sorted(
        sorted(KEYS[place] for place in group) for group in groups[:2]
    )


def test_a_file_without_notes_has_no_copies_and_another_file_is_refused(tmp_path):
    path = tmp_path / "notes.csv"
    path.write_text(",".join(NOTE_COLUMNS) + "\n", encoding="utf-8")
    assert copies_under_other_patients(read_notes(path)) == []
    path.write_text("image,row,reason\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"notes\.csv: has no column note, detail"):
        read_notes(path)
