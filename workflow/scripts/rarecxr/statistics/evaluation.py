"""From the predictions of all runs to the tables of the report."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from rarecxr.classifier import prediction_file
from rarecxr.classifier.prediction_file import EXTERNAL
from rarecxr.core.files import sha256, written_whole
from rarecxr.core.tables import read_csv
from rarecxr.data.index_columns import label_columns
from rarecxr.data.split import JUDGED, RESERVED, UNUSED, fraction_patients
from rarecxr.data.study_files import ExternalFiles, StudyFiles
from rarecxr.statistics import tables
from rarecxr.statistics.ceiling import doses_of_runs, share_table, worth_table
from rarecxr.statistics.design import Design
from rarecxr.statistics.dose_response import choose_doses, dose_table
from rarecxr.statistics.finding_metrics import Resampling, compute_metrics
from rarecxr.statistics.predictions import (
    RUN,
    Predictions,
    check_runs,
    read_external_labels,
    read_labels,
    read_predictions,
)
from rarecxr.statistics.run_table import run_table
from rarecxr.statistics.subgroups import subgroup_table
from rarecxr.statistics.summary import overall_table, summary_table
from rarecxr.statistics.test_sets import by_set, set_of, split_of
from rarecxr.study.configuration.statistics import StatisticsSettings

log = logging.getLogger(__name__)

Paths = Sequence[str | Path]


def evaluate(
    files: StudyFiles,
    predictions: Paths,
    outputs: Mapping[str, str | Path],
    design: Design,
    settings: StatisticsSettings,
    threads: int = 1,
    external: Sequence[ExternalFiles] = (),
) -> None:
    """Evaluate all runs of a study and write the tables that docs/report.md describes.

    Args:
        files: labels, split and draws.
        predictions: predictions.parquet of every run, in the order of the design's runs.
        outputs: where to write auc, summary, overall, expert, external, external_overall,
            external_subgroups, curves, subgroups, calibration, counts, patients, sources, runs,
            dose, ceiling and worth.
        design: what is compared.
        settings: how intervals and verdicts are made.
        threads: number of threads; results do not depend on it.
        external: the external test sets, with predictions in the order of the design's runs.

    Raises:
        ValueError: predictions that do not fit the labels, the split or each other.
    """
    images = read_labels(files.labels, files.split)
    # The classifier may have fewer outputs than there are labels, but all runs have the same.
    predicted = prediction_file.read_predictions(predictions[0]).columns
    labels = label_columns(images.columns)
    findings = [name for name in labels if name in predicted or name in design.target_findings]
    all_doses = read_predictions(images, predictions, design.runs, findings)
    if "test" not in all_doses:
        raise ValueError(f"{files.split}: no test patient has an image; raise dataset.test_percent")
    test = all_doses["test"]
    check_runs(test.runs)
    log.info(
        "%d runs on %d test images of %d patients",
        len(test.runs),
        len(test.images),
        test.n_patients,
    )
    of_sets = {split_of(one.name): read_external_labels(one.labels) for one in external}
    for one, (split, labelled) in zip(external, of_sets.items(), strict=True):
        there = [name for name in findings if name in labelled]
        all_doses |= {
            split: read_predictions(
                labelled, one.predictions, design.runs, there, [EXTERNAL], known=labels
            )[EXTERNAL]
        }
        log.info("%s: %d images of %d patients", split, len(labelled), all_doses[split].n_patients)
    made = {
        **_tables_of_runs(all_doses, findings, design, settings, threads, predictions),
        **_tables_of_patients(files, images, findings, design.runs, external, of_sets),
        "sources": _sources(files, predictions, design.runs, external),
    }
    for name, path in outputs.items():
        with written_whole(path) as temporary:
            made[name].to_csv(temporary, index=False, float_format="%.6g")


def _tables_of_runs(
    all_doses: Mapping[str, Predictions],
    findings: Sequence[str],
    design: Design,
    settings: StatisticsSettings,
    threads: int,
    predictions: Paths,
) -> dict[str, pd.DataFrame]:
    """The tables of what the runs predicted, by name; of several doses the chosen one stands."""
    targets, references, margin = design.target_findings, design.references, settings.margin
    least, seed = settings.min_positive_patients, settings.seed
    resampling = Resampling(settings.resamples, least, seed, threads)
    of_subgroups = Resampling(settings.subgroup_resamples, least, seed, threads)
    by_split, choices = choose_doses(all_doses, design.doses, targets)
    for choice in choices.itertuples():
        log.info("%s at %g %%, %s: dose %g", *choice[1:5])
    test = by_split["test"]
    # An external test set may lack findings.
    metrics = {
        name: compute_metrics(
            part, [f for f in findings if f in part.logits], resampling, targets, name
        )
        for name, part in by_split.items()
        if name != "val"
    }
    of_targets = {
        name: {finding: by_finding[finding] for finding in targets if finding in by_finding}
        for name, by_finding in metrics.items()
    }
    external = [name for name in by_split if set_of(name)]
    summary = {
        name: summary_table(by_split[name], by_finding, margin, references)
        for name, by_finding in of_targets.items()
    }
    overall = overall_table(of_targets["test"], margin, references)
    subgroups = subgroup_table(test, targets, settings.age_bands, of_subgroups, margin, references)
    trained = run_table(predictions, design.runs, targets)
    by_name = of_targets["test"]
    if design.doses:
        by_name = compute_metrics(all_doses["test"], targets, resampling, label="worth")
    worth = worth_table(by_name, doses_of_runs(trained, design.baseline), design.baseline)
    return {
        "auc": tables.auc_table(by_split, metrics, targets),
        "summary": summary["test"],
        "overall": overall,
        "expert": summary.get("expert", summary["test"].iloc[:0]),
        "external": by_set({name: summary[name] for name in external}, summary["test"]),
        "external_overall": by_set(
            {name: overall_table(of_targets[name], margin, references) for name in external},
            overall,
        ),
        "external_subgroups": by_set(
            {
                name: subgroup_table(
                    by_split[name],
                    list(of_targets[name]),
                    settings.age_bands,
                    of_subgroups,
                    margin,
                    references,
                )
                for name in external
            },
            subgroups,
        ),
        "curves": tables.curve_table(test, targets, seed),
        "subgroups": subgroups,
        "calibration": tables.calibration_table(test, targets),
        "dose": dose_table(all_doses, design.doses, choices, targets, resampling, design.baseline),
        "runs": trained,
        "ceiling": share_table(of_targets["test"], references, design.ceiling),
        "worth": worth,
    }


def _tables_of_patients(
    files: StudyFiles,
    images: pd.DataFrame,
    findings: Sequence[str],
    runs: Sequence[Mapping[str, Any]],
    external: Sequence[ExternalFiles],
    of_sets: Mapping[str, pd.DataFrame],
) -> dict[str, pd.DataFrame]:
    """The tables of who is in the study, by name."""
    parts = _parts(files, runs)
    counts = [tables.count_table(images, parts, findings)]
    patients = [tables.patient_table(images, parts, _unreadable(files))]
    for one, (split, labelled) in zip(external, of_sets.items(), strict=True):
        whole = [(split, float("nan"), None, labelled["patient"].unique())]
        there = [name for name in findings if name in labelled]
        counts.append(tables.count_table(labelled, whole, there))
        patients.append(tables.patient_table(labelled, whole, _unreadable(one)))
    of_patients = pd.concat(patients, ignore_index=True)
    # A data set without images of a view has none.
    views = [name for name in of_patients if name.startswith("n_")]
    of_patients[views] = of_patients[views].fillna(0).astype(int)
    return {"counts": pd.concat(counts, ignore_index=True), "patients": of_patients}


def _unreadable(files: StudyFiles | ExternalFiles) -> pd.Series:
    """The patient of each image that could not be read."""
    return read_csv(files.rejected, ["patient"], str)["patient"]


def _sources(files, predictions, runs, external):
    """Every file that the tables are made from, with its digest and, for predictions, its run."""
    blank = dict.fromkeys(RUN)
    whole = [files.labels, files.split, files.rejected, *files.draws]
    whole += [path for one in external for path in (one.labels, one.rejected)]
    rows = [{"path": str(path), "sha256": sha256(path), **blank} for path in whole]
    rows += [
        {"path": str(path), "sha256": sha256(path), **{name: run[name] for name in RUN}}
        for of_runs in (predictions, *(one.predictions for one in external))
        for path, run in zip(of_runs, runs, strict=True)
    ]
    return pd.DataFrame(rows).astype({"draw": "Int64", "seed": "Int64"})


def _parts(files, runs):
    """The parts of the data set that are counted: every fraction of every draw, and the rest."""
    fractions = sorted({float(run["fraction"]) for run in runs})
    parts = [
        ("train", fraction, number, fraction_patients(draw, fraction))
        for number, draw in enumerate(files.draws)
        for fraction in fractions
    ]
    patients = read_csv(files.split, ["patient", "split"], str)
    patients = patients.groupby("split")["patient"].agg(list)
    for split in (*JUDGED, RESERVED, UNUSED):
        if split in patients:
            parts.append((split, float("nan"), None, patients[split]))
    return parts
