"""How many images a planned study has, in all and in each fraction and draw."""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from rarecxr.core.tables import read_csv, read_parquet
from rarecxr.data.finding_images import of_finding
from rarecxr.data.image_index import index_images
from rarecxr.data.labels import apply_policies
from rarecxr.data.split import JUDGED, draw_patients, fraction_patients, split_patients
from rarecxr.phantoms.dataset import HEADER, MAX_STUDIES, TOP_FOLDER, study_views
from rarecxr.phantoms.labels import make_rates, sample_studies
from rarecxr.study.configuration.external import ExternalSettings
from rarecxr.study.configuration.phantom import PhantomSettings
from rarecxr.study.external_index import index_external
from rarecxr.study.findings import ALL, FINDINGS, NEGATIVES
from rarecxr.study.plan import Plan
from rarecxr.study.source import tables_of

# Columns of the index that are no findings.
_ABOUT = ("image", "csv", "row", "patient", "study", "view", "sex", "age", "published")


@dataclass(frozen=True)
class Counts:
    """Numbers of images. Findings by name, the negatives as `NEGATIVES`, all as `ALL`.

    Attributes:
        drawn: phantoms that are drawn, lateral ones too; 0 where there is a data set.
        images: of the views that are used.
        trained: those of them that are of training patients, in any fraction or none.
        judged: those of them that are predicted: validation, test, expert labels.
        validation: validation images, by finding.
        cells: training images by fraction and draw, and by finding.
        external: images of each external test set, by its name.
    """

    drawn: float
    images: float
    trained: float
    judged: float
    validation: dict[str, float]
    cells: dict[tuple[str, int], dict[str, float]]
    external: dict[str, float] = field(default_factory=dict)


def counts_of_files(plan: Plan, directory: Path) -> Counts:
    """Numbers of images from the study's CSV files, or from the phantoms' labels alone.

    Index, split and draws are made as the workflow makes them, in a temporary folder.

    Args:
        plan: of the study.
        directory: folder that relative paths of the configuration are seen from.

    Raises:
        FileNotFoundError: the CSV file is not there; says what may be given instead.
        ValueError: a file or a setting is wrong, as the rules would say.
    """
    dataset = plan.configuration.dataset
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if dataset.root is None:
            tables, drawn = _phantom_tables(plan.configuration.phantom, place)
        else:
            tables, drawn = tables_of(dataset, str(directory)), 0
            missing = [path for path in tables.values() if not Path(path).is_file()]
            if missing:
                raise FileNotFoundError(
                    f"{missing[0]}: is not there, so the study's images cannot be counted; correct "
                    "dataset.root, or give the numbers with --images and --positives"
                )
        columns = None if dataset.columns is None else dataset.columns.plain()
        index_images(
            tables,
            dataset.views,
            place / "images.parquet",
            format=dataset.format,
            columns=columns,
            view_names=dataset.view_names,
        )
        split_patients(
            images=place / "images.parquet",
            test_percent=dataset.test_percent,
            validation_percent=dataset.validation_percent,
            target_findings=plan.findings,
            seed=dataset.seed,
            output=place / "split.csv",
            thin=dataset.plain()["thin"],
            reserve_percent=dataset.reserve_percent,
            published=dataset.split == "published",
            fold=dataset.fold,
        )
        table = read_parquet(place / "images.parquet")
        findings = [name for name in table.columns if name not in _ABOUT]
        table[findings] = apply_policies(
            table[findings], dataset.uncertain.mapping(), dataset.blank
        )
        splits = read_csv(place / "split.csv", ["patient", "split"]).set_index("patient")["split"]
        where = table["patient"].map(splits)
        cells = {}
        for draw in plan.draws:
            csv = place / f"draw{draw}.csv"
            draw_patients(
                images=place / "images.parquet",
                split=place / "split.csv",
                target_findings=plan.findings,
                min_positive_patients=dataset.min_positive_patients,
                seed=dataset.seed,
                draw=draw,
                output=csv,
            )
            for fraction in plan.fractions:
                inside = table["patient"].isin(set(fraction_patients(csv, fraction)))
                cells[fraction, draw] = _by_finding(table[inside], plan.findings)
        external = {
            name: _external(one, directory, place / f"{name}.parquet")
            for name, one in plan.external.items()
        }
    return Counts(
        drawn=drawn,
        images=len(table),
        trained=int((where == "train").sum()),
        judged=int(where.isin(JUDGED).sum()),
        validation=_by_finding(table[where == "val"], plan.findings),
        cells=cells,
        external=external,
    )


