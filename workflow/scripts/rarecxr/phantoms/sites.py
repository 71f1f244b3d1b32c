"""Location and form of each finding in a patient: drawn once, the same in every study."""

from collections.abc import Callable

import numpy as np

from rarecxr.phantoms.anatomy import RIBS, Anatomy
from rarecxr.phantoms.geometry import rotation

Site = dict[str, object]


def _lung_point(
    anatomy: Anatomy, rng: np.random.Generator, side: int, low: float, high: float
) -> np.ndarray:
    """A point (3,) inside one lung between shares `low` and `high` of its height."""
    y = rng.uniform(low, high) * anatomy.height
    wide = float(anatomy.cage_half_width(np.array(y)))
    inner = 3.4 + (2.2 if side > 0 and y > 0.55 * anatomy.height else 0.0)
    x = side * (inner + (wide - 1.2 - inner) * rng.uniform(0.1, 1.0))
    deep = float(anatomy.cage_half_depth(np.array(y))) * np.sqrt(1 - (x / (wide + 1)) ** 2)
    z = float(anatomy.cage_centre_depth(np.array(y))) + rng.uniform(-0.75, 0.75) * deep
    return np.array([x, y, z])


def _any_side(rng: np.random.Generator, right: float = 0.5) -> int:
    return -1 if rng.random() < right else 1


def sample_sites(rng: np.random.Generator, anatomy: Anatomy) -> dict[str, Site]:
    """Location and form of each finding that this patient has or would have."""
    return {finding: sample(rng, anatomy) for finding, sample in _SAMPLERS.items()}


def _enlarged_cardiomediastinum(rng: np.random.Generator, _: Anatomy) -> Site:
    return {"side": rng.uniform(-0.25, 0.25)}


def _cardiomegaly(rng: np.random.Generator, _: Anatomy) -> Site:
    return {"round": rng.uniform(0.85, 1.1)}


def _lung_opacity(rng: np.random.Generator, anatomy: Anatomy) -> Site:
    side = _any_side(rng, 0.55)
    return {
        "centre": _lung_point(anatomy, rng, side, 0.25, 0.85),
        "axes": tuple(rng.uniform(2.6, 5.2, 3)),
        "turn": rotation(*rng.uniform(-0.7, 0.7, 3)),
        "clouds_at": tuple(rng.random(2)),
    }


def _lung_lesion(rng: np.random.Generator, anatomy: Anatomy) -> Site:
    count = 1 if rng.random() < 0.62 else int(rng.integers(2, 6))
    radius = rng.uniform(1.9, 3.5) if count == 1 else rng.uniform(1.1, 1.9)
    return {
        "nodules": [
            {
                "centre": _lung_point(anatomy, rng, _any_side(rng, 0.55), 0.12, 0.88),
                "axes": tuple(radius * rng.uniform(0.8, 1.2, 3)),
                "turn": rotation(*rng.uniform(-1, 1, 3)),
                "bumps": rng.normal(0, 1, (4, 3)),
            }
            for _ in range(count)
        ],
        "spikes": rng.normal(size=(10, 3)) if count == 1 and rng.random() < 0.5 else None,
    }


def _edema(rng: np.random.Generator, _: Anatomy) -> Site:
    return {
        "clouds_at": tuple(rng.random(2)),
        "lean": rng.uniform(-0.3, 0.3),
        "lines": rng.uniform(0, 1, (2, 9, 3)),
    }


def _consolidation(rng: np.random.Generator, _: Anatomy) -> Site:
    return {
        "lobe": int(rng.choice(5, p=(0.2, 0.14, 0.26, 0.16, 0.24))),
        "clouds_at": tuple(rng.random(2)),
        "bronchi": rng.normal(0, 1, (7, 2, 3)),
    }


