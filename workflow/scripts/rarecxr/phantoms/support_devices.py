"""Support devices: monitoring leads, lines, tubes, pacemakers, wires and markers.

Everything radiopaque that is not the patient is drawn only with the finding Support Devices.
"""

from collections.abc import Mapping

import numpy as np

from rarecxr.phantoms.anatomy import Anatomy
from rarecxr.phantoms.geometry import (
    Array,
    Tubes,
    View,
    add_ellipsoid,
    draw_tubes,
    smooth_curve,
    tube,
)

KINDS = ("leads", "tracheal tube", "venous line", "gastric tube", "pacemaker", "drain", "wires")
_SHARES = (0.62, 0.30, 0.48, 0.28, 0.17, 0.14, 0.18)


def sample_devices(rng: np.random.Generator, anatomy: Anatomy) -> dict[str, object]:
    """Which devices this patient has or would have, and the paths that they take."""
    kinds = [kind for kind, share in zip(KINDS, _SHARES, strict=True) if rng.random() < share]
    if not kinds:
        kinds = [str(rng.choice(KINDS[2:]))]
    return {"kinds": kinds, "numbers": rng.random(64), "noise": rng.normal(size=(24, 3))}


def draw_devices(
    view: View, anatomy: Anatomy, metal: Array, grade: float, site: Mapping[str, object]
) -> None:
    """Add the patient's devices to `metal` (H, W; cm of radiopaque plastic), in place."""
    lines: list[Tubes] = []
    strength = grade**0.6
    for kind in site["kinds"]:
        _DRAW[kind](view, anatomy, metal, lines, strength, site["numbers"], site["noise"])
    metal += draw_tubes(view, *lines)


def _line(lines, knots, radius, density, hollow=0.0):
    lines.append(tube(smooth_curve(np.array(knots), 60), radius, density, hollow))


def _front(anatomy: Anatomy, y: float) -> float:
    """Depth z (cm) just before the front chest wall."""
    inside = max(float(anatomy.cage_half_depth(np.array(max(y, 2.0)))), 5.0)
    return float(anatomy.cage_centre_depth(np.array(max(y, 2.0)))) + inside + 1.5 + 2 * anatomy.fat


def _leads(view, anatomy, metal, lines, strength, n, noise):
    spots = [(-11.0, 3.0), (11.0, 3.0), (-11.5, 20.0), (12.0, 21.0), (4.0, 13.0)]
    exits = np.array([(n[0] - 0.5) * 20, 34.0 if n[1] < 0.6 else -7.0])
    for i, (x, y) in enumerate(spots[: 3 + int(2.99 * n[2])]):
        at = np.array([x + 1.6 * noise[i, 0], y + 1.8 * noise[i, 1]])
        z = _front(anatomy, at[1]) - 0.03 * at[0] ** 2
        centre = np.array([at[0], at[1], z])
        add_ellipsoid(metal, view, centre, (0.75, 0.75, 0.2), factor=0.35 * strength)
        add_ellipsoid(metal, view, centre, (0.3, 0.3, 0.35), factor=1.6 * strength)
        middle = 0.5 * (at + exits) + 2.2 * noise[i + 6, :2]
        knots = [(*at, z), (*middle, z + 1), (*exits + 0.6 * noise[i + 12, :2], z + 1)]
        _line(lines, knots, 0.085, 2.2 * strength)


def _tracheal_tube(view, anatomy, metal, lines, strength, n, noise):
    tip = 0.22 * anatomy.height + 2.5 * (n[10] - 0.5)
    knots = [(0.4 * noise[1, 0], -9, 3), (0.2, -3, 0.5), (0.25 * noise[2, 0], tip, -0.8)]
    _line(lines, knots, 0.48, 0.42 * strength, hollow=0.8)
    edge = [(x + 0.42, y, z) for x, y, z in knots]
    _line(lines, edge, 0.06, 4.0 * strength)


