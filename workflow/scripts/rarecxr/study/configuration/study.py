"""A whole configuration, and what its sections have to agree on."""

import inspect
from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from rarecxr.study.configuration.bank import BankSettings, QualitySettings
from rarecxr.study.configuration.classifier import ClassifierSettings, FeatureSettings
from rarecxr.study.configuration.dataset import DatasetSettings
from rarecxr.study.configuration.filters import Filter, Gaussian, Minimum, Unsharp
from rarecxr.study.configuration.gan import GanSettings
from rarecxr.study.configuration.jobs import JobSettings
from rarecxr.study.configuration.phantom import PhantomSettings
from rarecxr.study.configuration.report import ReportSettings
from rarecxr.study.configuration.training import Arm, Recipe, TransformSettings
from rarecxr.study.recipes import (
    BASE,
    CONDITIONAL,
    FILTER_LEAK,
    NO_FILTER,
    UNLABELLED,
    paired_with,
)
from rarecxr.study.values import ArmName, Name, Section, Text, near

StudyName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=100)]

_RESERVED = {
    "filters": {NO_FILTER: "means an image that went through no filter"},
    "recipes": {
        BASE: "is the GAN of the negatives, where all others start",
        CONDITIONAL: "is the one GAN of all images with their labels",
        UNLABELLED: "is the one GAN of all images without their labels",
        FILTER_LEAK: "is the folder of measurements",
    },
    "arms": {},
    "transforms": {},
}


class Configuration(Section):
    """A study.

    YAML reads 1e-3 as text: write 1.0e-3 or 0.001.
    """

    study: StudyName = "demo"
    """Name of the study, its folder below results/."""
    dataset: DatasetSettings = DatasetSettings()
    phantom: PhantomSettings = PhantomSettings()
    draws: Annotated[int, Field(ge=1, le=1000)] = 1
    """Independent random choices of the fractions' patients, with GANs and banks of their own.

    1 for a look, 3 or more for a paper where the smallest fraction holds few positives.
    """
    filters: dict[Name, Filter] = {
        "gaussian": Gaussian(kind="gaussian", size_px=5, sigma_px=1.1),
        "unsharp": Unsharp(kind="unsharp", sigma_px=2.0, amount=1.0),
        "minimum": Minimum(kind="minimum", size_px=3),
    }
    """The filters of the recipes, by name; applied at gan.resolution."""
    recipes: dict[Name, Recipe] = {
        "plain": [],
        "filtered": ["gaussian", "unsharp", "minimum"],
    }
    """What a GAN is trained on: the real positives, and a copy of each through every filter named.

    There are two more that need no entry: base, the negatives, where all of these start, and
    conditional, one GAN of all images with their label vector beside the latents (the published
    study's).
    """
    features: FeatureSettings = FeatureSettings()
    gan: GanSettings = GanSettings()
    bank: BankSettings = BankSettings()
    quality: QualitySettings = QualitySettings()
    arms: dict[ArmName, Arm] = {
        "none": Arm(),
        "oversample": Arm(oversample=True),
        "standard": Arm(transforms="standard"),
        "gan": Arm(recipe="plain"),
        "filtered_gan": Arm(recipe="filtered"),
        # The GAN of the negatives never saw a filtered image: filtered positives beside its images
        # would tell the label.
        "balanced_gan": Arm(recipe="plain", negatives=True),
        "pretrained_gan": Arm(recipe="plain", negatives=True, pretrain=True),
        # The same anatomy with and without the finding: a fine-tuned GAN stays aligned with its
        # base (Wu et al. 2022, arXiv 2110.11323).
        "paired_gan": Arm(recipe="plain", negatives="paired"),
        "conditional_gan": Arm(recipe=CONDITIONAL),
        "more_real": Arm(reserve=True),
        # The same unlabelled images as gan.base_images: training gives the GANs, without any GAN.
        "pretrained_unlabelled": Arm(unlabelled=True),
    }
    """The arms: what a classifier is trained on beside the fraction's real images, by name.

    Any mix may be declared; classifier.arms says which run. All keys are optional.
    """
    transforms: dict[Name, TransformSettings] = {
        "standard": TransformSettings(),
        # Two views of an image are to share what it shows, and not its grey levels.
        "views": TransformSettings(
            rotation_deg=10,
            shift=0.05,
            scale=0.1,
            gamma=0.3,
            contrast=0.3,
            brightness=0.15,
            noise=0.05,
        ),
    }
    """Random transforms of the training images, by name; see docs/classifier.md."""
    classifier: ClassifierSettings = ClassifierSettings()
    report: ReportSettings = ReportSettings()
    container: Text | None = None
    """Image that rules run in with `--software-deployment-method apptainer`; or null.

    A path or an address that Apptainer takes; container/ makes one. One way for each results
    folder: another one makes all stale.
    """
    jobs: JobSettings = JobSettings()


