"""Disk, memory and hours of a study, computed from the benchmark files of one that has run.

    python benchmarks/study_cost.py results/MEASURED [--configfile config/chexpert.yaml]

The plan (jobs, images, kimg) is that of the configuration on CheXpert's numbers of images. Of the
measured study come the largest memory of each rule's jobs and the time of an image or of a thousand
of them; hours are given only where it ran at the same resolution, since time does not scale with
pixels. Sizes are those of files written here: images by their bytes, networks by saving one.
"""

import argparse
import collections
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow/scripts"))

import dag
import h5py
import pandas as pd
import torch
import yaml
from snakemake.utils import update_config

from rarecxr.classifier.networks import build
from rarecxr.data.image_file import ImageFile
from rarecxr.gan.networks import build_networks
from rarecxr.gan.schedule import Schedule
from rarecxr.study.configuration.bank import BankSettings
from rarecxr.study.configuration.gan import GanSettings

ROOT = Path(__file__).parents[1]
# Frontal images of CheXpert's train.csv, and images labelled 1 (docs/phantoms.md has the shares).
IMAGES = 191_027
POSITIVES = {"Lung Lesion": 9186, "Pleural Other": 3523, "Fracture": 9040}


class Plan:
    """Units of work and bytes of a study, by rule."""

    def __init__(self, config: dict):
        self.units = collections.Counter()
        self.bytes = collections.Counter()
        dataset, gan, bank = (
            config["dataset"],
            GanSettings(**config["gan"]),
            BankSettings(**config["bank"]),
        )
        share = 1 - (dataset["test_percent"] + dataset["validation_percent"]) / 100
        arms = [config["arms"][name] for name in config["classifier"]["arms"]]
        recipes = dict.fromkeys(arm["recipe"] for arm in arms if "recipe" in arm)
        pixels, gan_pixels = dataset["resolution"] ** 2, gan.resolution**2
        networks = checkpoint_bytes(gan)
        runs = len(arms) * config["classifier"]["seeds"]
        classifier = saved_bytes(build(config["classifier"]["architecture"], 14, 224, 1))
        features = saved_bytes(build(config["features"]["architecture"], 14, 224, 1))
        # A float32 for each of 14 labels of every image that is not trained on.
        predictions = IMAGES * (1 - share) * 14 * 4
        validation = IMAGES * dataset["validation_percent"] / 100
        self.add("decode_images", 1, IMAGES, 0)
        self.add("cache_pixels", 1, IMAGES, IMAGES * pixels)
        self.add("make_validation_set", 1, validation, validation * gan_pixels)
        for percent in dataset["fractions"]:
            cells = config["draws"]
            inside = share * percent / 100
            real = {name: count * inside for name, count in POSITIVES.items()}
            drawn = {name: bank.size(name, count) for name, count in real.items()}
            trainings = [(IMAGES - sum(POSITIVES.values())) * inside]
            banks = [sum(drawn.values())]
            for recipe in recipes:
                copies = 1 + len(config["recipes"][recipe])
                trainings += [count * copies for count in real.values()]
                banks += drawn.values()
            for number, (images, synthetic) in enumerate(zip(trainings, banks, strict=True)):
                kimg = Schedule(gan, finetune=number > 0).images / 1000
                self.add("make_training_set", cells, images, images * gan_pixels)
                self.add("train_gan", cells, kimg, networks)
                self.add("make_bank", cells, synthetic, synthetic * gan_pixels)
                self.add("measure_bank", cells, synthetic, 0)
            shown = IMAGES * inside
            self.add("train_features", cells, config["features"]["epochs"] * shown, features)
            self.add(
                "train_classifier",
                cells * runs,
                config["classifier"]["epochs"] * shown,
                classifier + predictions,
            )

    def add(self, rule: str, times: int, units: float, size: float) -> None:
        """Count `times` more units of work and bytes."""
        self.units[rule] += times * units
        self.bytes[rule] += times * size


def saved_bytes(*networks: torch.nn.Module) -> int:
    """Size of a file that holds these networks' weights."""
    with tempfile.TemporaryFile() as file:
        torch.save([network.state_dict() for network in networks], file)
        return file.tell()


