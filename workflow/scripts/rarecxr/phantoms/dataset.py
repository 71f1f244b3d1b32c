"""The embedded data set: digital phantoms in the layout of CheXpert-v1.0-small.

    <root>/train.csv, valid.csv
    <root>/train/patient00001/study1/view1_frontal.jpg
    <root>/valid/patient02001/study1/view1_frontal.jpg

Nothing here is clinical data; every JPEG says so in its comment and its EXIF description.
"""

import io
import logging
import math
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image

from rarecxr.core.files import written_whole
from rarecxr.core.job_log import Progress
from rarecxr.phantoms.anatomy import sample_anatomy, sample_pose
from rarecxr.phantoms.labels import Rates, make_rates, sample_studies
from rarecxr.phantoms.render import render
from rarecxr.phantoms.sites import sample_sites
from rarecxr.phantoms.support_devices import sample_devices
from rarecxr.study.configuration.phantom import PhantomSettings
from rarecxr.study.findings import FINDINGS, SUPPORT_DEVICES

logger = logging.getLogger(__name__)

HEADER = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *FINDINGS)
TOP_FOLDER = "Phantom-v1.0-small"
NOTICE = "digital phantom, not clinical data"

# Share of train.csv's frontal images that are AP: 161,590 of 191,027; and of images that are
# lateral: 32,387 of 223,414.
PA_SHARE = 0.154
# Studies a patient has at most; CheXpert's longest histories have more.
MAX_STUDIES = 24


@dataclass(frozen=True)
class Plan:
    """What is the same for all patients.

    Attributes:
        settings: the section `phantom`.
        rates: how often each finding is present and labelled.
        unknown_sex: number of the patient whose sex is not known.
        age_zero: numbers of the patients whose age is given as 0.
    """

    settings: PhantomSettings
    rates: Rates
    unknown_sex: int
    age_zero: tuple[int, ...]


def make_phantoms(root: str | os.PathLike, settings: PhantomSettings, threads: int = 1) -> None:
    """Write a whole data set of phantoms below `root`: train.csv, valid.csv, train/, valid/.

    A patient's images depend on the seed and the patient's number alone, not on `threads` or on
    how many patients there are. Two exceptions are chosen among all: one patient has the sex
    Unknown (and one frontal image), and a few have age 0, as in CheXpert.

    Args:
        root: the folder; it may hold other files, those four are replaced.
        settings: the section `phantom`.
        threads: processes.
    """
    patients = settings.patients
    chooser = np.random.default_rng(np.random.SeedSequence(settings.seed, spawn_key=(0,)))
    chosen = chooser.permutation(patients) + 1
    plan = Plan(
        settings=settings,
        rates=make_rates(settings.prevalence, settings.uncertain, settings.uncertain_present),
        unknown_sex=int(chosen[0]),
        # CheXpert has three such rows, one of them the one of unknown sex.
        age_zero=tuple(int(number) for number in chosen[:3]),
    )
    root = Path(root)
    root.mkdir(parents=True, exist_ok=True)
    _write_split(root, "train", range(1, patients + 1), plan, threads)
    experts = range(patients + 1, patients + settings.expert_patients + 1)
    _write_split(root, "valid", experts, plan, threads)


def _write_split(root: Path, split: str, numbers: range, plan: Plan, threads: int) -> None:
    """Write one CSV and its folder of images."""
    chunk = 8
    tasks = [numbers[i : i + chunk] for i in range(0, len(numbers), chunk)]
    rows = 0
    with (
        written_whole(root / split) as folder,
        written_whole(root / f"{split}.csv", noted=False) as csv,
        open(csv, "w", encoding="utf-8", newline="\n") as table,
        Progress(len(numbers), unit="patients", label=f"phantoms {split}") as bar,
    ):
        folder.mkdir()
        table.write(",".join(HEADER) + "\n")
        arguments = [(str(folder), split, task, plan) for task in tasks]
        if threads > 1:
            # Forked, since a spawned process would first run the calling script once more.
            with ProcessPoolExecutor(threads, mp_context=get_context("fork")) as pool:
                for task, lines in zip(tasks, pool.map(_write_patients, arguments), strict=True):
                    table.writelines(lines)
                    rows += len(lines)
                    bar.update(len(task))
        else:
            for task, arguments_of_task in zip(tasks, arguments, strict=True):
                lines = _write_patients(arguments_of_task)
                table.writelines(lines)
                rows += len(lines)
                bar.update(len(task))
    logger.info("%s: %d patients, %d images", split, len(numbers), rows)