# Each takes the sections that it looks at by their names; it is called if each of them is valid by
# itself.


def _reserved_names(filters, recipes, arms, transforms) -> Iterator[tuple[str, str]]:
    named = {"filters": filters, "recipes": recipes, "arms": arms, "transforms": transforms}
    for section, names in named.items():
        reserved = _RESERVED[section] | {"default": "stands for all that is not named"}
        for name in names:
            if name in reserved:
                yield f"{section}.{name}", f"this name {reserved[name]}; takes another"
    for name in recipes:
        if paired_with(name) is not None:
            yield (
                f"recipes.{name}",
                f"a name that begins so means negatives in pairs with {paired_with(name)}; "
                "takes another",
            )


def _filters_of_recipes(filters, recipes) -> Iterator[tuple[str, str]]:
    for name, recipe in recipes.items():
        for kind in recipe:
            if kind not in filters:
                yield (
                    f"recipes.{name}",
                    (f"got the filter '{kind}'; takes names from filters: {', '.join(filters)}"),
                )


def _parts_of_arms(arms, recipes, transforms) -> Iterator[tuple[str, str]]:
    known = [*recipes, CONDITIONAL]
    for name, arm in arms.items():
        if arm.recipe is not None and arm.recipe not in known:
            yield (
                f"arms.{name}.recipe",
                (f"got '{arm.recipe}'; takes one of recipes: {', '.join(known)}"),
            )
        if arm.transforms is not None and arm.transforms not in transforms:
            yield (
                f"arms.{name}.transforms",
                (f"got '{arm.transforms}'; takes one of transforms: {', '.join(transforms)}"),
            )


def _reserve_of_arms(dataset, classifier, arms) -> Iterator[tuple[str, str]]:
    for name in classifier.arms:
        if name in arms and arms[name].reserve and not dataset.reserve_percent:
            yield (
                "dataset.reserve_percent",
                (
                    f"got 0, and the arm {name} adds images of patients who are set apart; takes "
                    "a percent above 0, or leave the arm out of classifier.arms"
                ),
            )


def _views_of_unlabelled_images(classifier, arms, transforms) -> Iterator[tuple[str, str]]:
    wanted = [name for name in classifier.arms if name in arms and arms[name].unlabelled]
    named = classifier.self_supervised.transforms
    if wanted and named not in transforms:
        yield (
            "classifier.self_supervised.transforms",
            f"got '{named}'; takes one of transforms: {', '.join(transforms)}",
        )


def _arms_that_run(classifier, arms) -> Iterator[tuple[str, str]]:
    for place, name in enumerate(classifier.arms):
        if name not in arms:
            yield f"classifier.arms[{place}]", f"got '{name}'; takes one of arms: {', '.join(arms)}"


def _statistics_of_arms(classifier, arms) -> Iterator[tuple[str, str]]:
    for name in classifier.arms:
        if classifier.batch_norm == "real" and name in arms and not arms[name].real:
            yield (
                "classifier.batch_norm",
                (
                    f"got real, and the arm {name} sees no real images; takes shared, or leave the "
                    "arm out of classifier.arms"
                ),
            )


def _roles_of_arms(report, arms) -> Iterator[tuple[str, str]]:
    known = f"takes one of arms: {', '.join(arms)}"
    baseline = arms.get(report.baseline)
    if baseline is None:
        yield "report.baseline", f"got '{report.baseline}'; {known}"
    elif baseline.recipe is not None or baseline.oversample or baseline.reserve:
        yield (
            "report.baseline",
            (
                f"got '{report.baseline}', which adds images; takes an arm without recipe, "
                "oversample and reserve"
            ),
        )
    if report.control is not None:
        control = arms.get(report.control)
        if control is None:
            yield "report.control", f"got '{report.control}'; {known}, or null"
        elif control.recipe is not None or not control.oversample:
            yield (
                "report.control",
                (
                    f"got '{report.control}'; takes an arm with oversample and without a recipe, "
                    "or null"
                ),
            )
    for name, others in report.pairs.items():
        if name not in arms:
            yield f"report.pairs.{name}", f"got an arm '{name}'; {known}"
        for place, other in enumerate(others):
            if other not in arms:
                yield f"report.pairs.{name}[{place}]", f"got '{other}'; {known}"
            elif other == name:
                yield f"report.pairs.{name}[{place}]", f"got '{other}' itself; takes another arm"
    for place, name in enumerate(report.headline_arms):
        if name not in arms:
            yield f"report.headline_arms[{place}]", f"got '{name}'; {known}"
        elif not arms[name].real:
            yield (
                f"report.headline_arms[{place}]",
                (
                    f"got '{name}', which adds synthetic images to no real ones; takes an arm "
                    "without real: false"
                ),
            )
        elif arms[name].recipe is None:
            yield (
                f"report.headline_arms[{place}]",
                (f"got '{name}', which adds no synthetic images; takes an arm with a recipe"),
            )


