"""Frontal views (AP and PA): what a ray from front to back crosses."""

from functools import lru_cache

import numpy as np

from rarecxr.phantoms.anatomy import Anatomy, Pose
from rarecxr.phantoms.chest import (
    Chest,
    add_contents,
    add_fracture_swelling,
    compose,
    draw_airways,
    draw_bones,
    vertebrae,
)
from rarecxr.phantoms.findings import Layers, draw_findings
from rarecxr.phantoms.geometry import (
    Array,
    Tubes,
    View,
    add_ellipsoid,
    ellipsoid,
    smooth_curve,
    soft_step,
    tube,
)
from rarecxr.phantoms.support_devices import draw_devices
from rarecxr.study.findings import SUPPORT_DEVICES


def attenuate_frontal(view: View, chest: Chest, pose: Pose) -> Array:
    """(H, W) line integrals of attenuation of a frontal view."""
    anatomy = chest.anatomy
    x, y = view.columns(), view.rows()
    body, limbs = _frontal_body(view, chest, pose, x, y)
    # Pleural cavity: an elliptic section at every height, closed below by the domes.
    wide = anatomy.cage_half_width(y).astype(np.float32)
    deep = anatomy.cage_half_depth(y).astype(np.float32)
    across = x / np.maximum(wide, 0.01)
    cavity = 2 * deep * np.sqrt(np.maximum(1 - across * across, 0))
    right = (1 - soft_step(x - chest.shift * 0.5, 3.0)).astype(np.float32)
    domes = tuple(_dome_profile(anatomy, x, side, chest.domes) for side in (-1, 1))
    across_middle = soft_step(x, 7.0)
    dome = ((1 - across_middle) * domes[0] + across_middle * domes[1]).astype(np.float32)
    below = np.maximum(y - dome, 0)
    # A dome that falls off to the front and, further, to the back hides a share of the ray.
    hidden = 0.5 * np.sqrt(np.minimum(below / 2.4, 1)) + 0.5 * np.sqrt(
        np.minimum(below / (1.5 + anatomy.dome_drop * np.abs(across)), 1)
    )
    # Around the spine the crura leave no edge.
    middle = np.exp(-((x / 3.2) ** 2))
    hidden = hidden + middle * (soft_step(y - dome - 1.0, 9.0) - hidden)
    # Mediastinum: an elliptic column, narrow at the waist, wider at the top and the heart.
    t = y / anatomy.height
    lower = soft_step(t - 0.52, 0.35)
    half = anatomy.mediastinum * (1.0 + 0.08 * np.cos(6.0 * (t - 0.12)) - 0.28 * lower)
    bulge = float(chest.sites["Enlarged Cardiomediastinum"]["side"])
    bulge *= chest.grades.get("Enlarged Cardiomediastinum", 0.0)
    middle = 0.15 + chest.shift * soft_step(t - 0.1, 0.3) + 4 * np.sin(pose.yaw) + bulge * 2
    inside = (x - middle) / half
    solid = 2.0 * np.maximum(deep, 4.0) * (1 - 0.38 * lower)
    column = solid * np.sqrt(np.maximum(1 - inside * inside, 0))
    content = add_contents(view, chest, column.astype(np.float32))
    lung = np.maximum(cavity * (1 - hidden) - content, 0).astype(np.float32)
    slope = np.gradient(wide[:, 0], 1 / view.scale)[:, None]
    steep = np.sqrt(1 + np.minimum(slope * slope, 60))
    zero = np.zeros(view.shape, np.float32)
    bone = draw_bones(view, chest, _shoulders(_shoulder_roll(pose), pose.arms))
    bone += _frontal_spine(view, chest, x, y, pose)
    layers = Layers(
        x=x,
        y=y,
        lung=lung,
        right=np.broadcast_to(right, view.shape),
        left=np.broadcast_to(1 - right, view.shape),
        wall=((wide - np.abs(x)) / steep).astype(np.float32),
        filled=zero.copy(),
        free=zero.copy(),
        soft=limbs,
        bone=bone,
        metal=zero,
    )
    add_fracture_swelling(view, chest, layers)
    draw_findings(view, anatomy, layers, chest.grades, chest.sites, domes)
    if chest.grades.get(SUPPORT_DEVICES, 0.0) > 0:
        grade = chest.grades[SUPPORT_DEVICES]
        draw_devices(view, anatomy, layers.metal, grade, chest.sites[SUPPORT_DEVICES])
    air = draw_airways(view, chest)
    a, b = anatomy.stomach
    if a:
        bubble = np.array([6.2, chest.domes[1] + b + 0.9, 1.0])
        add_ellipsoid(air, view, bubble, (a, b, 2.6), factor=0.9)
    return compose(view, chest, layers, body, air)


def _dome_profile(anatomy: Anatomy, x: Array, side: int, domes: tuple[float, float]) -> Array:
    """(1, W) height of one diaphragm's top: a dome that falls to the costophrenic angle."""
    top = domes[0] if side < 0 else domes[1]
    centre = 0.47 * anatomy.half_width
    away = (side * x - centre) / (0.53 * anatomy.half_width)
    outer = anatomy.dome_drop * np.clip(away, 0, 1.15) ** 2.6
    inner = 0.9 * np.clip(-away, 0, 1.5) ** 2.0
    return (top + outer + inner).astype(np.float32)


