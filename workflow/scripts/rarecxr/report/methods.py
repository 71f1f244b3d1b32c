"""What the page says about methods: paragraphs for a paper, and every setting."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from rarecxr.core.provenance import digest
from rarecxr.report import wording as words
from rarecxr.statistics.comparisons import References
from rarecxr.statistics.test_sets import set_of, split_of
from rarecxr.study.headline import recipes_of
from rarecxr.study.recipes import CONDITIONAL, PAIRED


def methods(
    settings: Mapping[str, Mapping[str, Any]],
    references: References,
    summary: pd.DataFrame,
    tables: Mapping[str, pd.DataFrame],
    versions: Mapping[str, str],
) -> dict[str, list]:
    """Paragraphs for a paper as `paragraphs`, and every setting as (name, value) in `settings`.

    Args:
        settings: sections of the configuration, by name; arms, bank, classifier, dataset, gan,
            recipes and report among them. The dataset's may have `about`, what there is to say
            about labels and patients of such data, which is no setting.
        references: the arms that the others are compared with.
        summary: summary.csv.
        tables: the study's other tables by name, counts, patients, runs and sources among them.
        versions: of Python and of the packages used, by name.
    """
    arms = list(dict.fromkeys(summary["arm"]))
    draws, seeds = int(summary["draws"].max()), int(summary["seeds"].max())
    statistics = settings["report"]["statistics"]
    paragraphs = [
        _data(settings["dataset"], summary, tables, draws),
        _classifiers(settings["classifier"], arms, seeds)
        + "".join(
            _ways_of_training(settings["classifier"], settings["arms"], arms, tables["runs"])
        ),
    ]
    recipes = recipes_of(arms, settings["arms"])
    if recipes:
        paragraphs.append(_gans(settings, recipes))
    paragraphs += [
        _evaluation(statistics, references, draws, seeds),
        *_external(settings["dataset"], tables),
        f"Software: {', '.join(f'{name} {version}' for name, version in sorted(versions.items()))}."
        f" Seeds: {_seeds(settings, statistics)}; classifier runs are numbered from 0. SHA-256"
        f" digests: of all settings {digest(settings)}, {_digests(tables['sources'])}. Those of all"
        " files are listed with the results.",
    ]
    quoted = [
        (f"{section}.{name}" if isinstance(values, Mapping) else section, plain(value))
        for section, values in settings.items()
        for name, value in (values.items() if isinstance(values, Mapping) else [("", values)])
        if (section, name) != ("dataset", "about")
    ]
    return {"paragraphs": paragraphs, "settings": quoted}


def _data(dataset, summary, tables, draws):
    counts = tables["counts"]
    sizes = counts.drop_duplicates(["split", "fraction", "draw"]).set_index("split")
    full = sizes.loc[["train"]].sort_values("images").iloc[-1]
    parts = [(full, "training")]
    parts += [
        (sizes.loc[[name]].iloc[0], what)
        for name, what in (("val", "validation"), ("test", "testing"))
        if name in sizes.index
    ]
    shared_out = ", ".join(
        f"{words.plural(part['images'], 'image')} of {words.plural(part['patients'], 'patient')}"
        f" for {what}"
        for part, what in parts
    )
    fractions = ", ".join(map(words.percent, sorted(summary["fraction"].unique())))
    return (
        f"Images of {_source(dataset)} (views {plain(dataset['views'])}) were split by"
        f" patient{_as_published(dataset)} before any training: {shared_out}."
        f"{_unreadable(tables['patients'])}{_thinned(dataset)}{_about(dataset)} {_labels(dataset)}"
        f" Of the training patients, nested random fractions of {fractions} were used"
        f" ({words.plural(draws, 'draw')})."
    )


def _external(dataset, tables):
    """A paragraph for each external test set."""
    counts, patients = tables["counts"], tables["patients"]
    targets = list(dict.fromkeys(tables["external"]["finding"]))
    for name in dict.fromkeys(tables["external"]["set"]):
        own = dataset.get("external", {}).get(name, {})
        of_set = counts[counts["split"] == split_of(name)].set_index("finding")
        size = of_set.iloc[0]
        positives = ", ".join(
            f"{words.plural(of_set.at[f, 'n_positive'], 'image')} of"
            f" {words.plural(of_set.at[f, 'n_positive_patients'], 'patient')} with {f}"
            f"{_called(own, f)}"
            for f in targets
            if f in of_set.index
        )
        policies = {key: own.get(key) or dataset[key] for key in ("uncertain", "blank")}
        if isinstance(policies["uncertain"], str):
            policies["uncertain"] = {"default": policies["uncertain"]}
        unreadable = int(patients.loc[patients["split"] == split_of(name), "n_unreadable"].sum())
        left_out = (
            f" {words.plural(unreadable, 'image')} could not be decoded." if unreadable else ""
        )
        which = (
            "the images of the publisher's test patients" if own.get("images") == "test" else "all"
        )
        yield (
            f"External test set {own.get('name') or name} (views"
            f" {plain(own.get('views') or dataset['views'])}; {which}):"
            f" {words.plural(size['images'], 'image')} of"
            f" {words.plural(size['patients'], 'patient')}, {positives}.{left_out}"
            f" {_labels(policies)} Every classifier predicted these images once it was trained."
            " None of them was used for training, validation or any choice, which was verified by"
            " digests of files and pixels. Statistics are those of the study's own test set, with"
            " resamples of this set's patients and corrections for its cells. Terms of use:"
            f" {own.get('terms') or 'not stated'}"
        )


def _called(own, finding):
    """What an external test set calls a finding, where it is another name."""
    names = own.get("labels", {}).get(finding) or finding
    names = [names] if isinstance(names, str) else names
    return "" if list(names) == [finding] else f" (there {' or '.join(names)})"


def _unreadable(patients):
    """Images of the whole data set that could not be decoded."""
    patients = patients[~patients["split"].map(set_of).astype(bool)]
    whole = patients.sort_values("fraction").drop_duplicates("split", keep="last")
    number = int(whole["n_unreadable"].sum())
    if not number:
        return ""
    return f" {words.plural(number, 'image')} could not be decoded and took no part."


def _classifiers(classifier, arms, seeds):
    return (
        f"Classifiers ({classifier['architecture']}, {_weights(classifier['weights'])}; input of"
        f" {classifier['resolution']} × {classifier['resolution']} pixels) were trained with a"
        " masked binary cross-entropy loss and Adam (learning rate"
        f" {classifier['learning_rate']:g}, {classifier['schedule']} schedule; batch size"
        f" {classifier['batch_size']}; at most {words.plural(classifier['epochs'], 'epoch')}), with"
        f" {words.plural(seeds, 'seed')} per draw, in {words.plural(len(arms), 'arm')}"
        f" ({', '.join(arms)}). The epoch with the highest mean AUROC of the target findings on the"
        " validation patients was kept."
    )


def _ways_of_training(classifier, definitions, arms, runs):
    """A sentence on each way of training that is not the usual one."""
    if classifier["weight_ema"] is not None:
        yield (
            " Validated, kept and tested were exponential moving averages of the weights, with a"
            f" half-life of {words.count(classifier['weight_ema'])} images."
        )
    if classifier["batch_norm"] == "real":
        yield (
            " After training the running statistics of batch normalization were estimated anew from"
            " the real training images."
        )
    weights = {arm: definitions[arm].get("loss_weight", 1) for arm in arms if arm in definitions}
    weighted = [f"{weight:g} in arm {arm}" for arm, weight in weights.items() if weight != 1]
    if weighted:
        yield f" Labels of added images had a weight in the loss of {', '.join(weighted)}."
    unlabelled = [arm for arm in weights if definitions[arm].get("unlabelled")]
    if unlabelled:
        images = int(runs["unlabelled_images"].max())
        yield _self_supervised(classifier["self_supervised"], unlabelled, images)
    alone = [arm for arm in weights if not definitions[arm].get("real", True)]
    if alone:
        yield f" In {_listed('arm', alone)} synthetic images alone were trained on."


def _self_supervised(settings, arms, images):
    return (
        f" In {_listed('arm', arms)} the network was first pretrained by self-supervision (SimCLR;"
        f" Chen et al. 2020) on the {words.plural(images, 'image')} of all training patients,"
        f" without their labels ({words.plural(settings['epochs'], 'epoch')}; batch size"
        f" {settings['batch_size']}; temperature {settings['temperature']:g}; one network per"
        " seed), and then trained as in all other arms. There a fraction is one of labelled"
        " patients."
    )


_FROM_NEGATIVES = (
    "a base GAN, which was trained on the fraction's images without any target finding."
)
_FROM_UNLABELLED = (
    "one GAN, which was trained on the images of all training patients without their labels; so was"
    " a base GAN, on the fraction's images without any target finding. A fraction is thus one of"
    " labelled patients: arms with synthetic images owe something to unlabelled images, too."
)


def _gans(settings, recipes):
    loss = settings["gan"]["loss"]
    own = {name: recipe for name, recipe in recipes.items() if recipe != CONDITIONAL}
    unlabelled = settings["gan"]["base_images"] == "training"
    parts = [
        "Synthetic images were generated by progressively grown GANs (Karras et al. 2018;"
        f" {settings['gan']['resolution']} × {settings['gan']['resolution']} pixels,"
        f" {_LOSSES.get(loss, loss)}), each trained on training patients"
        f" {'alone' if unlabelled else 'of its fraction alone'}."
    ]
    if own:
        parts.append(
            "For each finding, fraction and draw a GAN was fine-tuned from"
            f" {_FROM_UNLABELLED if unlabelled else _FROM_NEGATIVES} Images that the fine-tuned"
            f" GANs were trained on: {'; '.join(_trained_on(settings, own))}."
        )
    if len(own) < len(recipes):
        arms = [name for name, recipe in recipes.items() if recipe == CONDITIONAL]
        parts.append(
            f"In {_listed('arm', arms)} the images of all findings come from one GAN per fraction"
            " and draw, which was trained on all images and conditioned on their labels."
        )
    pairs = [name for name in own if settings["arms"].get(name, {}).get("negatives") == PAIRED]
    if pairs:
        parts.append(
            f"In {_listed('arm', pairs)} each synthetic positive has a synthetic negative from the"
            " same latent vector, drawn by the base GAN: about the same anatomy without the"
            " finding (Wu et al. 2022)."
        )
    selected = _selected(settings["bank"])
    return " ".join([*parts, _kept(settings["gan"]), _bank_size(settings["bank"])]) + selected


def _trained_on(settings, recipes):
    """For each recipe: the arms with it, and what its GANs were trained on."""
    for recipe in dict.fromkeys(recipes.values()):
        arms = [name for name, of_arm in recipes.items() if of_arm == recipe]
        kinds = settings["recipes"].get(recipe) or []
        copies = f" and their copies under the filters {', '.join(kinds)}" if kinds else ""
        yield f"in {_listed('arm', arms)}, the real positives{copies} (recipe {recipe})"


def _listed(noun, names):
    return f"{noun}{'s' if len(names) > 1 else ''} {', '.join(names)}"


def _evaluation(statistics, references, draws, seeds):
    compared = f"arm {references.baseline}"
    if references.control is not None:
        compared += f" and with arm {references.control}"
    if draws * seeds == 1:
        runs = (
            " As there is one run per arm, they cover the choice of test patients and not the"
            " variation between training runs."
        )
    else:
        runs = (
            f" They include the variation between {'draws' if draws > 1 else 'seeds'} (Obuchowski"
            " and Rockette 1995), with the degrees of freedom of Hillis (2007)."
        )
    return (
        "AUROC, AUPRC and Brier score were computed for every run and averaged over runs. Standard"
        f" errors come from {words.count(statistics['resamples'])} bootstrap resamples of the test"
        " patients with all their images, the same for all arms; 95 % intervals and two-sided"
        f" p-values from Student's t distribution.{runs} The AUROC of each arm was compared with"
        f" {compared}. p-values were corrected by Holm's method for the number of cells (finding"
        " and fraction) of an arm. Equivalence was tested by two one-sided tests with a margin of"
        f" {words.share(statistics['margin'])}, with the same correction. Cells with fewer than"
        f" {statistics['min_positive_patients']} positive test patients have no interval and no"
        " test."
    )


_LOSSES = {"r1": "non-saturating loss with R1 penalty", "wgan-gp": "WGAN-GP loss"}
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
    if dataset["root"] is None:
        return "digital phantoms"
    layout = {"chexpert": "in CheXpert's layout", "table": "with a table of its own"}
    return f"a data set {layout.get(dataset['format'], 'in the layout of ' + dataset['format'])}"


def _as_published(dataset):
    if dataset.get("fold"):
        return f", with the test set of fold {dataset['fold']},"
    return " as the data set is published" if dataset["split"] == "published" else ""


def _about(dataset):
    """What the format's publisher says of labels and patients."""
    return f" {dataset['about']}." if dataset.get("about") else ""