def _external(external: ExternalSettings, directory: Path, index: Path) -> int:
    """Number of images of an external test set."""
    index_external(external, directory, index)
    return len(read_parquet(index, columns=["image"]))


def counts_of_numbers(plan: Plan, images: int, positives: dict[str, int]) -> Counts:
    """Numbers of images in proportion, where the data set is not on this machine.

    External test sets are not counted.

    Args:
        plan: of the study.
        images: in all, of the views that are used.
        positives: of them, images that show a finding, by finding; an image counts once in the
            negatives' number, so that images with two findings make it a little too small.

    Raises:
        ValueError: a target finding is missing, or there are more positives than images.
    """
    missing = [finding for finding in plan.findings if finding not in positives]
    if missing:
        raise ValueError(f"--positives: lacks {', '.join(missing)}; give FINDING=NUMBER for each")
    if sum(positives.values()) >= images:
        raise ValueError(
            f"--positives: {sum(positives.values())} images are not fewer than the {images} of "
            "--images"
        )
    dataset = plan.configuration.dataset
    numbers = {name: float(positives[name]) for name in plan.findings}
    every = {**numbers, NEGATIVES: images - sum(numbers.values()), ALL: float(images)}
    # Of --thin nothing is known here but its share.
    outside = dataset.test_percent + dataset.validation_percent
    trained = 1 - (outside + dataset.reserve_percent) / 100
    return Counts(
        drawn=0,
        images=images,
        trained=images * trained,
        judged=images * outside / 100,
        validation={
            name: number * dataset.validation_percent / 100 for name, number in every.items()
        },
        cells={
            (fraction, draw): {
                name: number * trained * float(fraction) / 100 for name, number in every.items()
            }
            for fraction in plan.fractions
            for draw in plan.draws
        },
    )


def _by_finding(table: pd.DataFrame, findings: list[str]) -> dict[str, float]:
    return {name: len(of_finding(table, name, findings)) for name in (*findings, NEGATIVES, ALL)}


def _phantom_tables(settings: PhantomSettings, folder: Path) -> tuple[dict[str, str], int]:
    """The CSV files of phantoms that are not drawn, by their role, and the number of their rows.

    Labels are those of the data set itself, views are others of the same distribution: drawing an
    image takes random numbers, too.
    """
    rates = make_rates(settings.prevalence, settings.uncertain, settings.uncertain_present)
    first = settings.patients + 1
    rows = 0
    paths = {}
    for role, split, numbers in (
        ("train_csv", "train", range(1, first)),
        ("expert_csv", "valid", range(first, first + settings.expert_patients)),
    ):
        path = folder / f"{split}.csv"
        with open(path, "w", encoding="utf-8") as file:
            file.write(",".join(HEADER) + "\n")
            for number in numbers:
                for line in _phantom_rows(settings, rates, split, number):
                    file.write(line)
                    rows += 1
        paths[role] = str(path)
    return paths, rows


def _phantom_rows(settings, rates, split, number):
    """Lines of one patient."""
    history, camera = (
        np.random.default_rng(np.random.SeedSequence(settings.seed, spawn_key=(1, number, part)))
        for part in (1, 2)
    )
    expert, mean = split == "valid", settings.studies_per_patient
    count = 1 if expert or mean <= 1 else min(int(history.geometric(1 / mean)), MAX_STUDIES)
    for index, study in enumerate(sample_studies(history, rates, count, expert), start=1):
        views = study_views(camera, study.illness, settings.lateral_share)
        for place, view in enumerate(views, start=1):
            kind = "lateral" if view == "Lateral" else "frontal"
            path = f"{TOP_FOLDER}/{split}/patient{number:05d}/study{index}/view{place}_{kind}.jpg"
            labels = (
                "" if np.isnan(value) else f"{value:.1f}"
                for value in (study.labels[finding] for finding in FINDINGS)
            )
            projection = "" if kind == "lateral" else view
            yield ",".join((path, "Male", "60", kind.capitalize(), projection, *labels)) + "\n"
