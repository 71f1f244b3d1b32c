"""How sure the report is: a module of its own, so that the page's settings repeat no statistics."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from rarecxr.study.values import Section, Seed


class StatisticsSettings(Section):
    """How intervals and verdicts are made."""

    resamples: Annotated[int, Field(ge=200, le=100_000)] = 2000
    """Resamples of the test patients; 2000 give a standard error to 2 %."""
    subgroup_resamples: Annotated[int, Field(ge=100, le=100_000)] = 500
    """The same for subgroups, which are explored and get no verdict."""
    margin: Annotated[float, Field(gt=0, lt=0.5)] = 0.01
    """Smallest change of the AUROC that matters.

    A change that is shown to be smaller is "no difference that matters". Choose it before you see
    results.
    """
    min_positive_patients: Annotated[int, Field(ge=5, le=1000)] = 10
    """Positive (or negative) test patients below which a cell gets no interval and no verdict."""
    age_bands: list[Annotated[int, Field(ge=1, le=120)]] = [40, 60, 80]
    """Ages in years where a new band of the subgroups begins, rising; may be empty."""
    seed: Seed = 1
    """Seed of the resamples."""

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """Ages that do not rise."""
        for place, (before, age) in enumerate(
            zip(self.age_bands, self.age_bands[1:], strict=False), start=1
        ):
            if age <= before:
                yield f"age_bands[{place}]", f"got {age} after {before}; takes rising ages"
