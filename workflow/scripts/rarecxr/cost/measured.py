"""What the jobs of a finished study did, read from what they left behind."""

import csv
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rarecxr.classifier.map_file import read_maps
from rarecxr.classifier.windows import number_of_windows
from rarecxr.core.hdf5 import open_hdf5
from rarecxr.core.json_file import read_json
from rarecxr.core.tables import parquet_columns, read_csv, read_parquet
from rarecxr.core.tensors import read_tensor_file
from rarecxr.cost.benchmarks import Measured, read_benchmarks
from rarecxr.cost.jobs import (
    Job,
    Key,
    bank_job,
    classifier_job,
    counted_job,
    explanation_job,
    gan_job,
    image_job,
    predicted_numbers,
    pretraining_job,
    table_job,
)
from rarecxr.study.configuration.gan import GanSettings
from rarecxr.study.findings import FINDINGS

_TRAININGS = ("pretrain_classifier", "train_classifier", "train_features", "train_gan")


@dataclass(frozen=True)
class Sample:
    """One job that has run: what it did, and what that took.

    Attributes:
        job: what it did.
        measured: its benchmark file.
        gpu: whether it computed on a GPU.
        rates: seconds of a unit by kind of work (`Part.key`), where its own log says them.
    """

    job: Job
    measured: Measured
    gpu: bool
    rates: dict[Key, float]


@dataclass(frozen=True)
class Study:
    """What a finished study teaches.

    Attributes:
        results: its folder.
        samples: its jobs.
        device: what its trainings computed on, as their logs say.
        precision: of the networks' computations, by rule.
    """

    results: Path
    samples: list[Sample]
    device: str
    precision: dict[str, str]


def read_study(results: str | os.PathLike) -> Study:
    """Every job of a study, with its work.

    Jobs of rules that are not known here (of an older version) are left out.

    Raises:
        ValueError: there are no benchmark files, or a file that a job wrote is missing.
    """
    root = Path(results)
    benchmarks = read_benchmarks(root)
    reader = _Reader(root)
    samples, devices, precision = [], [], {}
    for measured in benchmarks:
        read = getattr(reader, measured.rule, None)
        if read is None:
            continue
        try:
            job = read(measured.place)
        except (OSError, KeyError) as error:
            raise ValueError(
                f"{root}: {measured.rule} has a benchmark file, but what it wrote cannot be read "
                f"({error}); finish the study, or give another one"
            ) from None
        device = _device(root, measured)
        if device is not None:
            devices.append(device)
        if measured.rule in _TRAININGS:
            precision[measured.rule] = job.parts[0].family.rsplit(", ", 1)[1]
        on_gpu = device is not None and not device.startswith("CPU")
        samples.append(Sample(job, measured, on_gpu, reader.rates(measured, job)))
    return Study(root, samples, " and ".join(dict.fromkeys(devices)), precision)


def _device(root: Path, measured: Measured) -> str | None:
    """What a job computed on, where its log says so."""
    log = root / "logs" / measured.rule / f"{measured.place}.log"
    if not log.is_file():
        return None
    text = log.read_text(encoding="utf-8", errors="replace")
    found = re.findall(r"devices: device: (.+?), (?:compute capability|PyTorch)", text)
    return found[-1] if found else None


