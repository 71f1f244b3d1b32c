"""The split of the patients, and the order in which training patients enter the fractions.

Everything here is decided by patient, from the raw labels: a patient is positive for a finding
if any of their images is labelled 1. What becomes of uncertain labels makes no difference here,
nor does the order of the CSV's rows or columns.
"""

import logging
import math
import os
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from rarecxr.core.files import written_whole
from rarecxr.core.tables import parquet_columns, read_csv, read_parquet

log = logging.getLogger(__name__)

SPLITS = ("train", "val", "test", "expert")
# Those whose images are scored: none of them is ever trained on.
JUDGED = SPLITS[1:]
# Patients set apart by `dataset.reserve_percent`: in no fraction, and seen by no GAN or network but
# that of an arm that asks for their images.
RESERVED = "reserve"
# The training patients that `dataset.thin` leaves out: in no split, seen by nothing.
UNUSED = "unused"


def split_patients(
    images: str | os.PathLike,
    test_percent: float,
    validation_percent: float,
    target_findings: Sequence[str],
    seed: int,
    output: str | os.PathLike,
    thin: Mapping[str, float] | None = None,
    reserve_percent: float = 0,
    published: bool = False,
    fold: int = 0,
) -> None:
    """Write which split each patient is in: `split.csv` (patient, split), sorted by patient.

    The patients of the training CSV are split into train, val, test and reserve, stratified by
    the target findings. Those of the expert CSV are `expert`. Afterwards the training patients
    that `thin` leaves out become `unused`; no other patient's split changes.

    Where the split is the published one, test and val are who the publisher put there, and none is
    `expert`: the patients of the expert CSV are the test set.

    Args:
        images: the index, `images.parquet`.
        test_percent: percent of the training CSV's patients for testing.
        validation_percent: percent of them for validation.
        target_findings: findings that the split is stratified by.
        seed: seed of the choice.
        output: the split (CSV).
        thin: the share of a finding's training positives that stays, by finding; see `thin_out`.
        reserve_percent: percent of the patients to set apart; val and test are the same for any.
        published: whether the published split is used. Percents are then of its training patients,
            and those of what it has itself do not count.
        fold: which of the disjoint test sets of this seed is used, from 0; see `split_at_random`.

    Raises:
        ValueError: train, val or test has no patient with, or none without, a target finding; or a
            patient is in two parts of the published split, or in none.
    """
    columns = list(dict.fromkeys(["patient", "csv", *target_findings, *(thin or {})]))
    if published and "published" in parquet_columns(images):
        columns += ["published", "image"]
    table = read_parquet(images, columns=columns)
    train = (table["csv"] == "train") | published
    positives = positive_patients(table[train], target_findings)
    percents = (test_percent, validation_percent, seed, reserve_percent)
    if published:
        parts = published_parts(table, images)
        split = split_as_published(positives, parts, *percents)
    else:
        split = split_at_random(positives, *percents, fold=fold)
    for finding in sorted(thin or {}):
        split = thin_out(table[train], split, finding, thin[finding], seed)
    _check_positives(positives, split)
    expert = pd.Series("expert", index=sorted(set(table.loc[~train, "patient"])), dtype=object)
    both = pd.concat([split, expert]).sort_index()
    with written_whole(output) as temporary:
        both.rename("split").to_csv(temporary, index_label="patient", lineterminator="\n")


def published_parts(table: pd.DataFrame, images: str | os.PathLike) -> pd.Series:
    """The part of the published split that each patient is in: train, val or test, by patient.

    Args:
        table: the index: patient, csv and, where it holds a published split, published and image.
        images: its path, for the message.

    Raises:
        ValueError: a patient is in two parts, or an image is in none.
    """
    if "published" in table:
        part, image = table["published"], table["image"]
    else:
        part = table["csv"].map({"train": "train", "expert": "test"})
        image = table["patient"]
    for row in np.flatnonzero(part == "")[:1]:
        raise ValueError(
            f"{images}: dataset.split: published: {(part == '').sum()} images are in no part of "
            f"the published split, the first is {image[row]}; each takes train, val or test"
        )
    parts = part.groupby(table["patient"]).agg(lambda names: " and ".join(sorted(set(names))))
    several = parts[parts.str.contains(" ")]
    if len(several):
        patient = several.index[0]
        own = image[table["patient"] == patient].tolist()
        raise ValueError(
            f"{images}: dataset.split: published: {patient} is in {several.iloc[0]} of the "
            f"published split, with {', '.join(own[:4])}; so are {len(several) - 1} other patients "
            "in two parts. Who is tested on is never trained on: correct the tables, or take "
            "dataset.split: random"
        )
    return parts


