"""TensorBoard scalars of a run, for those who watch it."""

import os
from typing import Any


class ScalarWriter:
    """Writes each row of training.csv as TensorBoard scalars, counted in images."""

    def __init__(self, folder: str | os.PathLike):
        # The import takes seconds, and most runs do without.
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder))

    def add(self, row: dict[str, Any]) -> None:
        """Write one row; its `kimg` is the step."""
        step = round(1000 * row["kimg"])
        for name, value in row.items():
            if name != "kimg" and value is not None:
                self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()
