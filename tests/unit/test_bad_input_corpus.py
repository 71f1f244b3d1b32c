"""Some four hundred bad files, made by code: each is refused in plain words that name it.

Every error is one line that names the file, says what is wrong with it and how to mend it; nothing
hangs, and nothing takes much memory.
"""

import contextlib
import dataclasses
import gzip
import io
import json
import os
import pickle
import random
import re
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from dataset_files import csv_table, make_socket
from PIL import Image
from png_files import png

from rarecxr.bank.bank_file import Bank, write_bank
from rarecxr.classifier.prediction import read_model
from rarecxr.classifier.prediction_file import read_predictions
from rarecxr.classifier.weights import read_weights
from rarecxr.core.files import digest_file, written_whole
from rarecxr.core.hdf5 import seal
from rarecxr.core.json_file import read_json, write_json
from rarecxr.core.tables import read_csv, read_parquet
from rarecxr.data import csv_file
from rarecxr.data.chexpert import read_csv as read_data_csv
from rarecxr.data.decode import MAX_PIXELS, Unreadable, decode
from rarecxr.data.image_bytes import MAX_BYTES, read_bytes
from rarecxr.data.image_file import ImageFile, write_image_file
from rarecxr.gan.checkpoint import read_checkpoint
from rarecxr.report.published import read_published
from rarecxr.study import configuration_file
from rarecxr.study.check import check

pytestmark = pytest.mark.timeout(60)

ROOT = Path(__file__).parents[2]
# How an error says what to do.
REMEDY = re.compile(
    r"remove|run the workflow|copy|takes?\b|give|save|unpack|download|export|use |set |must|"
    r"close|put |change|join|write|expected|allowed|make |did you mean|fetch|mend|\bone of\b|"
    # What would be right.
    r"the first line has|text in quotes has|ends like|an age is|has one row|keys are|rename"
)
# Of memory that is taken for a file of a few kilobytes, in bytes.
MOST_MEMORY = 100 << 20


@dataclasses.dataclass
class Case:
    """A bad file.

    Attributes:
        name: of the case.
        make: writes the file; gets its path.
        read: what reads it; gets its path.
        says: words of the error.
    """

    name: str
    make: Callable[[Path], Any]
    read: Callable[[Path], Any]
    says: str = ""


CASES: list[Case] = []


def case(kind, file, read, make, says=""):
    CASES.append(Case(f"{kind}: {file}", make, read, says))


def of_bytes(content):
    return lambda path: path.write_bytes(content)


def of_text(text):
    return of_bytes(text.encode())


# What is no file, whatever it should hold.


def make_loop(path):
    other = path.with_name("other")
    other.symlink_to(path.name)
    path.symlink_to(other.name)


NO_FILES = {
    "named pipe": os.mkfifo,
    "folder": Path.mkdir,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "device that waits": lambda path: path.symlink_to("/dev/tty"),
    "socket": make_socket,
    "links in a loop": make_loop,
    "link to nothing": lambda path: path.symlink_to("nowhere"),
    "nothing": lambda path: None,
    "empty": of_bytes(b""),
}
OTHER_FILES = {
    "zeros": bytes(4096),
    "noise": random.Random(1).randbytes(4096),
    "a web page": b"<!DOCTYPE html><html><body>Sign in</body></html>",
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    "text": "Überraschung\n".encode("latin-1"),
    "a pickle": pickle.dumps({"images": [1, 2]}),
    "gzip": gzip.compress(b"x" * 1000, mtime=0),
}


# Readers, each with a good file.


def image_table():
    return {"image": np.array([f"train/p{n}/s/v.jpg" for n in range(6)], object)}


PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 8), np.uint8)


def good_images(path):
    write_image_file(path, iter([PIXELS]), 6, 8, image_table(), {"study": "tiny"})


def good_bank(path):
    attributes = {"finding": "Fracture", "study": "tiny", "notice": "synthetic", "format": 1}
    write_bank(path, 6, 8, iter([PIXELS]), attributes)


def whole(opener):
    def read(path):
        with (
            contextlib.closing(opener(path))
            if opener is Bank
            else contextlib.nullcontext(opener(path)) as file
        ):
            file.read()

    return read


