"""The warnings in the quality files of banks, for the end of a run."""

import json
import os
from collections.abc import Iterable
from pathlib import Path


def read_warnings(qualities: Iterable[str | os.PathLike]) -> list[str]:
    """A line for each fault of a bank that makes it useless, with the quality file that has it.

    Args:
        qualities: the quality files (JSON); those that do not exist are left out.
    """
    lines = []
    for path in map(Path, qualities):
        if path.is_file():
            quality = json.loads(path.read_text(encoding="utf-8"))
            lines += [f"{path}: {warning}" for warning in quality.get("warnings", [])]
    return lines
