from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import maximum_filter

from rarecxr.phantoms.anatomy import sample_anatomy, sample_pose
from rarecxr.phantoms.chest import SOFT
from rarecxr.phantoms.detector import BORDER_LEVEL
from rarecxr.phantoms.render import attenuate, render
from rarecxr.phantoms.sites import sample_sites
from rarecxr.phantoms.support_devices import sample_devices
from rarecxr.study.findings import FINDINGS

RESOLUTION = 160
DRAWN = [finding for finding in FINDINGS if finding != "No Finding"]


def patient(seed, female=False, age=50):
    rng = np.random.default_rng(seed)
    anatomy = replace(sample_anatomy(rng, female, age), nipples=False)
    sites = sample_sites(rng, anatomy)
    sites["Support Devices"] = sample_devices(rng, anatomy)
    return anatomy, sites


def straight(view="PA"):
    """A pose without turn, shift or borders."""
    pose = sample_pose(np.random.default_rng(0), view)
    return replace(
        pose,
        yaw=0.0,
        roll=0.0,
        shift=(0.0, 0.0),
        zoom=1.0,
        inspiration=0.97,
        borders=(0, 0, 0, 0),
        landscape=False,
        aspect=1.2,
    )


def change(seed, grades, view="PA", **options):
    """What findings add to the attenuation, and each pixel's x and y in cm."""
    anatomy, sites = patient(seed)
    for finding, site in options.items():
        sites[finding.replace("_", " ")].update(site)
    without, projection = attenuate(anatomy, sites, straight(view), {}, RESOLUTION)
    with_it, _ = attenuate(anatomy, sites, straight(view), grades, RESOLUTION)
    return with_it - without, projection.columns(), projection.rows(), anatomy, sites


def share(values, where):
    """Share of the absolute change that lies in `where`."""
    values = np.abs(values)
    return values[np.broadcast_to(where, values.shape)].sum() / values.sum()


@pytest.mark.parametrize("view", ["AP", "PA", "Lateral"])
@pytest.mark.parametrize("finding", DRAWN)
def test_every_finding_shows_and_fades_with_its_grade(finding, view):
    sizes = []
    for grade in (0.05, 0.4, 0.8):
        total = sum(np.abs(change(seed, {finding: grade}, view)[0]).sum() for seed in range(4))
        sizes.append(total)
    assert 0 < sizes[0] < sizes[1] < sizes[2]
    assert sizes[0] < 0.45 * sizes[2]


def test_a_lesion_is_a_dense_round_body_at_its_site():
    for seed in range(8):
        delta, x, y, _, sites = change(seed, {"Lung Lesion": 0.8})
        nodules = sites["Lung Lesion"]["nodules"]
        near = np.zeros(delta.shape, bool)
        for nodule in nodules:
            at, reach = nodule["centre"], 1.3 * max(nodule["axes"])
            if sites["Lung Lesion"]["spikes"] is not None:
                reach *= 2
            # PA shrinks what lies in front by up to 5 %.
            near |= (x - at[0]) ** 2 + (y - at[1]) ** 2 < (reach + 0.7) ** 2
        assert share(delta, near) > 0.99
        assert (delta > -1e-5).all()
        assert delta.max() > 2 * SOFT


def test_cardiomegaly_widens_the_heart_and_leaves_the_apices():
    delta, x, y, anatomy, _ = change(3, {"Cardiomegaly": 0.9})
    heart = (y > 0.45 * anatomy.height) & (np.abs(x) < 0.85 * anatomy.half_width)
    assert share(np.where(np.abs(delta) > 0.02, delta, 0), heart) > 0.97
    # The cardiothoracic ratio grows from below to above one half.
    row = int(np.argmin(np.abs(y[:, 0] - 0.72 * anatomy.height)))
    anatomy, sites = patient(3)
    widths = []
    for grades in ({}, {"Cardiomegaly": 0.9}):
        image, view = attenuate(anatomy, sites, straight(), grades, RESOLUTION)
        line = image[row]
        lung = np.abs(x[0]) < anatomy.half_width - 1
        level = 0.5 * (line[lung].min() + np.median(line[np.abs(x[0]) < 1.5]))
        widths.append((line[lung] > level).sum() / view.scale)
    ratios = np.array(widths) / (2 * anatomy.half_width)
    assert ratios[0] < 0.5 < 0.55 < ratios[1]


def test_a_wide_mediastinum_is_wide_above_the_heart():
    delta, x, y, anatomy, _ = change(2, {"Enlarged Cardiomediastinum": 0.9})
    upper = (y > 0.1 * anatomy.height) & (y < 0.45 * anatomy.height) & (np.abs(x) < 6.5)
    assert delta[np.broadcast_to(upper, delta.shape)].max() > 1.0
    outer = (np.abs(x) > 0.7 * anatomy.half_width) & (y > 2)
    assert share(delta, outer) < 0.01


