"""The warnings in the quality files of banks, for the end of a run."""

import os
from collections.abc import Iterable
from pathlib import Path

from rarecxr.core.json_file import read_json


def read_warnings(qualities: Iterable[str | os.PathLike]) -> list[str]:
    """A line for each fault of a bank that makes it useless, with the quality file that has it.

    Args:
        qualities: the quality files (JSON); those that do not exist are left out, and of
            damaged ones the line says so.
    """
    lines = []
    for path in map(Path, qualities):
        if path.is_file():
            try:
                warnings = read_json(path).get("warnings", [])
            except ValueError as error:
                # At the end of a run nothing is lost by a file that the next one makes again.
                lines.append(str(error))
            else:
                lines += [f"{path}: {warning}" for warning in warnings]
    return lines
