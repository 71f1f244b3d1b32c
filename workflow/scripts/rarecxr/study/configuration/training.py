"""What GANs and classifiers are trained on: recipes, arms and transforms."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from rarecxr.study.recipes import CONDITIONAL, PAIRED
from rarecxr.study.values import DISTINCT, ByFinding, Name, Section, Share

HalfShare = Annotated[float, Field(ge=0, le=0.5)]


Recipe = Annotated[list[Name], DISTINCT]


class Arm(Section):
    """What one arm adds to the real images."""

    real: bool = True
    """Whether the fraction's real images are trained on.

    false: the synthetic ones alone, which takes a recipe and negatives.
    """
    recipe: Name | None = None
    """Adds the synthetic positives of this recipe's banks."""
    negatives: Annotated[
        Annotated[bool, Tag("flag")] | Annotated[Literal["paired"], Tag("word")],
        Discriminator(lambda value: "word" if isinstance(value, str) else "flag"),
    ] = False
    """Adds as many synthetic negatives, so that "looks generated" carries no label.

    true: images of the base GAN; paired: its images from the very latent vectors of the recipe's
    positives, so that each pair has about the same anatomy, with and without the finding.
    """
    pretrain: bool = False
    """First real and synthetic images, then the real ones alone."""
    unlabelled: bool = False
    """Starts from a network that was pretrained on all training patients' images, without labels.

    See classifier.self_supervised. A fraction is then the share of them whose labels are known.
    """
    oversample: bool = False
    """Repeats real positives, as many as the banks hold."""
    reserve: bool = False
    """Adds real positives of the patients set apart, as many as the banks hold, none of them twice.

    See dataset.reserve_percent.
    """
    loss_weight: Annotated[float, Field(gt=0, le=10)] = 1.0
    """Weight of a label of an added image in the loss; that of a real image is 1."""
    transforms: Name | None = None
    """Random transforms of all images, by their name in the section `transforms`."""
    ratio: ByFinding[Annotated[float, Field(gt=0, le=1000)]] | None = None
    """How many positives are added, as a multiple of the real ones; null for all of the bank.

    One number, or numbers by finding.
    """

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """Keys that need another one."""
        for key in ("negatives", "pretrain"):
            value = getattr(self, key)
            if value and self.recipe is None:
                got = value if isinstance(value, str) else "true"
                yield key, f"got {got} without a recipe; name the arm's recipe too"
        if self.negatives == PAIRED and self.recipe == CONDITIONAL:
            yield (
                "negatives",
                (
                    f"got {PAIRED} with the recipe {CONDITIONAL}, whose GAN does not start from "
                    "the base, so that equal latents mean nothing; takes true, or another recipe"
                ),
            )
        yield from self._without_real_images()
        adds = self.recipe is not None or self.oversample or self.reserve
        if self.loss_weight != 1 and not adds:
            yield (
                "loss_weight",
                (
                    f"got {self.loss_weight:g}, and the arm adds no images; give a recipe, "
                    "oversample or reserve"
                ),
            )
        if self.ratio is not None and not adds:
            yield (
                "ratio",
                "got a ratio, and the arm adds no positives; give a recipe, oversample or reserve",
            )

    def _without_real_images(self) -> Iterator[tuple[str, str]]:
        """Keys that do not fit an arm of synthetic images alone."""
        if self.real:
            return
        if self.recipe is None or not self.negatives:
            yield (
                "real",
                (
                    "got false without a recipe and negatives; synthetic images alone take both, "
                    "so that there are images with and without a finding"
                ),
            )
        for key in ("oversample", "reserve", "pretrain", "unlabelled"):
            if getattr(self, key):
                yield key, "got true beside real: false, and it needs real images; leave one out"
        if self.loss_weight != 1:
            yield (
                "loss_weight",
                (
                    f"got {self.loss_weight:g} beside real: false, where all images count the "
                    "same; leave it out"
                ),
            )


class TransformSettings(Section):
    """Limits of one set of random transforms; 0 switches a part off."""

    rotation_deg: Annotated[float, Field(ge=0, le=45)] = 7.0
    """Rotation in degrees either way."""
    shift: HalfShare = 0.04
    """Shift along each axis, as a share of the side."""
    scale: Share = 0.08
    """Zoom by a factor of up to 1 + scale, in and out."""
    flip: Share = 0.0
    """Probability of a left-right mirroring: the heart has a side."""
    gamma: Share = 0.15
    """Largest |log g| where grey levels x in [0, 1] become (x ** g - 0.5) * c + 0.5 + b."""
    contrast: Share = 0.15
    """Largest |log c| there."""
    brightness: HalfShare = 0.08
    """Largest |b| there."""
    noise: Annotated[float, Field(ge=0, le=0.2)] = 0.02
    """Largest standard deviation of added noise, as a share of the grey range."""
