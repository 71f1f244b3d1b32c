"""What the jobs of a study will do, from its configuration and its numbers of images."""

from collections.abc import Iterator, Mapping

from rarecxr.classifier.examples import most_examples
from rarecxr.classifier.schedule import epoch_length
from rarecxr.classifier.windows import number_of_windows
from rarecxr.cost.counts import Counts
from rarecxr.cost.jobs import (
    Job,
    bank_job,
    classifier_job,
    counted_job,
    explanation_job,
    gan_job,
    image_job,
    predicted_numbers,
    pretraining_job,
    table_job,
)
from rarecxr.cost.measured import evaluated_bytes
from rarecxr.gan.schedule import Schedule
from rarecxr.study.arms import largest_additions, times
from rarecxr.study.configuration.gan import GanSettings
from rarecxr.study.findings import ALL, NEGATIVES
from rarecxr.study.plan import Plan, Values
from rarecxr.study.recipes import BASE, UNLABELLED
from rarecxr.study.sizes import Sizes


def planned_jobs(plan: Plan, counts: Counts, precision: Mapping[str, str]) -> Iterator[Job]:
    """Every job of a study, those of seconds that write no table of their own left out.

    Trainings that may end sooner (`patience`) are counted at their full length.

    Args:
        plan: of the study.
        counts: its numbers of images.
        precision: by rule the precision that `auto` stands for.
    """
    yield from _dataset(plan, counts)
    if plan.banks():
        yield from _banks(plan, counts, precision)
    yield from _classifiers(plan, counts, precision)
    yield from _explanations(plan)
    runs = len(plan.runs())
    numbers = runs * (counts.judged + sum(counts.external.values()))
    yield counted_job("check_leakage", "runs", runs)
    yield counted_job(
        "evaluate", "runs times judged images", numbers, held=evaluated_bytes(numbers)
    )
    yield counted_job("make_report", "runs", runs)


def _dataset(plan: Plan, counts: Counts) -> Iterator[Job]:
    dataset = plan.configuration.dataset
    if counts.drawn:
        yield counted_job("make_phantoms", "images", counts.drawn)
    for rule in ("index_images", "label_images", "split_patients", "check_labels"):
        yield table_job(rule, counts.images)
    for _ in plan.draws:
        yield table_job("draw_patients", counts.images)
    for _ in range(dataset.shards):
        yield counted_job("decode_images", "images", counts.images / dataset.shards)
    yield image_job("cache_pixels", counts.images, dataset.resolution, "pixel cache")
    # The same rules by other names.
    for name, images in counts.external.items():
        shards = plan.external[name].shards
        for rule in ("index_images", "label_images"):
            yield table_job(rule, images)
        for _ in range(shards):
            yield counted_job("decode_images", "images", images / shards)
        yield image_job("cache_pixels", images, dataset.resolution, "pixel cache")


def _banks(plan: Plan, counts: Counts, precision: Mapping[str, str]) -> Iterator[Job]:
    configuration = plan.configuration
    settings, quality = configuration.gan, configuration.quality
    names = {one["finding"] or NEGATIVES for one in [*plan.gans(), *plan.banks()]}
    for name in sorted(names):
        images = counts.validation[name]
        yield image_job("make_validation_set", images, settings.resolution, "validation sets")
    if "classifier" in [
        *plan.evaluation_spaces(),
        *plan.selection_spaces(),
        *quality.spaces,
    ]:
        for cell in plan.cells():
            yield _features(plan, counts, cell, precision)
    for gan in plan.gans():
        images = _real(counts, gan) * (1 + _copies(plan, gan))
        yield image_job("make_training_set", images, settings.resolution, "training sets")
        named = _precision(settings.precision, precision, "train_gan")
        kimg = _kimg(settings, finetune=plan.parent(gan) is not None)
        yield gan_job(settings, named, kimg, images)
    for bank in plan.banks():
        images = _bank_size(plan, counts, bank)
        yield bank_job(settings, images)
        measured = min(images, quality.max_images) * len(quality.spaces)
        yield counted_job("measure_bank", "images and spaces", measured)
        yield counted_job("describe_bank", "banks", 1)
    for _ in plan.cells():
        yield counted_job("measure_filters", "banks", len(plan.banks_of_a_cell()))


