"""How each finding changes the image: the anatomy, or what rays cross.

A finding has a *site* (its location and form, the same for all studies of a patient) and a *grade*
in (0, 1] (how visible it is in one study). Some findings change the anatomy before
it is drawn (`reshape`, `break_ribs`), the others the drawn layers (`draw_findings`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from rarecxr.phantoms.anatomy import RIBS, Anatomy
from rarecxr.phantoms.geometry import (
    Array,
    Tubes,
    View,
    add_ellipsoid,
    draw_tubes,
    ellipsoid,
    smooth_curve,
    soft_step,
    texture,
)
from rarecxr.phantoms.sites import Site

Grades = Mapping[str, float]


@dataclass
class Layers:
    """What a ray crosses, (H, W) each, in cm unless said otherwise.

    Attributes:
        x: horizontal position in the view, cm from the body's axis.
        y: height, cm below the apices.
        lung: path through the pleural space that holds air (lung or free air).
        right, left: share of `lung` that belongs to each side (1 or 0 in frontal views).
        wall: distance to the chest wall in the view; negative outside the chest.
        filled: part of `lung` that holds fluid or tissue instead of air.
        free: share of `lung` that is free pleural air, 0 to 1.
        soft: further soft tissue or water.
        bone: bone, cm of average bone.
        metal: devices, cm of radiopaque plastic; metal counts several times.
    """

    x: Array
    y: Array
    lung: Array
    right: Array
    left: Array
    wall: Array
    filled: Array
    free: Array
    soft: Array
    bone: Array
    metal: Array

    def side(self, side: int) -> Array:
        """Share of the lung path on one side: -1 the patient's right, 1 the left."""
        return self.right if side < 0 else self.left


# ----------------------------------------------------------------- findings that change shapes


def reshape(anatomy: Anatomy, grades: Grades, sites: Mapping[str, Site]) -> Anatomy:
    """The anatomy with the mediastinum and heart as wide as the grades say."""
    wide = grades.get("Enlarged Cardiomediastinum", 0.0)
    big = grades.get("Cardiomegaly", 0.0)
    wet = grades.get("Edema", 0.0)
    heart = np.array(anatomy.heart) * (1 + 0.05 * wet)
    if big:
        # From a cardiothoracic ratio of 0.45 to one of up to 0.68.
        growth = 1 + 0.10 + 0.42 * big
        plump = float(sites["Cardiomegaly"]["round"])
        heart = heart * (growth, growth * plump, growth)
    if wide:
        heart = heart * (1 + 0.06 * wide)
    return replace(
        anatomy,
        heart=tuple(float(axis) for axis in heart),
        mediastinum=anatomy.mediastinum * (1 + 0.08 * bool(wide) + 0.85 * wide),
        knob=anatomy.knob * (1 + 0.45 * wide),
    )


def mediastinal_shift(grades: Grades, sites: Mapping[str, Site]) -> float:
    """How far (cm, to the patient's left) the mediastinum is pushed or pulled."""
    pulled = grades.get("Atelectasis", 0.0) * 1.1 * sites["Atelectasis"]["side"]
    pushed = grades.get("Pneumothorax", 0.0) ** 2 * 1.6 * sites["Pneumothorax"]["side"]
    return float(pulled - pushed)


def dome_rise(side: int, grades: Grades, sites: Mapping[str, Site]) -> float:
    """How far (cm) loss of volume raises a diaphragm above its normal position."""
    lost = grades.get("Atelectasis", 0.0) * (sites["Atelectasis"]["side"] == side)
    return 3.4 * lost


def break_ribs(ribs: Tubes, grade: float, site: Site) -> tuple[Tubes, list[tuple]]:
    """The ribs broken and displaced, and the calluses as (centre, axes) to be added as bone.

    `ribs` holds the right ribs first, then the left ones, each from the spine to the front.
    """
    points, density = ribs.points.copy(), ribs.density.copy()
    calluses = []
    moved = grade**0.6
    turn = np.linspace(0, 1, points.shape[1])
    outwards = np.array([float(site["side"]), 0.0, 0.0])
    for broken in site["breaks"]:
        row = (RIBS if site["side"] > 0 else 0) + broken["rib"]
        beyond = turn - broken["at"]
        middle = points[row, int(np.argmin(np.abs(beyond)))].copy()
        fade = np.where(beyond > 0, np.exp(-((beyond / 0.22) ** 2)), 0)
        shift = np.array([0.0, broken["step"], 0.0]) - outwards * broken["inward"]
        points[row] += (1.5 * moved * fade)[:, None] * shift
        before = np.exp(-((beyond / 0.1) ** 2)) * (beyond <= 0)
        points[row] -= (0.5 * moved * before)[:, None] * shift
        density[row] *= 1 - moved * (np.abs(beyond) < 0.013 + 0.014 * moved)
        size = broken["callus"] * (0.7 + 0.4 * grade)
        calluses.append((middle + 0.5 * moved * shift, (size, 0.85 * size, 0.8 * size)))
    return replace(ribs, points=points, density=density), calluses


