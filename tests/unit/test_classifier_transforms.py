import numpy as np
import pytest
import torch
from scipy import ndimage

from rarecxr.classifier import transforms
from rarecxr.study.configuration.training import TransformSettings

OFF = {
    "rotation_deg": 0,
    "shift": 0,
    "scale": 0,
    "flip": 0,
    "gamma": 0,
    "contrast": 0,
    "brightness": 0,
    "noise": 0,
}


def transform(images, settings, key):
    return transforms.transform(images, TransformSettings.of(settings), key)


@pytest.fixture
def images():
    noise = np.random.default_rng(0).random((16, 1, 32, 32))
    return (
        torch.from_numpy(ndimage.gaussian_filter(noise, (0, 0, 3, 3)) * 4 - 1.5).float().clamp(0, 1)
    )


def test_nothing_changes_when_all_is_off(images):
    assert torch.equal(transform(images, OFF, (1,)), images)


def test_a_certain_flip_mirrors_left_and_right(images):
    flipped = transform(images, OFF | {"flip": 1}, (1,))
    torch.testing.assert_close(flipped, images.flip(3), atol=1e-5, rtol=0)


def test_a_flip_comes_as_often_as_it_says(images):
    flipped = transform(images.repeat(20, 1, 1, 1), OFF | {"flip": 0.25}, (1,))
    changed = (flipped - images.repeat(20, 1, 1, 1)).abs().amax(dim=(1, 2, 3)) > 0.01
    assert 0.15 < changed.float().mean() < 0.35


def centroid(images):
    """Centre of grey of each image, (N, 2) as row and column in pixels from the middle."""
    axis = torch.arange(images.shape[-1]) - (images.shape[-1] - 1) / 2
    mass = images.sum(dim=(1, 2, 3))
    rows = (images.sum(dim=(1, 3)) * axis).sum(1) / mass
    columns = (images.sum(dim=(1, 2)) * axis).sum(1) / mass
    return torch.stack([rows, columns], 1)


def spot(row, column, n=500, side=64):
    """Images (n, 1, side, side) of a small disc."""
    y, x = np.mgrid[:side, :side]
    disc = np.exp(-((y - row) ** 2 + (x - column) ** 2) / 8)
    return torch.from_numpy(np.repeat(disc[None, None], n, 0)).float()


def test_a_shift_stays_within_its_share_of_the_side_and_reaches_it():
    moved = centroid(transform(spot(31.5, 31.5), OFF | {"shift": 0.1}, (2,)))
    assert moved.abs().max() < 6.4 + 0.05
    assert moved.abs().amax(0).min() > 6.0
    assert moved.mean(0).abs().max() < 0.5


def test_a_rotation_stays_within_its_angle_and_keeps_the_distance():
    moved = centroid(transform(spot(31.5, 51.5), OFF | {"rotation_deg": 10}, (2,)))
    angle = torch.rad2deg(torch.atan2(moved[:, 0], moved[:, 1]))
    assert 9.5 < angle.abs().max() < 10.05
    torch.testing.assert_close(moved.norm(dim=1), torch.full((500,), 20.0), atol=0.1, rtol=0)


def test_a_mirrored_image_is_turned_like_any_other():
    moved = centroid(transform(spot(41.5, 51.5), OFF | {"rotation_deg": 30, "flip": 1}, (2,)))
    torch.testing.assert_close(moved.norm(dim=1), torch.full((500,), 500**0.5), atol=0.1, rtol=0)
    assert moved[:, 1].max() < 0


def test_a_zoom_is_a_factor_either_way():
    moved = centroid(transform(spot(31.5, 41.5), OFF | {"scale": 0.25}, (2,)))[:, 1] / 10
    assert 1.23 < moved.max() < 1.26
    assert 1 / 1.26 < moved.min() < 1 / 1.23
    assert (moved > 1).float().mean().item() == pytest.approx(0.5, abs=0.08)


def test_brightness_and_contrast_move_grey_levels_within_their_limits():
    grey = torch.full((500, 1, 2, 2), 0.5)
    bright = transform(grey, OFF | {"brightness": 0.2}, (3,))[:, 0, 0, 0]
    assert 0.29 < bright.min() < 0.32
    assert 0.68 < bright.max() < 0.71
    # Contrast turns about the middle of the range.
    assert torch.equal(transform(grey, OFF | {"contrast": 0.5}, (3,)), grey)
    dark = transform(grey - 0.1, OFF | {"contrast": 0.5}, (3,))[:, 0, 0, 0]
    assert 0.5 - 0.1 * np.exp(0.5) - 1e-3 < dark.min() < 0.34
    assert 0.43 < dark.max() < 0.5 - 0.1 * np.exp(-0.5) + 1e-3


def test_gamma_keeps_black_and_white():
    ends = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2).repeat(100, 1, 1, 1)
    changed = transform(ends, OFF | {"gamma": 0.5}, (4,))
    torch.testing.assert_close(changed, ends, atol=1e-2, rtol=0)
    middle = transform(torch.full((500, 1, 1, 1), 0.25), OFF | {"gamma": 0.5}, (4,))
    assert 0.25 ** np.exp(0.5) - 1e-4 < middle.min() < 0.11
    assert 0.42 < middle.max() < 0.25 ** np.exp(-0.5) + 1e-4


def test_noise_has_at_most_its_deviation():
    noisy = transform(torch.full((200, 1, 32, 32), 0.5), OFF | {"noise": 0.1}, (5,))
    deviation = noisy.std(dim=(1, 2, 3))
    assert 0.09 < deviation.max() < 0.105
    assert deviation.min() < 0.01
    assert noisy.mean().item() == pytest.approx(0.5, abs=1e-3)


def test_the_same_key_gives_the_same_images_and_another_key_others(images):
    everything = dict.fromkeys(OFF, 0.1) | {"rotation_deg": 10}
    first = transform(images, everything, (1, 0, 7))
    assert torch.equal(first, transform(images, everything, (1, 0, 7)))
    assert not torch.equal(first, transform(images, everything, (1, 0, 8)))
    assert first.min() >= 0
    assert first.max() <= 1


def test_switching_one_part_off_leaves_the_others_draws_as_they_were():
    settings = OFF | {"shift": 0.1}
    alone = centroid(transform(spot(31.5, 31.5, 50), settings, (6,)))
    # A brightness so small that it cannot move the centroid, but draws all the same.
    beside = centroid(transform(spot(31.5, 31.5, 50), settings | {"brightness": 1e-6}, (6,)))
    torch.testing.assert_close(alone, beside, atol=0.02, rtol=0)
