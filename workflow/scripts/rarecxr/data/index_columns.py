"""Which columns of the index, and of the tables made from it, are labels of findings."""

from collections.abc import Iterable

# What an image is; all other columns are findings. `split` is what tables made from the index add.
FIXED = (
    *("image", "csv", "row", "patient", "study", "view", "sex", "age"),
    *("published", "split"),
)


def label_columns(columns: Iterable[str]) -> list[str]:
    """The findings among the columns of a table, in their order."""
    return [name for name in columns if name not in FIXED]