READERS = {
    "data CSV": read_data_csv,
    "CSV": lambda path: read_csv(path, ["patient", "split"]),
    "Parquet": lambda path: read_parquet(path, ["image"]),
    "predictions": read_predictions,
    "JSON": lambda path: read_json(path, ["inputs"]),
    "images": whole(ImageFile),
    "bank": whole(Bank),
    "generator": read_checkpoint,
    "classifier": read_model,
    "weights": read_weights,
    "published": read_published,
}
ENDS = {
    **{"data CSV": ".csv", "CSV": ".csv", "published": ".csv", "Parquet": ".parquet"},
    **{"predictions": ".parquet", "JSON": ".json", "images": ".h5", "bank": ".h5"},
    **{"generator": ".pt", "classifier": ".pt", "weights": ".pth"},
}
for reader, read in READERS.items():
    for name, make in NO_FILES.items():
        case(reader, name, read, make)
    for name, content in OTHER_FILES.items():
        case(reader, name, read, of_bytes(content))


# Files that were written whole, then damaged. Copied alone, they have no digest beside them.

GOOD = {
    "CSV": lambda path: pd.DataFrame(
        {"patient": [f"patient{n:05d}" for n in range(200)], "split": "train"}
    ).to_csv(path, index=False),
    "Parquet": lambda path: pd.DataFrame(
        {"image": [f"train/p{n}.jpg" for n in range(500)], "Edema": np.arange(500) / 7}
    ).to_parquet(path),
    "JSON": lambda path: write_json(path, {"inputs": {"a": "b" * 50}, "kimg": 1.5}),
    "images": good_images,
    "bank": good_bank,
    "generator": lambda path: torch.save({"format": 1, "x": torch.arange(500)}, path),
    "weights": lambda path: torch.save({"a.weight": torch.arange(500)}, path),
}


def damaged(good, how, seed):
    def make(path):
        good(path)
        digest_file(path).unlink(missing_ok=True)
        content = bytearray(path.read_bytes())
        chance = random.Random(seed)
        if how == "cut off":
            content = content[: chance.randrange(1, len(content) - 1)]
        elif how == "cut off at the beginning":
            content = content[chance.randrange(1, 64) :]
        elif how == "zeros in the middle":
            third = len(content) // 3
            content[third : 2 * third] = bytes(third)
        else:
            place = chance.randrange(len(content))
            content[place] ^= 1 << chance.randrange(8)
        path.write_bytes(content)

    return make


# Binary formats notice a cut wherever it is; text is whole again at each end of a line.
for reader in ("Parquet", "JSON", "images", "bank", "generator", "weights"):
    for seed in range(2):
        case(reader, f"cut off {seed}", READERS[reader], damaged(GOOD[reader], "cut off", seed))
for reader in ("Parquet", "images", "bank", "generator", "weights"):
    # Parquet has no checksums of its own: the digest beside the file has.
    for how in ("cut off at the beginning", "zeros in the middle")[: 1 + (reader != "Parquet")]:
        case(reader, how, READERS[reader], damaged(GOOD[reader], how, 0))
for reader in ("images", "bank"):
    for seed in range(3):
        case(reader, f"flipped bit {seed}", READERS[reader], damaged(GOOD[reader], "bit", seed))


def noted(content, later):
    """A file whose digest is noted beside it, changed since."""

    def make(path):
        with written_whole(path) as temporary:
            temporary.write_bytes(content)
        path.write_bytes(later)

    return make


SPLIT = b"patient,split\np1,train\np2,test\n"
case("CSV", "cut at a line's end", READERS["CSV"], noted(SPLIT, SPLIT[:23]), "changed since")
case("CSV", "a digit changed", READERS["CSV"], noted(SPLIT, SPLIT.replace(b"p2", b"p3")), "SHA-256")
case("JSON", "a digit changed", READERS["JSON"], noted(b'{"inputs": 1}', b'{"inputs": 2}'), "SHA")


# Data sets' CSV files: each mistake is named with its line.


