"""Which images are taken, and in which order."""

import numpy as np


class EndlessPermutation:
    """An endless row of permutations of 0 to `count` - 1, each a function of its number alone.

    No item comes again before all have come, wherever one begins to read, so that a run that was
    interrupted goes on as an unbroken one.

    Args:
        count: number of items, at least 1.
        key: whole numbers from 0 on that the order depends on.
    """

    def __init__(self, count: int, *key: int):
        self.count = count
        self._key = key
        self._number, self._order = -1, np.zeros(0, np.int64)

    def read(self, begin: int, end: int) -> np.ndarray:
        """The items at the places `begin` to `end` - 1 of the row, (end - begin,) int64."""
        parts, place = [np.zeros(0, np.int64)], begin
        while place < end:
            number, offset = divmod(place, self.count)
            if number != self._number:
                self._number = number
                generator = np.random.default_rng([*self._key, number])
                self._order = generator.permutation(self.count)
            parts.append(self._order[offset : offset + end - place])
            place += len(parts[-1])
        return np.concatenate(parts)


def evenly(items: np.ndarray, number: int) -> np.ndarray:
    """`number` of the items at even distances; all where there are no more."""
    if len(items) <= number:
        return items
    return items[np.linspace(0, len(items) - 1, number).astype(int)]
