"""The PGGANs."""

import math
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from rarecxr.study.values import (
    NO_EFFECT,
    ByResolution,
    Device,
    FeatureSpace,
    PixelMemory,
    Precision,
    ResumeInterval,
    Section,
    Seed,
    Threads,
)

Weight = Annotated[float, Field(ge=0, le=1_000_000)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Kimg = Annotated[float, Field(ge=0, le=1_000_000)]
SomeKimg = Annotated[float, Field(gt=0, le=1_000_000)]
LearningRate = Annotated[float, Field(gt=0, le=1)]
BatchSize = Annotated[int, Field(ge=2, le=4096)]
Probability = Annotated[float, Field(ge=0, le=0.95)]


class AdaSettings(Section):
    """Adaptive augmentation of what the critic sees (Karras et al. 2020, arXiv 2006.06676)."""

    target: Annotated[float, Field(ge=-1, le=1)] = 0.6
    """Mean sign of the critic's scores of real images that p is steered to."""
    kimg: SomeKimg = 100.0
    """Thousands of images in which p can go from 0 to 1."""
    interval: Annotated[int, Field(ge=1, le=1_000_000)] = 4
    """Steps between two changes of p."""
    start_p: Probability = 0.0
    """p at the start, at most max_p."""
    max_p: Probability = 0.8
    """p at most."""
    rotation_deg: Annotated[float, Field(ge=0, le=45)] = 10.0
    """Largest rotation in degrees."""
    scale: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    """Largest zoom, as a share."""
    shift: Annotated[float, Field(ge=0, le=0.25)] = 0.05
    """Largest shift, as a share of the side."""
    brightness: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    """Largest change of brightness, as a share of the range."""
    contrast: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Largest change of contrast, as a share."""
    flip: bool = False
    """Left-right mirroring; the heart has a side."""

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """A start above the maximum."""
        if self.start_p > self.max_p:
            yield "start_p", f"got {self.start_p:g}; takes at most gan.ada.max_p ({self.max_p:g})"


class EvaluationSettings(Section):
    """Measurement of the generator at every tick, once it has fully grown."""

    space: FeatureSpace = "classifier"
    """Feature space in which distances are measured.

    classifier: see the section `features`; imagenet: DenseNet-121 with torchvision's weights, which
    must be on the machine; pixels: the image at 16x16; random: a VGG16 with random weights.
    """
    images: Annotated[int, Field(ge=10, le=50_000)] = 100
    """Synthetic images that are generated, and real ones at most."""
    min_reference: Annotated[int, Field(ge=10, le=1_000_000)] = 50
    """Validation images of the finding from which on they are the reference.

    With fewer the training images are.
    """
    keep: Literal["best", "last"] = "last"
    """Networks that are kept: those with the lowest KID, or the last ones."""


class GanSettings(Section):
    """The PGGANs: a base for each fraction, and one for each finding and recipe, from the base.

    docs/pggan.md has the source of each setting. Values that may differ by resolution are a number,
    or numbers by resolution, as in {default: 16, 256px: 8}.
    """

    base_images: Literal["fraction", "training"] = "fraction"
    """What the base GANs learn from.

    fraction: the images of their fraction that are negative for every target finding. training:
    those of all training patients, without their labels, so that a fraction is one of labels: one
    GAN of these images comes first, and the GANs of findings and negatives start from it.
    """
    resolution: Literal[8, 16, 32, 64, 128, 256, 512] = 32
    """Side of the synthetic images in pixels, at most dataset.resolution."""
    start_resolution: Literal[4, 8, 16, 32, 64, 128, 256, 512] = 8
    """Side at which training from scratch begins, in pixels. Published: 4."""
    architecture: Literal["karras2018"] = "karras2018"
    """Networks and schedule: karras2018 are the published ones."""
    latent_size: Annotated[int, Field(ge=1, le=4096)] = 128
    """Length of the latent vectors. Published: 512."""
    fmap_base: Annotated[int, Field(ge=1, le=65_536)] = 256
    """Width of the networks: min(fmap_base / 2^stage, fmap_max) feature maps.

    Stage 1 is at 4x4 px, 2 at 8x8 and so on. Published: 8192. The cost grows with the square.
    """
    fmap_max: Annotated[int, Field(ge=1, le=4096)] = 32
    """Feature maps of a layer at most. Published: 512."""
    label_weight: Weight = 1.0
    """Weight of the critic's auxiliary classifier, of the recipe `conditional`. Published: 1."""
    loss: Literal["wgan-gp", "r1"] = "r1"
    """Loss of both networks.

    wgan-gp: the published one, with gradient_penalty and drift; r1: the non-saturating loss with a
    gradient penalty of weight r1_gamma every r1_interval critic steps.
    """
    gradient_penalty: Weight = 10.0
    """Weight of the gradient penalty of wgan-gp. Published: 10."""
    drift: Weight = 0.001
    """Weight of the drift term of wgan-gp. Published: 0.001."""
    r1_gamma: Weight = 1.0
    """Weight of the R1 penalty.

    Raise it where training is unstable, lower it where images stay blurred: 0.01 to 100.
    """
    r1_interval: Annotated[int, Field(ge=1, le=1_000_000)] = 16
    """Critic steps between two R1 penalties."""
    n_critic: Annotated[int, Field(ge=1, le=100)] = 1
    """Critic steps for each generator step. Published: 1."""
    fresh_latents: bool = False
    """Whether the generator's step draws new latents, as published.

    false: it judges the critic's fake images again, which saves a pass through the generator.
    """
    learning_rate: ByResolution[LearningRate] = ByResolution(0.004)
    """Adam's learning rate for both networks; may differ by resolution. Published: 0.001."""
    beta1: Decay = 0.0
    """Adam's decay of the gradient's mean. Published: 0."""
    beta2: Decay = 0.99
    """Adam's decay of the gradient's square. Published: 0.99."""
    epsilon: Annotated[float, Field(gt=0, le=1)] = 1.0e-8
    """Adam's epsilon. Published: 1e-8."""
    reset_optimizer: bool = True
    """Whether Adam starts anew whenever the network changes. Published: true."""
    ema_decay: Decay = 0.999
    """Decay of the moving average of the generator's weights, for each step. Published: 0.999.

    Used where ema_half_life_kimg is null.
    """
    ema_half_life_kimg: SomeKimg | None = 0.5
    """Half-life of that average in thousands of images, in place of the decay; or null.

    It does not depend on the batch size.
    """
    batch_size: ByResolution[BatchSize] = ByResolution(16)
    """Images of a step; may differ by resolution.

    Above group_size a multiple of it, and of group_size * devices. Published at 256 px: 8 on one
    GPU.
    """
    group_size: Annotated[int, Field(ge=1, le=256)] = 4
    """Images that the critic's minibatch standard deviation compares. Published: 4."""
    fade_kimg: ByResolution[Kimg] = ByResolution(2.0)
    """Base GAN: thousands of real images shown while a resolution fades in. Published: 600.

    May differ by resolution.
    """
    stabilise_kimg: ByResolution[Kimg] = ByResolution(2.0)
    """Base GAN: thousands of real images shown after each fade-in. Published: 600.

    May differ by resolution.
    """
    final_kimg: SomeKimg = 8.0
    """Base GAN: thousands of real images shown at the last resolution.

    Published: the rest of 12,000.
    """
    finetune_kimg: SomeKimg = 5.0
    """GANs of the findings: thousands of real images shown, all at full resolution."""
    freeze_d: Annotated[int, Field(ge=0, le=8)] = 0
    """Blocks of the critic, from the image on, that a finding's GAN keeps as the base has them.

    Below the number of resolutions from 4 px on.
    """
    ada: AdaSettings | None = None
    """Adaptive augmentation of what the critic sees, or null for none.

    {} for the defaults, or any of its keys.
    """
    evaluation: EvaluationSettings | None = EvaluationSettings()
    """How good the generator is, at every tick once it has fully grown; null for no measurement."""
    seed: Seed = 1
    """Seed of weights, order and latents; every GAN derives its own from it."""
    precision: Precision = "auto"
    """Precision of the networks' computations; auto: bf16 where the machine is quick with it.

    Settled by the first job of a study, as in the section classifier.
    """
    device: Annotated[Device, NO_EFFECT] = "auto"
    """Where to compute; auto: a GPU where there is one."""
    devices: Annotated[int, Field(ge=1, le=64)] = 1
    """GPUs that train one GAN together, in one job; on the CPU, processes that share its threads.

    They share each batch by whole groups. Another number changes the last bits, so it is part of
    the result.
    """
    threads: Threads = 1
    """CPU threads of one GAN.

    Another number can change the last bits, so it is part of the result.
    """
    tick_kimg: SomeKimg = 4.0
    """Thousands of images between two rows of training.csv."""
    snapshots: Annotated[int, Field(ge=1, le=20)] = 6
    """Rows of the sample sheet over the time of training."""
    resume_interval_s: ResumeInterval = 60.0
    """Seconds between two saves of the resume file."""
    pixel_memory_mib: PixelMemory = 8192
    """Size of the real images, all resolutions together, up to which a GPU's own memory holds them.

    In MiB. Above it they lie in the computer's memory, which changes no result.
    """
    tensorboard: Annotated[bool, NO_EFFECT] = False
    """Whether TensorBoard scalars are written too.

    Into results/{study}/state/gan/…/tensorboard.
    """

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """Resolutions without a value, and batches that cannot be divided."""
        if self.start_resolution > self.resolution:
            yield (
                "start_resolution",
                (f"got {self.start_resolution}; takes at most gan.resolution ({self.resolution})"),
            )
            return
        at = self.resolutions()
        unfit = False
        for key in ("learning_rate", "batch_size", "fade_kimg", "stabilise_kimg"):
            for what in getattr(self, key).unfit(at):
                unfit = True
                yield key, what
        if not unfit:
            yield from self._unshared(at)
        blocks = int(math.log2(self.resolution)) - 2
        if self.freeze_d > blocks:
            yield (
                "freeze_d",
                (
                    f"got {self.freeze_d}; takes at most {blocks}, the blocks of a critic of "
                    f"{self.resolution} px"
                ),
            )

    def _unshared(self, at: list[int]) -> Iterator[tuple[str, str]]:
        """Batches that groups of images, or devices, cannot share."""
        for size in dict.fromkeys(self.batch_size.at(resolution) for resolution in at):
            places = [
                str(resolution) for resolution in at if self.batch_size.at(resolution) == size
            ]
            got = f"got {size} at {', '.join(places)} px"
            groups, rest = divmod(size, self.group_size)
            if groups and rest:
                yield (
                    "batch_size",
                    (
                        f"{got}; takes a multiple of gan.group_size ({self.group_size}), "
                        "or less than it"
                    ),
                )
            elif max(1, groups) % self.devices:
                yield (
                    "batch_size",
                    (
                        f"{got}: {max(1, groups)} group(s) of gan.group_size {self.group_size} "
                        f"cannot be shared by gan.devices {self.devices}; takes a multiple of "
                        f"{self.group_size * self.devices}"
                    ),
                )

    def resolutions(self) -> list[int]:
        """Resolutions of training from scratch, ascending, in pixels."""
        first, last = int(math.log2(self.start_resolution)), int(math.log2(self.resolution))
        return [2**power for power in range(first, last + 1)]
