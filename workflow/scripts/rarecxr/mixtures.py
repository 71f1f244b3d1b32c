"""Whether the files of a study were made with the same settings, seeds and data.

A workflow manager sees to that, until its records are lost, or reruns are limited by hand: then
runs of different learning rates stand side by side and would be averaged.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

# What may differ although the settings are the same, and is noted: results are accepted after a
# change of code, and nodes of a cluster differ.
_MAY_DIFFER = ("code", "settings.precision", "settings.threads", "versions.")
# Of a value in a message, in characters.
_SHOWN = 120


@dataclass(frozen=True)
class Origin:
    """What a file says of how it was made.

    Attributes:
        path: the file.
        kind: of file; only files of a kind are compared.
        provenance: as `rarecxr.core.provenance.provenance` gives it.
        place: settings and seed that follow from the file's place in the study, by their keys in
            the provenance (`seed`, `settings.fraction`), and what they must be.
        own: settings that differ between groups of files, by key, and the group of this one; None
            for settings that are each file's own.
    """

    path: str | os.PathLike
    kind: str
    provenance: Mapping[str, Any]
    place: Mapping[str, Any] = field(default_factory=dict)
    own: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Comparison:
    """What the comparison of a file with the others of its kind gave.

    Attributes:
        path: the file.
        compared: number of values that were compared.
        wrong: what differs and must not, a sentence each.
        noted: what differs and may.
    """

    path: str | os.PathLike
    compared: int = 0
    wrong: list[str] = field(default_factory=list)
    noted: list[str] = field(default_factory=list)


def compare(origins: Iterable[Origin]) -> Iterator[Comparison]:
    """Each file beside what most of its kind say, and beside its place.

    Args:
        origins: what the files say.
    """
    origins = list(origins)
    # By kind, key and group the values, each with the files that say it.
    values: dict[tuple, dict[str, list[str | os.PathLike]]] = {}
    for origin in origins:
        for key, value in _values(origin.provenance).items():
            said = values.setdefault((origin.kind, key, origin.own.get(key, ())), {})
            said.setdefault(json.dumps(value, sort_keys=True), []).append(origin.path)
    for origin in origins:
        found = Comparison(origin.path)
        for key, value in _values(origin.provenance).items():
            if key in origin.place:
                found.compared += 1
                if not _same(value, origin.place[key]):
                    wanted = json.dumps(origin.place[key])
                    found.wrong.append(f"{key} is {json.dumps(value)}, where {wanted} belongs")
                continue
            group = origin.own.get(key, ())
            if group is None:
                continue
            said = values[origin.kind, key, group]
            most = max(said, key=lambda text: len(said[text]))
            found.compared += 1
            if (own := json.dumps(value, sort_keys=True)) != most:
                differs = found.noted if key.startswith(_MAY_DIFFER) else found.wrong
                differs.append(f"{key} is {_cut(own)}, but {_cut(most)} in {said[most][0]}")
        yield found


def from_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The provenance in the attributes of an HDF5 file of this workflow."""
    names = ("study", "code", "settings", "versions")
    found = {name: attributes[name] for name in (*names, "pixels") if name in attributes}
    return {
        name: json.loads(value) if name in ("settings", "versions") else value
        for name, value in found.items()
    }


def _values(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """What is compared, by name, as in `settings.learning_rate`; inputs are, with their files."""
    parts = {name: provenance[name] for name in ("study", "seed", "code") if name in provenance}
    parts |= {f"settings.{name}": value for name, value in provenance.get("settings", {}).items()}
    parts |= {f"versions.{name}": value for name, value in provenance.get("versions", {}).items()}
    # The images of the cache that a run started from: no file of its own stands for them.
    pixels = provenance.get("pixels") or provenance.get("inputs", {}).get("pixels")
    return parts if pixels is None else parts | {"pixels": pixels}


def _same(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, float | int) and isinstance(value, float | int | str):
        try:
            return float(value) == wanted
        except ValueError:
            return False
    return value == wanted


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
