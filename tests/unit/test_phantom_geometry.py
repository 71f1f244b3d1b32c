import numpy as np
import pytest

from rarecxr.phantoms.geometry import (
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


def view(lateral=False, yaw=0.0, perspective=0.0, scale=8.0, shape=(320, 320)):
    return View(lateral, yaw, perspective, scale, (160.0, 160.0), shape, 320)


def volume(image, scale=8.0):
    """cm^3 under a map of chords in cm."""
    return float(image.sum(dtype=float)) / scale**2


def test_a_tube_keeps_its_volume():
    line = np.linspace((-9, -4, 0), (9, 7, 0), 20)
    drawn = draw_tubes(view(), tube(line, radius=0.9, density=1.5))
    length = np.hypot(18, 11)
    assert volume(drawn) == pytest.approx(1.5 * np.pi * 0.9**2 * length, rel=0.02)


def test_a_tubes_profile_is_a_circles_chord():
    line = np.linspace((-14, 0, 0), (14, 0, 0), 20)
    drawn = draw_tubes(view(), tube(line, radius=1.5))
    y = (np.arange(320) - 160) / 8
    expected = 2 * np.sqrt(np.clip(1.5**2 - y**2, 0, None))
    middle = drawn[:, 140:180].mean(axis=1)
    # The edge's pixel is shared with its neighbour.
    assert np.abs(middle - expected)[np.abs(y) < 1.2].max() < 0.05
    assert not middle[np.abs(y) > 1.5 + 1 / 8].any()


def test_a_hollow_tube_is_brightest_at_its_edges():
    line = np.linspace((-14, 0, 0), (14, 0, 0), 20)
    profile = draw_tubes(view(), tube(line, radius=2.0, hollow=0.8))[:, 160]
    # In the middle the outer chord less 0.8 of the marrow's; at the marrow's edge the outer one.
    assert profile[160] == pytest.approx(4 - 0.8 * 3.2, rel=0.03)
    assert 0.8 * 2.4 < profile.max() < 2.4
    assert abs(np.argmax(profile) - 160) == pytest.approx(2.0 * 0.8 * 8, abs=2.5)


def test_tubes_drawn_together_are_the_sum_of_each():
    first = tube(np.linspace((-9, -4, 0), (9, 7, 0), 20), 0.5)
    second = tube(np.linspace((-9, 6, 3), (9, -7, 1), 20), 0.8, hollow=0.5)
    apart = draw_tubes(view(), first) + draw_tubes(view(), second)
    np.testing.assert_allclose(draw_tubes(view(), first, second), apart, atol=1e-5)


def test_a_tube_outside_the_image_leaves_nothing():
    far = tube(np.linspace((80, 0, 0), (90, 0, 0), 10), 0.5)
    assert not draw_tubes(view(), far).any()
    assert draw_tubes(view()).shape == (320, 320)


def test_a_tube_that_runs_towards_the_detector_is_brighter():
    across = Tubes(*(np.array(a) for a in ([[[0, -8, 0], [0, 8, 0]]], [[0.5] * 2], [[1.0] * 2])))
    slanted = Tubes(np.array([[[0, -8, -9.0], [0, 8, 9.0]]]), across.radius, across.density)
    flat, steep = (draw_tubes(view(), t)[120:200].sum() for t in (across, slanted))
    assert steep / flat == pytest.approx(np.hypot(16, 18) / 16, rel=0.02)


@pytest.mark.parametrize("turn", [None, rotation(0.4, -0.7, 1.1)])
@pytest.mark.parametrize("lateral", [False, True])
def test_an_ellipsoid_keeps_its_volume_from_any_side(turn, lateral):
    image = np.zeros((320, 320), np.float32)
    add_ellipsoid(image, view(lateral, yaw=0.3), np.array([2.0, 3.0, -1.0]), (2, 3, 4), turn)
    assert volume(image) == pytest.approx(4 / 3 * np.pi * 2 * 3 * 4, rel=0.01)


def test_an_ellipsoids_chord_agrees_with_points_counted_in_it():
    axes, turn, centre = np.array([1.5, 3.0, 2.2]), rotation(0.5, 0.8, -0.4), np.array([3, -4, 2.0])
    image = np.zeros((320, 320), np.float32)
    add_ellipsoid(image, view(), centre, tuple(axes), turn)
    depth = np.linspace(-6, 10, 4001)
    for x, y in ((3.0, -4.0), (3.5, -3.0), (2.25, -5.0)):
        points = np.stack([np.full_like(depth, x), np.full_like(depth, y), depth], 1) - centre
        inside = (((points @ turn) / axes) ** 2).sum(axis=1) <= 1
        row, column = int(160 + 8 * y), int(160 + 8 * x)
        assert image[row, column] == pytest.approx(inside.sum() * 16 / 4000, abs=0.02)


def test_a_soft_ellipsoid_is_a_blob_of_three_quarters_the_volume():
    window, chord = ellipsoid(view(), np.zeros(3), (2, 2, 2), soft=True)
    image = np.zeros((320, 320), np.float32)
    image[window] = chord
    assert volume(image) == pytest.approx(np.pi * 8, rel=0.03)
    assert ellipsoid(view(), np.array([99.0, 0, 0]), (2, 2, 2)) is None


def test_ap_magnifies_what_lies_in_front():
    front, back = np.array([4.0, 0, 8.0]), np.array([4.0, 0, -8.0])
    towards, away = view(perspective=0.01), view(perspective=-0.005)
    assert towards.project(front)[0] > towards.project(back)[0]
    assert away.project(front)[0] < away.project(back)[0]


def test_a_lateral_view_shows_the_front_on_the_left():
    column, row = view(lateral=True).project(np.array([0.0, 2.0, 5.0]))
    assert column == pytest.approx(160 - 40)
    assert row == pytest.approx(160 + 16)


def test_a_smooth_curve_passes_through_its_knots():
    knots = np.array([[0, 0], [1, 3], [4, 3], [6, -1.0]])
    curve = smooth_curve(knots, 301)
    for knot, point in zip(knots, curve[::100], strict=True):
        np.testing.assert_allclose(point, knot, atol=1e-6)


def test_soft_step_is_monotonous_between_its_ends():
    t = soft_step(np.linspace(-2, 2, 401), 2.0)
    assert (t[:101] == 0).all()
    assert (t[300:] == 1).all()
    assert (np.diff(t) >= 0).all()
    assert t[200] == pytest.approx(0.5)


@pytest.mark.parametrize("clouds", [False, True])
def test_texture_is_fixed_and_has_unit_variance(clouds):
    whole = view(scale=9.0, shape=(300, 300))
    first = texture(whole, (0.3, 0.9), clouds)
    assert first.std() == pytest.approx(1, abs=0.25)
    np.testing.assert_array_equal(first, texture(whole, (0.3, 0.9), clouds))
    assert np.abs(first - texture(whole, (0.6, 0.1), clouds)).mean() > 0.5
