"""The sample sheet shows the images it is given, in rows."""

import numpy as np
from PIL import Image

from rarecxr.gan.pixels import to_uint8, to_unit
from rarecxr.gan.sample_sheet import write_sheet


def sheet(path, rows):
    write_sheet(path, "title", rows, "note")
    with Image.open(path) as picture:
        return np.array(picture)


def test_each_image_is_on_the_sheet_in_its_row_and_column(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (6, 32, 32), dtype=np.uint8)
    found = sheet(tmp_path / "sheet.png", [("first", images[:3]), ("second", images[3:])])
    enlarged = images.repeat(3, axis=1).repeat(3, axis=2)
    tops = []
    for place, image in enumerate(enlarged):
        row, column = divmod(place, 3)
        left = 150 + 8 + column * 98
        top = 20 + 8 + row * 98
        np.testing.assert_array_equal(found[top : top + 96, left : left + 96], image)
        tops.append(top)
    assert len(set(tops)) == 2


def test_title_label_and_note_are_written(tmp_path):
    found = sheet(tmp_path / "sheet.png", [("label", np.full((2, 64, 64), 255, np.uint8))])
    assert (found[:28] < 128).any()
    assert (found[-28:] < 128).any()
    assert (found[28:-36, :150] < 128).any()
    assert (found[28:-36, 158:] == 255).all()


def test_the_same_sheet_has_the_same_bytes(tmp_path):
    rows = [("row", np.arange(64, dtype=np.uint8).reshape(1, 8, 8))]
    sheet(tmp_path / "a.png", rows)
    sheet(tmp_path / "b.png", rows)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_grey_levels_survive_the_way_to_the_networks_range_and_back():
    import torch

    levels = torch.arange(256, dtype=torch.uint8)
    assert to_unit(levels).aminmax() == (-1, 1)
    assert torch.equal(to_uint8(to_unit(levels)), levels)
    assert to_uint8(torch.tensor([-3.0, 3.0])).tolist() == [0, 255]
