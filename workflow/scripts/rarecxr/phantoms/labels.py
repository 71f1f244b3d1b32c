"""Which findings a patient has in each study, and what a report's labels say of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from rarecxr.phantoms.prevalence import COUNTS, DRAWN, ROWS, label_shares
from rarecxr.study.findings import FINDINGS, NO_FINDING, SUPPORT_DEVICES

# How strongly a finding goes with the severity of illness, and how much of it stays from one
# study to the next (both correlations of latent normal variables).
_ILLNESS = {
    "Edema": 0.6,
    "Pleural Effusion": 0.6,
    "Cardiomegaly": 0.4,
    SUPPORT_DEVICES: 0.6,
    "Atelectasis": 0.4,
    "Consolidation": 0.35,
    "Pneumonia": 0.25,
    "Pneumothorax": 0.15,
}
_LASTING = {
    "Lung Lesion": 0.95,
    "Pleural Other": 0.97,
    "Fracture": 0.97,
    "Cardiomegaly": 0.93,
    "Enlarged Cardiomediastinum": 0.9,
}
_PASSING = 0.6

# A finding that is often reported with another: share of the second's cases that have it.
_OPACITIES = ("Lung Lesion", "Edema", "Consolidation", "Pneumonia", "Atelectasis")
_IMPLIED = {
    "Lung Opacity": (_OPACITIES, 0.8),
    "Enlarged Cardiomediastinum": (("Cardiomegaly",), 0.16),
}


def _quadrature() -> tuple[NDArray, NDArray]:
    """Nodes and weights of the standard normal distribution."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    return nodes, weights / weights.sum()


@dataclass(frozen=True)
class Rates:
    """What is drawn and what is labelled.

    Attributes:
        positive: share of train.csv's rows labelled 1, by finding (without No Finding).
        uncertain: share of rows labelled -1, by finding.
        negative: share of rows labelled 0, by finding.
        uncertain_present: share of the uncertain rows that show the finding (faintly).
    """

    positive: Mapping[str, float]
    uncertain: Mapping[str, float]
    negative: Mapping[str, float]
    uncertain_present: float

    def present(self, finding: str) -> float:
        """Share of studies that show `finding`."""
        return self.positive[finding] + self.uncertain_present * self.uncertain[finding]

    @cached_property
    def implied(self) -> dict[str, tuple[tuple[str, ...], float, float]]:
        """Finding -> (its causes, chance with any of them, chance with none of them)."""
        nodes, weights = _quadrature()
        result = {}
        for finding, (causes, share) in _IMPLIED.items():
            none = np.ones_like(nodes)
            for cause in causes:
                loading = _ILLNESS.get(cause, 0.0)
                cut = ndtri(1 - self.present(cause))
                none = none * ndtr((cut - loading * nodes) / np.sqrt(1 - loading**2))
            some = float(1 - (weights * none).sum())
            target = self.present(finding)
            with_cause = min(share, target / some) if some > 0 else share
            # A very common finding needs more than every case without a cause.
            with_cause = max(with_cause, 1 - (1 - target) / some) if some > 0 else with_cause
            without = (target - with_cause * some) / (1 - some)
            result[finding] = (causes, with_cause, float(np.clip(without, 0, 1)))
        return result


def make_rates(
    prevalence: Mapping[str, float], uncertain: float, uncertain_present: float
) -> Rates:
    """CheXpert's rates, changed as asked.

    Args:
        prevalence: `scale` multiplies the share of positives of every finding that is not named;
            a finding's name gives its own share of positives, in [0, 1].
        uncertain: multiplies the shares of uncertain labels; 0 for none.
        uncertain_present: share of uncertain cases that show the finding.

    Raises:
        ValueError: an unknown name, No Finding (it follows from the others), or shares that do
            not fit into 1.
    """
    for name in prevalence:
        if name != "scale" and name not in DRAWN:
            reason = "follows from the other findings" if name in FINDINGS else "is no finding"
            raise ValueError(
                f"phantom.prevalence: {name!r} {reason}; give 'scale' or one of {', '.join(DRAWN)}"
            )
    positive, unsure, negative = {}, {}, {}
    for finding, (share, doubt) in label_shares(prevalence, uncertain).items():
        if not 0 <= share <= 1 or share + doubt > 0.98:
            raise ValueError(
                f"phantom.prevalence: {finding} would be positive in {share:.3f} and uncertain in "
                f"{doubt:.3f} of the rows; together they may be at most 0.98: lower "
                "'scale', the finding's share or phantom.uncertain"
            )
        positive[finding], unsure[finding] = share, doubt
        negative[finding] = min(COUNTS[finding][1] / ROWS, 0.9 * (1 - share - doubt))
    return Rates(positive, unsure, negative, uncertain_present)


