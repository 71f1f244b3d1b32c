"""The 14 findings of CheXpert, by name, and their names in paths."""

import re
from collections.abc import Iterable

# No pathology; and the one finding that it does not rule out.
NO_FINDING = "No Finding"
SUPPORT_DEVICES = "Support Devices"
# Irvin et al. 2019 (arXiv 1901.07031), table 1, in the order of train.csv.
FINDINGS = (
    NO_FINDING,
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    SUPPORT_DEVICES,
)

# The base GAN's and its banks' place among the findings: images without any target finding.
NEGATIVES = "negatives"
# The place of the label-conditional GAN, which is trained on all images.
ALL = "all"


def slug(finding: str) -> str:
    """The finding's name in paths: lower case, words joined by `_`."""
    return re.sub(r"[^a-z0-9]+", "_", finding.lower()).strip("_")


def unslug(name: str, findings: Iterable[str]) -> str:
    """The finding whose name in paths is `name`.

    Raises:
        ValueError: no finding is written in this way.
    """
    by_slug = {slug(finding): finding for finding in findings}
    if name not in by_slug:
        raise ValueError(f"{name!r} is none of the findings {sorted(by_slug)}")
    return by_slug[name]