def _thinned(dataset):
    """Findings that were made rare."""
    return "".join(
        f" Of the training patients with {finding}, {words.percent(100 * share)} were kept and the"
        " others excluded with all their images; validation and test patients were not changed."
        for finding, share in (dataset.get("thin") or {}).items()
    )


def _labels(dataset):
    """How uncertain and blank labels were used."""
    rest = dict(dataset["uncertain"])
    default = _POLICIES[rest.pop("default")]
    others = "".join(f", of {name} as {_POLICIES[policy]}" for name, policy in rest.items())
    text = (
        f"Uncertain labels counted as {default}{others}, blank ones as"
        f" {_POLICIES[dataset['blank']]}."
    )
    if {"ignore", "no_finding"} & {*dataset["uncertain"].values(), dataset["blank"]}:
        text += " Unknown labels were excluded from the loss and from every metric."
    return text


def _weights(weights):
    if weights is None:
        return "randomly initialised"
    return (
        "pretrained on ImageNet"
        if weights == "imagenet"
        else f"initialised from {Path(weights).name}"
    )


def _kept(gan):
    """Which networks of a training were kept."""
    evaluation = gan["evaluation"]
    if evaluation is None or evaluation["keep"] == "last":
        return "The networks at the end of each training were used."
    careful = ""
    if evaluation["space"] == "classifier":
        careful = ", in pixels unless the classifier saw validation images as it saw these"
    return (
        "Of each training, the networks with the lowest kernel inception distance were used"
        f" (feature space {evaluation['space']}; distance to images of validation patients where"
        f" there were at least {evaluation['min_reference']}, else to training images{careful})."
    )


def _selected(bank):
    """Which generated images were excluded."""
    select = bank["select"] or {}
    left_out = []
    if select.get("copies") is not None:
        left_out.append(
            "near-copies (nearer to a training image than percentile"
            f" {select['copies']:g} of the distances between real images of different patients;"
            f" feature space {select['space']})"
        )
    if select.get("implausible"):
        left_out.append(
            f"the {words.percent(100 * select['implausible'])} with the lowest predicted"
            " probability of the finding, by a classifier trained on the fraction's real images"
        )
    return f" Excluded were {' and '.join(left_out)}." if left_out else ""


def _bank_size(bank):
    """How many synthetic images there are of a finding."""
    if bank.get("number") is not None:
        return f"Number of synthetic images per finding: {plain(bank['number'])}."
    ratio = bank["ratio"]
    if isinstance(ratio, list | tuple):
        return (
            f"Number of synthetic images per real positive: {plain(ratio)}, chosen in every cell by"
            " the AUROC on validation patients."
        )
    return f"Number of synthetic images per real positive: {plain(ratio)}."


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


def plain(value: Any) -> str:
    """A setting in words: lists with commas, sections as name: value."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {plain(part)}" for name, part in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(plain(part) for part in value) or "none"
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)