@dataclass(frozen=True)
class Study:
    """One study's findings.

    Attributes:
        severity: finding -> (0, 1), how visible a present finding is among its cases.
        labels: finding -> 1.0, 0.0, -1.0 or NaN (not mentioned), for all 14 findings.
        illness: severity of illness, standard normal.
    """

    severity: Mapping[str, float]
    labels: Mapping[str, float]
    illness: float


def sample_studies(
    rng: np.random.Generator, rates: Rates, number: int, expert: bool = False
) -> list[Study]:
    """Draw the findings of a patient's `number` consecutive studies.

    Every study by itself follows `rates` exactly, however many there are: findings are
    thresholded normal variables that share an illness factor and pass from study to study as
    a stationary autoregression.

    Args:
        rng: the patient's generator.
        rates: what is drawn and labelled.
        number: of studies.
        expert: True for labels without blanks and uncertainty, as in valid.csv.
    """
    names = tuple(COUNTS)
    loading = np.array([_ILLNESS.get(name, 0.0) for name in names])
    stays = np.array([_LASTING.get(name, _PASSING) for name in names])
    studies = []
    illness = own = plain = None
    for _ in range(number):
        draw = rng.normal(size=(3, len(names)))
        if own is None:
            illness, own, plain = draw[0, 0], draw[1], draw[2]
        else:
            illness = 0.7 * illness + np.sqrt(1 - 0.49) * draw[0, 0]
            own = stays * own + np.sqrt(1 - stays**2) * draw[1]
            plain = stays * plain + np.sqrt(1 - stays**2) * draw[2]
        latent = ndtr(loading * illness + np.sqrt(1 - loading**2) * own)
        chance = dict(zip(names, 1 - latent, strict=True))
        clear = dict(zip(names, ndtr(plain), strict=True))
        severity = {}
        for name in names:
            if name not in rates.implied and chance[name] < rates.present(name):
                severity[name] = float(clear[name])
        for name, (causes, with_cause, without) in rates.implied.items():
            caused = any(cause in severity for cause in causes)
            if chance[name] < (with_cause if caused else without):
                severity[name] = float(clear[name])
        doubt = rng.random(len(names))
        labels = _labels(severity, rates, dict(zip(names, doubt, strict=True)), expert)
        ordered = {name: severity[name] for name in names if name in severity}
        studies.append(Study(ordered, labels, float(illness)))
    return studies


def _labels(
    severity: Mapping[str, float], rates: Rates, doubt: Mapping[str, float], expert: bool
) -> dict[str, float]:
    """The report's labels; the faintest cases are the uncertain ones."""
    labels = {}
    for name in COUNTS:
        present = rates.present(name)
        if expert:
            labels[name] = float(name in severity)
        elif name in severity:
            faint = rates.uncertain_present * rates.uncertain[name] / present
            labels[name] = -1.0 if severity[name] < faint else 1.0
        else:
            unsure = (1 - rates.uncertain_present) * rates.uncertain[name] / (1 - present)
            denied = rates.negative[name] / (1 - present)
            if doubt[name] < unsure:
                labels[name] = -1.0
            else:
                labels[name] = 0.0 if doubt[name] < unsure + denied else np.nan
    # As CheXpert's labeler: 1 if no finding but devices is positive or uncertain.
    others = [labels[name] for name in COUNTS if name != SUPPORT_DEVICES]
    nothing = not any(value in (1.0, -1.0) for value in others)
    labels[NO_FINDING] = 1.0 if nothing else (0.0 if expert else np.nan)
    return {name: labels[name] for name in FINDINGS}
