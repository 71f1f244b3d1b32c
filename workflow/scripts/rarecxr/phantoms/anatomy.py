"""One patient's chest: sizes, ribs, vessels, heart, fixed from study to study.

Coordinates as in `rarecxr.phantoms.geometry`: cm, x to the patient's left, y down from the lung
apices, z to the front. Numbers are plausible adult proportions, not measurements.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rarecxr.phantoms.geometry import Tubes, smooth_curve, soft_step

RIBS = 10
RIB_POINTS = 48


@dataclass(frozen=True)
class Anatomy:
    """What stays the same in all images of a patient.

    Attributes:
        female: breasts, narrower shoulders, smaller chest.
        age: years; older patients have a longer aorta, thinner bones, a rounder back.
        fat: 0 lean to 1 obese.
        half_width: greatest inner half width of the rib cage, cm.
        height: apices to the top of the right diaphragm at full inspiration, cm.
        depth: inner half depth of the rib cage, cm.
        heart: half axes (long, short, depth) of the heart, cm.
        heart_tilt: angle of the heart's long axis below the horizontal, radians.
        mediastinum: half width of the upper mediastinum, cm.
        knob: radius of the aortic knob, cm.
        left_dome: how much lower the left diaphragm is than the right, cm.
        dome_drop: depth of the costophrenic angles below the domes, cm.
        scoliosis: sideways bend of the spine, cm.
        kyphosis: extra curve of the back, cm.
        bone: density of bones, 1 is average.
        rib_slope: how far ribs fall from spine to front, cm.
        clavicle: height of the clavicles' outer ends above the inner ones, cm.
        breast: projection of the breasts, cm (0 in men).
        stomach: half axes of the stomach bubble in cm, (0, 0) if there is none.
        texture_at: where the lung's texture is taken from.
        ribs, vessels: curves in 3-D.
    """

    female: bool
    age: int
    fat: float
    half_width: float
    height: float
    depth: float
    heart: tuple[float, float, float]
    heart_tilt: float
    mediastinum: float
    knob: float
    left_dome: float
    dome_drop: float
    scoliosis: float
    kyphosis: float
    bone: float
    rib_slope: float
    clavicle: float
    breast: float
    nipples: bool
    stomach: tuple[float, float]
    texture_at: tuple[float, float]
    ribs: NDArray
    vessels: Tubes

    def cage_half_width(self, y: NDArray) -> NDArray:
        """Inner half width (cm) of the rib cage at height y; 0 above the apices."""
        t = np.clip(1 - y / (0.75 * self.height), 0, 1)
        dome = np.sqrt(np.clip(1 - t**2.4, 0, 1))
        below = np.clip(y / self.height - 0.95, 0, 1)
        return self.half_width * dome * (1 - 0.25 * below**1.5) * (y > 0)

    def cage_half_depth(self, y: NDArray) -> NDArray:
        """Inner half depth (cm) of the rib cage at height y; 0 above the apices."""
        t = np.clip(1 - y / (0.8 * self.height), 0, 1)
        return self.depth * np.sqrt(np.clip(1 - t**2.2, 0, 1)) * (y > 0)

    def cage_centre_depth(self, y: NDArray) -> NDArray:
        """Depth z (cm) of the middle of the rib cage at height y: the back is rounder with age."""
        t = np.clip(y / self.height, 0, 1.3)
        return -1.5 + 1.5 * t - self.kyphosis * np.sin(np.pi * np.clip(t * 0.9, 0, 1)) * 0.5

    def spine_x(self, y: NDArray) -> NDArray:
        """Place x (cm) of the middle of the spine at height y."""
        return self.scoliosis * np.sin((y - 2) / self.height * 2.6)

    def spine_z(self, y: NDArray) -> NDArray:
        """Depth z (cm) of the middle of the vertebral bodies at height y."""
        back = self.cage_centre_depth(y) - np.maximum(self.cage_half_depth(y), 0.45 * self.depth)
        return back + 1.6

    def heart_centre(self) -> NDArray:
        """(3,) cm, middle of the left heart."""
        return np.array([1.7, 0.79 * self.height, 2.6])

    def hilum(self, side: int) -> NDArray:
        """(3,) cm, root of the lung; `side` -1 is the patient's right, 1 the left."""
        return np.array([side * 3.3, (0.44 if side < 0 else 0.41) * self.height, -0.4])


