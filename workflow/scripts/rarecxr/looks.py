"""What a check of a study's files saw in one of them."""

import os
from collections.abc import Sequence
from typing import Any


class Look:
    """What a check saw in one file: how much it looked at, what it noted, and what is wrong."""

    def __init__(self, path: str | os.PathLike):
        self.path, self.items, self.noted, self.problems = path, 0, 0, []

    def none_of(self, wrong: Sequence[str], total: int, what: str) -> None:
        """Count `total` things, of which `wrong` must be empty."""
        self.items += total
        if len(wrong):
            self.problems.append(f"{len(wrong)} {what}, the first is {wrong[0]}")

    def same(self, found: Any, wanted: Any, what: str) -> None:
        """Count one thing that must be as it is wanted."""
        self.items += 1
        if found != wanted:
            self.problems.append(f"{what} is {found}, not {wanted}")
