"""What the page says about methods: paragraphs for a paper, and every setting."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from rarecxr.provenance import digest
from rarecxr.report import words


def methods(
    settings: Mapping[str, Mapping],
    statistics: Mapping,
    summary: pd.DataFrame,
    counts: pd.DataFrame,
) -> dict[str, list]:
    """Paragraphs for a paper as `paragraphs`, and every setting as (name, value) in `settings`.

    Args:
        settings: sections of the configuration, by name; `dataset`, `classifier`, `arms` and
            `gan` among them.
        statistics: settings of the statistics.
        summary: summary.csv.
        counts: counts.csv.
    """
    dataset, classifier = settings["dataset"], settings["classifier"]
    draws, seeds = int(summary["draws"].max()), int(summary["seeds"].max())
    sizes = counts.drop_duplicates(["split", "fraction", "draw"]).set_index("split")
    full = sizes.loc[["train"]].sort_values("images").iloc[-1]
    parts = ", ".join(
        f"{words.count(sizes.at[name, 'images'])} {label} of"
        f" {words.count(sizes.at[name, 'patients'])} patients"
        for name, label in (("val", "for validation"), ("test", "for testing"))
        if name in sizes.index
    )
    arms = list(dict.fromkeys(summary["arm"]))
    paragraphs = [
        f"Views ({plain(dataset['views'])}) were split by patient, before anything was trained:"
        f" {words.count(full['images'])} images of {words.count(full['patients'])} patients for"
        f" training, {parts}. Uncertain labels were handled as {plain(dataset['uncertain'])},"
        f" blank ones as {plain(dataset['blank'])}; what is ignored was left out of the loss and"
        " of every measure. Training patients were drawn at"
        f" {', '.join(map(words.percent, sorted(summary['fraction'].unique())))}, each fraction"
        f" inside the larger ones ({words.plural(draws, 'draw')}).",
        f"Classifiers ({classifier['architecture']}) were trained with"
        f" {words.plural(seeds, 'seed')} a draw in {words.plural(len(arms), 'arm')}"
        f" ({', '.join(arms)}), and their epoch was chosen on validation patients.",
    ]
    recipes = {
        name: settings["arms"][name]["recipe"]
        for name in arms
        if settings["arms"].get(name, {}).get("recipe")
    }
    if recipes:
        paragraphs.append(
            "Synthetic images were drawn by progressively grown GANs"
            f" ({settings['gan']['resolution']} pixels), one a finding, fraction and draw, which"
            " saw only the training patients of that fraction. Recipes of training images:"
            f" {', '.join(f'{recipe} in {name}' for name, recipe in recipes.items())}."
        )
    paragraphs.append(
        "AUROC, AUPRC and Brier score were computed for every run and averaged. Standard errors"
        f" come from {words.count(statistics['resamples'])} bootstrap resamples of the test"
        f" patients, with all their images and the same for all arms{_over_runs(draws, seeds)};"
        " 95 % intervals and two-sided p-values from Student's t, with degrees of"
        " freedom as in studies of many readers and cases (Obuchowski and Rockette 1995; Hillis"
        " 2007). p-values of an arm were corrected for the number of cells by Holm's method;"
        " equivalence was tested by two one-sided tests, corrected alike, with a margin of"
        f" {words.share(statistics['margin'])}. Cells with fewer than"
        f" {statistics['min_positive_patients']} positive test patients have no interval."
    )
    paragraphs.append(
        f"Seeds: {dataset['seed']} for the split, {statistics['seed']} for the resamples, runs"
        " numbered from 0. Digest of all settings:"
        f" {digest({**settings, 'statistics': statistics})}. Digests of all files stand below."
    )
    quoted = [
        (f"{section}.{name}" if isinstance(values, Mapping) else section, plain(value))
        for section, values in {**settings, "statistics": statistics}.items()
        for name, value in (values.items() if isinstance(values, Mapping) else [("", values)])
    ]
    return {"paragraphs": paragraphs, "settings": quoted}


def _over_runs(draws, seeds):
    if draws * seeds == 1:
        return ", and leave out that another run would have gone another way"
    return f", together with resamples of the {'draws' if draws > 1 else 'seeds'}"


def plain(value: Any) -> str:
    """A setting in words: lists with commas, sections as name: value."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {plain(part)}" for name, part in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(plain(part) for part in value) or "none"
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return str(value)
