"""What arms are compared with, and the verdicts: the words that tables and page share."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

# Roles that an arm may have in a study, and parts of the names of the columns that say how the
# other arms compare with it.
BASELINE = "baseline"
CONTROL = "control"
ROLES = (BASELINE, CONTROL)
# The role of another arm that an arm is compared with, over all cells alone.
PAIR = "pair"

BETTER = "better"
WORSE = "worse"
NO_DIFFERENCE = "no difference that matters"
INCONCLUSIVE = "inconclusive"
TOO_FEW_POSITIVES = "too few positives"
TOO_FEW_NEGATIVES = "too few negatives"
TOO_FEW = (TOO_FEW_POSITIVES, TOO_FEW_NEGATIVES)


@dataclass(frozen=True)
class References:
    """The arms that the others are compared with.

    Attributes:
        baseline: name of the arm without any additional images.
        control: name of the arm that controls for class balance alone, or None.
        pairs: for each arm further arms that it is compared with over all cells.
    """

    baseline: str
    control: str | None = None
    pairs: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def of(self, arm: str) -> Iterator[tuple[str, str]]:
        """Role and name of each arm that `arm` is compared with; none for the baseline itself."""
        if arm == self.baseline:
            return
        for role, reference in ((BASELINE, self.baseline), (CONTROL, self.control)):
            if reference is not None and reference != arm:
                yield role, reference

    def over_all_cells(self, arm: str) -> Iterator[tuple[str, str]]:
        """As `of`, and the arms that it is paired with."""
        own = list(self.of(arm))
        yield from own
        for reference in self.pairs.get(arm, ()):
            if reference not in [known for _, known in own]:
                yield PAIR, reference


def change_column(role: str, part: str = "") -> str:
    """The name of a column about the change of the AUROC, as in `change_vs_baseline_low`."""
    return f"change_vs_{role}_{part}" if part else f"change_vs_{role}"


def verdict_column(role: str) -> str:
    """The name of the column with the verdict, as in `verdict_vs_baseline`."""
    return f"verdict_vs_{role}"
