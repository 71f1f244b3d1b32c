import math

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from rarecxr.classifier.loss import masked_bce
from rarecxr.classifier.metrics import auroc

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


@pytest.mark.parametrize("levels", [3, 1000])
def test_auroc_is_that_of_scikit_learn(levels):
    rng = np.random.default_rng(levels)
    labels = rng.integers(0, 2, 200).astype(float)
    scores = (rng.integers(0, levels, 200) + labels).astype(np.float32)
    assert auroc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


def test_auroc_leaves_out_unlabelled_images():
    labels = np.array([1, NAN, 0, 0, NAN])
    scores = np.array([0.4, 0.9, 0.5, 0.1, 0.0])
    assert auroc(labels, scores) == 0.5


def test_auroc_of_one_class_is_nan():
    assert math.isnan(auroc(np.array([1.0, 1.0, NAN]), np.array([0.1, 0.2, 0.3])))