def split_as_published(
    positives: pd.DataFrame,
    parts: pd.Series,
    test_percent: float,
    validation_percent: float,
    seed: int,
    reserve_percent: float = 0,
) -> pd.Series:
    """The split (train, val, test or reserve) of each patient of `positives`, by patient.

    What is published stays as it is; a validation set is the test set where no other is published.
    What is not published is drawn from the training patients as `split_at_random` does, in percent
    of these.

    Args:
        positives: as for `split_at_random`.
        parts: what `published_parts` gives.
        test_percent: percent to draw for testing if nothing is published that could be tested on.
        validation_percent: percent to draw for validation if there is no validation set.
        seed: seed of the choice.
        reserve_percent: percent to set apart.
    """
    split = parts.reindex(positives.index).astype(object)
    if not (split == "test").any():
        split[split == "val"] = "test"
    training = positives[split == "train"]
    drawn = split_at_random(
        training,
        0 if (split == "test").any() else test_percent,
        0 if (split == "val").any() else validation_percent,
        seed,
        reserve_percent,
    )
    split[drawn.index] = drawn
    return split


def draw_patients(
    images: str | os.PathLike,
    split: str | os.PathLike,
    target_findings: Sequence[str],
    min_positive_patients: int,
    seed: int,
    draw: int,
    output: str | os.PathLike,
) -> None:
    """Write the order in which training patients enter the fractions: `draw{draw}.csv`.

    Columns: patient; rank, 0 to N - 1, the order of the rows; minimum, 1 for the patients at
    the front that are there so that any fraction has enough positives, else 0. A fraction is
    what has the first ranks (`fraction_patients`), so smaller fractions lie in larger ones.

    Args:
        images: the index of images that could be read, `readable.parquet`. (The split is made from
            the whole index, so that it stays the same when a file is damaged or mended.)
        split: the split, `split.csv`.
        target_findings: findings whose positives come in proportion, and are never too few.
        min_positive_patients: patients positive for each target finding that any fraction
            holds, as far as the training split has them.
        seed: seed of the study's split.
        draw: number of the draw; each is another random order.
        output: the ranks (CSV).

    Raises:
        ValueError: among the images that could be read, train, val or test has no patient with, or
            none without, a target finding.
    """
    table = read_parquet(images, columns=["patient", *target_findings])
    splits = read_csv(split, ["patient", "split"])
    everyone = positive_patients(table, target_findings)
    _check_positives(everyone, splits.set_index("patient")["split"].reindex(everyone.index))
    training = set(splits.loc[splits["split"] == "train", "patient"])
    positives = positive_patients(table[table["patient"].isin(training)], target_findings)
    for finding, number in positives.sum().items():
        if number < min_positive_patients:
            log.warning(
                "dataset.min_positive_patients is %d, but %d training patients have an image with "
                "%s that could be read: every fraction holds all of these",
                min_positive_patients,
                number,
                finding,
            )
    ranks = rank(positives, min_positive_patients, seed, draw)
    with written_whole(output) as temporary:
        ranks.to_csv(temporary, index=False, lineterminator="\n")


def fraction_patients(draw_csv: str | os.PathLike, fraction: float | str) -> list[str]:
    """The training patients of one fraction, in the order of their ranks.

    Args:
        draw_csv: the ranks, `draw{draw}.csv`.
        fraction: percent of the training patients, above 0 and up to 100.

    Raises:
        ValueError: the fraction is too small to hold the minimum of positives.
    """
    table = read_csv(draw_csv, ["patient", "rank", "minimum"]).sort_values("rank")
    percent = float(fraction)
    if not 0 < percent <= 100:
        raise ValueError(f"dataset.fractions: got {fraction}; takes percents above 0, up to 100")
    count = round(percent / 100 * len(table))
    needed = max(1, int(table["minimum"].sum()))
    if count < needed:
        enough = math.ceil(10_000 * needed / len(table)) / 100
        raise ValueError(
            f"dataset.fractions: {percent:g} % of the {len(table)} training patients are {count}, "
            f"but {needed} are needed to hold dataset.min_positive_patients positives of each "
            f"target finding ({draw_csv}): use at least {min(enough, 100):g} % or a lower minimum"
        )
    return table["patient"].tolist()[:count]


def positive_patients(table: pd.DataFrame, target_findings: Sequence[str]) -> pd.DataFrame:
    """Which patients are positive for which target finding.

    Args:
        table: one row for each image: patient, and raw labels under the findings' names.
        target_findings: the findings.

    Returns:
        bool, one row for each patient (the index, sorted), one column for each finding, the rarest
        first.
    """
    positive = (table[sorted(target_findings)] == 1).groupby(table["patient"], sort=True).any()
    return positive[positive.sum().sort_values(kind="stable").index]