def sample_anatomy(rng: np.random.Generator, female: bool, age: int) -> Anatomy:
    """Draw one patient's anatomy; the same generator state gives the same patient."""
    size = (0.93 if female else 1.03) * float(np.clip(rng.normal(1, 0.045), 0.88, 1.12))
    fat = float(rng.beta(1.8, 2.6))
    old = float(np.clip((age - 20) / 65, 0, 1))
    half_width = 13.4 * size * float(np.clip(rng.normal(1, 0.04), 0.9, 1.1))
    height = 24.0 * size * float(np.clip(rng.normal(1, 0.055), 0.86, 1.14)) * (1 - 0.07 * fat)
    depth = 9.6 * size * float(np.clip(rng.normal(1, 0.06), 0.86, 1.15)) * (1 + 0.08 * old)
    long = half_width * float(np.clip(rng.normal(0.495, 0.022), 0.45, 0.54)) * (1 + 0.05 * old)
    tilt = float(np.clip(rng.normal(0.62, 0.14) - 0.22 * fat, 0.25, 0.95))
    heart = (long, long * float(rng.uniform(0.70, 0.79)), long * 0.92)
    breast = float(rng.uniform(1.6, 4.2) * (0.7 + 0.7 * fat)) if female else 0.0
    bubble = (float(rng.uniform(1.4, 3.4)), float(rng.uniform(0.7, 1.8)))
    has_bubble = rng.random() < 0.65
    scalars = {
        "female": female,
        "age": age,
        "fat": fat,
        "half_width": half_width,
        "height": height,
        "depth": depth,
        "heart": heart,
        "heart_tilt": tilt,
        "mediastinum": float(rng.uniform(2.5, 3.0)) * size * (1 + 0.12 * fat),
        "knob": float(rng.uniform(1.2, 1.6)) * (1 + 0.35 * old),
        "left_dome": float(np.clip(rng.normal(1.2, 0.6), -0.6, 2.4)),
        "dome_drop": float(rng.uniform(3.6, 5.6)),
        "scoliosis": float(rng.normal(0, 0.35)),
        "kyphosis": float(rng.uniform(0, 1.2) + 2.0 * old),
        "bone": float(np.clip(rng.normal(1.08, 0.12), 0.8, 1.4)) * (1 - 0.28 * old),
        "rib_slope": float(np.clip(rng.normal(8.2, 1.2), 5.5, 11)),
        "clavicle": float(np.clip(rng.normal(1.6, 1.1), -0.8, 3.8)),
        "breast": breast,
        "nipples": bool(rng.random() < 0.12),
        "stomach": bubble if has_bubble else (0.0, 0.0),
        "texture_at": (float(rng.random()), float(rng.random())),
    }
    frame = Anatomy(**scalars, ribs=np.zeros(0), vessels=Tubes(*[np.zeros(0)] * 3))
    return Anatomy(**scalars, ribs=_ribs(rng, frame), vessels=_vessels(rng, frame))


def _ribs(rng: np.random.Generator, anatomy: Anatomy) -> NDArray:
    """(2, RIBS, RIB_POINTS, 3) centre lines, from the spine round the side to the front."""
    turn = np.linspace(0, 1, RIB_POINTS)
    # (RIBS, 2, RIB_POINTS) from here on, as the wobbles are drawn.
    number, side = np.arange(RIBS)[:, None, None], np.array([-1, 1])[:, None]
    wobble = rng.normal(0, 0.12, (RIBS, 2, 3))[..., None]
    # Posterior ends are nearly evenly spaced; the first ribs are short hoops.
    start = 0.6 + anatomy.height * 0.094 * number
    end = 2.35 + 0.1 * np.minimum(number, 4) - 0.16 * np.maximum(number - 6, 0)
    angle = turn * end
    sin, cos = np.sin(angle), np.cos(angle)
    slope = anatomy.rib_slope * np.minimum(1.0, 0.34 + 0.16 * number)
    y = start + slope * (1 - cos) / 2 - 0.55 * sin**2
    y = y + wobble[:, :, 0] + wobble[:, :, 1] * sin
    # Ribs lie on the cage's surface, at every height.
    level = np.maximum(y, 1.6)
    wide = anatomy.cage_half_width(level) + 0.25
    deep = anatomy.cage_half_depth(level) + 0.2
    inner = 2.0
    x = side * (inner + (wide - inner) * sin) + anatomy.spine_x(start) * (1 - turn)
    z = anatomy.cage_centre_depth(y) - deep * cos
    ribs = np.stack([x, y, z], axis=-1).swapaxes(0, 1)
    # Smoothed, with their ends going on.
    wide = np.concatenate([ribs[:, :, :1]] * 4 + [ribs] + [ribs[:, :, -1:]] * 4, axis=2)
    flat = wide.transpose(0, 1, 3, 2).reshape(-1, RIB_POINTS + 8)
    smooth = np.stack([np.convolve(curve, np.ones(9) / 9, "valid") for curve in flat])
    return smooth.reshape(2, RIBS, 3, RIB_POINTS).swapaxes(2, 3).copy()