def _pneumonia(rng: np.random.Generator, anatomy: Anatomy) -> Site:
    side = _any_side(rng, 0.55)
    focus = _lung_point(anatomy, rng, side, 0.3, 0.85)
    patches = []
    for _ in range(int(rng.integers(5, 10))):
        patches.append((focus + rng.normal(0, (1.9, 2.3, 1.5)), tuple(rng.uniform(0.8, 2.1, 3))))
    return {"patches": patches, "clouds_at": tuple(rng.random(2))}


def _atelectasis(rng: np.random.Generator, anatomy: Anatomy) -> Site:
    side = _any_side(rng, 0.45)
    plates = []
    for i in range(int(rng.integers(2, 5))):
        y = 0.80 * anatomy.height - 1.9 * i + rng.normal(0, 0.5)
        plates.append(
            {
                "centre": np.array([side * rng.uniform(6.5, 9.0), y, rng.uniform(-3, 1.5)]),
                "axes": (rng.uniform(2.4, 4.4), rng.uniform(0.14, 0.3), rng.uniform(2.0, 3.6)),
                "turn": rotation(0.05 * rng.normal(), 0, side * rng.normal(0.05, 0.16)),
            }
        )
    return {"side": side, "plates": plates, "clouds_at": tuple(rng.random(2))}


def _pneumothorax(rng: np.random.Generator, _: Anatomy) -> Site:
    return {
        "side": _any_side(rng, 0.55),
        "apical": rng.uniform(2.6, 5.0),
        "lateral": rng.uniform(0.5, 2.2),
        "wave": rng.uniform(0, 2 * np.pi),
    }


def _pleural_effusion(rng: np.random.Generator, _: Anatomy) -> Site:
    both = rng.random() < 0.4
    side = _any_side(rng, 0.5)
    return {
        "right": 1.0 if both or side < 0 else 0.0,
        "left": 1.0 if both or side > 0 else 0.0,
        "depth": rng.uniform(5.0, 11.5),
        "uneven": rng.uniform(-0.3, 0.3),
    }


def _pleural_other(rng: np.random.Generator, _: Anatomy) -> Site:
    return {
        "form": "cap" if rng.random() < 0.2 else "wall",
        "side": _any_side(rng, 0.5),
        "both": bool(rng.random() < 0.3),
        "from": rng.uniform(0.2, 0.42),
        "length": rng.uniform(0.4, 0.7),
        "thick": rng.uniform(1.4, 2.6),
        "waves": rng.uniform(0, 2 * np.pi, 3),
        "calcified": bool(rng.random() < 0.45),
        "plaques": rng.uniform(0, 1, (6, 3)),
    }


def _fracture(rng: np.random.Generator, _: Anatomy) -> Site:
    side = _any_side(rng, 0.5)
    count = int(rng.integers(3, 6))
    first = int(rng.integers(1, RIBS - count))
    where = rng.uniform(0.26, 0.50)
    return {
        "side": side,
        "breaks": [
            {
                "rib": first + i,
                "at": float(np.clip(where + rng.normal(0, 0.025), 0.22, 0.55)),
                "step": rng.choice((-1, 1)) * rng.uniform(0.6, 1.1),
                "inward": rng.uniform(0.1, 0.7),
                "callus": rng.uniform(0.85, 1.3),
            }
            for i in range(count)
        ],
        "swelling": rng.uniform(0.9, 1.6),
    }


# In the order in which random numbers are drawn: another one gives other patients.
_SAMPLERS: dict[str, Callable[[np.random.Generator, Anatomy], Site]] = {
    "Enlarged Cardiomediastinum": _enlarged_cardiomediastinum,
    "Cardiomegaly": _cardiomegaly,
    "Lung Opacity": _lung_opacity,
    "Lung Lesion": _lung_lesion,
    "Edema": _edema,
    "Consolidation": _consolidation,
    "Pneumonia": _pneumonia,
    "Atelectasis": _atelectasis,
    "Pneumothorax": _pneumothorax,
    "Pleural Effusion": _pleural_effusion,
    "Pleural Other": _pleural_other,
    "Fracture": _fracture,
}
