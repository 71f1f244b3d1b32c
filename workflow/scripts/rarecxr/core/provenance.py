"""Where an artifact comes from, as plain values that travel with it."""

import hashlib
import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from rarecxr.core.files import sha256

# Import name and distribution name of what can change a number.
_PACKAGES = {
    "h5py": "h5py",
    "numpy": "numpy",
    "pandas": "pandas",
    "PIL": "pillow",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "torch": "torch",
    "torchvision": "torchvision",
}

# Those that a training computes with; the others only read and write.
_OF_TRAINING = ("numpy", "scipy", "torch", "torchvision")

# Keys that files have beside their provenance, by which the leakage check compares them: SHA-256
# of a generator and of its training set, and what a network was trained on (`digest_of_images`).
GENERATOR_DIGEST, TRAINING_DIGEST, TRAINED_ON = "generator_digest", "training_digest", "trained_on"


def provenance(
    study: str,
    settings: Mapping[str, Any],
    inputs: Mapping[str, str | os.PathLike],
    seed: int | None = None,
    code: str | None = None,
) -> dict[str, Any]:
    """What made an artifact.

    Args:
        study: name of the study.
        settings: all settings that it depends on, as plain values.
        inputs: name and path of every file that it was made from.
        seed: seed of its random numbers.
        code: digest of the code that made it (`rarecxr.core.code_digest`).

    Returns:
        Plain values for JSON: study, settings, settings_digest, inputs (SHA-256 by name),
        versions (of Python and of the loaded packages that compute), seed and code. It
        holds no time, host or path, so that the same run gives the same bytes.
    """
    return {
        "study": study,
        "settings": dict(settings),
        "settings_digest": digest(settings),
        "inputs": {name: sha256(path) for name, path in sorted(inputs.items())},
        "versions": versions(),
        "seed": seed,
        "code": code,
    }


def versions() -> dict[str, str]:
    """Versions of Python and of the computing packages that this process has loaded."""
    loaded = {
        name: importlib.metadata.version(name)
        for module, name in _PACKAGES.items()
        if module in sys.modules
    }
    return {"python": platform.python_version(), **loaded}


def decisive(found: Mapping[str, str]) -> dict[str, str]:
    """Of `versions` what a training depends on: Python's without its patch release."""
    python = ".".join(found["python"].split(".")[:2])
    return {"python": python, **{name: found[name] for name in _OF_TRAINING if name in found}}


def digest(values: Any) -> str:
    """A digest of plain values, the same for the same values in any order of keys."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of_images(images: Iterable[str]) -> dict[str, Any]:
    """Number of different images, and one digest of all their keys in any order."""
    keys = sorted(set(images))
    return {"images": len(keys), "digest": digest(keys)}


def write_attributes(file, values: Mapping[str, Any], **more: Any) -> None:
    """Set attributes of an HDF5 file or group: text and numbers as they are, the rest as JSON.

    `None` is left out.
    """
    for name, value in {**values, **more}.items():
        if value is None:
            continue
        plain = isinstance(value, str | int | float)
        file.attrs[name] = value if plain else json.dumps(value, sort_keys=True)