def _write_patients(arguments: tuple[str, str, range, Plan]) -> list[str]:
    """Write the images of some patients; their lines of the CSV."""
    folder, split, numbers, plan = arguments
    return [line for n in numbers for line in _write_patient(Path(folder), split, n, plan)]


def _write_patient(folder: Path, split: str, number: int, plan: Plan) -> list[str]:
    expert, settings = split == "valid", plan.settings
    person, history, camera = (
        np.random.default_rng(np.random.SeedSequence(settings.seed, spawn_key=(1, number, part)))
        for part in range(3)
    )
    female = bool(person.random() < 0.41)
    age = int(np.clip(round(person.normal(61, 17.5)), 18, 90))
    anatomy = sample_anatomy(person, female, age)
    sites = sample_sites(person, anatomy)
    sites[SUPPORT_DEVICES] = sample_devices(person, anatomy)
    unknown = not expert and number == plan.unknown_sex
    sex = "Unknown" if unknown else "Female" if female else "Male"
    shown_age = 0 if not expert and number in plan.age_zero else age
    count = 1 if expert or unknown else _study_count(history, settings.studies_per_patient)
    lines = []
    for index, study in enumerate(sample_studies(history, plan.rates, count, expert), start=1):
        views = ["AP"] if unknown else study_views(camera, study.illness, settings.lateral_share)
        grades = {
            finding: grade_of(severity, settings.difficulty)
            for finding, severity in study.severity.items()
        }
        place = folder / f"patient{number:05d}" / f"study{index}"
        place.mkdir(parents=True)
        for i, view in enumerate(views, start=1):
            kind = "lateral" if view == "Lateral" else "frontal"
            name = f"view{i}_{kind}.jpg"
            pose = sample_pose(camera, view)
            picture = render(anatomy, sites, pose, grades, settings.resolution)
            (place / name).write_bytes(encode(picture, settings.jpeg_quality))
            path = f"{TOP_FOLDER}/{split}/patient{number:05d}/study{index}/{name}"
            first = (path, sex, str(shown_age), kind.capitalize())
            projection = "" if kind == "lateral" else view
            labels = (_cell(study.labels[finding]) for finding in FINDINGS)
            lines.append(",".join((*first, projection, *labels)) + "\n")
    return lines


def grade_of(severity: float, difficulty: float) -> float:
    """How visible a finding is drawn, in (0, 1]: by its severity and the study's difficulty.

    From 0 to 1 the difficulty makes all cases fainter; below 0 it makes the mild ones as visible as
    the severe ones, which they are at -1.
    """
    grade = 0.4 + 0.6 * severity
    if difficulty < 0:
        return grade - difficulty * (1 - grade)
    return grade * (1 - 0.92 * difficulty)


def _study_count(rng: np.random.Generator, mean: float) -> int:
    """How many studies a patient has: geometrically distributed, so that some have many."""
    count = 1 if mean <= 1 else int(rng.geometric(1 / mean))
    return min(count, MAX_STUDIES)


def study_views(rng: np.random.Generator, illness: float, lateral_share: float) -> list[str]:
    """The views of one study: well patients stand for PA and lateral, ill ones lie for AP.

    P(PA) is PA_SHARE overall, since illness is standard normal and so is what the threshold is on;
    laterals are added so that they reach `lateral_share` of all images.
    """
    draw = rng.normal()
    upright = -0.5 * illness + math.sqrt(0.75) * draw > 1.0194
    chance = rng.random(2)
    again = 0.035
    wanted = lateral_share / (1 - lateral_share) * (1 + again)
    with_pa = min(0.9, wanted / PA_SHARE)
    with_ap = min(1.0, max(wanted - with_pa * PA_SHARE, 0) / (1 - PA_SHARE))
    views = ["PA" if upright else "AP"]
    if chance[0] < again:
        views.append(views[0])
    if chance[1] < (with_pa if upright else with_ap):
        views.append("Lateral")
    return views


def _cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.1f}"


def encode(picture: np.ndarray, quality: int = 90) -> bytes:
    """The JPEG file of a grey `picture` (rows, columns) uint8, with the notice inside."""
    image = Image.fromarray(picture)
    exif = Image.Exif()
    exif[0x010E] = NOTICE
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, exif=exif, comment=NOTICE.encode())
    return buffer.getvalue()
