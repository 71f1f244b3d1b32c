"""HDF5 files of the workflow, changed by hand, for the tests."""

import contextlib
import zlib

import h5py
import numpy as np

from rarecxr.core.hdf5 import seal


@contextlib.contextmanager
def amended(path):
    """A file that is open for changes, and sealed with them afterwards."""
    with h5py.File(path, "r+") as file:
        yield file
        if "checksum" in file:
            del file["checksum"]
            checksums = [zlib.crc32(np.ascontiguousarray(image)) for image in file["images"]]
            file["checksum"] = np.array(checksums, np.uint32)
    seal(path)
