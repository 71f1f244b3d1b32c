"""From the predictions of all runs to the tables of the report."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from rarecxr.classifier import prediction_file
from rarecxr.core.files import sha256, written_whole
from rarecxr.core.tables import read_csv
from rarecxr.data.split import JUDGED, RESERVED, UNUSED, fraction_patients
from rarecxr.statistics import tables
from rarecxr.statistics.ceiling import doses_of_runs, share_table, worth_table
from rarecxr.statistics.comparisons import References
from rarecxr.statistics.dose_response import choose_doses, dose_table
from rarecxr.statistics.finding_metrics import Resampling, compute_metrics
from rarecxr.statistics.predictions import RUN, check_runs, read_labels, read_predictions
from rarecxr.statistics.run_table import run_table
from rarecxr.statistics.subgroups import subgroup_table
from rarecxr.statistics.summary import overall_table, summary_table
from rarecxr.study.findings import FINDINGS

log = logging.getLogger(__name__)


def evaluate(
    labels: str | Path,
    split: str | Path,
    draws: Sequence[str | Path],
    rejected: str | Path,
    predictions: Sequence[str | Path],
    outputs: Mapping[str, str | Path],
    runs: Sequence[Mapping],
    doses: Mapping[str, Mapping[str, float]],
    target_findings: Sequence[str],
    baseline: str,
    control: str | None,
    ceiling: str | None,
    resamples: int,
    subgroup_resamples: int,
    margin: float,
    min_positive_patients: int,
    age_bands: Sequence[int],
    seed: int,
    threads: int = 1,
) -> None:
    """Evaluate all runs of a study and write the tables that docs/report.md describes.

    Args:
        labels: labels.parquet.
        split: split.csv.
        draws: draw{draw}.csv of every draw, in their order from 0.
        rejected: list of images that could not be read (column `patient`), which the labels lack.
        predictions: predictions.parquet of every run.
        outputs: where to write auc, summary, overall, expert, curves, subgroups, calibration,
            counts, patients, sources, runs, dose, ceiling and worth.
        runs: arm, fraction, draw and seed of every run, in the order of `predictions`.
        doses: for each arm that ran at several doses, the dose of each of its names in `runs`.
        target_findings: the rare findings; with the fractions they are the study's cells.
        baseline: the arm that all others are compared with. Where it did not run, the columns
            about changes against it are empty.
        control: a second arm that the others are compared with, or None.
        ceiling: the arm that adds real positives of patients who were set apart, or None.
        resamples: number of resamples of the test patients.
        subgroup_resamples: the same for subgroups.
        margin: smallest difference of AUROCs that matters, in (0, 0.5).
        min_positive_patients: a cell with fewer positive test patients gets no interval.
        age_bands: ages in years where a new band begins.
        seed: seed of the resamples.
        threads: number of threads; results do not depend on it.

    Raises:
        ValueError: predictions that do not fit the labels, the split or each other, or an arm
            that is both baseline and control.
    """
    if list(age_bands) != sorted(set(age_bands)):
        raise ValueError(f"report.statistics.age_bands: got {list(age_bands)}; takes rising ages")
    if baseline == control:
        raise ValueError(
            f"report.control: got {control!r}, the baseline; takes another arm or null"
        )
    references = References(baseline, control)
    resampling = Resampling(resamples, min_positive_patients, seed, threads)

    images = read_labels(labels, split)
    unreadable = read_csv(rejected, ["patient"], str)["patient"]
    # The classifier may have fewer outputs than there are labels, but all runs have the same.
    predicted = prediction_file.read_predictions(predictions[0]).columns
    findings = [name for name in FINDINGS if name in predicted or name in target_findings]
    all_doses = read_predictions(images, predictions, runs, findings)
    if "test" not in all_doses:
        raise ValueError(f"{split}: no test patient has an image; raise dataset.test_percent")
    check_runs(all_doses["test"].runs)
    by_split, choices = choose_doses(all_doses, doses, target_findings)
    for choice in choices.itertuples():
        log.info("%s at %g %%, %s: dose %g", *choice[1:5])
    test = by_split["test"]
    log.info(
        "%d runs on %d test images of %d patients", len(runs), len(test.images), test.n_patients
    )

    metrics = {
        name: compute_metrics(by_split[name], findings, resampling, target_findings, label=name)
        for name in ("test", "expert")
        if name in by_split
    }
    of_targets = {
        name: {finding: by_finding[finding] for finding in target_findings}
        for name, by_finding in metrics.items()
    }
    summary = {
        name: summary_table(by_split[name], by_finding, margin, references)
        for name, by_finding in of_targets.items()
    }
    parts = _parts(split, draws, runs)
    of_subgroups = Resampling(subgroup_resamples, min_positive_patients, seed, threads)
    trained = run_table(predictions, runs, target_findings)
    by_name = of_targets["test"]
    if doses:
        by_name = compute_metrics(all_doses["test"], target_findings, resampling, label="worth")
    made = {
        "auc": tables.auc_table(by_split, metrics, target_findings),
        "summary": summary["test"],
        "overall": overall_table(of_targets["test"], margin, references),
        "expert": summary.get("expert", summary["test"].iloc[:0]),
        "curves": tables.curve_table(test, target_findings, seed),
        "subgroups": subgroup_table(
            test, target_findings, age_bands, of_subgroups, margin, references
        ),
        "calibration": tables.calibration_table(test, target_findings),
        "counts": tables.count_table(images, parts),
        "patients": tables.patient_table(images, parts, unreadable),
        "dose": dose_table(all_doses, doses, choices, target_findings, resampling, baseline),
        "runs": trained,
        "ceiling": share_table(of_targets["test"], references, ceiling),
        "worth": worth_table(by_name, doses_of_runs(trained, baseline), baseline),
        "sources": _sources([labels, split, rejected, *draws], predictions, runs),
    }
    for name, path in outputs.items():
        with written_whole(path) as temporary:
            made[name].to_csv(temporary, index=False, float_format="%.6g")


def _sources(files, predictions, runs):
    """Every file that the tables are made from, with its digest and, for predictions, its run."""
    blank = dict.fromkeys(RUN)
    rows = [{"path": str(path), "sha256": sha256(path), **blank} for path in files]
    rows += [
        {"path": str(path), "sha256": sha256(path), **{name: run[name] for name in RUN}}
        for path, run in zip(predictions, runs, strict=True)
    ]
    return pd.DataFrame(rows).astype({"draw": "Int64", "seed": "Int64"})


def _parts(split, draws, runs):
    """The parts of the data set that are counted: every fraction of every draw, and the rest."""
    fractions = sorted({float(run["fraction"]) for run in runs})
    parts = [
        ("train", fraction, number, fraction_patients(draw, fraction))
        for number, draw in enumerate(draws)
        for fraction in fractions
    ]
    patients = read_csv(split, ["patient", "split"], str).groupby("split")["patient"].agg(list)
    for split in (*JUDGED, RESERVED, UNUSED):
        if split in patients:
            parts.append((split, float("nan"), None, patients[split]))
    return parts
