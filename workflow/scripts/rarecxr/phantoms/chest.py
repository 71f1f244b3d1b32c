"""The chest as imaged, and what both views draw of it: bones, airways, heart, vessels."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from rarecxr.phantoms.anatomy import Anatomy, Pose
from rarecxr.phantoms.findings import (
    Grades,
    Layers,
    break_ribs,
    dome_rise,
    mediastinal_shift,
    reshape,
)
from rarecxr.phantoms.geometry import (
    Array,
    Tubes,
    View,
    add_ellipsoid,
    draw_tubes,
    ellipsoid,
    rotation,
    smooth_curve,
    soft_step,
    texture,
    tube,
)
from rarecxr.phantoms.sites import Site

# Attenuation per cm near 70 keV: soft tissue; what bone and plastic add; lung over soft tissue.
SOFT = 0.185
BONE = 0.30
METAL = 0.9
LUNG_DENSITY = 0.24


@dataclass(frozen=True)
class Chest:
    """The patient as imaged: anatomy after findings and breathing, and the diaphragms.

    Attributes:
        anatomy: after `reshape`.
        domes: height (cm) of the right and left diaphragm's top.
        shift: cm that the mediastinum is displaced to the patient's left.
        grades: finding -> grade in (0, 1].
        sites: the patient's findings' sites.
    """

    anatomy: Anatomy
    domes: tuple[float, float]
    shift: float
    grades: Grades
    sites: Mapping[str, Site]


def make_chest(anatomy: Anatomy, sites: Mapping[str, Site], pose: Pose, grades: Grades) -> Chest:
    """The chest of one patient in one pose with the findings of `grades`."""
    shaped = reshape(anatomy, grades, sites)
    base = 0.985 * anatomy.height * pose.inspiration
    domes = (
        base - dome_rise(-1, grades, sites),
        base + anatomy.left_dome - dome_rise(1, grades, sites),
    )
    if pose.view == "AP":
        # The heart rests on the diaphragm: it spreads when that is high.
        spread = 1 + 0.4 * (1 - pose.inspiration)
        shaped = replace(shaped, heart=(shaped.heart[0] * spread, *shaped.heart[1:]))
    return Chest(shaped, domes, mediastinal_shift(grades, sites), grades, sites)


def draw_bones(view: View, chest: Chest, others: list[Tubes]) -> Array:
    """(H, W) bone in cm: ribs with their calluses, clavicles, and `others`."""
    anatomy = chest.anatomy
    turn = np.linspace(0, 1, anatomy.ribs.shape[2])
    points = anatomy.ribs.reshape(-1, *anatomy.ribs.shape[2:])
    # Thick at the back, thinning towards the cartilage.
    density = np.broadcast_to(1.0 - 0.42 * soft_step(turn - 0.6, 0.5), points.shape[:2])
    density = density * soft_step(1.0 - turn - 0.02, 0.06)
    size = 0.92 if anatomy.female else 1.03
    radius = np.broadcast_to((0.60 + 0.1 * np.sin(np.pi * turn)) * size, points.shape[:2])
    ribs = Tubes(points, radius, density, hollow=0.82)
    callus = np.zeros(view.shape, np.float32)
    if chest.grades.get("Fracture", 0.0) > 0:
        grade = chest.grades["Fracture"]
        ribs, calluses = break_ribs(ribs, grade, chest.sites["Fracture"])
        for centre, axes in calluses:
            add_ellipsoid(callus, view, centre, axes, factor=min(1.8 * grade**0.6, 1.0))
    bundle = [ribs]
    for side in (-1, 1):
        knots = np.array(
            [
                (side * 1.6, 2.9, 3.4),
                (side * 5.0, 2.4 - 0.3 * anatomy.clavicle, 4.2),
                (side * 10.5, 1.9 - 0.8 * anatomy.clavicle, 1.5),
                (side * 16.0, 2.0 - anatomy.clavicle, -0.5),
            ]
        )
        knots[:, 0] *= anatomy.half_width / 13.4
        bundle.append(tube(smooth_curve(knots, 40), 0.62 * size, 1.1, hollow=0.7))
    bone = draw_tubes(view, *bundle, *others)
    return (bone + callus) * np.float32(anatomy.bone)


def vertebrae(position: np.ndarray, period: float) -> np.ndarray:
    """1 in vertebral bodies, brighter at their end plates, 0.25 in the discs between."""
    phase = np.abs((position / period) % 1 - 0.5) * 2
    body = soft_step(0.78 - phase, 0.16)
    plate = np.exp(-(((phase - 0.70) / 0.09) ** 2))
    return 0.30 + 0.70 * body + 0.35 * plate


def draw_airways(view: View, chest: Chest) -> Array:
    """(H, W) air in the trachea and main bronchi, cm."""
    anatomy = chest.anatomy
    carina = np.array([0.5 + chest.shift, 0.30 * anatomy.height, -1.5])
    upper = 0.35 * chest.shift
    trachea = smooth_curve(
        np.array([(0, -9, 2.5), (0, -3, 1.0), (0.25 + upper, 2.5, -0.5), carina]), 60
    )
    air = [tube(trachea, 0.95, 1.25)]
    for side in (-1, 1):
        end = anatomy.hilum(side) + np.array([chest.shift, 0.6, 0.0])
        knee = carina + np.array([side * 1.3, 1.3 if side < 0 else 0.9, 0])
        bronchus = smooth_curve(np.array([carina - (0, 0.5, 0), knee, end]), 24)
        fading = np.linspace(1, 0.15, len(bronchus))[None]
        air.append(Tubes(bronchus[None], 0.35 + 0.25 * fading, fading))
    return draw_tubes(view, *air)


def add_contents(view: View, chest: Chest, mediastinum: Array) -> Array:
    """(H, W) cm of mediastinum, heart and great vessels, where they overlap counted once."""
    anatomy = chest.anatomy
    content = mediastinum
    centre = anatomy.heart_centre()
    sink = 0.5 * (sum(chest.domes) / 2 - 0.985 * anatomy.height)
    centre = centre + (chest.shift, sink, 0.0)
    height = anatomy.height
    long = anatomy.heart[0]
    parts = (
        (centre, anatomy.heart, rotation(0, 0.25, anatomy.heart_tilt)),
        # Right atrium, in step with the heart's size.
        (
            np.array([-0.23 * long + chest.shift, centre[1] - 0.6, 1.0]),
            (0.42 * long, 0.19 * height, 3.2),
            None,
        ),
        # Aortic knob, pulmonary trunk, left auricle.
        (
            np.array([2.1 + 0.5 * (anatomy.knob - 1.4) + chest.shift, 0.245 * height, -0.5]),
            (anatomy.knob, 1.25 * anatomy.knob, 3.0),
            None,
        ),
        (
            np.array([2.2 + chest.shift, 0.40 * height, 2.0]),
            (1.5 + 0.06 * long, 2.6, 2.6),
            rotation(0, 0, 0.25),
        ),
        (
            np.array([2.0 + 0.1 * long + chest.shift, 0.53 * height, 1.5]),
            (1.7 + 0.05 * long, 2.9, 2.4),
            rotation(0, 0, -0.35),
        ),
    )
    for place, axes, turn in parts:
        found = ellipsoid(view, place, axes, turn)
        if found is not None:
            window, chord = found
            # Fat around it thickens what the ellipsoid leaves out; where bodies overlap they
            # count little more than the thicker one.
            content[window] = np.cbrt(content[window] ** 3 + (1.25 * chord) ** 3)
    return content


def compose(view: View, chest: Chest, layers: Layers, body: Array, air: Array) -> Array:
    """Line integrals of attenuation from all layers, (H, W)."""
    anatomy = chest.anatomy
    vessels = draw_tubes(view, anatomy.vessels)
    if chest.grades.get("Edema", 0.0) > 0:
        # Engorged and blurred.
        vessels = vessels * np.float32(1 + 0.8 * chest.grades["Edema"])
    aerated = np.maximum(layers.lung - layers.filled, 0)
    in_lung = (1 - layers.free) * np.minimum(aerated / 2.5, 1)
    marks = np.float32(1) + 0.12 * texture(view, anatomy.texture_at)
    gas = aerated * (layers.free + (1 - layers.free) * (1 - LUNG_DENSITY * marks))
    soft = body - gas - air + layers.soft + vessels * in_lung
    return (
        SOFT * np.maximum(soft, 0) + BONE * layers.bone + METAL * np.minimum(layers.metal, 4.0)
    ).astype(np.float32)


def add_fracture_swelling(view: View, chest: Chest, layers: Layers) -> None:
    """Bruised soft tissue around the broken ribs."""
    grade = chest.grades.get("Fracture", 0.0)
    if not grade:
        return
    site = chest.sites["Fracture"]
    rows = [b["rib"] for b in site["breaks"]]
    at = int(np.mean([b["at"] for b in site["breaks"]]) * (chest.anatomy.ribs.shape[2] - 1))
    centre = chest.anatomy.ribs[(site["side"] + 1) // 2, rows, at].mean(axis=0)
    axes = (2.2, 1.6 + 1.1 * len(rows), 2.4)
    add_ellipsoid(
        layers.soft, view, centre, axes, soft=True, factor=0.65 * grade**0.7 * site["swelling"]
    )