# ------------------------------------------------------------------- findings that change layers


def draw_findings(
    view: View,
    anatomy: Anatomy,
    layers: Layers,
    grades: Grades,
    sites: Mapping[str, Site],
    domes: tuple[Array, Array],
) -> None:
    """Add every finding of `grades` to `layers`, in place.

    Args:
        view: the projection.
        anatomy: the patient, after `reshape`.
        layers: what rays cross; changed.
        grades: finding -> grade in (0, 1].
        sites: the patient's `sample_sites`.
        domes: height (cm) of the right and left diaphragm's top for each column, (1, W).
    """
    for finding, draw in _DRAWN.items():
        if grades.get(finding, 0.0) > 0:
            draw(view, anatomy, layers, grades[finding], sites[finding], domes)


def _fill(layers: Layers, chord: Array, share: float | Array) -> None:
    """Fill lung along `chord` (cm) to `share`, at most what still holds air."""
    free = np.maximum(layers.lung - layers.filled, 0)
    layers.filled += np.minimum(chord, free) * share


def _lung_opacity(view, anatomy, layers, grade, site, domes):
    chord = np.zeros_like(layers.lung)
    add_ellipsoid(chord, view, site["centre"], site["axes"], site["turn"], soft=True)
    clouds = 1 + 0.35 * texture(view, site["clouds_at"], clouds=True)
    _fill(layers, chord * np.clip(clouds, 0.2, 2), 0.10 + 0.48 * grade)


def _lung_lesion(view, anatomy, layers, grade, site, domes):
    size, solid = 0.6 + 0.4 * grade, grade**0.6
    for nodule in site["nodules"]:
        axes = tuple(size * axis for axis in nodule["axes"])
        chord = np.zeros_like(layers.lung)
        add_ellipsoid(chord, view, nodule["centre"], axes, nodule["turn"])
        # A lobulated outline: smaller balls half sunk in the surface.
        for bump in nodule["bumps"]:
            direction = bump / (np.linalg.norm(bump) + 1e-9)
            place = nodule["centre"] + 0.62 * np.array(axes) * direction
            found = ellipsoid(view, place, tuple(0.55 * axis for axis in axes))
            if found is not None:
                window, small = found
                chord[window] = np.maximum(chord[window], small)
        layers.soft += chord * (1.75 * solid) * (layers.lung > 0.2)
    if site["spikes"] is not None:
        nodule = site["nodules"][0]
        ends = nodule["centre"] + 2.3 * max(nodule["axes"]) * size * (
            site["spikes"] / np.linalg.norm(site["spikes"], axis=1, keepdims=True)
        )
        lines = np.linspace(0, 1, 12)[None, :, None]
        points = nodule["centre"] + lines * (ends[:, None] - nodule["centre"])
        radius = np.repeat(0.13 * (1 - 0.8 * lines[..., 0]), len(ends), axis=0)
        spikes = Tubes(points, radius, np.full_like(radius, grade))
        layers.soft += draw_tubes(view, spikes) * (layers.lung > 0.2)


