"""Where in a study a GAN, its training set or its bank belongs."""

from dataclasses import dataclass
from typing import Any


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

    def in_study(self) -> dict[str, Any]:
        """All but the study, by name: what a file records beside its provenance."""
        return {
            "finding": self.finding,
            "recipe": self.recipe,
            "fraction": self.fraction,
            "draw": self.draw,
        }
