"""Adaptive augmentation: what it changes, what it leaves, and how its strength moves."""

import math

import numpy as np
import pytest
import torch
from gan_files import arguments, write_training_set
from scipy import ndimage

from rarecxr.gan.augment import AdaptiveAugment
from rarecxr.gan.training import train_gan
from rarecxr.study.configuration.gan import AdaSettings

CPU = torch.device("cpu")
STILL = {"rotation_deg": 0.0, "scale": 0.0, "shift": 0.0, "brightness": 0.0, "contrast": 0.0}


def augment(p=1.0, **changes):
    pipe = AdaptiveAugment(AdaSettings(**(STILL | changes)), CPU)
    pipe.p = torch.tensor(p)
    return pipe


def random(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def images():
    """Smooth images, (64, 1, 32, 32) in about [-1, 1]."""
    noise = np.random.default_rng(0).normal(size=(64, 1, 32, 32))
    smooth = ndimage.gaussian_filter(noise, (0, 0, 3, 3))
    return torch.tensor(smooth / np.abs(smooth).max(), dtype=torch.float32)


def test_at_p_zero_images_stay_as_they_are_to_the_bit(images):
    pipe = AdaptiveAugment(AdaSettings(), CPU)
    assert torch.equal(pipe(images, random()), images)


def test_p_is_the_share_of_images_that_a_transform_changes(images):
    many = images.repeat(20, 1, 1, 1)
    changed = (augment(0.3, rotation_deg=10)(many, random()) != many).flatten(1).any(dim=1)
    assert changed.float().mean().item() == pytest.approx(0.3, abs=0.04)


def test_intensity_is_a_line_within_its_limits(images):
    """Each image's grey levels become contrast * level + brightness."""
    found = augment(brightness=0.1, contrast=0.25)(images, random()).numpy()
    for before, after in zip(images.numpy(), found, strict=True):
        contrast, brightness = np.polyfit(before.ravel(), after.ravel(), 1)
        np.testing.assert_allclose(after, contrast * before + brightness, atol=1e-5)
        assert 1 / 1.25 - 1e-4 <= contrast <= 1.25 + 1e-4
        assert abs(brightness) <= 0.2 + 1e-4
    assert found.mean(axis=(1, 2, 3)).std() > 0.02


def test_a_shift_moves_the_centre_of_mass_within_its_limit():
    spot = torch.full((50, 1, 64, 64), 0.0)
    spot[:, :, 28:36, 28:36] = 1.0
    moved = augment(shift=0.1)(spot, random())[:, 0].numpy()
    shifts = np.array([ndimage.center_of_mass(image) for image in moved]) - 31.5
    assert np.abs(shifts).max() <= 6.4 + 0.1
    assert np.abs(shifts).max() > 5


def test_a_rotation_turns_a_bar_within_its_limit():
    bar = torch.zeros(50, 1, 64, 64)
    bar[:, :, 30:34, 12:52] = 1.0
    turned = augment(rotation_deg=10)(bar, random())[:, 0].numpy()
    angles = []
    for image in turned:
        rows, columns = np.mgrid[:64, :64] - 31.5
        covariance = (image * rows * columns).sum()
        spread = (image * (columns**2 - rows**2)).sum()
        angles.append(math.degrees(math.atan2(2 * covariance, spread)) / 2)
    assert np.abs(angles).max() <= 10.2
    assert np.abs(angles).max() > 7
    assert np.mean(angles) == pytest.approx(0, abs=2.5)


def test_a_scale_changes_the_area_within_its_limit():
    disc = torch.zeros(50, 1, 64, 64)
    disc[:, :, 22:42, 22:42] = 1.0
    areas = augment(scale=0.1)(disc, random()).sum(dim=(1, 2, 3)).numpy() / 400
    assert areas.max() <= 1.1**2 + 0.03
    assert areas.min() >= 1 / 1.1**2 - 0.03
    assert areas.max() > 1.1
    assert areas.min() < 0.9


def test_there_are_no_flips_unless_asked_for():
    left = torch.zeros(200, 1, 16, 16)
    left[:, :, :, :8] = 1.0
    assert torch.equal(augment()(left, random()), left)
    flipped = augment(flip=True)(left, random())[:, 0, 0, 0] == 0
    assert 60 < flipped.sum() < 140


def test_the_gradient_reaches_the_images(images):
    entry = images.double().requires_grad_()
    pipe = augment(rotation_deg=10, contrast=0.2, shift=0.05)
    weights = torch.randn(images.shape, generator=random(1)).double()
    (pipe(entry, random()) * weights).sum().backward()
    direction = torch.randn(images.shape, generator=random(2)).double()
    with torch.no_grad():
        up, down = (
            (pipe(entry + sign * 1e-4 * direction, random()) * weights).sum() for sign in (1, -1)
        )
    found = (entry.grad * direction).sum().item()
    assert found == pytest.approx((up - down).item() / 2e-4, rel=1e-6)


@pytest.mark.parametrize(("sign", "wanted"), [(1.0, 0.5 + 0.008), (-1.0, 0.5 - 0.008)])
def test_p_moves_by_images_over_kimg_towards_the_target(sign, wanted):
    """Two steps of 4 images an interval and 1 kimg from 0 to 1: 8/1000 an interval."""
    pipe = AdaptiveAugment(AdaSettings(interval=2, kimg=1.0, start_p=0.5), CPU)
    scores = sign * torch.ones(4)
    pipe.adapt(scores, -scores, "r1", moves=False)
    assert pipe.p.item() == 0.5
    pipe.adapt(scores, -scores, "r1", moves=True)
    assert pipe.p.item() == pytest.approx(wanted, abs=1e-6)


def test_p_stays_where_the_sign_is_the_target_and_between_its_limits():
    pipe = AdaptiveAugment(AdaSettings(target=0.5, interval=1, kimg=0.01, start_p=0.3), CPU)
    balanced = torch.tensor([1.0, 1.0, 1.0, -1.0])
    pipe.adapt(balanced, balanced, "r1", moves=True)
    assert pipe.p.item() == pytest.approx(0.3)
    for _ in range(5):
        pipe.adapt(torch.ones(4), -torch.ones(4), "r1", moves=True)
    assert pipe.p.item() == pytest.approx(0.8)
    for _ in range(5):
        pipe.adapt(-torch.ones(4), torch.ones(4), "r1", moves=True)
    assert pipe.p.item() == 0


def test_wasserstein_scores_are_judged_from_the_middle_of_real_and_fake():
    """All scores are negative, yet the real ones are all above the middle."""
    pipe = AdaptiveAugment(AdaSettings(interval=1, kimg=1.0), CPU)
    pipe.adapt(torch.full((4,), -1.0), torch.full((4,), -9.0), "wgan-gp", moves=True)
    assert pipe.p.item() > 0


def test_the_state_goes_on_in_the_middle_of_an_interval():
    pipe, again = (AdaptiveAugment(AdaSettings(interval=4, kimg=1.0), CPU) for _ in range(2))
    for _ in range(3):
        pipe.adapt(torch.ones(4), -torch.ones(4), "r1", moves=False)
    again.load_state(pipe.state())
    for each in (pipe, again):
        each.adapt(torch.ones(4), -torch.ones(4), "r1", moves=True)
    assert again.p == pipe.p > 0


@pytest.mark.parametrize("loss", ["r1", "wgan-gp"])
def test_training_with_augmentation_logs_p_and_goes_on_to_the_byte(tmp_path, loss):
    images = write_training_set(tmp_path / "set.h5")
    ada = {"kimg": 0.05, "start_p": 0.2, "interval": 3}
    rows = []

    def on_tick(trainer, row):
        rows.append(row["ada_p"])
        if row["kimg"] == 0.048 and len(rows) < 6:
            raise KeyboardInterrupt

    settings = {"ada": ada, "loss": loss}
    train_gan(**arguments(images, tmp_path / "whole", **settings))
    with pytest.raises(KeyboardInterrupt):
        train_gan(
            **arguments(images, tmp_path / "cut", **settings, resume_interval_s=0, on_tick=on_tick)
        )
    train_gan(**arguments(images, tmp_path / "cut", **settings))
    assert len(set(rows)) > 1
    assert all(0 <= p <= 0.8 + 1e-6 for p in rows)
    whole, cut = ((tmp_path / name / "generator.pt").read_bytes() for name in ("whole", "cut"))
    assert whole == cut