def data_csv(change):
    """A good table with a change of its text."""

    def make(path):
        text = csv_table([1, 2]).to_csv(index=False, lineterminator="\n")
        changed = change(text)
        assert changed != text
        path.write_bytes(changed if isinstance(changed, bytes) else changed.encode())

    return make


def edit(old, new, count=1):
    return lambda text: re.sub(old, new, text, count=count, flags=re.M)


DATA_CSV = {
    "a column less": (edit(r",Sex,", ","), "no column 'Sex'|fields"),
    "a misspelt column": (edit("Sex", "Gender"), "no column 'Sex'"),
    "a column twice": (edit("Sex", "Sex,Sex"), "more than once"),
    "semicolons": (edit(",", ";", 0), "semicolons"),
    "tabs": (edit(",", "\t", 0), "tabs"),
    "UTF-16": (lambda text: text.encode("utf-16"), "UTF-16"),
    "UTF-16 without a mark": (lambda text: text.encode("utf-16-le"), "UTF-16"),
    "UTF-32": (lambda text: text.encode("utf-32"), "UTF-32"),
    "Latin-1": (lambda text: text.replace("Female", "Mädchen").encode("latin-1"), "UTF-8"),
    "a NUL": (edit("train/", "tr\0in/"), "NUL"),
    "a quote too many": (edit("^Che", '"Che'), "quote"),
    "a quote inside": (edit("Age", 'A"ge'), "column 'Age'|quote"),
    "a field more": (edit("$", ",,", 2), "fields"),
    "header alone": (lambda text: text.split("\n")[0] + "\n", "no rows"),
    "an empty line": (edit("\nChe", "\n\nChe", 2), "empty"),
    "no header": (lambda text: text.split("\n", 1)[1], "no column"),
    "a row twice": (lambda text: text + text.split("\n")[1] + "\n", "line"),
    "an absolute path": (edit("CheXpert-v1.0-small/train/patient00001/", "/etc/"), "line 2"),
    "a path that goes up": (edit("train/patient00001", "../../patient00001"), "line 2"),
    "no path": (edit("^CheXpert[^,]*", ""), "line 2"),
    "no patient": (edit("patient00001", "somebody"), "line 2"),
    "no study": (edit("study1", "visit"), "line 2"),
    "a label of 2": (edit(",1.0,", ",2.0,"), "line"),
    "a label of text": (edit(",1.0,", ",yes,"), "line"),
    "a label of infinity": (edit(",1.0,", ",inf,"), "line"),
    "an age of 200": (edit(r"(male|known),\d+", r"\1,200"), "line"),
    "an age of text": (edit(r"(male|known),\d+", r"\1,old"), "line"),
    "an age below 0": (edit(r"(male|known),\d+", r"\1,-5"), "line"),
    "a sex of another word": (edit("Female|Male", "F"), "line"),
    "a view of another word": (edit(",AP,", ",XX,"), "line"),
    "neither frontal nor lateral": (edit("Frontal,", "Back,", 2), "line"),
    "a patient's folder in two spellings": (edit("patient00002", "Patient00001", 1), "line|spell"),
    "an Excel workbook": (lambda text: archive("xl/workbook.xml"), "Excel"),
    "an OpenDocument sheet": (lambda text: archive("content.xml"), "OpenDocument"),
    "a ZIP archive": (lambda text: archive("train.csv"), "ZIP"),
    "JSON": (lambda text: json.dumps([{"Path": "x"}]), "JSON"),
    "Parquet": (lambda text: b"PAR1" + bytes(100) + b"PAR1", "Parquet"),
    "a field of a megabyte": (edit("Female|Male", "F" * 1_000_000), "line"),
}


def archive(name):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(name, "x")
    return buffer.getvalue()


for name, (change, says) in DATA_CSV.items():
    case("data CSV", name, read_data_csv, data_csv(change), says)


# Tables of the study, and the published values.

for name, text, says in (
    ("another column", "patient,part\np1,train\n", "no column split"),
    ("header alone is another", "a\n", "no column"),
    ("a field more", "patient,split\np1,train,x,y\np2,test\n", ""),
):
    case("CSV", name, lambda path: read_csv(path, ["patient", "split"]), of_text(text), says)
