"""How far scores can be read as probabilities."""

import numpy as np
import pandas as pd


def reliability(labels: np.ndarray, scores: np.ndarray, bins: int = 10) -> pd.DataFrame:
    """Mean score and share of positives, in bins of as many images as can be made equal.

    Bins of equal counts, since most scores of a rare finding lie near 0 and bins of equal
    width would stand empty. Images with one score are never put apart, so there may be fewer.

    Args:
        labels: (N,) of 0 and 1.
        scores: (N,) in [0, 1].
        bins: number of bins.

    Returns:
        One row a bin: `bin` (from 0, by rising score), `images`, `mean_score`, `positive_share`.
    """
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, bins + 1)[1:-1], method="higher"))
    number = np.searchsorted(edges, scores, side="right")
    images = np.bincount(number)
    filled = np.flatnonzero(images)
    means = [np.bincount(number, values)[filled] / images[filled] for values in (scores, labels)]
    return pd.DataFrame(
        {
            "bin": np.arange(len(filled)),
            "images": images[filled],
            "mean_score": means[0],
            "positive_share": means[1],
        }
    )


def expected_calibration_error(table: pd.DataFrame) -> float:
    """Mean distance of score and share of positives over the bins, weighted by their images (ECE).

    Args:
        table: what `reliability` gives.
    """
    distance = (table["mean_score"] - table["positive_share"]).abs()
    return float((distance * table["images"]).sum() / table["images"].sum())