def checkpoint_bytes(gan: GanSettings) -> int:
    """Averaged generator and critic; and the resume file that stays until `clean_states`."""
    generator, critic = build_networks(gan.plain(), 0, 1)
    kept = saved_bytes(generator, critic)
    # The resume file has the generator twice, the critic, and Adam's two averages of both.
    return kept + saved_bytes(generator) + 3 * kept


def measured(results: Path) -> dict[str, dict]:
    """Of every rule: largest memory in MB, seconds a unit, and the resolution it ran at."""
    found = collections.defaultdict(lambda: {"memory": 0.0, "seconds": 0.0, "units": 0.0, "px": 0})
    for path in sorted((results / "benchmarks").rglob("*.tsv")):
        rule, *place = path.relative_to(results / "benchmarks").with_suffix("").parts
        row = pd.read_csv(path, sep="\t", na_values="-").iloc[0]
        part = found[rule]
        part["memory"] = max(part["memory"], row["max_rss"])
        units, part["px"] = work(results, rule, Path(*place))
        part["seconds"] += row["s"]
        part["units"] += units
    return found


def work(results: Path, rule: str, place: Path) -> tuple[float, int]:
    """Units of work of one job of the measured study, and its resolution in pixels."""
    if rule in ("decode_images", "cache_pixels"):
        pixels = next((results / "dataset").glob("pixels_*.h5"))
        shards = len(list((results / "benchmarks/decode_images").glob("*.tsv")))
        share = shards if rule == "decode_images" else 1
        return len(ImageFile(pixels)) / share, int(pixels.stem.split("_")[1])
    if rule in ("make_training_set", "make_validation_set"):
        sets = results / "gan" / place / "training_set.h5"
        if rule == "make_validation_set":
            sets = results / "dataset/validation" / f"{place}.h5"
        with h5py.File(sets) as file:
            return len(file["images"]), file["images"].shape[1]
    if rule == "train_gan":
        about = json.loads((results / "gan" / place / "generator.json").read_text(encoding="utf-8"))
        return about["kimg"], about["settings"]["resolution"]
    if rule in ("make_bank", "measure_bank"):
        with h5py.File(results / "bank" / f"{place}.h5") as file:
            return len(file["images"]), file["images"].shape[1]
    if rule in ("train_classifier", "train_features"):
        folder = results / rule.removeprefix("train_") / place
        history = pd.read_csv(folder / "history.csv")
        model = torch.load(folder / "model.pt", weights_only=True)
        return history["images"].sum(), model["settings"]["resolution"]
    return 0, 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="folder results/{study} of a finished study")
    parser.add_argument("--configfile", type=Path, default=ROOT / "config/chexpert.yaml")
    arguments = parser.parse_args()
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    update_config(config, yaml.safe_load(arguments.configfile.read_text(encoding="utf-8")))
    resolution = collections.defaultdict(lambda: config["gan"]["resolution"])
    resolution["decode_images"] = resolution["cache_pixels"] = config["dataset"]["resolution"]
    resolution["train_classifier"] = config["classifier"]["resolution"]
    resolution["train_features"] = config["features"]["resolution"]
    plan, seen = Plan(config), measured(arguments.results)
    with tempfile.TemporaryDirectory() as folder:
        dry_run = [*dag.study(Path(folder), arguments.configfile.resolve()), "--dry-run"]
        jobs = dag.job_counts(dag.measure(dry_run, Path(folder))[0])
    print("| rule | jobs | disk, GB | memory of a job, MB | hours of all jobs |")
    print("| --- | --- | --- | --- | --- |")
    for rule in plan.units:
        part = seen[rule]
        memory = f"{part['memory']:,.0f} at {part['px']} px" if part["memory"] else "not measured"
        hours = "not measured"
        if part["px"] == resolution[rule] and part["units"]:
            hours = f"{plan.units[rule] * part['seconds'] / part['units'] / 3600:,.1f}"
        elif part["px"]:
            hours = f"not measured at {resolution[rule]} px"
        print(f"| {rule} | {jobs[rule]} | {plan.bytes[rule] / 1e9:,.1f} | {memory} | {hours} |")
    others = sum(jobs.values()) - sum(jobs[rule] for rule in plan.units)
    print(f"| the others | {others} | not counted | | |")
    print(f"| together | {sum(jobs.values())} | {plan.bytes.total() / 1e9:,.1f} | | |")


if __name__ == "__main__":
    main()
