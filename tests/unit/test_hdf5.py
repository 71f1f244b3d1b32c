import os

import h5py
import numpy as np
import pytest

from rarecxr.core.hdf5 import create_hdf5, open_hdf5, seal


@pytest.fixture
def file(tmp_path):
    with create_hdf5(tmp_path / "file.h5") as made:
        made.create_dataset("images", data=np.arange(4096, dtype=np.int64), compression="gzip")
        made["group/labels"] = [1.0, 0.0]
        made.attrs["finding"] = "Fracture"
    return tmp_path / "file.h5"


def test_a_file_that_holds_its_data_is_read(file):
    with open_hdf5(file) as read:
        assert read["images"][-1] == 4095
        assert read.attrs["finding"] == "Fracture"


def test_what_refers_to_other_files_is_refused_by_name(file, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_bytes(b"0123456789abcdef")
    layout = h5py.VirtualLayout((4,), np.int64)
    layout[:] = h5py.VirtualSource(file, "images", (4096,))[:4]
    makers = {
        "linked": lambda to: to.__setitem__("linked", h5py.ExternalLink("other.h5", "/images")),
        "soft": lambda to: to.__setitem__("soft", h5py.SoftLink("/images")),
        "group/stored": lambda to: to.create_dataset(
            "group/stored", (16,), np.uint8, external=[(secret, 0, 16)]
        ),
        "virtual": lambda to: to.create_virtual_dataset("virtual", layout),
    }
    for name, make in makers.items():
        hostile = tmp_path / f"{os.path.basename(name)}.h5"
        hostile.write_bytes(file.read_bytes())
        with h5py.File(hostile, "a") as opened:
            make(opened)
        seal(hostile)
        with pytest.raises(ValueError, match=rf"{hostile.name}: '{name}' is "), open_hdf5(hostile):
            pass


def test_groups_that_hold_themselves_end(file):
    with h5py.File(file, "a") as opened:
        opened["group/again"] = opened["group"]
    seal(file)
    with open_hdf5(file) as read:
        assert "images" in read


def test_a_damaged_file_is_refused_by_name_with_a_remedy(file):
    whole = file.read_bytes()
    for damaged in (b"", b"{}", whole[: len(whole) // 2], b"\x00" * 512 + whole[512:]):
        file.write_bytes(damaged)
        expected = pytest.raises(ValueError, match=r"file\.h5: .*run the workflow again")
        with expected, open_hdf5(file) as read:
            read["images"][:]


def test_a_damaged_chunk_is_refused_when_it_is_read(file):
    with h5py.File(file) as opened:
        place = opened["images"].id.get_chunk_info(0).byte_offset
    content = bytearray(file.read_bytes())
    content[place : place + 64] = b"\xff" * 64
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"file\.h5: damaged"), open_hdf5(file) as read:
        read["images"][:]


def test_a_missing_dataset_or_attribute_names_file_and_dataset(file):
    with pytest.raises(ValueError, match=r"file\.h5: .*'nosuch'"), open_hdf5(file) as read:
        read["nosuch"]
    with pytest.raises(ValueError, match=r"file\.h5: .*'nosuch'"), open_hdf5(file) as read:
        read.attrs["nosuch"]


def test_errors_of_other_code_in_the_block_stay_what_they_are(file):
    with pytest.raises(KeyError, match="mine"), open_hdf5(file):
        {}["mine"]
    with pytest.raises(FileNotFoundError, match="elsewhere"), open_hdf5(file):
        file.with_name("elsewhere").read_bytes()


def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.h5")
    expected = pytest.raises(ValueError, match=r"pipe\.h5: a folder or a device")
    with expected, open_hdf5(tmp_path / "pipe.h5"):
        pass
    with pytest.raises(FileNotFoundError, match=r"nosuch\.h5"), open_hdf5(tmp_path / "nosuch.h5"):
        pass
