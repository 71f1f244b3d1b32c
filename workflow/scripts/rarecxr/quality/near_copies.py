"""Near-copies of training images: the one definition, for training, banks and selection."""

import numpy as np
from sklearn.neighbors import NearestNeighbors

from rarecxr.core.order import evenly
from rarecxr.data.image_file import ImageFile
from rarecxr.quality.feature_spaces import Space

# Percentile of the distances between real images of two patients below which an image is a
# near-copy, wherever it is measured; a selection may use another one.
PERCENTILE = 1.0
# Real training images at most among which a measurement looks for the nearest one.
MOST_TRAINING_IMAGES = 20_000

# Real images at most whose nearest ones give the threshold.
_MOST_FOR_THRESHOLD = 2000


class NearCopies:
    """Finds images that lie nearer to a training image than real images of two patients do.

    The measure is the distance, in some feature space, from each real training image to the nearest
    real training image *of another patient*. An image is a near-copy if its distance to the
    nearest real training image is below a percentile of these: a generator that has copied nothing
    makes about that percentage of them, whatever its recipe. Filtered copies of training images
    are no neighbours, of real images or of synthetic ones: an image is near to its own copies,
    and with three more chances to be near to something, images would count as near-copies that
    are none.

    Args:
        features: (N, D) of real training images.
        patients: (N,) whose image each is.
        percentile: in [0, 100].

    Attributes:
        threshold: a smaller distance makes a near-copy; None with a single patient, where nothing
            can be said.
        median: the median distance between real images of two patients; likewise.
    """

    def __init__(self, features: np.ndarray, patients: np.ndarray, percentile: float = PERCENTILE):
        features = np.asarray(features, np.float64)
        self._neighbours = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(features)
        self.threshold = self.median = None
        between = _to_other_patients(features, np.asarray(patients))
        if between is not None:
            self.threshold = float(np.percentile(between, percentile))
            self.median = float(np.median(between))

    def nearest(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distance of each image (M, D) to the nearest training image, and which one it is.

        Returns:
            (M,) float64, and (M,) int64 rows of the training images' features.
        """
        distance, row = self._neighbours.kneighbors(np.asarray(features, np.float64))
        return distance[:, 0], row[:, 0]

    def measures(self, features: np.ndarray) -> dict[str, float]:
        """How many of some images (M, D) are near-copies, and how near they are to training images.

        Returns:
            memorised, the share of near-copies; nearest_ratio, the median distance to a training
            image over that between real images of two patients (below 1: nearer than those). NaN
            with a single patient; the ratio also where all real images are equal.
        """
        if self.threshold is None:
            return {"memorised": float("nan"), "nearest_ratio": float("nan")}
        distance, _ = self.nearest(features)
        ratio = float(np.median(distance)) / self.median if self.median else float("nan")
        return {"memorised": float((distance < self.threshold).mean()), "nearest_ratio": ratio}


def training_features(
    space: Space, training_set: ImageFile, most: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of the real images of a training set, for `NearCopies`.

    Args:
        space: the feature space.
        training_set: filtered copies in it are left out.
        most: evenly chosen, at most so many images; None for all.

    Returns:
        Features (N, D), patients (N,) and rows in the training set (N,).
    """
    rows = training_set.unfiltered
    rows = rows if most is None else evenly(rows, most)
    features = np.concatenate([space(images) for images in training_set.batches(rows)])
    return features, training_set.columns["patient"][rows], rows


def _to_other_patients(features: np.ndarray, patients: np.ndarray) -> np.ndarray | None:
    """Distances from some images, evenly chosen, to the nearest one of another patient."""
    _, patient, images = np.unique(patients, return_inverse=True, return_counts=True)
    if len(images) < 2:
        return None
    asked = evenly(np.arange(len(features)), _MOST_FOR_THRESHOLD)
    # Among so many neighbours is one of another patient, the image itself and its siblings aside.
    neighbours = NearestNeighbors(n_neighbors=int(images.max()) + 1, algorithm="brute")
    distances, rows = neighbours.fit(features).kneighbors(features[asked])
    others = patient[rows] != patient[asked, None]
    return distances[np.arange(len(asked)), others.argmax(axis=1)]
