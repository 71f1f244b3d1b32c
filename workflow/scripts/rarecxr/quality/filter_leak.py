"""Whether synthetic images look filtered: detectors of each filter, trained on real images.

A GAN that was trained on filtered copies may draw images that look filtered (augmentations leak:
Karras et al. 2020, arXiv 2006.06676, section 2.2), and a GAN that was trained too briefly may
blur by itself. A detector learns to tell a fraction's real training images from their filtered
copies, by their spectrum and texture, and is then applied to the banks.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage, optimize
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rarecxr.bank.bank_file import Bank
from rarecxr.core.json_file import write_json
from rarecxr.core.order import evenly
from rarecxr.core.provenance import provenance
from rarecxr.data.filters import apply
from rarecxr.data.image_file import ImageFile
from rarecxr.quality.metrics import laplacian, sharpness
from rarecxr.study.findings import NEGATIVES

log = logging.getLogger(__name__)

# Folds of the cross-validation; no patient is in two of them.
FOLDS = 3
# Noise that all images get before a detector sees them, in grey levels. A filter leaves exact
# traces (an eroded image is its own closing) that no generator reproduces; what is left below the
# noise cannot decide. It costs a real image's detector next to nothing (docs/report.md).
NOISE = 2.0
# Fewer real images than these train no detector.
FEWEST_IMAGES = 12
# A detector whose rates differ by less says nothing about a bank.
_USEFUL = 0.2
# Resamples behind an interval.
_RESAMPLES = 500
_BANDS = 8


@dataclass(frozen=True)
class MeasuredBank:
    """One of a fraction's banks.

    Attributes:
        recipe: name of the recipe.
        finding: name of the finding, or None for negatives.
        bank: path of the bank.
        training_set: path of what its generator was trained on.
    """

    recipe: str
    finding: str | None
    bank: str | os.PathLike
    training_set: str | os.PathLike

    @property
    def shows(self) -> str:
        """The finding, or `NEGATIVES`."""
        return self.finding or NEGATIVES


def measure_filters(
    banks: Sequence[MeasuredBank],
    base_training_set: str | os.PathLike,
    output: str | os.PathLike,
    filters: Mapping[str, Mapping[str, Any]],
    fraction: float,
    draw: int,
    max_images: int,
    study: str,
    code: str | None = None,
) -> None:
    """Say of each bank of a fraction and draw what share looks filtered, by filter.

    Args:
        banks: the banks of the fraction and draw.
        base_training_set: the base GAN's training set; its images are real, too.
        output: the JSON file to write; docs/report.md describes it.
        filters: kind and parameters of each filter, by name.
        fraction: percent of the training patients.
        draw: number of the draw.
        max_images: at most so many images of each bank and training set.
        study: name of the study.
        code: digest of the code, for the provenance.
    """
    sets = {str(bank.training_set): _real(bank.training_set, max_images) for bank in banks}
    sets[str(base_training_set)] = _real(base_training_set, max_images)
    keys, first = np.unique(np.concatenate([part[0] for part in sets.values()]), return_index=True)
    patients = np.concatenate([part[1] for part in sets.values()])[first]
    images = np.concatenate([part[2] for part in sets.values()])[first]
    found: dict[str, Any] = {
        "fraction": fraction,
        "draw": draw,
        "real_images": len(images),
        "real_patients": len(np.unique(patients)),
        "detectors": {},
        "sharpness": {"real": _spread(images)},
        "banks": [],
    }
    synthetic = [_first(bank.bank, max_images) for bank in banks]
    for bank, drawn in zip(banks, synthetic, strict=True):
        own = sets[str(bank.training_set)]
        found["banks"].append(
            {
                "recipe": bank.recipe,
                "finding": bank.shows,
                "images": len(drawn),
                "real_images": len(own[0]),
                "sharpness": {"bank": _spread(drawn), "real": _spread(own[2])},
                "filters": {},
            }
        )
    enough = len(images) >= FEWEST_IMAGES and found["real_patients"] >= FOLDS
    copies = {}
    for number, (name, settings) in enumerate(sorted(filters.items())):
        copies[name] = apply(images, **settings)
        found["sharpness"][name] = _spread(copies[name])
        found["detectors"][name] = {"kind": settings["kind"]}
        if enough:
            copies[name] = features(copies[name], seed=1 + number)
        else:
            found["detectors"][name]["too_few_images"] = True
    if enough:
        detector = Detector.fit(features(images), copies, patients)
        for name, rates in detector.rates.items():
            found["detectors"][name] |= rates
            log.info("%s: %s", name, rates)
        for bank, entry, drawn in zip(banks, found["banks"], synthetic, strict=True):
            own = np.isin(keys, sets[str(bank.training_set)][0])
            entry["filters"] = detector.shares(features(drawn))
            for name, share in detector.real_shares(own).items():
                entry["filters"][name]["real_share"] = share
    inputs = {"base_training_set": base_training_set}
    for bank in banks:
        place = f"{bank.recipe} {bank.shows}"
        inputs |= {f"bank {place}": bank.bank, f"training_set {place}": bank.training_set}
    made_from = {"filters": {name: dict(filters[name]) for name in sorted(filters)}}
    made_from["max_images"] = max_images
    write_json(output, {**found, "provenance": provenance(study, made_from, inputs, code=code)})


class Detector:
    """Tells real images from their copies under each of several filters.

    One model chooses among all of them: a model of one filter alone takes an image under another
    one (a blurred image for an eroded one, say) for its own.

    Attributes:
        rates: for each filter, on images of patients that the detector has not seen: accuracy
            (mean of the two that follow, the second as what it is short of 1), sensitivity (share
            of the copies that are found), false_positive_rate (share of the real images that are
            taken for such copies), and how many images of each kind (`held_out_images`).
    """

    def __init__(self, model, names: Sequence[str], predicted: np.ndarray):
        """A detector that has been fitted.

        Args:
            model: what predicts a class: 0 for real, k for the k-th filter.
            names: K names of filters.
            predicted: (K + 1, N) classes; row 0 of N real images, row k of their copies under the
                k-th filter, each predicted by a model that has not seen the patient.
        """
        self._model, self._names, self._predicted = model, list(names), predicted
        classes = range(len(names) + 1)
        # Row: what an image is; column: what it is taken for.
        self._confusion = np.stack([(predicted == k).mean(axis=1) for k in classes], axis=1)
        self.rates = {}
        for k, name in enumerate(names, start=1):
            sensitivity, false = self._confusion[k, k], self._confusion[0, k]
            self.rates[name] = {
                "accuracy": float((sensitivity + 1 - false) / 2),
                "sensitivity": float(sensitivity),
                "false_positive_rate": float(false),
                "held_out_images": predicted.shape[1],
            }

    @classmethod
    def fit(
        cls, real: np.ndarray, copies: Mapping[str, np.ndarray], patients: np.ndarray
    ) -> "Detector":
        """A detector, and its rates by cross-validation over the patients.

        Args:
            real: (N, D) features of real images.
            copies: (N, D) features of their copies, by filter.
            patients: (N,) whose images they are.
        """
        names = np.unique(patients)
        dealt = np.random.default_rng(0).permutation(len(names)) % FOLDS
        fold = dealt[np.searchsorted(names, patients)]
        kinds = np.stack([real, *copies.values()])
        predicted = np.zeros(kinds.shape[:2], int)
        for number in range(FOLDS):
            model = _fitted(kinds[:, fold != number])
            for row, part in enumerate(kinds):
                predicted[row, fold == number] = model.predict(part[fold == number])
        return cls(_fitted(kinds), list(copies), predicted)

    def real_shares(self, chosen: np.ndarray) -> dict[str, float]:
        """The share of some real images (N,) bool that are taken for copies, by filter.

        The prediction comes from a model that has not seen the patient.
        """
        taken = self._predicted[0, chosen]
        return {name: float((taken == k).mean()) for k, name in enumerate(self._names, start=1)}

    def shares(self, features: np.ndarray) -> dict[str, dict[str, float | None]]:
        """The share of images (M, D) that look filtered, by filter.

        Returns:
            share, as predicted; corrected, what it would be if the detector did not
            err, by its confusion of held-out images (Rogan and Gladen 1978, American Journal of
            Epidemiology 107, for more than two classes), with low and high, its 95 % interval over
            resampled images; None where the detector hardly tells copies from real images.
        """
        taken = self._model.predict(features)
        shares, useful = {}, []
        for k, name in enumerate(self._names, start=1):
            shares[name] = {"share": float((taken == k).mean())}
            shares[name] |= {"corrected": None, "low": None, "high": None}
            if self._confusion[k, k] - self._confusion[0, k] >= _USEFUL:
                useful.append(k)
        # What no useful filter claims counts as real.
        classes = [0, *useful]
        counts = _counts(taken, classes)
        confusion = np.stack([_counts(self._predicted[k], classes) for k in classes])
        corrected = _mixture(counts, confusion)
        generator = np.random.default_rng(0)
        drawn = [
            _mixture(_again(counts, generator), np.stack([_again(r, generator) for r in confusion]))
            for _ in range(_RESAMPLES)
        ]
        low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
        for place, k in enumerate(useful, start=1):
            shares[self._names[k - 1]] |= {
                "corrected": float(corrected[place]),
                "low": float(low[place]),
                "high": float(high[place]),
            }
        return shares


def _counts(taken, classes):
    """How many images were taken for each of the classes; all others go to the first."""
    counts = np.array([(taken == k).sum() for k in classes], float)
    counts[0] += len(taken) - counts.sum()
    return counts


def _mixture(found, confusion):
    """The shares (K,) that, confused so, come nearest to what was found; they add up to 1."""
    rows = confusion / confusion.sum(axis=1, keepdims=True)
    shares, _ = optimize.nnls(rows.T, found / found.sum())
    return shares / shares.sum()


def _again(counts, generator):
    """Counts of as many images drawn anew, from shares that are softened by one image a class."""
    softened = (counts + 1 / len(counts)) / (counts.sum() + 1)
    return generator.multinomial(int(counts.sum()), softened).astype(float)


def features(images: np.ndarray, seed: int = 0) -> np.ndarray:
    """What filters change in an image and findings hardly: spectrum, edges, small spots.

    Brightness and contrast cancel out. Images get a little noise first (`NOISE`).

    Args:
        images: (N, H, W) uint8.
        seed: seed of the noise.

    Returns:
        (N, 13) float64: log power in eight bands of frequency; of the Laplacian the log of its
        standard deviation, its skewness and log kurtosis; log mean change by a closing and by an
        opening of 3 x 3 pixels (an eroded image hardly changes when it is closed).
    """
    noise = np.random.default_rng(seed)
    parts = [_features(images[i : i + 256], noise) for i in range(0, len(images), 256)]
    return np.concatenate(parts)


def _features(images, noise):
    x = images + noise.normal(0, NOISE, images.shape)
    x -= x.mean(axis=(1, 2), keepdims=True)
    x /= x.std(axis=(1, 2), keepdims=True)
    height, width = x.shape[1:]
    window = np.hanning(height)[:, None] * np.hanning(width)
    power = np.abs(np.fft.rfft2(x * window)) ** 2
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    band = np.minimum((radius / 0.5 * _BANDS).astype(int), _BANDS)
    spectrum = [np.log(power[:, band == number].mean(axis=1)) for number in range(_BANDS)]
    edges = laplacian(x)
    spread = edges.std(axis=(1, 2))
    moments = [(edges**order).mean(axis=(1, 2)) / spread**order for order in (3, 4)]
    size = (1, 3, 3)
    closed = (ndimage.grey_closing(x, size) - x).mean(axis=(1, 2))
    opened = (x - ndimage.grey_opening(x, size)).mean(axis=(1, 2))
    rest = [np.log(spread), np.arcsinh(moments[0]), np.log(moments[1])]
    return np.stack([*spectrum, *rest, np.log(closed), np.log(opened)], axis=1)


def _fitted(kinds):
    """A model of the classes 0 to K - 1, from the features (K, N, D) of each."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    return model.fit(np.concatenate(kinds), np.repeat(np.arange(len(kinds)), kinds.shape[1]))


def _spread(images):
    low, median, high = np.percentile(sharpness(images), [25, 50, 75])
    return {"low_quartile": float(low), "median": float(median), "high_quartile": float(high)}


def _real(training_set, number):
    """Key, patient and pixels of the unfiltered images, `number` at most at even distances."""
    file = ImageFile(training_set)
    rows = evenly(file.unfiltered, number)
    return file.columns["image"][rows], file.columns["patient"][rows], file.read(rows)


def _first(bank, number):
    with Bank(bank) as source:
        return source.read(0, min(number, len(source)))
