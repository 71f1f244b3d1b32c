"""How well predicted probabilities agree with the shares of positives."""

import numpy as np
import pandas as pd


def reliability(labels: np.ndarray, probabilities: np.ndarray, bins: int = 10) -> pd.DataFrame:
    """Mean probability and share of positives, in bins with as nearly equal counts as possible.

    Bins of equal counts, because most probabilities of a rare finding lie near 0 and bins of
    equal width would be empty. Images with equal probabilities stay in one bin, so there may be
    fewer bins.

    Args:
        labels: (N,) of 0 and 1.
        probabilities: (N,) in [0, 1].
        bins: number of bins.

    Returns:
        One row per bin: `bin` (from 0, by rising probability), `images`, `mean_probability`,
        `positive_share`.
    """
    quantiles = np.linspace(0, 1, bins + 1)[1:-1]
    edges = np.unique(np.quantile(probabilities, quantiles, method="higher"))
    number = np.searchsorted(edges, probabilities, side="right")
    images = np.bincount(number)
    filled = np.flatnonzero(images)
    means = [
        np.bincount(number, values)[filled] / images[filled] for values in (probabilities, labels)
    ]
    return pd.DataFrame(
        {
            "bin": np.arange(len(filled)),
            "images": images[filled],
            "mean_probability": means[0],
            "positive_share": means[1],
        }
    )


def expected_calibration_error(table: pd.DataFrame) -> float:
    """Mean distance of probability and share of positives over the bins, weighted by images (ECE).

    Args:
        table: what `reliability` gives.
    """
    distance = (table["mean_probability"] - table["positive_share"]).abs()
    return float((distance * table["images"]).sum() / table["images"].sum())
