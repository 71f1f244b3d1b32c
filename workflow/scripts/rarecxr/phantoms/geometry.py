"""Projection of simple bodies (tubes, ellipsoids) onto the detector, and textures.

Lengths are centimetres in the patient: x to the patient's left, y down from the lung
apices, z to the front, all from the body's axis. Every function returns the length of
material that a ray crosses (a chord, in cm), which is what attenuates it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Array = NDArray[np.float32]

# The height (cm below the apices) that the central ray passes through.
CENTRAL_RAY_Y = 13.0


@dataclass(frozen=True)
class View:
    """One projection: from where, how large, onto how many pixels.

    Attributes:
        lateral: True for a side view (the patient faces the image's left).
        yaw: turn of the patient about the long axis, radians, 0 when square to the detector.
        perspective: relative growth of size per cm towards the source (frontal: per cm towards
            the front of the patient; negative where the detector is in front, as in PA).
        scale: pixels per cm at the body's axis.
        origin: (row, column) in pixels of the body's axis at y = 0.
        shape: (rows, columns).
        resolution: pixels that about 35 cm are drawn on; textures are made for it.
    """

    lateral: bool
    yaw: float
    perspective: float
    scale: float
    origin: tuple[float, float]
    shape: tuple[int, int]
    resolution: int

    @property
    def angle(self) -> float:
        """Turn of the camera about the long axis, radians."""
        return self.yaw - (np.pi / 2 if self.lateral else 0.0)

    def columns(self) -> Array:
        """(1, W) horizontal position of each pixel column in cm from the body's axis."""
        u = (np.arange(self.shape[1], dtype=np.float32) - self.origin[1]) / self.scale
        return u[None, :].astype(np.float32)

    def rows(self) -> Array:
        """(H, 1) vertical position of each pixel row in cm below the apices."""
        v = (np.arange(self.shape[0], dtype=np.float32) - self.origin[0]) / self.scale
        return v[:, None].astype(np.float32)

    def project(self, points: NDArray) -> tuple[NDArray, NDArray]:
        """Pixel columns and rows, each (...), of `points` (..., 3) in cm."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        x, y, z = points[..., 0], points[..., 1], points[..., 2]
        depth = z * cos - x * sin
        size = 1 + self.perspective * depth
        u = (x * cos + z * sin) * size
        v = CENTRAL_RAY_Y + (y - CENTRAL_RAY_Y) * size
        return u * self.scale + self.origin[1], v * self.scale + self.origin[0]

    def window(
        self, column: float, row: float, half_width: float, half_height: float
    ) -> tuple[slice, slice] | None:
        """The pixels around a point (all in pixels), or None if none is on the detector."""
        top, bottom = int(row - half_height), int(row + half_height) + 2
        left, right = int(column - half_width), int(column + half_width) + 2
        top, left = max(top, 0), max(left, 0)
        bottom, right = min(bottom, self.shape[0]), min(right, self.shape[1])
        if top >= bottom or left >= right:
            return None
        return slice(top, bottom), slice(left, right)


@dataclass(frozen=True)
class Tubes:
    """Curved round bodies: `points` (N, P, 3) cm, `radius` (N, P) cm, `density` (N, P).

    `hollow` is the inner radius over the outer one (a bone's marrow, a catheter's lumen).
    """

    points: NDArray
    radius: NDArray
    density: NDArray
    hollow: float = 0.0


def tube(points: NDArray, radius: float, density: float = 1.0, hollow: float = 0.0) -> Tubes:
    """One tube of constant radius (cm) along `points` (P, 3)."""
    points = np.asarray(points, dtype=float)[None]
    flat = np.ones(points.shape[:2])
    return Tubes(points, radius * flat, density * flat, hollow)


def smooth_curve(knots: NDArray, count: int) -> NDArray:
    """(count, D) points on the Catmull-Rom curve through `knots` (K, D)."""
    knots = np.asarray(knots, dtype=float)
    padded = np.empty((len(knots) + 2, knots.shape[1]))
    padded[0], padded[1:-1], padded[-1] = 2 * knots[0] - knots[1], knots, 2 * knots[-1] - knots[-2]
    i, f, square, cube = _along(len(knots), count)
    a, b, c, d = padded[i], padded[i + 1], padded[i + 2], padded[i + 3]
    bend, twist = 2 * a - 5 * b + 4 * c - d, 3 * (b - c) + d - a
    return 0.5 * (2 * b + (c - a) * f + bend * square + twist * cube)


@lru_cache(maxsize=64)
def _along(knots: int, count: int) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """For `count` points evenly along a curve: the knot before each, and powers of the rest."""
    t = np.linspace(0, knots - 1 - 1e-9, count)
    i = t.astype(int)
    f = (t - i)[:, None]
    return i, f, f**2, f**3


def draw_tubes(view: View, *bundles: Tubes) -> Array:
    """(H, W) chord through tubes times their density, in cm.

    Each tube is swept: samples along it and across it drop their volume onto the four nearest
    pixels, so that volume is kept, edges are smooth and a tube is brighter the more it runs
    along the rays, up to three times.
    """
    height, width = view.shape
    parts = [part for tubes in _joined(bundles) for part in _swept(view, tubes)]
    if not parts:
        return np.zeros(view.shape, np.float32)
    x, y, mass = (np.concatenate(values) for values in zip(*parts, strict=True))
    inside = np.flatnonzero((x >= 0) & (x < width - 1) & (y >= 0) & (y < height - 1))
    x, y, mass = x[inside], y[inside], mass[inside]
    column, row = x.astype(np.int32), y.astype(np.int32)
    place = (row * width + column).astype(np.intp)
    right, lower = x - column, (y - row) * mass
    upper = mass - lower
    upper_right, lower_right = upper * right, lower * right
    total = np.zeros(height * width)
    for shift, weights in (
        (0, upper - upper_right),
        (1, upper_right),
        (width, lower - lower_right),
        (width + 1, lower_right),
    ):
        # The last row and column take nothing, so a shifted place stays inside.
        total[shift:] += np.bincount(place, weights=weights, minlength=total.size)[
            : total.size - shift
        ]
    return total.reshape(view.shape).astype(np.float32)


def _joined(bundles: Sequence[Tubes]) -> list[Tubes]:
    """Those with as many points and the same bore as one: for few tubes the calls are the cost."""
    alike: dict[tuple[int, float], list[Tubes]] = {}
    for tubes in bundles:
        alike.setdefault((tubes.points.shape[1], tubes.hollow), []).append(tubes)
    return [
        same[0]
        if len(same) == 1
        else Tubes(
            np.concatenate([tubes.points for tubes in same]),
            np.concatenate([tubes.radius for tubes in same]),
            np.concatenate([tubes.density for tubes in same]),
            hollow,
        )
        for (_, hollow), same in alike.items()
    ]


def _swept(view: View, tubes: Tubes) -> list[tuple[Array, Array, Array]]:
    """Samples of `tubes`: column, row, and chord (cm) times the pixels they stand for."""
    height, width = view.shape
    column, row = (part.astype(np.float32) for part in view.project(tubes.points))
    right, down = column[:, 1:] - column[:, :-1], row[:, 1:] - row[:, :-1]
    steps = np.hypot(right, down)
    # Drops onto four pixels add up to an even sheet if they lie one pixel apart along rows and
    # columns, or 1 / sqrt(2) of a pixel along the diagonals: that is the samples' grid.
    slant = (np.abs(right) + np.abs(down)) / np.maximum(steps, 1e-6)
    grid = 1 - np.float32(1 - 0.5**0.5) * soft_step(slant - 1.3, 0.22)
    walked = np.zeros(column.shape)
    walked[:, 1:] = np.cumsum(steps / grid, axis=1, dtype=float)
    numbers = np.maximum(np.rint(walked[:, -1]), 1).astype(int)
    spacing = walked[:, -1] / numbers
    curve = np.repeat(np.arange(len(numbers)), numbers)
    first = np.cumsum(numbers) - numbers
    place = (np.arange(len(curve)) - first[curve] + 0.5) * spacing[curve]
    # All curves laid out one behind the other, to look up every sample at once.
    begin = np.cumsum(walked[:, -1] + 1) - walked[:, -1]
    road = (walked + begin[:, None]).ravel()
    place += begin[curve]
    left = np.searchsorted(road, place, side="right") - 1
    points = tubes.points.shape[1]
    left = np.clip(left, curve * points, curve * points + points - 2)
    gap = road[left + 1] - road[left]
    part = ((place - road[left]) / np.maximum(gap, 1e-9)).astype(np.float32)

    def at(values: NDArray) -> Array:
        values = values.astype(np.float32, copy=False).ravel()
        return values[left] + (values[left + 1] - values[left]) * part

    u, v = at(column), at(row)
    radius = at(tubes.radius) * np.float32(view.scale)
    # A sample lies between two points of one curve: the step of the first of them is its own.
    piece = left - curve
    grid = grid.ravel()[piece].astype(np.float32)
    # Length in the patient for a length of 1 in the image. A curve seen end on is not
    # infinitely thick: it bends out of the ray before that.
    apart = tubes.points[:, 1:] - tubes.points[:, :-1]
    length = np.linalg.norm(apart, axis=2) * view.scale
    ratio = np.minimum(length / np.maximum(steps, 1e-3), 3.0).astype(np.float32)
    ratio = ratio.ravel()[piece]
    du, dv = at(_slope(column, right)), at(_slope(row, down))
    norm = np.hypot(du, dv) + np.float32(1e-6)
    # Unit normal in the image plane.
    nu, nv = -dv / norm, du / norm
    # Volume of each sample in cm of chord times pixels.
    section = np.float32(np.pi * (1 - 0.8 * tubes.hollow**2) / view.scale)
    mass = at(tubes.density) * radius * radius * ratio * section
    mass *= spacing[curve].astype(np.float32) * grid
    kept = (u > -16) & (u < width + 16) & (v > -16) & (v < height + 16) & (mass > 0)
    u, v, nu, nv, mass = (a[kept] for a in (u, v, nu * grid, nv * grid, mass))
    radius = radius[kept] / grid[kept]
    samples = []
    # Thick parts take more samples across than thin ones; radii in steps of a quarter pixel.
    quarters = np.maximum(np.rint(4 * radius), 1).astype(int)
    for step in np.unique(quarters):
        some = quarters == step
        offset, profile = _profile(int(step), tubes.hollow)
        x = u[some, None] + nu[some, None] * offset
        y = v[some, None] + nv[some, None] * offset
        samples.append((x.ravel(), y.ravel(), (mass[some, None] * profile).ravel()))
    return samples


def _slope(values: Array, steps: Array) -> Array:
    """`numpy.gradient` of (N, P) along the curves, of which the (N, P - 1) `steps` are known."""
    slope = np.empty_like(values)
    slope[:, 0], slope[:, -1] = steps[:, 0], steps[:, -1]
    np.subtract(values[:, 2:], values[:, :-2], out=slope[:, 1:-1])
    slope[:, 1:-1] /= 2
    return slope


@lru_cache(maxsize=512)
def _profile(step: int, hollow: float) -> tuple[Array, Array]:
    """Offsets across a tube of radius step / 4, in steps of the grid, and its share at each."""
    radius = step / 4
    number = max(int(np.ceil(2 * radius)), 2)
    edges = np.arange(number + 1) - number / 2

    def below(s: NDArray, r: float) -> NDArray:
        s = np.clip(s / r, -1, 1)
        return r * r * (s * np.sqrt(1 - s * s) + np.arcsin(s))

    mass = np.diff(below(edges, radius))
    if hollow:
        # The marrow is not empty.
        mass -= 0.8 * np.diff(below(edges, hollow * radius))
    offset = (edges[1:] + edges[:-1]) / 2
    return offset.astype(np.float32), (mass / mass.sum()).astype(np.float32)


def rotation(about_x: float = 0.0, about_y: float = 0.0, about_z: float = 0.0) -> NDArray:
    """(3, 3) rotation, radians: about z first, then y, then x."""
    cx, sx = np.cos(about_x), np.sin(about_x)
    cy, sy = np.cos(about_y), np.sin(about_y)
    cz, sz = np.cos(about_z), np.sin(about_z)
    rx = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    ry = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    rz = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return rx @ ry @ rz


def ellipsoid(
    view: View,
    centre: NDArray,
    axes: tuple[float, float, float],
    turn: NDArray | None = None,
    soft: bool = False,
) -> tuple[tuple[slice, slice], Array] | None:
    """The window an ellipsoid falls on and its chord there (cm); None if off the detector.

    Args:
        view: the projection.
        centre: (3,) cm.
        axes: half axes in cm before the turn.
        turn: (3, 3) rotation of the axes.
        soft: a Gaussian blob with standard deviations of half the axes and three quarters of
            the volume, instead of a body with an edge.
    """
    centre = np.asarray(centre, dtype=float)
    shape = np.diag(1 / np.square(np.asarray(axes, dtype=float)))
    if turn is not None:
        shape = turn @ shape @ turn.T
    cos, sin = np.cos(view.angle), np.sin(view.angle)
    # Rows: image right, image down, towards the front.
    frame = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    shape = frame @ shape @ frame.T
    a = shape[2, 2]
    # With the depth solved for, q(u, v) <= 1 is the silhouette, 2 sqrt((1 - q) / a) the chord.
    flat = shape[:2, :2] - np.outer(shape[:2, 2], shape[:2, 2]) / a
    column, row = view.project(centre)
    size = (1 + view.perspective * float(frame[2] @ centre)) * view.scale
    # The diagonal of the inverse.
    across = flat.diagonal()[::-1] / (flat[0, 0] * flat[1, 1] - flat[0, 1] * flat[1, 0])
    extent = np.sqrt(across) * size * (1.6 if soft else 1.0)
    window = view.window(float(column), float(row), extent[0] + 1, extent[1] + 1)
    if window is None:
        return None
    v = ((np.arange(window[0].start, window[0].stop) - row) / size)[:, None].astype(np.float32)
    u = ((np.arange(window[1].start, window[1].stop) - column) / size)[None].astype(np.float32)
    q = np.float32(flat[0, 0]) * u * u + np.float32(2 * flat[0, 1]) * u * v
    q = q + np.float32(flat[1, 1]) * v * v
    if soft:
        return window, (np.float32(2 / np.sqrt(a)) * np.exp(-2 * q)).astype(np.float32)
    return window, np.float32(2 / np.sqrt(a)) * np.sqrt(np.maximum(1 - q, 0)).astype(np.float32)


def add_ellipsoid(image: Array, view: View, *args, factor: float = 1.0, **kwargs) -> None:
    """Add `factor` times the chord of an `ellipsoid` to `image` in place."""
    found = ellipsoid(view, *args, **kwargs)
    if found is not None:
        window, chord = found
        image[window] += np.float32(factor) * chord


def soft_step(values: NDArray, width: float) -> NDArray:
    """0 below -width/2, 1 above width/2, smooth between."""
    t = np.clip(values / width + 0.5, 0, 1)
    return t * t * (3 - 2 * t)


@lru_cache(maxsize=4)
def _texture_tile(pixels: int) -> Array:
    """(n, n) fixed noise with unit variance; structure sizes scale with `pixels` per 35 cm."""
    rng = np.random.default_rng(20190121)
    size = max(256, int(2.5 * pixels))
    tile = np.zeros((size, size), np.float32)
    for sigma_cm, weight in ((0.1, 0.6), (0.22, 1.0), (0.5, 0.8), (1.4, 0.6)):
        sigma = sigma_cm * pixels / 35
        layer = gaussian_filter(
            rng.standard_normal((size, size), np.float32), max(sigma, 0.4), mode="wrap"
        )
        tile += weight * layer / layer.std()
    return tile / tile.std()


@lru_cache(maxsize=4)
def _cloud_tile(pixels: int) -> Array:
    """(n, n) fixed smooth noise with unit variance, structures of 1 to 3 cm."""
    rng = np.random.default_rng(19011895)
    size = max(256, int(2.5 * pixels))
    tile = np.zeros((size, size), np.float32)
    for sigma_cm, weight in ((0.5, 0.6), (1.2, 1.0)):
        layer = gaussian_filter(
            rng.standard_normal((size, size), np.float32), sigma_cm * pixels / 35, mode="wrap"
        )
        tile += weight * layer / layer.std()
    return tile / tile.std()


def texture(view: View, at: tuple[float, float], clouds: bool = False) -> Array:
    """(H, W) noise of unit variance: fine lung markings, or `clouds` of 1 to 3 cm.

    `at` in [0, 1) x [0, 1) chooses the piece, so that a patient keeps theirs.
    """
    tile = _cloud_tile(view.resolution) if clouds else _texture_tile(view.resolution)
    row, column = (int(part * tile.shape[0]) for part in at)
    rows = (row + np.arange(view.shape[0])) % tile.shape[0]
    columns = (column + np.arange(view.shape[1])) % tile.shape[0]
    return tile[rows[:, None], columns]