def _frontal_body(view, chest, pose, x, y) -> tuple[Array, Array]:
    """(H, W) cm of trunk, neck and shoulders; and of arms, breasts and their bones' tissue."""
    anatomy = chest.anatomy
    trunk = anatomy.half_width + 1.5 + 2.6 * anatomy.fat
    shoulder = 20.0 if not anatomy.female else 18.0
    heights = np.array([-14, -7, -4.5, -2.5, -0.5, 2.0, 6.0, 10.0, 14.0, 24.0, 36.0])
    neck = 5.4 if anatomy.female else 6.4
    widths = np.array(
        [
            neck,
            neck + 0.2,
            neck + 1.6,
            0.62 * shoulder,
            0.86 * shoulder,
            shoulder,
            shoulder + 1.2,
            0.55 * (shoulder + trunk + 1.5),
            trunk + 0.8,
            trunk,
            trunk + 1.5 * anatomy.fat,
        ]
    )
    if not pose.arms:
        widths[6:8] = (trunk + 2.2, trunk + 1.2)
    rows = y[:, 0]
    wide = np.interp(rows, heights, widths)
    wide = np.convolve(np.pad(wide, 12, mode="edge"), np.ones(25) / 25, mode="valid")
    outer = anatomy.depth + 1.9 + 2.3 * anatomy.fat
    deep = np.interp(
        rows,
        [-14, -6, -2, 2, 7, 14, 36],
        [6.0, 6.2, 6.8, 0.78 * outer, 0.93 * outer, outer, outer * 1.02],
    )
    u = x / wide[:, None].astype(np.float32)
    u2 = u * u
    u4 = u2 * u2
    section = np.sqrt(np.maximum(1 - 0.35 * u2 - 0.65 * u4 * u4, 0))
    body = (2 * deep[:, None].astype(np.float32) * section).astype(np.float32)
    extra = np.zeros(view.shape, np.float32)
    if anatomy.breast:
        for side in (-1, 1):
            centre = np.array([side * 7.6, 0.62 * anatomy.height + 0.9 * anatomy.breast, 8.0])
            axes = (5.0 + 0.45 * anatomy.breast, 4.6 + 0.5 * anatomy.breast, anatomy.breast)
            found = ellipsoid(view, centre, axes)
            if found is not None:
                # A breast has an edge below and none above.
                window, chord = found
                fade = soft_step(y[window[0]] - centre[1] + 0.25 * axes[1], 1.5 * axes[1])
                extra[window] += 0.65 * chord * fade
    if anatomy.nipples:
        for side in (-1, 1):
            centre = np.array([side * 8.6, 0.72 * anatomy.height, 9.0])
            add_ellipsoid(extra, view, centre, (0.5, 0.5, 0.6), factor=1.0)
    return body, extra


def _frontal_spine(view, chest, x, y, pose) -> Array:
    """(H, W) cm of bone: vertebral bodies, pedicles, processes; heads of the arm bones."""
    anatomy = chest.anatomy
    bone = np.zeros(view.shape, np.float32)
    centre = view.origin[1] / 1.0
    window = view.window(centre, view.shape[0] / 2, 5.0 * view.scale, view.shape[0] / 2)
    if window is not None:
        part = (slice(None), window[1])
        dx = x[:, window[1]] - anatomy.spine_x(y) + 3.0 * np.sin(pose.yaw)
        half = 1.45 + 0.016 * np.clip(y, -8, 30)
        period = anatomy.height / 10.2
        body = soft_step(half - np.abs(dx), 0.35) * vertebrae(y, period)
        rim = 0.5 * np.exp(-(((np.abs(dx) - half + 0.15) / 0.16) ** 2))
        phase = ((y / period) % 1 - 0.5) * period
        pedicle = np.exp(-((((np.abs(dx) - 1.0) / 0.34) ** 2 + ((phase + 0.25) / 0.45) ** 2) ** 2))
        process = np.exp(-(((dx / 0.28) ** 2 + ((phase - 0.4) / 0.6) ** 2) ** 2))
        wings = soft_step(2.9 - np.abs(dx), 0.5) * np.exp(-(((phase + 0.3) / 0.4) ** 2))
        column = 0.75 * body + 0.4 * rim * body + 0.45 * pedicle + 0.5 * process + 0.3 * wings
        bone[part] += (column * anatomy.bone).astype(np.float32)
    for side in (-1, 1):
        head = np.array([side * (17.6 + 0.2 * _shoulder_roll(pose)), 2.2, -3.0])
        add_ellipsoid(bone, view, head, (2.3, 2.4, 2.2), factor=0.35 * anatomy.bone)
    return bone


def _shoulder_roll(pose: Pose) -> float:
    """How far (cm) the scapulae are rolled outwards: off the lungs in PA, over them in AP."""
    return 3.4 if pose.view == "PA" else 0.6


@lru_cache(maxsize=8)
def _shoulders(out: float, arms: bool) -> list[Tubes]:
    """Scapulae, rolled `out` cm outwards, and the bones of `arms` that hang or not."""
    away = 1.0 if arms else 5.5
    tubes = []
    for side in (-1, 1):
        medial = ((10.2 + out, 2.2, -8.5), (9.7 + out, 7.5, -9.0), (11.2 + out, 13.6, -8.5))
        lateral = ((11.2 + out, 13.6, -8.5), (13.4 + out, 8.0, -7.5), (15.0 + out, 3.8, -6.0))
        spine = ((10.0 + out, 3.6, -9.5), (13.5 + out, 1.6, -8.5), (17.2 + 0.4 * out, -0.4, -3.0))
        shaft = ((18.2, 3.0, -3), (18.6 + 0.25 * away, 10.0, -3), (19.2 + away, 26.0, -2))
        for knots, radius, density, hollow in (
            (medial, 0.28, 0.8, 0.0),
            (lateral, 0.42, 0.8, 0.0),
            (spine, 0.42, 0.8, 0.0),
            (shaft, 1.15, 1.0, 0.72),
        ):
            curve = smooth_curve(np.array(knots) * (side, 1, 1), 30)
            tubes.append(tube(curve, radius, density, hollow))
    return tubes