def split_at_random(
    positives: pd.DataFrame,
    test_percent: float,
    validation_percent: float,
    seed: int,
    reserve_percent: float = 0,
    fold: int = 0,
) -> pd.Series:
    """The split (train, val, test or reserve) of each patient of `positives`, by patient.

    Systematic sampling: patients are ordered by their rarest positive finding, then by the next,
    at random among equals, and picked from that order at even distances. So test, val and reserve
    have the given percent of all patients to the nearest whole number, and of the positives of
    each finding to within one or two.

    Folds of one seed pick their test patients from the same order with other starts, so that no
    patient is tested on in two of them.

    Raises:
        ValueError: there are not enough patients for so many test sets.
    """
    # The key keeps this apart from the draws' numbers, which come from (seed, draw).
    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))
    chance = generator.random(len(positives))
    line = np.lexsort([chance, *~positives.to_numpy().T[::-1]])
    split = np.full(len(positives), "train", dtype=object)
    # The reserve last, so that test and val do not depend on it.
    shares = {"test": test_percent, "val": validation_percent, RESERVED: reserve_percent}
    for name, percent in shares.items():
        count = round(percent / 100 * len(positives))
        before = fold if name == "test" else 0
        if before and (before + 1) * count > len(line):
            raise ValueError(
                f"dataset.fold: got {fold}, and {fold + 1} test sets of {count} patients are more "
                f"than there are ({len(line)}); takes a smaller number, or a smaller test_percent"
            )
        taken = _evenly(len(line), count, generator, before)
        split[line[taken]] = name
        line = line[~taken]
    return pd.Series(split, index=positives.index)


def thin_out(
    table: pd.DataFrame, split: pd.Series, finding: str, share: float, seed: int
) -> pd.Series:
    """Make a finding rare among the training patients.

    The given share stays of the training patients who are labelled 1, and of those who are not but
    have an uncertain label, which a policy may make positive. The others become `unused` with all
    their images. Who stays at one share stays at any larger one.

    Args:
        table: one row for each image: patient, and raw labels under the finding's name.
        split: the split of each patient, which is the index.
        finding: the finding.
        share: the share that stays, above 0 and up to 1.
        seed: seed of the choice.

    Returns:
        The split after that.

    Raises:
        ValueError: no positive would stay.
    """
    highest = table[finding].abs().groupby(table["patient"], sort=True).max()
    certain = (table[finding] == 1).groupby(table["patient"], sort=True).any()
    training = split.reindex(highest.index) == "train"
    # Neither a draw (seed, number) nor the split: the finding's letters keep findings apart.
    key = np.random.SeedSequence([seed, *finding.encode()], spawn_key=(1,))
    chance = pd.Series(np.random.default_rng(key).random(len(highest)), highest.index)
    thinned = split.copy()
    for kind in (certain, (highest == 1) & ~certain):
        patients = chance[kind & training].sort_values(kind="stable").index
        stay = round(share * len(patients))
        if kind is certain and not stay:
            raise ValueError(
                f"dataset.thin.{finding}: {share:g} of the {len(patients)} training patients with "
                f"{finding} is none; "
                + (f"takes {1 / len(patients):.2g} or more" if len(patients) else "leave it out")
            )
        thinned[patients[stay:]] = UNUSED
    return thinned


def rank(positives: pd.DataFrame, min_positive_patients: int, seed: int, draw: int) -> pd.DataFrame:
    """Patients of `positives` in the order in which they enter the fractions.

    Patients with the same positive target findings are spread evenly over the whole order, at
    random among themselves, so that the first n patients hold each kind in proportion. The first
    `min_positive_patients` positives of each finding are then moved to the front.

    Returns:
        patient, rank and minimum (1: moved to the front), as `draw_patients` writes them.
    """
    generator = np.random.default_rng(np.random.SeedSequence([seed, draw]))
    patients = positives.index.to_numpy()[generator.permutation(len(positives))]
    positives = positives.loc[patients]
    kinds = positives.groupby(list(positives.columns), sort=True)
    # The k-th of n patients of a kind stands at (k + start) / n of the way.
    starts = generator.random(kinds.ngroups)[kinds.ngroup().to_numpy()]
    place = (kinds.cumcount().to_numpy() + starts) / kinds[positives.columns[0]].transform("size")
    positives = positives.iloc[np.argsort(place.to_numpy(), kind="stable")]
    nth = positives.cumsum()
    minimum = (positives & (nth <= min_positive_patients)).any(axis=1).to_numpy()
    order = np.argsort(~minimum, kind="stable")
    return pd.DataFrame(
        {
            "patient": positives.index.to_numpy()[order],
            "rank": np.arange(len(positives)),
            "minimum": minimum[order].astype(int),
        }
    )


def _evenly(length: int, count: int, generator: np.random.Generator, before: int = 0) -> np.ndarray:
    """A mask (length,) that takes `count` places at even distances, from a random start.

    Every place has the same chance, and any stretch of places its proportion of the count to within
    one. The places are none of those that the same start gives for a smaller number `before`, as
    long as (before + 1) * count <= length.
    """
    if length == 0:
        return np.zeros(0, bool)
    start = generator.integers(length) + before * count
    passed = (np.arange(length + 1) * count + start) // length
    return np.diff(passed) > 0


def _check_positives(positives: pd.DataFrame, split: pd.Series) -> None:
    for finding in positives.columns:
        for name in ("train", "val", "test"):
            inside = positives.loc[split == name, finding]
            if inside.any() and not inside.all():
                continue
            without = "without" if inside.any() else "with"
            raise ValueError(
                f"split {name} has {len(inside)} patients and none of them {without} {finding}, "
                f"which {positives[finding].sum()} of all {len(positives)} patients have: no AUC "
                "can be computed. Raise dataset.test_percent or dataset.validation_percent, try "
                "another dataset.seed, or take the finding out of dataset.target_findings"
            )
