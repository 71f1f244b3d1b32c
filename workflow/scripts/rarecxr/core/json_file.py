"""Files of JSON: their one writer, and their one reader, which refuses what is damaged by name."""

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

from rarecxr.core.files import REMEDY, intact, written_whole


def write_json(path: str | os.PathLike, values: Mapping[str, Any]) -> None:
    """Write `values` as JSON, whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_json(path: str | os.PathLike, keys: Iterable[str] = ()) -> dict[str, Any]:
    """The object that a file of JSON holds.

    Args:
        path: the file.
        keys: what the object must hold.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is empty, damaged, not JSON, no object, or lacks a key.
    """
    path = intact(path)
    try:
        found = json.loads(path.read_bytes())
    # Deep nesting ends in a RecursionError.
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: damaged, or not a file of JSON ({error}); {REMEDY}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path}: holds {type(found).__name__}, not an object; {REMEDY}")
    missing = sorted(set(keys) - set(found))
    if missing:
        raise ValueError(
            f"{path}: lacks {', '.join(missing)}; it holds "
            f"{', '.join(sorted(found)) or 'nothing'}; {REMEDY}"
        )
    return found
