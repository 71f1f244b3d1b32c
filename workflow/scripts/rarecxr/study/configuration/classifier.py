"""The classifiers, and the networks in whose features synthetic images are measured."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from rarecxr.study.architectures import ARCHITECTURES, TORCHVISION, wrong_resolution
from rarecxr.study.values import (
    DISTINCT,
    NO_EFFECT,
    ArmName,
    Device,
    Name,
    PixelMemory,
    Precision,
    ResumeInterval,
    Section,
    Seed,
    Threads,
    UserPath,
)


def _kind_of_length(value: Any) -> str:
    return "word" if isinstance(value, str) else "number"


class NetworkSettings(Section):
    """Which network is trained, at which resolution, and how it is computed."""

    architecture: Literal[ARCHITECTURES] = "small_resnet10"  # type: ignore[valid-type]
    """A classification model of torchvision by its name there, or small_resnet10.

    small_resnet10 has 0.3 million weights, for images of 32 to 128 pixels where there is no GPU.
    """
    weights: UserPath | None = None
    """What it starts from: imagenet, the path of a file of weights, or null for random weights.

    imagenet is torchvision's own file, fetched where it is not on the machine.
    """
    weights_dir: Annotated[UserPath | None, NO_EFFECT] = None
    """Folder in which torchvision's files are looked for before torch.hub's own; or null."""
    resolution: Annotated[int, Field(ge=16, le=1024)] = 32
    """Side of the images that the network sees, in pixels."""
    precision: Precision = "auto"
    """Precision of the network's computations; auto: bf16 where the machine has it.

    The first job of a study settles what auto is, for all of its jobs on a CPU and for all on a
    GPU (results/{study}/precision).
    """
    device: Annotated[Device, NO_EFFECT] = "auto"
    """Where to compute; auto: a GPU where there is one."""
    pixel_memory_mib: PixelMemory = 4000
    """Size up to which a run's pixels are held in the device's memory, in MiB.

    Above it they are read from disk when they are used, which changes no result.
    """
    resume_interval_s: ResumeInterval = 120.0
    """Seconds between two saves of the resume file."""
    threads: Threads = 1
    """CPU threads of one job; they change the last bits of a result."""

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """A resolution that the architecture cannot take, and weights that it does not have."""
        takes = wrong_resolution(self.architecture, self.resolution)
        if takes is not None:
            yield (
                "resolution",
                f"got {self.resolution}; {self.architecture} takes {takes}, or choose another "
                "architecture",
            )
        if self.weights == "imagenet" and self.architecture not in TORCHVISION:
            yield (
                "weights",
                (
                    f"got imagenet; there are no such weights of {self.architecture}: takes the "
                    "path of a file of its weights, or null"
                ),
            )


class SupervisedSettings(NetworkSettings):
    """What the trainings with labels have in common: classifiers and feature networks."""

    batch_size: Annotated[int, Field(ge=2, le=1024)] = 32
    """Images of one step."""
    epochs: Annotated[int, Field(ge=1, le=1000)] = 3
    """Epochs at most."""
    epoch_images: Annotated[
        Annotated[Literal["real", "all"], Tag("word")]
        | Annotated[int, Field(ge=1, le=1_000_000_000), Tag("number")],
        Discriminator(_kind_of_length),
    ] = "real"
    """Images of an epoch: as many as the fraction has (real, or all), or a number."""
    patience: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Epochs without a better validation result after which training ends; null for never."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.004
    """Adam's learning rate. Published: 0.001."""
    schedule: Literal["constant", "cosine"] = "cosine"
    """Course of the learning rate; cosine: from learning_rate to 0 over `epochs`."""


