"""Classifier two-sample test: whether a classifier distinguishes two sets of images."""

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

_FOLDS = 5
# Strong shrinkage: there are often fewer images than features.
_PENALTY = 1000.0


def c2st(
    first: np.ndarray,
    second: np.ndarray,
    first_groups: np.ndarray | None = None,
    second_groups: np.ndarray | None = None,
    seed: int = 0,
) -> float:
    """AUROC of a classifier that was trained to distinguish two sets of features.

    A linear classifier (least squares on standardized features, with a ridge penalty) is fitted to
    four fifths of the images and tried on the rest, five times: a classifier two-sample test
    (Lopez-Paz and Oquab 2017, arXiv 1610.06545). 0.5 is best: no plane in this space separates the
    sets. 1: every image is recognised.

    Args:
        first: (N, D) features.
        second: (M, D) features.
        first_groups: (N,) whose image it is; images of one patient are never both learned from
            and tried. None if every image stands for itself.
        second_groups: (M,) likewise, in numbers or names of its own.
        seed: seed of the folds.

    Returns:
        The mean AUROC over the folds; NaN with fewer than five groups of either kind.
    """
    generator = np.random.default_rng(seed)
    folds = []
    for features, names in ((first, first_groups), (second, second_groups)):
        names = np.arange(len(features)) if names is None else names
        distinct, number = np.unique(names, return_inverse=True)
        if len(distinct) < _FOLDS:
            return float("nan")
        folds.append((generator.permutation(len(distinct)) % _FOLDS)[number])
    fold = np.concatenate(folds)
    features = np.concatenate([first, second]).astype(np.float64)
    which = np.repeat([0.0, 1.0], [len(first), len(second)])
    scores = []
    for number in range(_FOLDS):
        tried = fold == number
        model = make_pipeline(StandardScaler(), Ridge(alpha=_PENALTY))
        model.fit(features[~tried], which[~tried])
        scores.append(roc_auc_score(which[tried], model.predict(features[tried])))
    return float(np.mean(scores))