def test_edema_is_a_haze_on_both_sides_that_fades_outwards():
    delta, x, y, anatomy, _ = change(1, {"Edema": 0.9})
    field = (y > 0.2 * anatomy.height) & (y < 0.6 * anatomy.height)
    for side in (-1, 1):
        near = delta[field & (np.abs(side * x - 5.5) < 1)].mean()
        far = delta[field & (np.abs(side * x - 11.5) < 1)].mean()
        assert near > 1.5 * far > 0


@pytest.mark.parametrize("side", [-1, 1])
def test_pneumothorax_is_air_along_one_wall(side):
    delta, x, y, anatomy, _ = change(
        5, {"Pneumothorax": 0.6}, Pneumothorax={"side": side, "apical": 4.0, "lateral": 1.5}
    )
    wall = anatomy.cage_half_width(y) - side * x
    rim = (wall > 0.25) & (wall < 0.9) & (y > 0.25 * anatomy.height) & (y < 0.5 * anatomy.height)
    assert (delta[rim] < -0.03).mean() > 0.9
    # The mediastinum is pushed away; beyond it the other lung stays as it was.
    other = (side * x < -0.72 * anatomy.half_width) & (y < 0.6 * anatomy.height)
    assert np.abs(delta[other]).max() < 0.02


@pytest.mark.parametrize("side", [-1, 1])
def test_effusion_fills_one_angle_from_below(side):
    site = {"right": float(side < 0), "left": float(side > 0), "depth": 9.0, "uneven": 0.0}
    delta, x, y, anatomy, _ = change(4, {"Pleural Effusion": 0.7}, Pleural_Effusion=site)
    assert (delta > -1e-5).all()
    assert share(delta, side * x > 0) > 0.999
    assert share(delta, y > 0.6 * anatomy.height) > 0.97
    # The fluid climbs at the wall.
    top = [
        y[:, 0][delta[:, np.abs(side * x[0] - at) < 0.4].mean(axis=1) > 0.1].min()
        for at in (anatomy.half_width - 1, 0.5 * anatomy.half_width)
    ]
    assert top[0] < top[1] - 0.5


@pytest.mark.parametrize("form", ["wall", "cap"])
def test_thickened_pleura_is_a_band_along_the_wall(form):
    site = {"form": form, "side": 1, "both": False, "calcified": False}
    delta, x, y, anatomy, _ = change(6, {"Pleural Other": 0.7}, Pleural_Other=site)
    assert share(delta, x > 0) > 0.99
    wall = anatomy.cage_half_width(y) - x
    if form == "wall":
        assert share(delta, (wall > -0.2) & (wall < 4)) > 0.85
        assert share(delta, y > 0.12 * anatomy.height) > 0.99
    else:
        assert share(delta, y < 0.35 * anatomy.height) > 0.99
    assert delta.max() > 0.25