case(
    "CSV",
    "text for a number",
    lambda path: read_csv(path, ["rank"], {"rank": int}),
    of_text("patient,rank\np1,first\n"),
    "CSV",
)
case(
    "CSV",
    "a number too large",
    lambda path: read_csv(path, ["rank"], {"rank": "int64"}),
    of_text(f"patient,rank\np1,{10**30}\n"),
    "CSV",
)
_PUBLISHED = "finding,fraction,trained_on,as_printed,by_column,source\n"
for name, text, says in (
    ("a column less", "finding,fraction\nEdema,10\n", "columns"),
    ("an unknown finding", f"{_PUBLISHED}Scurvy,10,real,0.7,0.7,x\n", "line 2: no finding"),
    ("an unknown training", f"{_PUBLISHED}Edema,10,none,0.7,0.7,x\n", "line 2: trained_on"),
    ("an AUROC of 70", f"{_PUBLISHED}Edema,10,real,70,0.7,x\n", "line 2: as_printed"),
    ("an AUROC of text", f"{_PUBLISHED}Edema,10,real,high,0.7,x\n", "as_printed"),
    ("a row twice", _PUBLISHED + "Edema,10,real,0.7,0.7,x\n" * 2, "line 3"),
):
    case("published", name, read_published, of_text(text), says)


def parquet(table, **options):
    return lambda path: pq.write_table(pa.table(table), path, **options)


case("Parquet", "another column", READERS["Parquet"], parquet({"a": [1]}), "no column image")
case("Parquet", "no column", READERS["Parquet"], parquet({}), "no column image")
case("predictions", "no metadata", read_predictions, parquet({"image": ["x"]}), "scale")
case(
    "predictions",
    "probabilities",
    read_predictions,
    lambda path: _with_attrs(path, {"scale": "probability"}),
    "scale",
)


def _with_attrs(path, attrs):
    table = pd.DataFrame({"image": ["x"]})
    table.attrs = attrs
    table.to_parquet(path)


for name, text, says in (
    ("a list", "[1, 2]", "list"),
    ("a number", "3", "int"),
    ("null", "null", "NoneType"),
    ("another object", '{"a": 1}', "lacks inputs"),
    ("an object cut off", '{"inputs": {"a": ', "JSON"),
    ("two objects", '{"inputs": 1}{"inputs": 2}', "JSON"),
    ("a comma too many", '{"inputs": 1,}', "JSON"),
    ("single quotes", "{'inputs': 1}", "JSON"),
    ("deep nesting", '{"inputs": ' + "[" * 100_000, "JSON"),
    ("a number of a million digits", '{"inputs": ' + "1" * 1_000_000 + "}", "JSON"),
):
    case("JSON", name, READERS["JSON"], of_text(text), says)
case("JSON", "UTF-16 cut off", READERS["JSON"], of_bytes('{"inputs": 1}'.encode("utf-16")[:-1]))


# HDF5: sealed, and yet not what it should be.


def hdf5(change, good=good_images):
    def make(path):
        good(path)
        with h5py.File(path, "r+") as file:
            change(file)
        seal(path)

    return make


def replace(name, value):
    def change(file):
        del file[name]
        if value is not None:
            file[name] = value

    return change


def external(file):
    del file["images"]
    file.create_dataset("images", (6, 8, 8), np.uint8, external=[("/etc/passwd", 0, 384)])


def virtual(file):
    del file["images"]
    layout = h5py.VirtualLayout((6, 8, 8), np.uint8)
    layout[:] = h5py.VirtualSource("/etc/passwd", "images", (6, 8, 8))
    file.create_virtual_dataset("images", layout)


def link(file):
    del file["images"]
    file["images"] = h5py.ExternalLink("/etc/passwd", "images")


def soft_link(file):
    file["more"] = h5py.SoftLink("/images")


