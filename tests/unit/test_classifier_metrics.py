import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from rarecxr.classifier.metrics import auroc

NAN = math.nan


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
