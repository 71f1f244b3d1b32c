"""Where in a study a GAN, its training set or its bank belongs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rarecxr.study.findings import slug


@dataclass(frozen=True)
class Place:
    """The study, and the values that tell its GANs and banks apart.

    Attributes:
        study: name of the study.
        finding: a target finding by name, or `NEGATIVES` or `ALL`.
        recipe: name of the recipe.
        fraction: percent of the training patients.
        draw: number of the draw.
    """

    study: str
    finding: str
    recipe: str
    fraction: float
    draw: int

    @classmethod
    def of(cls, wildcards: Mapping[str, str], study: str, finding: str) -> "Place":
        """The place that the wildcards recipe, fraction and draw of a path name, which are text."""
        fraction, draw = float(wildcards["fraction"]), int(wildcards["draw"])
        return cls(study, finding, wildcards["recipe"], fraction, draw)

    def in_study(self) -> dict[str, Any]:
        """All but the study, by name: what a file records beside its provenance."""
        return {
            "finding": self.finding,
            "recipe": self.recipe,
            "fraction": self.fraction,
            "draw": self.draw,
        }

    def for_seed(self) -> tuple[str, str, float, int]:
        """What sets its random numbers apart from those of every other place of the study."""
        return slug(self.finding), self.recipe, self.fraction, self.draw

    def __str__(self) -> str:
        return f"{self.recipe} {self.finding} {self.fraction:g} %"