def _classifiers(plan: Plan, counts: Counts, precision: Mapping[str, str]) -> Iterator[Job]:
    configuration = plan.configuration
    settings, sizes = configuration.classifier, configuration.bank.sizes()
    largest = largest_additions(configuration.arms.values(), sizes, plan.targets)
    named = _precision(settings.precision, precision, "train_classifier")
    alone = settings.self_supervised
    for _ in plan.pretrainings():
        yield pretraining_job(
            settings.architecture,
            settings.resolution,
            alone.batch_size,
            _precision(settings.precision, precision, "pretrain_classifier"),
            shown=alone.epochs * counts.trained,
            images=min(counts.trained, settings.pixel_memory_mib * 2**20 / settings.resolution**2),
        )
    # What predict_external predicts is counted with each run's own predictions.
    predicted = counts.judged + sum(counts.external.values())
    for run in plan.runs():
        arm = plan.definitions[run["arm"]]
        cell = counts.cells[run["fraction"], run["draw"]]
        positives = {finding: round(cell[finding]) for finding in plan.targets}
        chosen = sizes if arm.ratio is None else Sizes(ratio=arm.ratio)
        added = times(arm) * sum(chosen.images_of_all(positives).values()) if times(arm) else 0
        real = cell[ALL]
        length = epoch_length(
            settings.epoch_images,
            round(real),
            round(real * arm.real + added),
            most_examples(round(real), positives, largest),
            settings.batch_size,
        )
        epochs = settings.epochs
        if arm.pretrain:
            epochs += max(round(epochs * settings.pretrain_share), 1)
        validation = counts.validation[ALL]
        # Repeated images are held once.
        more = added * (times(arm) - arm.oversample) / times(arm) if times(arm) else 0
        yield classifier_job(
            "train_classifier",
            settings.architecture,
            settings.resolution,
            settings.batch_size,
            named,
            arm.transforms is not None,
            shown=epochs * length,
            predicted=epochs * validation + predicted,
            held_images=real + more + validation,
            memory_mib=settings.pixel_memory_mib,
            predictions=predicted * predicted_numbers(len(configuration.dataset.findings)),
        )


def _explanations(plan: Plan) -> Iterator[Job]:
    settings, number = plan.configuration.classifier, plan.configuration.report.maps_per_finding
    kinds = 1 if plan.explained_bank() is None else 2
    shown = kinds * number * len(plan.explained()) * number_of_windows(settings.resolution)
    for _ in plan.maps():
        yield explanation_job(settings.architecture, settings.resolution, shown)


def _features(plan: Plan, counts: Counts, cell: Values, precision: Mapping[str, str]) -> Job:
    settings = plan.configuration.features
    real = counts.cells[cell["fraction"], cell["draw"]][ALL]
    length = epoch_length(
        settings.epoch_images, round(real), round(real), round(real), settings.batch_size
    )
    return classifier_job(
        "train_features",
        settings.architecture,
        settings.resolution,
        settings.batch_size,
        _precision(settings.precision, precision, "train_features"),
        False,
        shown=settings.epochs * length,
        predicted=settings.epochs * counts.validation[ALL],
        held_images=real + counts.validation[ALL],
        memory_mib=settings.pixel_memory_mib,
        predictions=0,
    )


def _precision(setting: str, measured: Mapping[str, str], rule: str) -> str:
    return measured.get(rule, "auto") if setting == "auto" else setting


def _kimg(settings: GanSettings, finetune: bool) -> dict[int, float]:
    """Thousands of images of a training, by resolution."""
    found: dict[int, float] = {}
    for resolution, images, _ in Schedule(settings, finetune).phases:
        found[resolution] = found.get(resolution, 0) + images / 1000
    return {resolution: kimg for resolution, kimg in found.items() if kimg}


def _real(counts: Counts, gan: Values) -> float:
    """Real images that a GAN is trained on."""
    if gan["recipe"] == UNLABELLED:
        return counts.trained
    return counts.cells[gan["fraction"], gan["draw"]][gan["finding"] or NEGATIVES]


def _copies(plan: Plan, gan: Values) -> int:
    """Filtered copies of each of them."""
    return len(plan.configuration.recipes.get(gan["recipe"], []))


def _bank_size(plan: Plan, counts: Counts, bank: Values) -> float:
    cell = counts.cells[bank["fraction"], bank["draw"]]
    sizes = plan.configuration.bank.sizes()
    positives = {finding: round(cell[finding]) for finding in plan.targets}
    if bank["recipe"] == BASE and bank["finding"] is None:
        return sum(sizes.images_of_all(positives).values())
    return sizes.images(bank["finding"], positives[bank["finding"]])