class TrainingSettings(SupervisedSettings):
    """How one classifier is trained."""

    resolution: Annotated[int, Field(ge=16, le=1024)] = 32
    """Side of the images that the network sees, in pixels.

    Not above gan.resolution, or synthetic images are blurred next to real ones.
    """
    epochs: Annotated[int, Field(ge=1, le=1000)] = 5
    """Epochs at most, those of pretraining apart."""
    epoch_images: Annotated[
        Annotated[Literal["largest", "real", "all"], Tag("word")]
        | Annotated[int, Field(ge=1, le=1_000_000_000), Tag("number")],
        Discriminator(_kind_of_length),
    ] = "largest"
    """Images of an epoch: largest, real, all or a number.

    largest: as many as the largest arm of the section `arms` has, whether or not it runs: all arms
    make the same number of steps, and none sees a real image less than once an epoch. real: as
    many as the fraction has real ones, so that what an arm adds replaces real images. all: as many
    as the arm has, so that larger arms train longer.
    """
    weight_ema: Annotated[float, Field(gt=0, le=1_000_000_000)] | None = None
    """Half-life, in images shown, of a moving average of the weights; null for none.

    With one, the averaged network is what is validated, kept and predicts.
    """
    batch_norm: Literal["shared", "real"] = "shared"
    """Running statistics of batch normalization: shared, or of real images alone.

    shared: of all images that were trained on, as they come. real: once training has ended they are
    taken anew from the fraction's real images.
    """
    pretrain_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """An arm that pretrains: epochs of pretraining at most, as a multiple of `epochs`.

    They come before its epochs on real images, which are as many as every arm's.
    """
    finetune_rate: Annotated[float, Field(gt=0, le=10)] = 1.0
    """An arm that pretrains: learning rate on the real images, as a multiple of learning_rate."""


class FeatureSettings(SupervisedSettings):
    """The network in whose features synthetic images are measured (feature space `classifier`).

    There is one for each fraction and draw, trained on the fraction's real images alone. Its keys
    mean what they mean in the section `classifier`; it has its own, so that another classifier does
    not make GANs stale.
    """

    weights_dir: Annotated[UserPath | None, NO_EFFECT] = None
    """Folder of torchvision's weight files, also for the feature space `imagenet`; or null."""
    resolution: Annotated[int, Field(ge=16, le=1024)] = 32
    """Side of the images that the network sees, in pixels."""
    epoch_images: Annotated[
        Annotated[Literal["real", "all"], Tag("word")]
        | Annotated[int, Field(ge=1, le=1_000_000_000), Tag("number")],
        Discriminator(_kind_of_length),
    ] = 2000
    """Images of an epoch: as many as the fraction has (real, or all), or a number."""
    seed: Seed = 0
    """Seed of its initialization and order."""

    def training(self) -> TrainingSettings:
        """How the network is trained: as a classifier of an arm that adds nothing."""
        settings = self.plain()
        del settings["seed"]
        return TrainingSettings.of(settings)


class SelfSupervisedSettings(Section):
    """Pretraining without labels, of the arms with unlabelled: true; SimCLR (Chen et al. 2020).

    There is one network for each seed, of the section's architecture, for all fractions and draws.
    """

    epochs: Annotated[int, Field(ge=1, le=10_000)] = 30
    """Passes over the images of all training patients."""
    batch_size: Annotated[int, Field(ge=2, le=8192)] = 64
    """Images of one step, each contrasted with the others; all of them where there are fewer."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.002
    """Adam's learning rate at the beginning; it falls to 0 along half a cosine."""
    temperature: Annotated[float, Field(gt=0, le=10)] = 0.1
    """What similarities are divided by in the loss."""
    projection: Annotated[int, Field(ge=2, le=8192)] = 128
    """Width of the two layers behind the network's features, which are dropped afterwards."""
    crop: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Smallest side of a random crop, as a share of the image's; 1 for none."""
    transforms: Name = "views"
    """Random transforms of the crops, by their name in the section `transforms`."""


class RunSettings(Section):
    """Which arms run, and how often: what no single run depends on."""

    arms: Annotated[list[ArmName], Field(min_length=1), DISTINCT] = [
        "none",
        "oversample",
        "gan",
        "more_real",
    ]
    """The arms that run, by their names in the section `arms`.

    The report compares each with report.baseline and report.control.
    """
    seeds: Annotated[int, Field(ge=1, le=100)] = 1
    """Runs of each arm on each draw, numbered from 0; they differ in initialization and order.

    1 for a look, 5 for a paper.
    """


class ClassifierSettings(TrainingSettings, RunSettings):
    """The classifiers: one run for each arm, fraction, draw and seed. See docs/classifier.md."""

    self_supervised: SelfSupervisedSettings = SelfSupervisedSettings()
