"""One phantom image: a patient, a pose and findings in, grey levels out."""

from collections.abc import Mapping

import numpy as np

from rarecxr.phantoms.anatomy import Anatomy, Pose
from rarecxr.phantoms.chest import make_chest
from rarecxr.phantoms.detector import expose
from rarecxr.phantoms.findings import Grades
from rarecxr.phantoms.frontal import attenuate_frontal
from rarecxr.phantoms.geometry import Array, View
from rarecxr.phantoms.lateral import attenuate_lateral
from rarecxr.phantoms.sites import Site


def render(
    anatomy: Anatomy,
    sites: Mapping[str, Site],
    pose: Pose,
    grades: Grades,
    resolution: int = 320,
) -> np.ndarray:
    """The image (rows, columns), uint8, of one patient with the findings of `grades`.

    Args:
        anatomy: the patient.
        sites: location and form of each finding (`sample_sites`, and `Support Devices` from
            `sample_devices`).
        pose: how the image is taken; `pose.view` chooses frontal or lateral.
        grades: finding -> how visible it is, in (0, 1]; findings not named are absent.
        resolution: pixels on the image's shorter side.
    """
    attenuation, view = attenuate(anatomy, sites, pose, grades, resolution)
    return expose(attenuation, view, pose, _size(pose, resolution))


def attenuate(
    anatomy: Anatomy,
    sites: Mapping[str, Site],
    pose: Pose,
    grades: Grades,
    resolution: int = 320,
) -> tuple[Array, View]:
    """The line integrals of attenuation (dimensionless) behind `render`, and their projection.

    The canvas is a little larger than the image, and not yet turned by `pose.roll`.
    """
    view = _view(anatomy, pose, _size(pose, resolution), resolution)
    chest = make_chest(anatomy, sites, pose, grades)
    draw = attenuate_lateral if view.lateral else attenuate_frontal
    return draw(view, chest, pose), view


def _size(pose: Pose, resolution: int) -> tuple[int, int]:
    """Rows and columns of the image."""
    longer = int(round(resolution * pose.aspect))
    return (resolution, longer) if pose.landscape else (longer, resolution)


def _view(anatomy: Anatomy, pose: Pose, size: tuple[int, int], resolution: int) -> View:
    """The projection on a canvas that is larger than `size`, for turning."""
    lateral = pose.view == "Lateral"
    margin = int(np.ceil(0.5 * abs(pose.roll) * max(size))) + 2
    # The shorter side holds the chest with some room.
    across = 2.25 * anatomy.half_width + 2.6 + 1.6 * anatomy.fat
    across = (
        max(across, 1.12 * anatomy.height + anatomy.dome_drop + 3.0) if pose.landscape else across
    )
    if lateral:
        across = 0.98 * max(across, 33.0)
    scale = resolution * pose.zoom / across
    middle = 0.57 * anatomy.height * pose.inspiration + 0.6
    origin = (
        margin + size[0] / 2 - (middle - pose.shift[1]) * scale,
        margin + size[1] / 2 + pose.shift[0] * scale + (0.6 * scale if lateral else 0),
    )
    perspective = {"AP": 0.014, "PA": -0.005, "Lateral": 0.004}[pose.view]
    shape = (size[0] + 2 * margin, size[1] + 2 * margin)
    return View(lateral, pose.yaw, perspective, scale, origin, shape, resolution)
