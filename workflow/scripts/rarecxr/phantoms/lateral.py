"""Lateral views: what a ray from side to side crosses."""

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
    rotation,
    smooth_curve,
    soft_step,
    tube,
)
from rarecxr.phantoms.support_devices import draw_devices
from rarecxr.study.findings import SUPPORT_DEVICES


def attenuate_lateral(view: View, chest: Chest, pose: Pose) -> Array:
    """(H, W) line integrals of attenuation of a lateral view.

    The patient faces the image's left, so the view's x is minus the patient's z.
    """
    anatomy = chest.anatomy
    x, y = view.columns(), view.rows()
    z = -x
    centre = anatomy.cage_centre_depth(y).astype(np.float32)
    wide = anatomy.cage_half_width(y).astype(np.float32)
    deep = anatomy.cage_half_depth(y).astype(np.float32)
    along = (z - centre) / np.maximum(deep, 0.01)
    section = np.sqrt(np.maximum(1 - along * along, 0))
    body = _lateral_body(view, chest, z, y, centre, deep)
    hidden = []
    for side in (-1, 1):
        top = chest.domes[(side + 1) // 2]
        # Domes fall a little to the front and far to the back.
        fall = np.where(along < 0, (anatomy.dome_drop + 2.0) * along**2, 2.2 * along**2)
        hidden.append(np.sqrt(np.clip((y - top - fall) / 3.5, 0, 1)))
    right = wide * section * (1 - hidden[0])
    left = wide * section * (1 - hidden[1])
    t = y / anatomy.height
    # Between the lungs: thick in the middle, thin behind the sternum and before the spine.
    middle = np.exp(-(((along + 0.05) / 0.62) ** 2))
    slab = 2 * anatomy.mediastinum * (0.35 + 0.55 * middle) * soft_step(1.35 - t, 0.3)
    content = add_contents(view, chest, np.broadcast_to(slab, view.shape).astype(np.float32).copy())
    total = right + left
    lung = np.maximum(total - content, 0).astype(np.float32)
    share = (right / np.maximum(total, 0.01)).astype(np.float32)
    zero = np.zeros(view.shape, np.float32)
    bone = draw_bones(view, chest, _lateral_plates(anatomy))
    bone += _lateral_spine(view, chest, z, y)
    layers = Layers(
        x=x,
        y=y,
        lung=lung,
        right=share,
        left=1 - share,
        wall=((1 - np.abs(along)) * deep).astype(np.float32),
        filled=zero.copy(),
        free=zero.copy(),
        soft=zero.copy(),
        bone=bone,
        metal=zero,
    )
    add_fracture_swelling(view, chest, layers)
    tops = tuple(
        (chest.domes[k] + (anatomy.dome_drop + 2.0) * 0.3 + 0 * x).astype(np.float32)
        for k in (0, 1)
    )
    draw_findings(view, anatomy, layers, chest.grades, chest.sites, tops)
    if chest.grades.get(SUPPORT_DEVICES, 0.0) > 0:
        grade = chest.grades[SUPPORT_DEVICES]
        draw_devices(view, anatomy, layers.metal, grade, chest.sites[SUPPORT_DEVICES])
    air = draw_airways(view, chest)
    a, b = anatomy.stomach
    if a:
        bubble = np.array([6.2, chest.domes[1] + b + 0.9, 1.0])
        add_ellipsoid(air, view, bubble, (a, b, 2.6), factor=0.9)
    return compose(view, chest, layers, body, air)


def _lateral_body(view, chest, z, y, centre, deep) -> Array:
    """(H, W) cm of tissue along the patient's width; raised arms lie over the top."""
    anatomy = chest.anatomy
    fat = 1.4 + 1.9 * anatomy.fat
    rows = y[:, 0]
    inner = np.maximum(deep[:, 0], np.interp(rows, [-14, -4, 0, 5], [4.6, 4.8, 5.6, 4.0]))
    front = centre[:, 0] + inner + fat
    back = centre[:, 0] - inner - fat - 1.6
    if anatomy.breast:
        bulge = np.exp(-(((rows - 0.68 * anatomy.height) / 4.5) ** 2))
        front = front + 1.25 * anatomy.breast * bulge
    front, back = (
        np.convolve(np.pad(edge, 14, mode="edge"), np.ones(29) / 29, mode="valid")
        for edge in (front, back)
    )
    half = ((front - back) / 2)[:, None]
    middle = ((front + back) / 2)[:, None]
    u = (z - middle) / half
    u2 = u * u
    section = np.sqrt(np.maximum(1 - 0.5 * u2 - 0.5 * u2 * u2, 0))
    trunk = anatomy.half_width + 1.5 + 2.6 * anatomy.fat
    wide = np.interp(rows, [-14, -8, -3, 2, 8, 14, 36], [5.5, 6, 9, 15, 16, trunk, trunk + 1])
    # The beam is harder after 40 cm of tissue: the path counts less than it is long.
    body = 0.66 * 2 * wide[:, None] * section
    extra = np.zeros(view.shape, np.float32)
    for side in (-1, 1):
        arm = np.array([side * 15.0, -7.0, 4.5])
        add_ellipsoid(extra, view, arm, (5, 11, 5.0), rotation(-0.5, 0, 0), factor=0.5)
    return (body + extra).astype(np.float32)


def _lateral_spine(view, chest, z, y) -> Array:
    """(H, W) cm of bone: vertebral bodies and arches."""
    anatomy = chest.anatomy
    dz = z - anatomy.spine_z(y)
    period = anatomy.height / 10.2
    body = soft_step(1.55 - np.abs(dz), 0.3) * vertebrae(y + 0.15 * dz, period)
    arch = np.exp(-(((dz + 2.6) / 0.8) ** 2)) * (0.5 + 0.5 * vertebrae(y + 0.8, period))
    bone = (1.9 * body + 0.9 * arch) * soft_step(y + 6, 4)
    return (bone * anatomy.bone).astype(np.float32)


def _lateral_plates(anatomy: Anatomy) -> list[Tubes]:
    """Sternum and the edges of the shoulder blades, for the lateral view."""
    rows = np.linspace(1.5, 0.78 * anatomy.height, 24)
    depth = anatomy.cage_centre_depth(rows) + np.maximum(anatomy.cage_half_depth(rows), 4.5)
    sternum = np.stack([0 * rows, rows, depth + 0.2], axis=1)
    plates = [tube(sternum, 0.55, 3.0, hollow=0.6)]
    for side in (-1, 1):
        edge = np.array(
            [(side * 14, 1.5, -7.5), (side * 13, 7.0, -8.6 - 0.5 * side), (side * 12, 12.5, -8.0)]
        )
        plates.append(tube(smooth_curve(edge, 30), 0.35, 1.2))
    return plates
