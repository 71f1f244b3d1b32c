"""What jobs do, as numbers: the same of a study that has run and of one that is planned.

The sizes of jobs are computed here alone, so that what was measured and what is foreseen are
counted in one way.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from rarecxr.cost.networks import classifier_size, gan_size
from rarecxr.study.configuration.gan import GanSettings

# Bytes that a table takes in memory for each of its rows: 387 MiB for 223,414 rows of CheXpert,
# less what Python and its packages take (docs/performance.md).
ROW_BYTES = 1200
# Bytes of a parameter in training: weight, gradient and Adam's two averages, all float32.
TRAINED_BYTES = 16
# Bytes of a parameter in the resume file of a GAN: both networks, the averaged generator and Adam's
# averages.
RESUME_BYTES = 20
# Work of predicting an image, as a part of training on it: the pass forward, without the two back.
PREDICTED = 1 / 3


# What tells kinds of work apart: family and kind.
Key = tuple[str, str]


@dataclass(frozen=True)
class Part:
    """Work of one kind.

    Attributes:
        kind: what a unit is, in words. Units of one kind take equally long.
        units: how many.
        family: kinds of one family differ in their numbers of operations alone.
        operations: floating-point operations of a unit; 0 where a family has a single kind.
    """

    kind: str
    units: float
    family: str = ""
    operations: float = 0.0

    @property
    def key(self) -> Key:
        """What tells it apart from other kinds."""
        return self.family, self.kind


@dataclass(frozen=True)
class Job:
    """One job.

    Attributes:
        rule: its rule.
        parts: its work.
        held: bytes that it holds in memory beside what every job of the rule holds.
        files: what it writes by kind of file (`rarecxr.cost.disk`): bytes of the content by itself
            (pixels, weights), and the number of things that may each add to them (images, files).
    """

    rule: str
    parts: tuple[Part, ...] = ()
    held: float = 0.0
    files: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def table_job(rule: str, rows: float) -> Job:
    """A job whose work is in proportion to the rows of the study's tables."""
    return Job(rule, (Part("rows", rows),), held=ROW_BYTES * rows)


def image_job(rule: str, images: float, resolution: int, file: str | None = None) -> Job:
    """A job whose work is in proportion to the pixels of some images, which it may write."""
    pixels = images * resolution**2
    return Job(rule, (Part("pixels", pixels),), files={file: (pixels, images)} if file else {})


def counted_job(rule: str, kind: str, units: float, held: float = 0.0) -> Job:
    """A job whose work is in proportion to one number."""
    return Job(rule, (Part(kind, units),), held=held)


def gan_job(settings: GanSettings, precision: str, kimg: Mapping[int, float], images: float) -> Job:
    """The training of one PGGAN.

    Args:
        settings: of the section `gan`.
        precision: fp32 or bf16.
        kimg: thousands of images shown, by the resolution that they are shown at.
        images: number of images that it is trained on.
    """
    family = ", ".join(
        [
            f"{settings.loss}",
            f"{settings.n_critic} critic steps",
            "fresh latents" if settings.fresh_latents else "the critic's latents",
            "no augmentation" if settings.ada is None else "adaptive augmentation",
            precision,
        ]
    )
    sizes = {resolution: gan_size(settings, resolution) for resolution in kimg}
    parts = tuple(
        Part(
            f"kimg at {resolution} px, {settings.fmap_base}/{settings.fmap_max} maps, "
            f"batch {settings.batch_size.at(resolution)}",
            thousands,
            family,
            sizes[resolution].operations,
        )
        for resolution, thousands in kimg.items()
    )
    last = gan_size(settings, settings.resolution)
    # The average of the generator beside the weights; generator once and critic three times.
    held = (
        (TRAINED_BYTES + 4) * last.parameters
        + 4 * last.activations * settings.batch_size.at(settings.resolution)
        # All resolutions together: 1 + 1/4 + 1/16 + …
        + min(4 / 3 * images * settings.resolution**2, settings.pixel_memory_mib * 2**20)
    )
    return Job(
        "train_gan",
        parts,
        held,
        {
            "GANs": (4 * last.parameters, 1),
            "resume files of GANs": (RESUME_BYTES * last.parameters, 1),
        },
    )


def bank_job(settings: GanSettings, images: float) -> Job:
    """The drawing of one bank."""
    size = gan_size(settings, settings.resolution)
    kind = f"images of {settings.resolution} px, {settings.fmap_base}/{settings.fmap_max} maps"
    return Job(
        "make_bank",
        (Part(kind, images, "synthetic images", size.generator_operations),),
        held=4 * size.parameters,
        files={"banks": (images * settings.resolution**2, images)},
    )


def classifier_job(
    rule: str,
    architecture: str,
    resolution: int,
    batch: int,
    precision: str,
    transforms: bool,
    shown: float,
    predicted: float,
    held_images: float,
    memory_mib: float,
    predictions: float,
) -> Job:
    """The training of one network, by `train_classifier` or `train_features`.

    Args:
        rule: which of the two.
        architecture: of the network.
        resolution: side of its images in pixels.
        batch: images of a step.
        precision: fp32 or bf16.
        transforms: whether training images are transformed at random.
        shown: images shown in training.
        predicted: images predicted: validation images once an epoch, all judged ones at the end.
        held_images: images whose pixels it holds.
        memory_mib: what pixels it holds at most.
        predictions: numbers that it writes: for each image the findings and what names it.
    """
    size = classifier_size(architecture, resolution)
    changed = " under transforms" if transforms else ""
    held = (
        TRAINED_BYTES * size.parameters
        + 4 * size.activations * batch
        + min(held_images * resolution**2, memory_mib * 2**20)
    )
    return Job(
        rule,
        (
            Part(
                f"images of {resolution} px{changed} to {architecture}",
                shown + PREDICTED * predicted,
                f"{architecture}, {precision}",
                size.operations,
            ),
        ),
        held,
        {
            "classifiers": (4 * size.parameters, 1),
            "resume files of classifiers": (4 * size.parameters, 1),
            "predictions": (4 * predictions, 1),
        },
    )


def pretraining_job(
    architecture: str, resolution: int, batch: int, precision: str, shown: float, images: float
) -> Job:
    """The pretraining of one network on images without labels.

    Args:
        architecture: of the network.
        resolution: side of its images in pixels.
        batch: images of a step, each in two views.
        precision: fp32 or bf16.
        shown: images shown.
        images: images whose pixels it holds.
    """
    size = classifier_size(architecture, resolution)
    kind = f"images of {resolution} px in two views to {architecture}"
    family = f"{architecture} without labels, {precision}"
    return Job(
        "pretrain_classifier",
        (Part(kind, shown, family, size.operations),),
        TRAINED_BYTES * size.parameters + 2 * 4 * size.activations * batch + images * resolution**2,
        {
            "classifiers": (4 * size.parameters, 1),
            "resume files of classifiers": (4 * size.parameters, 1),
        },
    )


def explanation_job(architecture: str, resolution: int, shown: float) -> Job:
    """The occlusion maps of one finding.

    Args:
        architecture: of the networks.
        resolution: side of their images in pixels.
        shown: images with a part hidden, for all networks together.
    """
    size = classifier_size(architecture, resolution)
    kind = f"hidden regions of {resolution} px to {architecture}"
    return Job(
        "explain_classifiers",
        (Part(kind, shown, f"{architecture}, hidden regions", size.operations),),
        4 * size.parameters,
    )


def predicted_numbers(findings: int) -> int:
    """Numbers that a file of predictions holds of each image: logits, and names worth two more."""
    return findings + 2
