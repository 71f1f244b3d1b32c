"""A study's list of files with their digests, manifest.json, and the comparison with it."""

import base64
import binascii
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rarecxr.core.files import digest_file, intact, sha256
from rarecxr.core.json_file import read_json, write_json

MANIFEST = "manifest.json"
_FORMAT = 1
# Folders of a study that hold no results: what jobs wrote about themselves, and resume files.
_LEFT_OUT = ("benchmarks", "logs", "state")


def write_manifest(study: str | os.PathLike) -> int:
    """List the files of a study's folder in its manifest.json, and give their number.

    Of each: SHA-256, size in bytes, and from Snakemake's records, where there are any, the rule
    that made it and the files that it was made from.

    Args:
        study: the folder, results/{study}.

    Raises:
        FileNotFoundError: no such folder, or nothing in it.
        ValueError: a file is not what was written.
    """
    root = _folder(study)
    records = recorded_rules(root)
    files = {}
    for name, path in _files(root).items():
        # A digest beside a file is of the time when it was written: damage since is no result.
        found = sha256(intact(path) if digest_file(path).is_file() else path)
        # A folder is recorded, not what lies in it.
        known = (up for up in (name, *map(str, Path(name).parents)) if up in records)
        made = records.get(next(known, ""), {})
        files[name] = {"bytes": path.stat().st_size, "sha256": found, **made}
    if not files:
        raise FileNotFoundError(f"{root}: holds no results")
    write_json(root / MANIFEST, {"format": _FORMAT, "files": files})
    return len(files)


def check_manifest(study: str | os.PathLike) -> tuple[int, list[str]]:
    """The number of files in a study's manifest, and what differs from it, a line each.

    Args:
        study: the folder, or a copy of it anywhere.

    Raises:
        FileNotFoundError: no such folder, or it has no manifest.
        ValueError: the manifest is damaged.
    """
    root = _folder(study)
    if not (root / MANIFEST).is_file():
        raise FileNotFoundError(
            f"{root / MANIFEST}: no such file; where the study was made, write it with --write"
        )
    manifest = read_json(root / MANIFEST, ["files", "format"])
    if manifest["format"] != _FORMAT:
        raise ValueError(f"{root / MANIFEST}: format {manifest['format']!r}, not {_FORMAT}")
    return len(manifest["files"]), list(_differences(root, manifest["files"]))


def recorded_rules(study: str | os.PathLike) -> dict[str, dict[str, Any]]:
    """What Snakemake recorded of a study's files: by name `rule`, and `inputs`, the files' names.

    Inputs in the study are named as its files are, others as seen from where Snakemake ran, and
    those elsewhere by their last name alone, since a manifest goes to others. The records lie
    where Snakemake ran, in the nearest folder above with a .snakemake; without any, nothing is
    found.
    """
    root = Path(study).resolve()
    home = next((up for up in root.parents if (up / ".snakemake/metadata").is_dir()), None)
    found: dict[str, dict[str, Any]] = {}
    if home is None:
        return found
    records = home / ".snakemake/metadata"

    def within(path: str) -> str:
        place = Path(os.path.normpath(home / path))
        for folder in (root, home):
            if place.is_relative_to(folder):
                return place.relative_to(folder).as_posix()
        return place.name

    for record in records.rglob("*"):
        if not record.is_file():
            continue
        # A long name is cut into folders, whose names begin with @.
        name = "".join(part.removeprefix("@") for part in record.relative_to(records).parts)
        try:
            path = base64.urlsafe_b64decode(name).decode()
            stated = read_json(record, ["rule", "input"])
            made = {
                "rule": str(stated["rule"]),
                "inputs": sorted(map(within, stated["input"] or ())),
            }
        except (binascii.Error, ValueError, TypeError):
            continue
        found[within(path)] = made
    return found


def _differences(root: Path, listed: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    there = _files(root)
    for name, about in sorted(listed.items()):
        made_by = f" (rule {about['rule']} makes it)" if "rule" in about else ""
        path = there.get(name)
        if path is None:
            yield f"missing: {name}{made_by}"
        elif (size := path.stat().st_size) != about["bytes"]:
            yield f"changed: {name}: {size} bytes, not {about['bytes']}{made_by}"
        elif sha256(path) != about["sha256"]:
            yield f"changed: {name}: other content of the same size{made_by}"
    for name in sorted(set(there) - set(listed)):
        yield f"unknown: {name}"


def _folder(study: str | os.PathLike) -> Path:
    root = Path(study)
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder; give a study's, as in results/demo")
    return root


def _files(root: Path) -> dict[str, Path]:
    """The files of a study by their names in it, without those that are no results."""
    found = {}
    for folder, folders, names in os.walk(root):
        here = Path(folder)
        if here == root:
            folders[:] = [name for name in folders if name not in _LEFT_OUT]
        # Digests, and what is being written.
        names = [name for name in names if not name.startswith(".")]
        for name in names:
            path = here / name
            if path != root / MANIFEST:
                found[path.relative_to(root).as_posix()] = path
    return dict(sorted(found.items()))