HDF5 = {
    "no images": (replace("images", None), "images"),
    "images of floats": (replace("images", PIXELS.astype(float)), "images"),
    "a group for images": (lambda file: (file.pop("images"), file.create_group("images")), ""),
    "images in another file": (external, "other files"),
    "images mapped from another file": (virtual, "other files"),
    "a link to another file": (link, "another file"),
    "a soft link": (soft_link, "soft link"),
}
for name, (change, says) in HDF5.items():
    case("images", name, READERS["images"], hdf5(change), says)
    case("bank", name, READERS["bank"], hdf5(change, good_bank), says)
case("images", "no checksums", READERS["images"], hdf5(replace("checksum", None)), "images")
case("images", "fewer checksums", READERS["images"], hdf5(replace("checksum", [1, 2])), "")
case(
    "images",
    "images of two dimensions",
    READERS["images"],
    hdf5(replace("images", PIXELS.reshape(6, 64))),
    "",
)
case(
    "images",
    "wrong checksums",
    READERS["images"],
    hdf5(replace("checksum", np.zeros(6, np.uint32))),
    "pixels of image 0",
)
case("images", "not sealed", READERS["images"], lambda path: h5py.File(path, "w").close(), "digest")
case("bank", "a file of images", READERS["bank"], good_images, "bank")
case("images", "a bank", READERS["images"], good_bank, "images")


def bomb_of_images(path):
    """A few kilobytes that say that they are 64 gigabytes."""
    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_dataset(
            "images", (1 << 20, 256, 256), np.uint8, chunks=(1, 256, 256), compression="gzip"
        )
        file["checksum"] = np.zeros(6, np.uint32)
    seal(path)


case("images", "a few bytes that unpack to gigabytes", READERS["images"], bomb_of_images, "")


# Checkpoints: never unpickled, never more than their bytes.


