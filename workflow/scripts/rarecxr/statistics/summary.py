"""One row a cell and arm: means over runs, intervals, changes, verdicts; also in subgroups."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from rarecxr.statistics import decisions
from rarecxr.statistics.auroc import Ranking, auroc, average_precision, brier
from rarecxr.statistics.bootstrap import Estimate, Group, estimate, replicates
from rarecxr.statistics.calibration import expected_calibration_error, reliability
from rarecxr.statistics.delong import difference
from rarecxr.statistics.predictions import Scores, arms_of, label_counts

MEASURES = ("auc", "auprc", "brier")
# Arms that every other one is compared with, and the ending of the columns that say how.
BASELINES = {"none": "", "oversample": "_oversample"}
CHANGE = ("low", "high", "p", "p_holm", "p_equivalence", "p_equivalence_holm", "detectable")


def summary_table(
    scores: Scores,
    findings: Sequence[str],
    resamples: int,
    margin: float,
    min_positive_patients: int,
    seed: int,
    threads: int,
    label: str = "",
) -> pd.DataFrame:
    """One row a cell and arm: means over runs, intervals, changes against the baselines, verdicts.

    Args:
        scores: the runs' scores on one split.
        findings: the target findings.
        resamples: number of resamples of the patients.
        margin: smallest difference of AUROCs that matters.
        min_positive_patients: a finding with fewer patients of either class gets no interval.
        seed: seed of the resamples.
        threads: rankings that are measured at a time.
        label: what the progress bar says.

    Returns:
        See docs/report.md, summary.csv.
    """
    measured = [
        finding
        for finding in findings
        if _measurable(label_counts(scores.images, finding), min_positive_patients)
    ]
    resampled = _resample(scores, measured, resamples, seed, threads, label)
    rows = []
    for finding in findings:
        for fraction, arms in arms_of(scores.runs):
            rows += _cell(scores, finding, fraction, arms, resampled.get(finding), margin, seed)
            too_few = _too_few(label_counts(scores.images, finding), min_positive_patients)
            for row in rows[len(rows) - len(arms) :]:
                for baseline, ending in BASELINES.items():
                    if too_few and _compared(row["arm"], baseline, arms):
                        row[f"verdict{ending}"] = too_few
    table = pd.DataFrame(rows)
    for ending in BASELINES.values():
        _decide(table, ending, margin)
    return table[_summary_columns()]


def _summary_columns():
    changes = [
        [f"change{end}", *(f"change{end}_{name}" for name in CHANGE), f"verdict{end}"]
        for end in BASELINES.values()
    ]
    return [
        *("finding", "fraction", "arm", "draws", "seeds", "interval_over"),
        *("n_positive", "n_negative", "n_positive_patients", "n_negative_patients", "prevalence"),
        *(f"{name}{end}" for name in MEASURES for end in ("", "_low", "_high")),
        *("auc_se", "auc_se_patients", "auc_sd_runs", "ece"),
        *changes[0],
        "change_p_delong",
        *changes[1],
    ]


def _cell(scores, finding, fraction, arms, resampled, margin, seed):
    """Rows of one cell, one an arm, without what depends on the other cells."""
    labels = scores.images[finding].to_numpy()
    known = ~np.isnan(labels)
    counts = label_counts(scores.images, finding)
    informative = min(counts["n_positive_patients"], counts["n_negative_patients"])
    values = {
        arm: np.array(
            [
                [measure(labels[known], run[known]) for run in scores.of[finding][chosen]]
                for measure in (auroc, average_precision, brier)
            ]
        )
        if known.any()
        else np.full((3, len(chosen)), np.nan)
        for arm, chosen in arms.items()
    }
    rows = []
    for arm, chosen in arms.items():
        runs = scores.runs.iloc[chosen]
        row = dict.fromkeys(_summary_columns(), np.nan) | counts
        row |= {"finding": finding, "fraction": fraction, "arm": arm}
        row |= {"draws": runs["draw"].nunique(), "seeds": runs["seed"].nunique()}
        row |= {"interval_over": "", "verdict": "", "verdict_oversample": ""}
        row["prevalence"] = counts["n_positive"] / max(known.sum(), 1)
        row |= dict(zip(MEASURES, values[arm].mean(axis=1), strict=True))
        row["auc_sd_runs"] = np.std(values[arm][0], ddof=1) if len(chosen) > 1 else np.nan
        if known.any():
            row["ece"] = np.mean(
                [
                    expected_calibration_error(reliability(labels[known], run[known]))
                    for run in scores.of[finding][chosen]
                ]
            )
        if resampled is not None:
            row["interval_over"] = _over(runs)
            for number, name in enumerate(MEASURES):
                group = _groups(runs, values[arm][number], resampled[number][:, chosen])
                found = estimate(group, informative, seed)
                row[f"{name}_low"], row[f"{name}_high"] = found.interval_of_share()
                if name == "auc":
                    row["auc_se"], row["auc_se_patients"] = found.se, found.se_patients
        for baseline, ending in BASELINES.items():
            if not _compared(arm, baseline, arms):
                continue
            row[f"change{ending}"] = row["auc"] - values[baseline][0].mean()
            if resampled is None:
                continue
            other = arms[baseline]
            groups = _groups(
                runs,
                values[arm][0],
                resampled[0][:, chosen],
                (scores.runs.iloc[other], values[baseline][0], resampled[0][:, other]),
            )
            row |= _change(estimate(groups, informative, seed), ending, margin)
            if baseline == "none" and len(chosen) == len(other) == 1:
                both = scores.of[finding][[chosen[0], other[0]]][:, known]
                _, _, row["change_p_delong"] = difference(
                    labels[known], both, scores.patients[known]
                )
        rows.append(row)
    return rows


def _compared(arm, baseline, arms):
    """Whether an arm is compared with a baseline; `none` itself is compared with nothing."""
    return baseline in arms and arm not in (baseline, "none")


def _change(found: Estimate, ending, margin):
    low, high = found.interval()
    at = (found.value, found.se, found.df)
    return {
        f"change{ending}_low": low,
        f"change{ending}_high": high,
        f"change{ending}_p": decisions.p_difference(*at),
        f"change{ending}_p_equivalence": decisions.p_equivalence(*at, margin),
        f"change{ending}_detectable": decisions.detectable(found.se, found.df),
    }


def _decide(table, ending, margin):
    """Correct the p-values of each arm over its cells, and name the verdicts, in place."""
    for _, rows in table.groupby("arm", sort=False).groups.items():
        for name in ("p", "p_equivalence"):
            corrected = decisions.holm(table.loc[rows, f"change{ending}_{name}"])
            table.loc[rows, f"change{ending}_{name}_holm"] = corrected
    for row in table.index[table[f"change{ending}_low"].notna()]:
        columns = [f"change{ending}{end}" for end in ("", "_p_holm", "_p_equivalence_holm")]
        table.loc[row, f"verdict{ending}"] = decisions.verdict(*table.loc[row, columns])


def _groups(runs, values, resampled, baseline=None) -> list[Group]:
    """An arm's runs, or two arms' to be compared, as independent repetitions.

    With several draws a repetition is a draw, whose seeds are averaged; the draw's patients are
    the same in both arms, so arms are compared draw by draw. With one draw it is a seed, and
    seeds of different arms have nothing in common.
    """
    arms = [(runs, values, resampled)] + ([baseline] if baseline else [])
    if runs["draw"].nunique() > 1:
        by_draw = []
        for table, single, moved in arms:
            draws = table["draw"].to_numpy()
            each = [draws == draw for draw in np.unique(draws)]
            by_draw.append(
                Group(
                    np.array([single[chosen].mean() for chosen in each]),
                    np.stack([moved[:, chosen].mean(axis=1) for chosen in each], axis=1),
                )
            )
        if baseline:
            arm, other = by_draw
            return [Group(arm.values - other.values, arm.replicates - other.replicates)]
        return by_draw
    signs = (1, -1)
    return [
        Group(single, moved, sign) for (_, single, moved), sign in zip(arms, signs, strict=False)
    ]


def _over(runs):
    if runs["draw"].nunique() > 1:
        return "patients and draws"
    return "patients and seeds" if runs["seed"].nunique() > 1 else "patients"


def subgroup_table(
    scores: Scores,
    findings: Sequence[str],
    age_bands: Sequence[int],
    resamples: int,
    min_positive_patients: int,
    seed: int,
    threads: int,
) -> pd.DataFrame:
    """One row a cell, arm and subgroup: AUROC with interval, and change against `none`.

    Args:
        scores: the runs' scores on the test split.
        findings: the target findings.
        age_bands: ages in years where a new band begins.
        resamples: number of resamples of the patients.
        min_positive_patients: a subgroup with fewer patients of either class gets no interval.
        seed: seed of the resamples.
        threads: rankings that are measured at a time.

    Returns:
        See docs/report.md, subgroups.csv. Changes are exploratory: no p-values.
    """
    rows = []
    for kind, name, chosen in subgroups(scores.images, age_bands):
        part = Scores(
            images=scores.images[chosen],
            patients=scores.patients[chosen],
            n_patients=scores.n_patients,
            runs=scores.runs,
            of={finding: scores.of[finding][:, chosen] for finding in findings},
        )
        table = summary_table(
            part,
            findings,
            resamples,
            margin=1.0,
            min_positive_patients=min_positive_patients,
            seed=seed,
            threads=threads,
            label=f"{kind} {name}",
        )
        table.insert(0, "subgroup", name)
        table.insert(0, "kind", kind)
        rows.append(table)
    table = pd.concat(rows, ignore_index=True)
    return table[
        [
            *("kind", "subgroup", "finding", "fraction", "arm", "interval_over", "n_positive"),
            *("n_negative", "n_positive_patients", "n_negative_patients", "prevalence"),
            *("auc", "auc_low", "auc_high", "change", "change_low", "change_high"),
        ]
    ]


def subgroups(images: pd.DataFrame, age_bands: Sequence[int]) -> Iterator[tuple]:
    """Kind, name and (N,) mask of every subgroup that holds images: sex, age band, view."""
    for sex in ("Female", "Male", "Unknown"):
        yield from _unless_empty("sex", sex, images["sex"] == sex)
    edges = [-np.inf, *age_bands, np.inf]
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        below = f"below {high}" if np.isinf(low) else f"{low} to {high - 1}"
        name = f"{low} and above" if np.isinf(high) else below
        yield from _unless_empty("age", name, (images["age"] >= low) & (images["age"] < high))
    for view in sorted(images["view"].unique()):
        yield from _unless_empty("view", view, images["view"] == view)


def _unless_empty(kind, name, chosen):
    if chosen.any():
        yield kind, name, chosen.to_numpy()


def _resample(scores, findings, resamples, seed, threads, label):
    """For each finding the (3, B, R) measures of all runs in each resample of the patients."""
    rankings = [
        Ranking.of(scores.images[finding].to_numpy(), run, scores.patients, scores.n_patients)
        for finding in findings
        for run in scores.of[finding]
    ]
    if not rankings:
        return {}
    moved = replicates(rankings, scores.n_patients, resamples, seed, threads, label)
    parts = np.split(moved, len(findings), axis=2)
    return dict(zip(findings, parts, strict=True))


def _measurable(counts, at_least):
    return min(counts["n_positive_patients"], counts["n_negative_patients"]) >= at_least


def _too_few(counts, at_least):
    if counts["n_positive_patients"] < at_least:
        return decisions.TOO_FEW_POSITIVES
    return decisions.TOO_FEW_NEGATIVES if counts["n_negative_patients"] < at_least else ""
