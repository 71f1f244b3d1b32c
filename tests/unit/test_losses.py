"""Losses that several networks share."""

import math

import pytest
import torch
from sklearn.metrics import log_loss

from rarecxr.core.losses import count_known, masked_bce

NAN = math.nan


def test_the_loss_is_the_mean_over_the_labelled_entries():
    # By hand: -log(1/2) for each logit 0, -log(3/4) for logit log 3 and label 1.
    logits = torch.tensor([[0.0, math.log(3), 7.0], [0.0, 50.0, 50.0]])
    labels = torch.tensor([[1.0, 1.0, NAN], [0.0, NAN, NAN]])
    expected = (math.log(2) + math.log(4 / 3) + math.log(2)) / 3
    assert masked_bce(logits, labels).item() == pytest.approx(expected, rel=1e-6)


def test_a_masked_entry_sends_no_gradient():
    logits = torch.randn(4, 3, requires_grad=True)
    labels = torch.tensor([[1.0, NAN, 0.0]] * 4)
    masked_bce(logits, labels).backward()
    assert torch.equal(logits.grad[:, 1], torch.zeros(4))
    assert (logits.grad[:, [0, 2]] != 0).all()


def test_a_batch_without_labels_changes_nothing():
    logits = torch.randn(4, 3, requires_grad=True)
    loss = masked_bce(logits, torch.full((4, 3), NAN))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros(4, 3))


def test_the_sum_over_shares_is_divided_by_the_known_labels_of_all():
    logits = torch.tensor([[2.0, -1.0], [0.5, 3.0]])
    labels = torch.tensor([[1.0, 0.0], [NAN, 0.0]])
    whole = log_loss([1, 0, 0], torch.tensor([2.0, -1.0, 3.0]).sigmoid())
    known = count_known(labels)
    shares = [masked_bce(logits[i : i + 1], labels[i : i + 1], known).item() for i in range(2)]
    assert sum(shares) == pytest.approx(whole, rel=1e-6)


def test_weights_of_images_are_those_of_a_weighted_mean():
    logits, labels = torch.tensor([[2.0, -1.0], [0.5, 3.0]]), torch.tensor([[1.0, 0.0], [NAN, 0.0]])
    # The first image has two known labels of weight 1, the second one of weight 0.25.
    wanted = log_loss(
        [1, 0, 0], torch.tensor([2.0, -1.0, 3.0]).sigmoid(), sample_weight=[1, 1, 0.25]
    )
    found = masked_bce(logits, labels, weights=torch.tensor([1.0, 0.25]))
    assert found.item() == pytest.approx(wanted, rel=1e-6)
    for same in (0.25, 1.0, 7.0):
        found = masked_bce(logits, labels, weights=torch.full((2,), same))
        assert found.item() == pytest.approx(masked_bce(logits, labels).item(), rel=1e-6)


def test_a_weighted_batch_without_labels_changes_nothing():
    logits = torch.randn(4, 3, requires_grad=True)
    loss = masked_bce(logits, torch.full((4, 3), NAN), weights=torch.full((4,), 0.5))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros(4, 3))