class Evil:
    """What runs code when it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch /tmp/evil",)


def saved(content):
    return lambda path: torch.save(content, path)


def bomb_of_tensors(path):
    """An archive of a few kilobytes that holds megabytes of zeros."""
    whole = io.BytesIO()
    torch.save({"format": 1, "state_dict": torch.zeros(100)}, whole)
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.namelist():
            content = old.read(entry)
            new.writestr(entry, bytes(32 << 20) if entry.endswith("data/0") else content)


for reader in ("generator", "classifier", "weights"):
    read = READERS[reader]
    case(reader, "code in a pickle", read, saved({"format": 1, "x": Evil()}), "Python objects")
    case(reader, "code in an old pickle", read, of_bytes(pickle.dumps(Evil())), "Python objects")
    case(reader, "a whole network", read, saved(torch.nn.Linear(2, 2)), "Python objects")
    case(reader, "an archive of something else", read, of_bytes(archive("a.txt")), "")
    case(reader, "zeros that unpack to gigabytes", read, bomb_of_tensors, "compressed")
    case(reader, "text alone", read, saved("hello"), "")
    case(reader, "a list", read, saved([torch.ones(1)]), "")
for reader in ("generator", "classifier"):
    read = READERS[reader]
    case(reader, "another format", read, saved({"format": 99}), "format 1")
    case(reader, "parts missing", read, saved({"format": 1}), "without")
case(
    "classifier",
    "weights of another network",
    read_model,
    saved(
        {
            "format": 1,
            "architecture": "small_resnet10",
            "findings": ["Edema"],
            "settings": {"resolution": 32},
            "state_dict": {"x": torch.ones(1)},
        }
    ),
    "do not fit",
)
case(
    "classifier",
    "an unknown network",
    read_model,
    saved(
        {
            "format": 1,
            "architecture": "vgg99",
            "findings": ["Edema"],
            "settings": {"resolution": 32},
            "state_dict": {},
        }
    ),
    "vgg99",
)
case("weights", "numbers by name", read_weights, saved({"a": 1}), "tensors by name")


# Images: refused with a reason; the stage that decodes adds their names.


def image(mode="L", size=(32, 32), kind="PNG", **options):
    buffer = io.BytesIO()
    Image.new(mode, size, 100).save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind, content):
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def png_of(width, height, data=b"", depth=8, colour=0):
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def jpeg_of(width, height):
    content = bytearray(image(kind="JPEG"))
    place = content.index(b"\xff\xc0") + 5
    content[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(content)


def sparse(path):
    with open(path, "wb") as file:
        file.write(image())
        file.truncate(MAX_BYTES + 1)


def read_image(path):
    try:
        return decode(read_bytes(path), 32, "crop")
    except Unreadable as error:
        # As rejected.csv has it beside the image's name and row.
        raise ValueError(f"{path}: {error}") from None


# Less than two rows of a picture that says it has millions.
SHORT = zlib.compress(bytes(5000))
IMAGES = {
    "PNG of 4 billion pixels": (png_of(65535, 65535), "pixels"),
    "PNG of a width beyond bounds": (png_of(2**31 - 1, 2**31 - 1), ""),
    "PNG just above the bound": (png_of(8193, 8193, SHORT), "pixels"),
    "PNG of no pixels": (png_of(0, 0), ""),
    "PNG of no height": (png_of(32, 0), ""),
    "PNG of one long row": (png_of(30_000, 2, SHORT), "times the other"),
    "PNG without its pixels": (png_of(64, 64), ""),
    "PNG with few of its pixels": (png_of(512, 512, SHORT), ""),
    "PNG of an unknown depth": (png_of(8, 8, depth=3), ""),
    "PNG of an unknown colour": (png_of(8, 8, colour=5), ""),
    "PNG with a wrong checksum": (image()[:-20] + b"\0" * 20, ""),
    "PNG header alone": (image()[:33], ""),
    "PNG cut off": (image(size=(256, 256))[:150], ""),
    "PNG signature alone": (image()[:8], ""),
    "PNG with a chunk longer than the file": (image()[:33] + b"\x7f\xff\xff\xffIDAT", ""),
    "PNG of 16 bits cut off": (png(np.ones((32, 32, 3), np.uint16))[:80], ""),
    "JPEG of 4 billion pixels": (jpeg_of(65535, 65535), "pixels"),
    "JPEG of one long column": (jpeg_of(16, 65535), "times the other"),
    "JPEG of no pixels": (jpeg_of(0, 0), ""),
    "JPEG header alone": (image(kind="JPEG")[:20], ""),
    "JPEG signature alone": (b"\xff\xd8\xff\xe0", ""),
    "JPEG cut off in its tables": (image(kind="JPEG")[:200], ""),
    "JPEG of a thousand scans": (image(kind="JPEG")[:-2] + b"\xff\xda" * 1000, "scans"),
    "GIF with a name of a JPEG": (image("P", kind="GIF"), "neither a JPEG nor a PNG"),
    "BMP with a name of a JPEG": (image(kind="BMP"), "neither a JPEG nor a PNG"),
    "TIFF with a name of a JPEG": (image(kind="TIFF"), "neither a JPEG nor a PNG"),
    "WebP with a name of a JPEG": (image("RGB", kind="WEBP"), "neither a JPEG nor a PNG"),
    "DICOM with a name of a JPEG": (bytes(128) + b"DICM" + bytes(64), ""),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "neither"),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "neither"),
}
for name, content in OTHER_FILES.items():
    case("image", name, read_image, of_bytes(content), "neither a JPEG nor a PNG")
for name, make in NO_FILES.items():
    case("image", name, read_image, make)
for name, (content, says) in IMAGES.items():
    case("image", name, read_image, of_bytes(content), says)
case("image", "a file of a quarter of a gigabyte", read_image, sparse, "bytes")
assert MAX_PIXELS < 8193**2


# Configurations, as the command that looks at a study before its start reads them.

REFERENCE = configuration_file._read(ROOT / "config/config.yaml")


def read_configuration(path):
    # As `configuration_file.read_configuration`, which would read the reference each time.
    own = configuration_file._read(path)
    try:
        check(configuration_file._merged(REFERENCE, own))
    except ValueError as error:
        # A line for each mistake of the settings, which name their keys; the file is said above.
        if str(error).startswith("the configuration cannot be used"):
            text = " ".join(str(error).split())
            raise ValueError(f"{path}: {text}") from None
        raise


for name, make in NO_FILES.items():
    case("configuration", name, read_configuration, make)
for name, content in OTHER_FILES.items():
    case("configuration", name, read_configuration, of_bytes(content))
for name, text, says in (
    ("a tab", "gan:\n\tdevice: cpu\n", "line 2"),
    ("a bracket that stays open", "classifier:\n  arms: [none, gan\n", "line"),
    ("a quote that stays open", 'study: "tiny\n', "line"),
    ("a list", "- study\n- gan\n", "settings"),
    ("a word", "tiny\n", "settings"),
    ("two documents", "study: a\n---\nstudy: b\n", "document"),
    ("a tag of Python", "study: !!python/object/apply:os.system ['touch /tmp/evil']\n", "python"),
    ("an alias of nothing", "study: *nowhere\n", "nowhere"),
    ("a word for a number", "dataset:\n  resolution: large\n", "dataset.resolution"),
    ("a number as text", 'dataset:\n  resolution: "64"\n', "dataset.resolution"),
    ("1e-3, which YAML reads as text", "classifier:\n  learning_rate: 1e-3\n", "learning_rate"),
    ("yes for an architecture", "classifier:\n  architecture: yes\n", "architecture"),
    ("no number", "classifier:\n  learning_rate: .nan\n", "learning_rate"),
    ("infinity", "classifier:\n  learning_rate: .inf\n", "learning_rate"),
    ("a number below 0", "classifier:\n  epochs: -1\n", "classifier.epochs"),
    ("an unknown key", "classifier:\n  epoch: 1\n", "did you mean epochs"),
    ("an unknown section", "classifer:\n  epochs: 1\n", "classifer"),
    ("a section that is a list", "gan: [1]\n", "gan"),
    ("a section that is empty", "gan:\n", "gan"),
    ("a study of the folder above", "study: ../elsewhere\n", "study"),
    ("a study with a line end", 'study: "a\\nb"\n', "study"),
    ("a root with a NUL", 'dataset:\n  root: "a\\0b"\n', "dataset.root"),
    ("a root with braces", "dataset:\n  root: data/{x}\n", "dataset.root"),
    ("an unknown finding", "dataset:\n  target_findings: [Scurvy]\n", "Scurvy"),
    ("a finding twice", "dataset:\n  target_findings: [Edema, Edema]\n", "target_findings"),
    ("no finding", "dataset:\n  target_findings: []\n", "target_findings"),
    ("an unknown arm", "classifier:\n  arms: [none, magic]\n", "magic"),
    ("a date for a number", "classifier:\n  seeds: 2024-01-01\n", "seeds"),
    ("a key that is a number", "1: 2\n", "1"),
    ("a key that is a list", "? [a, b]\n: 1\n", "key"),
):
    case("configuration", name, read_configuration, of_text(text), says)


@pytest.fixture(scope="module")
def traced():
    """Memory is traced for all cases together.

    Native threads of the readers' libraries may still free memory when tracing stops, at which
    Python below 3.13.2 can crash (python/cpython issue 128679).
    """
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.parametrize("bad", CASES, ids=lambda bad: bad.name)
def test_a_bad_file_is_refused_in_words_that_name_it(bad, tmp_path, traced):
    kind = bad.name.split(":")[0]
    path = tmp_path / f"bad{ENDS.get(kind, '.jpg' if kind == 'image' else '.yaml')}"
    bad.make(path)
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        bad.read(path)
    most = tracemalloc.get_traced_memory()[1] - before
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text.strip()
    assert re.search(bad.says, text), text
    # An image is left out, and the study goes on without it.
    assert kind == "image" or REMEDY.search(text.replace(str(path), "")), text
    assert len(text) < 2000
    assert most < MOST_MEMORY


def test_a_packed_table_is_not_unpacked_without_end(tmp_path, monkeypatch):
    path = tmp_path / "train.csv.gz"
    path.write_bytes(gzip.compress(bytes(1 << 20)))
    monkeypatch.setattr(csv_file, "_MOST_BYTES", 1 << 16)
    with pytest.raises(ValueError, match=r"train\.csv\.gz: unpacks to more than 65536 bytes"):
        read_data_csv(path)


def test_the_corpus_is_large_and_has_each_name_once():
    names = [bad.name for bad in CASES]
    assert len(names) > 300
    assert len(set(names)) == len(names)
