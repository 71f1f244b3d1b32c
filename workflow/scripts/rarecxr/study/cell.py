"""What a GAN or a bank is of: one finding and recipe, on one fraction and draw of a study."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rarecxr.study.findings import slug
from rarecxr.study.seeds import seed_for


@dataclass(frozen=True)
class StudyCell:
    """One finding and recipe, on one fraction and draw.

    Attributes:
        study: name of the study.
        recipe: name of the recipe.
        finding: name of the finding, or `rarecxr.study.findings.NEGATIVES` or `ALL`.
        fraction: percent of the training patients.
        draw: number of the draw.
    """

    study: str
    recipe: str
    finding: str
    fraction: float
    draw: int

    @classmethod
    def of(cls, wildcards: Mapping[str, str], study: str, finding: str) -> "StudyCell":
        """The cell of a rule's wildcards recipe, fraction and draw, which are text."""
        fraction, draw = float(wildcards["fraction"]), int(wildcards["draw"])
        return cls(study, wildcards["recipe"], finding, fraction, draw)

    def plain(self) -> dict[str, Any]:
        """All but the study, which changes no image: for provenance and identities."""
        return {
            "finding": self.finding,
            "recipe": self.recipe,
            "fraction": self.fraction,
            "draw": self.draw,
        }

    def seed(self, seed: int) -> int:
        """The cell's own seed: no two cells of a study share random numbers."""
        return seed_for(seed, slug(self.finding), self.recipe, self.fraction, self.draw)

    def __str__(self) -> str:
        return f"{self.recipe} {self.finding} {self.fraction:g} %"