def _vessels(rng: np.random.Generator, anatomy: Anatomy) -> Tubes:
    """Pulmonary vessels: curves that leave each hilum in bundles and thin out to the pleura."""
    trunks, branches = 11, 7
    t = np.linspace(0, 1, 28)
    curves, radii = [], []
    for side in (-1, 1):
        root = anatomy.hilum(side)
        middle = np.array([side * 0.53 * anatomy.half_width, 0.55 * anatomy.height, -1.0])
        half = np.array([0.43 * anatomy.half_width, 0.52 * anatomy.height, 0.85 * anatomy.depth])
        aim = rng.normal(size=(trunks, 1, 3))
        aim *= rng.uniform(0.75, 0.95, (trunks, 1, 1)) / np.linalg.norm(aim, axis=2, keepdims=True)
        spread = (trunks, branches, 3)
        tip = np.clip(aim + rng.normal(0, 0.33, spread), -0.95, 0.95)
        # Within the lung, taken as an ellipsoid.
        tip = middle + half * tip / np.maximum(np.linalg.norm(tip, axis=2, keepdims=True), 1)
        knee = root + (middle + half * aim - root) * rng.uniform(0.3, 0.6, (trunks, branches, 1))
        knee += rng.normal(0, 0.35, spread)
        near = root + rng.normal(0, 0.55, spread) * (0.7, 1.7, 0.8)
        knots = np.stack([near, knee, tip]).reshape(3, -1)
        curves.append(smooth_curve(knots, len(t)).reshape(len(t), -1, 3).swapaxes(0, 1))
        # The lower lobes' vessels are wider.
        thick = rng.uniform(0.20, 0.34, (trunks, 1)) * np.where(aim[..., 1] > 0, 1.25, 1.0)
        thick = (thick * rng.uniform(0.6, 1.1, (trunks, branches))).reshape(-1, 1)
        radii.append(thick * (1 - t) ** 0.8 + 0.025)
    points, radii = np.concatenate(curves), np.concatenate(radii)
    # Branches share a trunk near the hilum, where each counts for a part of it only.
    density = np.broadcast_to(0.26 + 0.74 * soft_step(t - 0.3, 0.6), radii.shape)
    return Tubes(points, radii, density)


@dataclass(frozen=True)
class Pose:
    """How one image was taken.

    Attributes:
        view: "AP", "PA" or "Lateral".
        yaw: turn about the long axis, radians.
        roll: turn in the image plane, radians.
        shift: (x, y) of the patient on the detector, cm.
        zoom: size on the detector, 1 is average.
        inspiration: lung height over its greatest, about 0.85 to 1.
        arms: True if the arms hang beside the chest, within the image.
        exposure: quanta per pixel in open air.
        scatter: ratio of scattered to primary radiation behind the chest.
        contrast, brightness: of the display's curve, 1 and 0 are average.
        equalised: 0 to 1, how far the display's curve equalises the histogram.
        blur: detector blur, cm (standard deviation).
        landscape: True if the image is wider than it is high.
        aspect: longer over shorter side of the image.
        borders: cm without exposure at (left, right, top, bottom).
        noise_seed: seed of the quantum noise.
    """

    view: str
    yaw: float
    roll: float
    shift: tuple[float, float]
    zoom: float
    inspiration: float
    arms: bool
    exposure: float
    scatter: float
    contrast: float
    brightness: float
    equalised: float
    blur: float
    landscape: bool
    aspect: float
    borders: tuple[float, float, float, float]
    noise_seed: int


def sample_pose(rng: np.random.Generator, view: str) -> Pose:
    """Draw how one image of `view` ("AP", "PA", "Lateral") was taken.

    AP images are bedside ones: closer source, more turned, less inspired, more scatter.
    """
    bedside = view == "AP"
    loose = 1.0 if bedside else 0.55
    landscape = bool(rng.random() < (0.8 if bedside else 0.12))
    border = np.where(rng.random(4) < 0.16 * loose, rng.uniform(0.2, 2.2, 4), 0)
    return Pose(
        view=view,
        yaw=float(np.clip(rng.normal(0, 0.075 * loose), -0.2, 0.2)),
        roll=float(np.clip(rng.normal(0, 0.035 * loose), -0.1, 0.1)),
        shift=(float(rng.normal(0, 0.8 * loose)), float(rng.normal(0, 0.9 * loose))),
        zoom=float(np.clip(rng.normal(1.0, 0.035), 0.92, 1.08)),
        inspiration=float(
            np.clip(rng.normal(0.90 if bedside else 0.97, 0.04), 0.78, 1.0 if bedside else 1.05)
        ),
        arms=bool(rng.random() < (0.85 if bedside else 0.3)),
        exposure=float(np.exp(rng.normal(np.log(9e4 if bedside else 2.2e5), 0.5))),
        scatter=float(rng.uniform(0.5, 1.1) if bedside else rng.uniform(0.25, 0.6)),
        contrast=float(np.clip(rng.normal(1.0, 0.13), 0.7, 1.35)),
        brightness=float(np.clip(rng.normal(0, 0.10), -0.25, 0.25)),
        equalised=float(rng.uniform(0, 0.55)),
        blur=float(rng.uniform(0.02, 0.07) if bedside else rng.uniform(0.015, 0.05)),
        landscape=landscape,
        aspect=float(np.clip(rng.normal(1.2, 0.03), 1.02, 1.3)),
        borders=tuple(float(b) for b in border),
        noise_seed=int(rng.integers(2**63)),
    )
