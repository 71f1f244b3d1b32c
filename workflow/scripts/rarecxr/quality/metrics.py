"""Distances between sets of feature vectors: KID, precision, recall, density, coverage.

All functions take float arrays of shape (N, D), one row for each image, and compute in float64.
"""

import numpy as np
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.neighbors import NearestNeighbors


def kid(real: np.ndarray, synthetic: np.ndarray) -> float:
    """Kernel inception distance: the unbiased squared maximum mean discrepancy.

    The kernel is (x·y / D + 1)³ (Bińkowski et al. 2018, arXiv 1801.01401, section 4). About
    0 for two samples of one distribution, and below 0 about as often as above.

    Args:
        real: (N, D) features, N at least 2.
        synthetic: (M, D) features, M at least 2.
    """
    real, synthetic = _pair(real, synthetic)

    def within(x):
        values = kid_kernel(x, x)
        n = len(x)
        return (values.sum() - np.trace(values)) / (n * (n - 1))

    return float(within(real) + within(synthetic) - 2 * kid_kernel(real, synthetic).mean())


def kid_kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The kernel of the KID between features (N, D) and (M, D), float: (N, M)."""
    return (x @ y.T / x.shape[1] + 1) ** 3


def neighbourhood(real: np.ndarray, synthetic: np.ndarray, k: int = 5) -> dict[str, float]:
    """Precision, recall, density and coverage by k-nearest-neighbour balls.

    Precision and recall as in Kynkäänniemi et al. 2019 (arXiv 1904.06991, section 2),
    density and coverage as in Naeem et al. 2020 (arXiv 2002.09797, section 3).

    Args:
        real: (N, D) features.
        synthetic: (M, D) features.
        k: neighbours that span a ball; cut to what the smaller set allows.

    Returns:
        precision, recall and coverage in [0, 1]; density from 0, about 1 for two samples
        of one distribution; k as it was used.
    """
    real, synthetic = _pair(real, synthetic)
    k = min(k, len(real) - 1, len(synthetic) - 1)
    real_radius = _radius(real, k)
    synthetic_radius = _radius(synthetic, k)
    between = euclidean_distances(real, synthetic)
    inside_real = between < real_radius[:, None]
    return {
        "precision": float(inside_real.any(axis=0).mean()),
        "recall": float((between < synthetic_radius[None, :]).any(axis=1).mean()),
        "density": float(inside_real.sum() / (k * len(synthetic))),
        "coverage": float((between.min(axis=1) < real_radius).mean()),
        "k": k,
    }


def sharpness(images: np.ndarray) -> np.ndarray:
    """How sharp each image is: the standard deviation of its Laplacian over that of its pixels.

    Blurred images have less of it, sharpened and noisy ones more; contrast and brightness cancel.

    Args:
        images: (N, H, W) uint8.

    Returns:
        (N,) float64; 0 for an image without contrast.
    """
    x = images.astype(np.float64)
    edges, contrast = laplacian(x).std(axis=(1, 2)), x.std(axis=(1, 2))
    return np.divide(edges, contrast, out=np.zeros(len(x)), where=contrast > 0)


def laplacian(x: np.ndarray) -> np.ndarray:
    """Sum of the four neighbours less four times the pixel: (N, H, W) to (N, H - 2, W - 2)."""
    return (
        x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:] - 4 * x[:, 1:-1, 1:-1]
    )


def _pair(x, y):
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise ValueError(f"features of one width are needed, got shapes {x.shape} and {y.shape}")
    if min(len(x), len(y)) < 2:
        raise ValueError(f"at least 2 images in each set are needed, got {len(x)} and {len(y)}")
    return x, y


def _radius(x, k):
    """Distance of each row to its k-th nearest other row."""
    return NearestNeighbors(n_neighbors=k, algorithm="brute").fit(x).kneighbors()[0][:, -1]