def test_fractures_move_bone_near_the_breaks_only():
    for seed in range(5):
        delta, x, y, anatomy, sites = change(seed, {"Fracture": 0.8})
        site = sites["Fracture"]
        near = np.zeros(delta.shape, bool)
        for broken in site["breaks"]:
            curve = anatomy.ribs[(site["side"] + 1) // 2, broken["rib"]]
            at = curve[int(broken["at"] * (len(curve) - 1))]
            near |= (x - at[0]) ** 2 + (y - at[1]) ** 2 < 7.0**2
        assert share(delta, near) > 0.97
        # Gaps are darker, calluses and overlapping ends brighter.
        assert delta.min() < -0.03
        assert delta.max() > 0.15


def test_consolidation_is_denser_than_haze_and_stays_on_its_side():
    dense, x, *_ = change(7, {"Consolidation": 0.9}, Consolidation={"lobe": 2})
    haze, *_ = change(7, {"Lung Opacity": 0.9})
    assert share(np.clip(dense, 0, None), x < 0.5) > 0.99
    assert dense.max() > 1.2 * haze.max()


def test_pneumonia_is_patchy():
    """Several separate peaks, unlike a lesion's one."""
    delta, *_ = change(8, {"Pneumonia": 0.9})
    inner = delta[1:-1, 1:-1]
    peaks = (inner >= maximum_filter(delta, 3)[1:-1, 1:-1]) & (inner > 0.3 * delta.max())
    assert peaks.sum() >= 3


@pytest.mark.parametrize("side", [-1, 1])
def test_atelectasis_raises_the_diaphragm_of_its_side(side):
    delta, x, y, anatomy, _ = change(9, {"Atelectasis": 0.8}, Atelectasis={"side": side})
    base = (y > 0.8 * anatomy.height) & (y < 0.95 * anatomy.height)
    lateral = np.abs(side * x - 0.55 * anatomy.half_width) < 2
    assert delta[base & lateral].mean() > 0.3
    opposite = np.abs(side * x + 0.75 * anatomy.half_width) < 1
    assert np.abs(delta[base & opposite]).mean() < 0.05


def test_devices_are_denser_than_anything_of_the_body():
    anatomy, sites = patient(11)
    sites["Support Devices"]["kinds"] = ["pacemaker", "venous line"]
    without, _ = attenuate(anatomy, sites, straight("AP"), {}, RESOLUTION)
    with_it, _ = attenuate(anatomy, sites, straight("AP"), {"Support Devices": 0.9}, RESOLUTION)
    delta = with_it - without
    assert (delta > -1e-5).all()
    assert delta.max() > 2
    assert 0.001 < (delta > 0.1).mean() < 0.1


def test_a_bedside_view_magnifies_the_heart():
    widths = {"PA": [], "AP": []}
    for seed in range(12, 18):
        anatomy, sites = patient(seed)
        for name, found in widths.items():
            image, view = attenuate(anatomy, sites, straight(name), {}, 320)
            x, y = view.columns()[0], view.rows()[:, 0]
            line = image[int(np.argmin(np.abs(y - 0.72 * anatomy.height)))]
            lung = np.abs(x) < anatomy.half_width - 1
            level = 0.5 * (line[lung].min() + np.median(line[np.abs(x) < 1.5]))
            found.append((line[lung] > level).sum() / view.scale)
    assert 1.03 < np.sum(widths["AP"]) / np.sum(widths["PA"]) < 1.2


def test_a_patient_looks_more_like_the_same_patient_than_like_others():
    """In other poses and with other quanta, over the middle of the chest."""
    pictures, names = [], []
    for seed in range(8):
        anatomy, sites = patient(seed, female=seed % 2 == 1)
        for again in range(3):
            pose = sample_pose(np.random.default_rng(100 * seed + again), "PA")
            pose = replace(pose, landscape=False, aspect=1.2, borders=(0, 0, 0, 0))
            picture = render(anatomy, sites, pose, {}, 64)[6:70, 6:58].astype(float)
            pictures.append(((picture - picture.mean()) / picture.std()).ravel())
            names.append(seed)
    close = np.corrcoef(np.stack(pictures)) - 2 * np.eye(len(names))
    nearest = np.array(names)[close.argmax(axis=1)]
    # By chance it would be 2 of 23.
    assert (nearest == names).mean() > 0.4


def test_the_same_inputs_give_the_same_picture():
    anatomy, sites = patient(1)
    pose = sample_pose(np.random.default_rng(2), "AP")
    first, second = (render(anatomy, sites, pose, {"Edema": 0.5}, 96) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.dtype == np.uint8


def test_borders_are_black_and_as_wide_as_asked_for():
    anatomy, sites = patient(1)
    pose = replace(straight(), borders=(2.0, 0.0, 0.0, 1.0))
    picture = render(anatomy, sites, pose, {}, RESOLUTION)
    _, view = attenuate(anatomy, sites, pose, {}, RESOLUTION)
    left, bottom = int(2.0 * view.scale), int(1.0 * view.scale)
    assert (picture[:, :left] == BORDER_LEVEL).all()
    assert (picture[-bottom:] == BORDER_LEVEL).all()
    assert (picture[:-bottom, left:] != BORDER_LEVEL).mean() > 0.9


def test_more_quanta_make_less_noise():
    anatomy, sites = patient(1)
    noise = []
    for exposure in (3e3, 3e4):
        pair = [
            render(anatomy, sites, replace(straight(), exposure=exposure, noise_seed=s), {}, 128)
            for s in (1, 2)
        ]
        noise.append(np.std(pair[0].astype(float) - pair[1]))
    # Well above the rounding to grey levels.
    assert noise[1] > 1
    assert noise[0] / noise[1] == pytest.approx(np.sqrt(10), rel=0.1)


def test_sex_and_age_leave_their_marks():
    woman, man = patient(4, female=True)[0], patient(4, female=False)[0]
    assert woman.breast > 0 == man.breast
    assert woman.half_width < man.half_width
    young, old = patient(4, age=25)[0], patient(4, age=88)[0]
    assert old.bone < young.bone
    assert old.knob > young.knob
    assert old.kyphosis > young.kyphosis
