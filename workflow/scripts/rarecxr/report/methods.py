"""What the page says about methods: paragraphs for a paper, and every setting."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from rarecxr.core.provenance import digest
from rarecxr.report import wording as words


def methods(
    settings: Mapping[str, Mapping],
    statistics: Mapping,
    summary: pd.DataFrame,
    tables: Mapping[str, pd.DataFrame],
    versions: Mapping[str, str],
) -> dict[str, list]:
    """Paragraphs for a paper as `paragraphs`, and every setting as (name, value) in `settings`.

    Args:
        settings: sections of the configuration, by name; `dataset`, `classifier`, `arms` and
            `gan` among them.
        statistics: settings of the statistics.
        summary: summary.csv.
        tables: the study's other tables by name, `counts` and `sources` among them.
        versions: of Python and of the packages that computed.
    """
    counts = tables["counts"]
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
        f"Images of {_source(dataset)} (views {plain(dataset['views'])}) were split by patient,"
        " before anything was trained:"
        f" {words.count(full['images'])} images of {words.count(full['patients'])} patients for"
        f" training, {parts}.{_thinned(dataset)} {_labels(dataset)} Training patients were drawn at"
        f" {', '.join(map(words.percent, sorted(summary['fraction'].unique())))}, each fraction"
        f" inside the larger ones ({words.plural(draws, 'draw')}).",
        f"Classifiers ({classifier['architecture']}, {_weights(classifier['weights'])},"
        f" {classifier['resolution']} pixels) were trained with a masked binary cross-entropy and"
        f" Adam (learning rate {classifier['learning_rate']:g}, {classifier['schedule']}; batches"
        f" of {classifier['batch_size']}; at most {words.plural(classifier['epochs'], 'epoch')})"
        f" with {words.plural(seeds, 'seed')} a draw in {words.plural(len(arms), 'arm')}"
        f" ({', '.join(arms)}). The epoch with the best mean AUROC of the target findings on the"
        " validation patients was kept.",
    ]
    recipes = {
        name: settings["arms"][name]["recipe"]
        for name in arms
        if settings["arms"].get(name, {}).get("recipe")
    }
    if recipes:
        paragraphs.append(
            "Synthetic images were drawn by progressively grown GANs (Karras et al. 2018;"
            f" {settings['gan']['resolution']} pixels, {settings['gan']['loss']} loss), which saw"
            " only the training patients of their fraction. One a finding, fraction and draw was"
            " fine-tuned from a base GAN of images without any target finding. Recipes of training"
            f" images: {', '.join(f'{recipe} in {name}' for name, recipe in recipes.items())}."
            f" {_kept(settings['gan'])} {_bank_size(settings['bank'])}"
            f"{_selected(settings['bank'])}"
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
        "Computed with"
        f" {', '.join(f'{name} {version}' for name, version in sorted(versions.items()))}."
        f" Seeds: {_seeds(settings, statistics)}; classifier runs numbered from 0. SHA-256 of all"
        f" settings: {digest({**settings, 'statistics': statistics})};"
        f" {_digests(tables['sources'])}. Digests of all files are listed with the results."
    )
    quoted = [
        (f"{section}.{name}" if isinstance(values, Mapping) else section, plain(value))
        for section, values in {**settings, "statistics": statistics}.items()
        for name, value in (values.items() if isinstance(values, Mapping) else [("", values)])
    ]
    return {"paragraphs": paragraphs, "settings": quoted}


_POLICIES = {
    "ones": "positive",
    "zeros": "negative",
    "no_finding": "negative where No Finding was labelled (Support Devices aside) and as unknown"
    " elsewhere",
    "ignore": "unknown",
}


def _source(dataset):
    if dataset.get("name"):
        return dataset["name"]
    return "digital phantoms" if dataset["root"] is None else "a data set in CheXpert's layout"


def _thinned(dataset):
    """Findings that were made rare."""
    return "".join(
        f" Of the training patients with {finding} {words.percent(100 * share)} were kept and the"
        " others left out with all their images; validation and test patients stayed as they were."
        for finding, share in (dataset.get("thin") or {}).items()
    )


def _labels(dataset):
    """What became of uncertain and blank labels."""
    rest = dict(dataset["uncertain"])
    default = _POLICIES[rest.pop("default")]
    others = "".join(f", of {name} as {_POLICIES[policy]}" for name, policy in rest.items())
    text = (
        f"Uncertain labels counted as {default}{others}, blank ones as"
        f" {_POLICIES[dataset['blank']]}."
    )
    if {"ignore", "no_finding"} & {*dataset["uncertain"].values(), dataset["blank"]}:
        text += " Unknown labels were left out of the loss and of every measure."
    return text


def _weights(weights):
    if weights is None:
        return "from random weights"
    return "pretrained on ImageNet" if weights == "imagenet" else "from weights of its own"


def _kept(gan):
    """Which networks of a training were kept."""
    watch = gan["evaluation"]
    if watch is None or watch["keep"] == "last":
        return "The last networks of each training were kept."
    return (
        "Of each training the networks with the lowest kernel inception distance were kept"
        f" (feature space {watch['space']}; to images of validation patients where there were"
        f" {watch['min_reference']}, else to training images)."
    )


def _selected(bank):
    """Which images did not enter the banks."""
    select = bank["select"] or {}
    left_out = []
    if select.get("copies") is not None:
        left_out.append(
            "those nearer to a training image than the percentile"
            f" {select['copies']:g} of the distances of real images to other patients'"
            f" (feature space {select['space']})"
        )
    if select.get("implausible"):
        left_out.append(
            f"the {words.percent(100 * select['implausible'])} in which a classifier of the"
            " fraction's real images saw the finding least"
        )
    return f" Left out were {' and '.join(left_out)}." if left_out else ""


def _bank_size(bank):
    """How many synthetic images a finding got."""
    if bank.get("number") is not None:
        return f"Synthetic images of a finding: {plain(bank['number'])}."
    ratio = bank["ratio"]
    if isinstance(ratio, list | tuple):
        return (
            f"Synthetic images for each real positive: one of {plain(ratio)}, chosen in every cell"
            " by the AUROC on validation patients."
        )
    return f"Synthetic images for each real positive: {plain(ratio)}."


def _seeds(settings, statistics):
    """As in: 1 for the split, 1 for the GANs and so on."""
    seeds = [
        (settings.get(section, {}).get("seed"), what)
        for section, what in (
            ("dataset", "the split and the draws"),
            ("gan", "the GANs"),
            ("bank", "the banks"),
        )
    ]
    seeds.append((statistics["seed"], "the resamples"))
    return ", ".join(f"{seed} for {what}" for seed, what in seeds if seed is not None)


def _digests(sources):
    """The digests of the labels and of the split."""
    names = {"labels.parquet": "of the labels", "split.csv": "of the split of the patients"}
    found = {Path(row.path).name: row.sha256 for row in sources.itertuples()}
    return ", ".join(f"{what} {found[name]}" for name, what in names.items() if name in found)


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
    return f"{value:g}" if isinstance(value, float) else str(value)
