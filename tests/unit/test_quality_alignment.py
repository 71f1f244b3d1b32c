"""How much two generators make of the same latent vectors."""

import numpy as np
import pytest
import torch

from rarecxr.quality.alignment import measure_alignment
from rarecxr.quality.feature_spaces import FeatureSpace


def pictures(count, seed):
    """Coarse random pictures, (count, 32, 32) float64 around 0."""
    coarse = np.random.default_rng(seed).normal(0, 25, (count, 8, 8))
    return coarse.repeat(4, axis=1).repeat(4, axis=2)


def grey(values):
    return (128 + values).clip(0, 255).astype(np.uint8)


def test_equal_images_are_aligned_fully_and_independent_ones_not_at_all():
    images = grey(pictures(60, 0))
    same = measure_alignment(images, images)
    assert same.pairs == pytest.approx(1)
    assert same.images == 60
    other = measure_alignment(images, grey(pictures(60, 1)))
    assert abs(other.pairs) < 0.05
    assert abs(other.others) < 0.05


def test_the_share_of_common_variance_is_the_correlation():
    """Half of the variance is common: a correlation of one half, worked out by hand."""
    common = pictures(200, 0)
    first, second = (grey((common + pictures(200, seed)) / np.sqrt(2)) for seed in (1, 2))
    found = measure_alignment(first, second)
    assert found.pairs == pytest.approx(0.5, abs=0.03)
    assert found.others == pytest.approx(0, abs=0.01)


def test_pairs_out_of_order_are_not_aligned():
    images = grey(pictures(60, 0))
    assert measure_alignment(images, np.roll(images, 1, axis=0)).pairs < 0.05


def test_what_all_images_share_is_no_alignment():
    """A heart in the middle of every image of both generators."""
    heart = np.zeros((32, 32))
    heart[10:22, 10:22] = 60
    found = measure_alignment(grey(pictures(60, 0) / 2 + heart), grey(pictures(60, 1) / 2 + heart))
    assert abs(found.pairs) < 0.05


def test_alignment_is_measured_in_features_too():
    common = pictures(60, 0)
    first, second = (grey(common + pictures(60, seed) / 4) for seed in (1, 2))
    space = FeatureSpace("pixels", torch.device("cpu"))
    assert measure_alignment(first, second, space).pairs > 0.8


@pytest.mark.parametrize("count", [1, 3])
def test_unequal_or_too_few_images_are_refused(count):
    with pytest.raises(ValueError, match="pairs of images are needed, two or more"):
        measure_alignment(grey(pictures(count, 0)), grey(pictures(1, 0)))