def _edema(view, anatomy, layers, grade, site, domes):
    haze = np.zeros_like(layers.lung)
    for side in (-1, 1):
        centre = anatomy.hilum(side) + np.array([side * 2.2, 1.8, 0.0])
        lean = 1 + side * site["lean"]
        add_ellipsoid(
            haze,
            view,
            centre,
            (6.4, 0.52 * anatomy.height, 8.0),
            soft=True,
            factor=lean,
        )
    clouds = np.clip(1 + 0.4 * texture(view, site["clouds_at"], clouds=True), 0.15, 2)
    _fill(layers, haze * clouds, 0.05 + 0.42 * grade)
    # Kerley B: short lines that reach the pleura, low at the sides.
    curves = []
    for side in (-1, 1):
        for line in site["lines"][(side + 1) // 2]:
            y = (0.62 + 0.32 * line[0]) * anatomy.height
            wall = float(anatomy.cage_half_width(np.array(y))) - 0.25
            inner = wall - 1.1 - 1.0 * line[1]
            z = float(anatomy.cage_centre_depth(np.array(y))) + 3 * (line[2] - 0.5)
            curves.append(np.linspace((side * inner, y, z), (side * wall, y - 0.1, z), 10))
    points = np.stack(curves)
    radius = np.full(points.shape[:2], 0.07)
    kerley = draw_tubes(view, Tubes(points, radius, np.ones_like(radius)))
    layers.soft += 2.2 * grade * kerley * (layers.lung > 0.1)


def _consolidation(view, anatomy, layers, grade, site, domes):
    height, wide, deep = anatomy.height, anatomy.half_width, anatomy.depth
    # Right upper, middle, lower; left upper, lower: centre and half axes as shares.
    side, x, y, z, ax, ay, az = (
        (-1, 0.58, 0.22, 0.10, 0.34, 0.25, 0.75),
        (-1, 0.50, 0.66, 0.45, 0.38, 0.15, 0.50),
        (-1, 0.56, 0.78, -0.40, 0.38, 0.26, 0.65),
        (1, 0.60, 0.30, 0.25, 0.32, 0.27, 0.75),
        (1, 0.62, 0.78, -0.40, 0.33, 0.26, 0.65),
    )[site["lobe"]]
    size = 0.72 + 0.28 * grade
    centre = np.array([side * x * wide, y * height, z * deep])
    axes = (ax * wide * size, ay * height * size, az * deep * size)
    chord = np.zeros_like(layers.lung)
    add_ellipsoid(chord, view, centre, axes, factor=0.5)
    add_ellipsoid(chord, view, centre, axes, soft=True, factor=0.7)
    clouds = np.clip(1 + 0.22 * texture(view, site["clouds_at"], clouds=True), 0.4, 1.5)
    chord *= clouds * soft_step(layers.side(side) - 0.25, 0.5)
    # Upper and middle lobes end sharply at the horizontal fissure.
    fissure = 0.47 * height
    if site["lobe"] == 0:
        chord *= soft_step(fissure + 0.12 * (layers.x + 6) - layers.y, 0.5)
    elif site["lobe"] == 1:
        chord *= soft_step(layers.y - fissure - 0.6 - 0.12 * (layers.x + 6), 0.5)
    _fill(layers, chord, 0.15 + 0.75 * grade)
    # Air bronchograms: air-filled tubes from the hilum through the airless lobe.
    root = anatomy.hilum(side)
    curves = []
    for knee, tip in site["bronchi"]:
        inside = centre + 0.75 * np.array(axes) * tip / (np.linalg.norm(tip) + 0.6)
        bend = 0.5 * (root + inside) + 0.4 * knee
        curves.append(smooth_curve(np.stack([root, bend, inside]), 16))
    points = np.stack(curves)
    radius = np.repeat(np.linspace(0.24, 0.11, 16)[None], len(points), axis=0)
    air = draw_tubes(view, Tubes(points, radius, np.ones_like(radius)))
    layers.filled -= np.minimum(air * 1.6 * grade, layers.filled) * (chord > 0.5)


def _pneumonia(view, anatomy, layers, grade, site, domes):
    chord = np.zeros_like(layers.lung)
    for centre, axes in site["patches"]:
        add_ellipsoid(chord, view, centre, axes, soft=True)
    clouds = np.clip(1 + 0.6 * texture(view, site["clouds_at"], clouds=True), 0.05, 2.2)
    _fill(layers, chord * clouds, 0.12 + 0.75 * grade)


def _atelectasis(view, anatomy, layers, grade, site, domes):
    dome = domes[0] if site["side"] < 0 else domes[1]
    for plate in site["plates"]:
        chord = np.zeros_like(layers.lung)
        # The plates ride on the raised diaphragm.
        centre = plate["centre"] - np.array([0.0, 2.2 * grade, 0.0])
        add_ellipsoid(chord, view, centre, plate["axes"], plate["turn"])
        layers.soft += np.minimum(chord, 4.0) * (0.12 + 0.55 * grade) * (layers.lung > 0.2)
    # Crowded, less aerated lung above the diaphragm.
    near = np.exp(-np.maximum(dome - layers.y, 0) / 2.6) * layers.side(site["side"])
    clouds = np.clip(1 + 0.3 * texture(view, site["clouds_at"], clouds=True), 0.3, 1.8)
    _fill(layers, layers.lung * near * clouds, 0.42 * grade)


def _pneumothorax(view, anatomy, layers, grade, site, domes):
    y = layers.y / anatomy.height
    size = 0.22 + 0.78 * grade
    gap = site["apical"] * np.exp(-np.clip(y, 0, None) / 0.26) + site["lateral"] * size
    gap = size * gap * (1 + 0.12 * np.sin(9 * y + site["wave"])) * soft_step(1.0 - y, 0.5)
    part = layers.side(site["side"])
    layers.free = np.maximum(layers.free, part * soft_step(gap - layers.wall, 0.12))
    # The visceral pleura seen edge-on.
    line = np.exp(-(((layers.wall - gap) / 0.07) ** 2)) * (layers.lung > 0.3)
    layers.soft += part * line * (0.35 + 1.1 * grade)
    # The collapsed lung holds less air.
    _fill(layers, layers.lung * (1 - layers.free) * part, 0.16 * grade)


def _pleural_effusion(view, anatomy, layers, grade, site, domes):
    for side, dome in zip((-1, 1), domes, strict=True):
        share = float(site["right"] if side < 0 else site["left"])
        if not share:
            continue
        floor = float(np.min(dome)) + anatomy.dome_drop + 0.8
        level = (2.6 + site["depth"] * grade) * (1 + side * site["uneven"])
        # The meniscus climbs at the wall.
        climb = np.exp(-np.maximum(layers.wall, 0) / 2.4)
        surface = floor - level * (0.62 + 0.38 * climb)
        depth = layers.y - surface
        fluid = soft_step(depth - 0.5, 1.6) * layers.side(side)
        _fill(layers, layers.lung * fluid, min(1.0, 0.55 + 0.6 * grade))


def _pleural_other(view, anatomy, layers, grade, site, domes):
    y = layers.y / anatomy.height
    waves = site["waves"]
    uneven = 1 + 0.3 * np.sin(14 * y + waves[0]) + 0.2 * np.sin(31 * y + waves[1])
    for side in (-1, 1):
        if side != site["side"] and not site["both"]:
            continue
        part = layers.side(side)
        thick = site["thick"] * (0.3 + 0.7 * grade) * uneven
        if site["form"] == "cap":
            extent = soft_step(0.20 - y, 0.12)
            thick = 1.35 * thick
        else:
            extent = soft_step(y - site["from"], 0.1)
            extent = extent * soft_step(site["from"] + site["length"] - y, 0.1)
        # Seen edge-on it is a band along the wall, face-on a faint veil.
        band = soft_step(thick * extent - layers.wall, 0.3) * (thick * extent > 0.1)
        _fill(layers, layers.lung * part * band, min(1.0, 1.25 * grade**0.6))
        veil = extent * np.exp(-np.maximum(layers.wall, 0) / 3.0)
        _fill(layers, part * veil * 2.0 * site["thick"], 0.7 * grade)
        if site["calcified"] and not view.lateral:
            lime = np.exp(-(((layers.wall - 0.75 * thick) / 0.16) ** 2)) * extent
            lime = lime * np.clip(np.sin(23 * y + waves[2]) + 0.35, 0, 1)
            layers.bone += part * (lime * (layers.lung > 0.1) * 1.5 * grade)
    if site["calcified"]:
        # Plaques seen face-on: irregular dense islands.
        for place in site["plaques"]:
            at = (site["from"] + site["length"] * place[0]) * anatomy.height
            if site["form"] == "cap":
                at = 0.16 * anatomy.height * place[0] + 1.0
            wide = float(anatomy.cage_half_width(np.array(at)))
            x = site["side"] * wide * (0.62 + 0.33 * place[1])
            z = float(anatomy.cage_centre_depth(np.array(at))) + 0.7 * anatomy.depth * np.sqrt(
                max(1 - (x / wide) ** 2, 0.05)
            )
            axes = (0.5 + 0.5 * place[2], 0.3 + 0.3 * place[0], 0.3)
            add_ellipsoid(layers.bone, view, np.array([x, at, z]), axes, factor=0.8 * grade)


# Fluid and free air come last: they hide what is in the lung.
_DRAWN = {
    "Lung Opacity": _lung_opacity,
    "Lung Lesion": _lung_lesion,
    "Edema": _edema,
    "Consolidation": _consolidation,
    "Pneumonia": _pneumonia,
    "Atelectasis": _atelectasis,
    "Pleural Other": _pleural_other,
    "Pleural Effusion": _pleural_effusion,
    "Pneumothorax": _pneumothorax,
}