def _venous_line(view, anatomy, metal, lines, strength, n, noise):
    side = -1 if n[20] < 0.7 else 1
    end = (-2.3 + 0.25 * noise[3, 0], (0.42 + 0.12 * n[21]) * anatomy.height, 1.0)
    cross = [(-1.2, 4.6, 1.5)] if side > 0 else []
    if n[22] < 0.5:
        start = [(side * 4.2, -7.5, 3), (side * 3.2, -2.0, 2), (side * 2.6, 2.6, 1.5)]
    else:
        start = [(side * 15.5, 7.0, 4), (side * 9.0, 2.4, 4), (side * 4.4, 2.6, 2)]
    top = [(-2.4, 5.6, 1.2)]
    _line(lines, [*start, *cross, *top, end], 0.11, 2.6 * strength, hollow=0.4)


def _gastric_tube(view, anatomy, metal, lines, strength, n, noise):
    height = anatomy.height
    knots = [
        (0.3, -9, 2),
        (-0.2 + 0.2 * noise[4, 0], 2, -2),
        (0.5 + 0.3 * noise[5, 0], 0.5 * height, -3),
        (1.4, 0.92 * height, -2.5),
        (4.5 + 2 * n[30], 1.12 * height, 1),
        (7.0 + 2 * n[31], 1.2 * height, 3),
    ]
    _line(lines, knots, 0.17, 1.5 * strength, hollow=0.75)


def _pacemaker(view, anatomy, metal, lines, strength, n, noise):
    side = 1 if n[40] < 0.8 else -1
    x, y = side * (9.3 + 1.5 * n[41]), 4.6 + 1.8 * n[42]
    z = _front(anatomy, y) - 1.0
    add_ellipsoid(metal, view, np.array([x, y, z]), (2.3, 2.0, 0.5), factor=3.0 * strength)
    add_ellipsoid(metal, view, np.array([x, y - 1.6, z]), (1.3, 0.8, 0.45), factor=1.2 * strength)
    centre = anatomy.heart_centre()
    tips = [centre + (3.0, 2.6, 1.5), centre + (-3.4, -0.6, 1.5)]
    for tip in tips[: 1 + int(1.99 * n[43])]:
        knots = [
            (x, y - 1.6, z),
            (side * 5.5, 2.4, 3),
            (side * 1.2 - 0.9, 4.4, 1.5),
            (-2.3, 7.5, 1.0),
            (-2.3, 0.56 * anatomy.height, 1.0),
            tuple(centre + (-2.2, 1.2, 1.0)),
            tuple(tip),
        ]
        _line(lines, knots, 0.10, 3.2 * strength)


def _drain(view, anatomy, metal, lines, strength, n, noise):
    side = -1 if n[50] < 0.5 else 1
    wide = anatomy.half_width
    low, high = (0.72 + 0.1 * n[51]) * anatomy.height, (0.12 + 0.3 * n[52]) * anatomy.height
    knots = [
        (side * (wide + 7), low + 2.5, 1),
        (side * (wide + 0.5), low, 1),
        (side * 0.78 * wide, 0.5 * (low + high), -2),
        (side * 0.5 * wide, high, -2.5),
    ]
    _line(lines, knots, 0.36, 0.35 * strength, hollow=0.75)
    _line(lines, [(x, y + 0.3, z) for x, y, z in knots], 0.06, 3.5 * strength)


def _wires(view, anatomy, metal, lines, strength, n, noise):
    turn = np.linspace(0, 2 * np.pi, 30)
    for i in range(5):
        y = (0.20 + 0.135 * i) * anatomy.height + 0.3 * noise[i + 16, 0]
        z = _front(anatomy, y) - 2.0
        loop = np.stack(
            [
                0.9 * np.cos(turn) + 0.2 * noise[i + 16, 1],
                y + 0.45 * np.sin(turn) + 0.2 * np.cos(turn) * noise[i + 16, 2],
                z + 0.5 * np.sin(turn),
            ],
            axis=1,
        )
        lines.append(tube(loop, 0.055, 4.0 * strength))


_DRAW = {
    "leads": _leads,
    "tracheal tube": _tracheal_tube,
    "venous line": _venous_line,
    "gastric tube": _gastric_tube,
    "pacemaker": _pacemaker,
    "drain": _drain,
    "wires": _wires,
}
