"""A study's configuration from its file, outside of Snakemake."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from rarecxr.study.check import check
from rarecxr.study.configuration.study import Configuration


def read_configuration(
    reference: str | os.PathLike, *own: str | os.PathLike | None
) -> Configuration:
    """The configuration as Snakemake makes it: the reference, and the keys of files over it.

    Args:
        reference: config/config.yaml, which has every key.
        own: the study's files, the later ones over the earlier ones; None is left out.

    Raises:
        OSError: a file cannot be read.
        ValueError: a file is no YAML or holds no settings, or they cannot be run as they stand.
    """
    config = _read(reference)
    for path in own:
        if path is not None:
            config = _merged(config, _read(path))
    return check(config)


def _read(path: str | os.PathLike) -> dict[str, Any]:
    if not os.path.isfile(path):
        raise ValueError(f"{path}: there is no such file; give the path of a YAML file")
    try:
        found = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        # In one line, with the place in the file.
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        problem = " ".join(str(getattr(error, "problem", None) or error).split())
        raise ValueError(f"{path}: is no YAML ({where}{problem}); mend the file") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path}: holds no settings; write them as in config/config.yaml")
    return found


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two configurations as one: the second one's values, sections joined key by key."""
    result = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = _merged(result[key], value) if both else value
    return result