def _cache_and_gan(dataset, gan) -> Iterator[tuple[str, str]]:
    if dataset.resolution < gan.resolution:
        yield (
            "dataset.resolution",
            (
                f"got {dataset.resolution}; takes a power of two not below gan.resolution "
                f"({gan.resolution})"
            ),
        )


def _sizes_of_banks(dataset, bank) -> Iterator[tuple[str, str]]:
    unsaid = [name for name in dataset.target_findings if bank.size(name, 1000) is None]
    if unsaid:
        yield "bank.ratio", f"says no size for {', '.join(unsaid)}; add them or default"
    for key in ("ratio", "number"):
        values = getattr(bank, key)
        for finding in getattr(values, "named", ()):
            if finding not in dataset.findings:
                yield (
                    f"bank.{key}.{finding}",
                    near(finding, dataset.findings, "finding of the study"),
                )


def _doses_of_arms(dataset, arms, bank) -> Iterator[tuple[str, str]]:
    held = bank.largest_ratio() if bank.number is None else None
    for name, arm in arms.items():
        if arm.ratio is None:
            continue
        for finding in arm.ratio.named:
            if finding not in dataset.findings:
                yield (
                    f"arms.{name}.ratio.{finding}",
                    near(finding, dataset.findings, "finding of the study"),
                )
        shares = {finding: arm.ratio.get(finding) for finding in dataset.target_findings}
        missing = [finding for finding, share in shares.items() if share is None]
        if missing:
            yield f"arms.{name}.ratio", f"says nothing for {', '.join(missing)}; add it or default"
        elif arm.recipe is not None and held is not None:
            over = {f: share for f, share in shares.items() if share > (held.get(f) or share)}
            for finding, share in list(over.items())[:1]:
                yield (
                    f"arms.{name}.ratio",
                    (
                        f"got {share:g} for {', '.join(over)}; takes at most what the bank holds, "
                        f"bank.ratio ({held.get(finding):g})"
                    ),
                )


CHECKS = (
    _reserved_names,
    _filters_of_recipes,
    _parts_of_arms,
    _arms_that_run,
    _views_of_unlabelled_images,
    _reserve_of_arms,
    _statistics_of_arms,
    _roles_of_arms,
    _cache_and_gan,
    _sizes_of_banks,
    _doses_of_arms,
)


def disagreements(sections: dict) -> Iterator[tuple[str, str]]:
    """Key and what is wrong with it, of sections that do not fit each other.

    Args:
        sections: those that are right by themselves, by name; the others' fits are left out.
    """
    for check in CHECKS:
        wanted = inspect.signature(check).parameters
        if all(name in sections for name in wanted):
            yield from check(**{name: sections[name] for name in wanted})


def doubts(configuration: Configuration) -> Iterator[str]:
    """What a study can do without being what was probably meant, one sentence for each."""
    c = configuration
    running = {name: c.arms[name] for name in c.classifier.arms}
    synthetic = [name for name, arm in running.items() if arm.recipe is not None]
    if synthetic and c.classifier.resolution > c.gan.resolution:
        yield (
            f"classifier.resolution ({c.classifier.resolution}) is above gan.resolution "
            f"({c.gan.resolution}): synthetic images are enlarged and blurred next to real ones, "
            f"which the arms {', '.join(synthetic)} can learn instead of the finding"
        )
    others = [name for name in running if name != c.report.baseline]
    if others and c.report.baseline not in running:
        yield (
            f"classifier.arms leaves out the baseline {c.report.baseline}: the report can show no "
            f"change for {', '.join(others)}"
        )
    if synthetic and c.report.control is not None and c.report.control not in running:
        yield (
            f"classifier.arms leaves out the control {c.report.control}: the report cannot tell "
            "what is due to synthetic images and what to more positives"
        )
    absent = {
        arm
        for name, others in c.report.pairs.items()
        for arm in (name, *others)
        if arm not in running
    }
    if absent:
        yield (
            f"report.pairs compares {', '.join(sorted(absent))}, which classifier.arms leaves out: "
            "these comparisons will be missing"
        )
    unlabelled = any(arm.unlabelled for arm in running.values())
    if synthetic and c.gan.base_images == "training" and not unlabelled:
        yield (
            "gan.base_images is training, and classifier.arms has no arm with unlabelled: true, as "
            "pretrained_unlabelled: the report cannot tell what is due to synthetic images and "
            "what to the unlabelled images behind them"
        )