class _Reader:
    """The work of one job, by its rule: a method for each."""

    def __init__(self, root: Path):
        self.root = root
        pixels = sorted((root / "dataset").glob("pixels_*.h5"))
        if not pixels:
            raise ValueError(f"{root}: has no pixel cache (dataset/pixels_….h5); finish the study")
        self.resolution = int(pixels[-1].stem.split("_")[1])
        self.rows = _length(pixels[-1])
        self.runs = len(list((root / "benchmarks/train_classifier").rglob("*.tsv")))

    # The data set

    def _table(rule: str) -> Callable[["_Reader", str], Job]:  # noqa: N805
        return lambda self, place: table_job(rule, self.rows)

    index_images = _table("index_images")
    label_images = _table("label_images")
    split_patients = _table("split_patients")
    draw_patients = _table("draw_patients")
    check_labels = _table("check_labels")

    def make_phantoms(self, place: str) -> Job:
        return counted_job("make_phantoms", "images", self.rows)

    def decode_images(self, place: str) -> Job:
        shards = len(list((self.root / "benchmarks/decode_images").glob("*.tsv")))
        return counted_job("decode_images", "images", self.rows / shards)

    def cache_pixels(self, place: str) -> Job:
        return image_job("cache_pixels", self.rows, self.resolution, "pixel cache")

    # Rules of external test sets, which are those of the data set by other names.

    def _images_of(self, place: str) -> int:
        folder = self.root / "external" / place.split("/")[0]
        return _length(sorted(folder.glob("pixels_*.h5"))[-1])

    def index_external(self, place: str) -> Job:
        return table_job("index_images", self._images_of(place))

    def label_external(self, place: str) -> Job:
        return table_job("label_images", self._images_of(place))

    def decode_external(self, place: str) -> Job:
        folder = self.root / "benchmarks/decode_external" / place.split("/")[0]
        shards = len(list(folder.glob("*.tsv")))
        return counted_job("decode_images", "images", self._images_of(place) / shards)

    def cache_external(self, place: str) -> Job:
        return image_job("cache_pixels", self._images_of(place), self.resolution, "pixel cache")

    def make_training_set(self, place: str) -> Job:
        path = self.root / "gan" / place / "training_set.h5"
        return image_job("make_training_set", *_shape(path), "training sets")

    def make_validation_set(self, place: str) -> Job:
        path = self.root / "dataset/validation" / f"{place}.h5"
        return image_job("make_validation_set", *_shape(path), "validation sets")

    # GANs and banks

    def _gan(self, place: str) -> tuple[GanSettings, dict[str, Any]]:
        about = read_json(self.root / "gan" / place / "generator.json")
        known = {
            key: value
            for key, value in about["settings"].items()
            if key in GanSettings.model_fields
        }
        return GanSettings.of(known), about

    def train_gan(self, place: str) -> Job:
        settings, about = self._gan(place)
        kimg = {
            resolution: sum(thousands for thousands, _ in ticks)
            for resolution, ticks in self._ticks(place).items()
        }
        precision = about["settings"]["precision"]
        return gan_job(settings, precision, kimg, about["training_images"])

    def _ticks(self, place: str) -> dict[int, list[tuple[float, float]]]:
        """By resolution what each row of training.csv says: kimg of the tick, seconds a kimg."""
        path = self.root / "gan" / place / "training.csv"
        found: dict[int, list[tuple[float, float]]] = {}
        before = 0.0
        with open(path, encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                kimg, seconds = float(row["kimg"]), float(row["s_per_kimg"])
                found.setdefault(int(row["resolution"]), []).append((kimg - before, seconds))
                before = kimg
        return found

    def make_bank(self, place: str) -> Job:
        recipe, *cell, finding = place.split("/")
        for gan in (place, f"{recipe}/{'/'.join(cell)}/all", f"base/{'/'.join(cell)}/negatives"):
            if (self.root / "gan" / gan / "generator.json").is_file():
                break
        return bank_job(self._gan(gan)[0], _shape(self.root / "bank" / f"{place}.h5")[0])

    def measure_bank(self, place: str) -> Job:
        quality = read_json(self.root / "bank" / f"{place}_quality.json")
        settings = quality["provenance"]["settings"]
        images = min(_shape(self.root / "bank" / f"{place}.h5")[0], settings["max_images"])
        return counted_job("measure_bank", "images and spaces", images * len(settings["spaces"]))

    def measure_filters(self, place: str) -> Job:
        banks = len(list((self.root / "bank").glob(f"*/{place}/*.h5")))
        return counted_job("measure_filters", "banks", banks)

    def describe_bank(self, place: str) -> Job:
        return counted_job("describe_bank", "banks", 1)

    # Networks

    def train_classifier(self, place: str) -> Job:
        folder = self.root / "classifier" / place
        table = read_parquet(folder / "predictions.parquet", columns=["split"])
        settings = table.attrs["provenance"]["settings"]
        added = sum(
            value
            for counts in table.attrs["added"].values()
            for name, value in counts.items()
            # Masked labels of other findings are in no count, so that each image is in one.
            if name.startswith(("synthetic", "reserve"))
        )
        validation = int((table["split"] == "val").sum())
        history = read_csv(folder / "history.csv", ["images"])
        findings = set(FINDINGS) & set(parquet_columns(folder / "predictions.parquet"))
        images = int(table.attrs["shown"]["images"])
        return classifier_job(
            "train_classifier",
            settings["architecture"],
            settings["resolution"],
            settings["batch_size"],
            settings["precision"],
            settings["transforms"] is not None,
            shown=images,
            predicted=len(history) * validation + len(table),
            held_images=table.attrs["trained_on"]["images"] + added + validation,
            memory_mib=np.inf,
            predictions=len(table) * predicted_numbers(len(findings)),
        )

    def train_features(self, place: str) -> Job:
        folder = self.root / "features" / place
        model = read_tensor_file(folder / "model.pt", "a network")
        settings = model["settings"]
        history = read_csv(folder / "history.csv", ["images"])
        splits = read_csv(self.root / "dataset/split.csv", ["patient", "split"])
        validation = (splits["split"] == "val").mean() * self.rows
        return classifier_job(
            "train_features",
            settings["architecture"],
            settings["resolution"],
            settings["batch_size"],
            settings["precision"],
            False,
            shown=model["shown"]["images"],
            predicted=len(history) * validation,
            held_images=model["trained_on"]["images"] + validation,
            memory_mib=np.inf,
            predictions=0,
        )

    def pretrain_classifier(self, place: str) -> Job:
        folder = self.root / "unlabelled" / place
        model = read_tensor_file(folder / "model.pt", "a pretrained network")
        settings = model["settings"]
        return pretraining_job(
            settings["architecture"],
            settings["resolution"],
            settings["batch_size"],
            settings["precision"],
            shown=float(read_csv(folder / "history.csv", ["images"])["images"].iloc[-1]),
            images=model["trained_on"]["images"],
        )

    # The report

    def explain_classifiers(self, place: str) -> Job:
        found = read_maps(self.root / "maps" / f"{place}.npz")
        number, arms, side = found.maps.shape[:3]
        shown = number * arms * number_of_windows(side)
        return explanation_job(found.about["architecture"], side, shown)

    def check_leakage(self, place: str) -> Job:
        return counted_job("check_leakage", "runs", self.runs, held=0.0)

    def evaluate(self, place: str) -> Job:
        predictions = sorted((self.root / "classifier").rglob("predictions.parquet"))
        judged = len(read_parquet(predictions[0], columns=["split"])) if predictions else 0
        judged += sum(_length(path) for path in self.root.glob("external/*/pixels_*.h5"))
        numbers = self.runs * judged
        return counted_job(
            "evaluate", "runs times judged images", numbers, held=evaluated_bytes(numbers)
        )

    def make_report(self, place: str) -> Job:
        return counted_job("make_report", "runs", self.runs)

    def rates(self, measured: Measured, job: Job) -> dict[Key, float]:
        """Seconds of a unit where a log says them: of a GAN, by the resolution of each tick."""
        if measured.rule != "train_gan":
            return {}
        ticks = self._ticks(measured.place)
        return {
            part.key: float(np.median([seconds for _, seconds in rows]))
            for part, rows in zip(job.parts, ticks.values(), strict=True)
        }


def evaluated_bytes(numbers: float) -> float:
    """Bytes that the statistics hold: float32 of each finding, and what is computed from it."""
    return 4 * 4 * len(FINDINGS) * numbers


def _shape(path: Path) -> tuple[int, int]:
    """Number of images, and their side."""
    with open_hdf5(path) as file:
        shape = file["images"].shape
    return shape[0], shape[-1]


def _length(path: Path) -> int:
    return _shape(path)[0]
