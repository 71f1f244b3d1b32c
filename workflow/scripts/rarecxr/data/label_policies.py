"""What becomes of uncertain and blank labels. Needs the standard library alone."""

import math
from collections.abc import Mapping

from rarecxr.data.image_rows import LABELS
from rarecxr.study.findings import NO_FINDING, SUPPORT_DEVICES

UNCERTAIN = -1
# Irvin et al. 2019 (arXiv 1901.07031, section 3.2) compare these three policies and two more.
POLICIES = {"ones": 1.0, "zeros": 0.0, "ignore": math.nan}
# no_finding is what torchxrayvision does with CheXpert (Cohen et al. 2022, arXiv 2111.00595, class
# CheX_Dataset): where No Finding is 1 all findings are 0 but devices, which it does not rule out.
BLANK_POLICIES = ("zeros", "no_finding", "ignore")
NOT_RULED_OUT = (NO_FINDING, SUPPORT_DEVICES)


def policy_of(finding: str, uncertain: Mapping[str, str]) -> str:
    """What an uncertain label of a finding becomes; masked if neither it nor `default` is named."""
    return uncertain.get(finding, uncertain.get("default", "ignore"))


def label_texts(
    finding: str, uncertain: Mapping[str, str], blank: str, nothing: bool
) -> dict[str, float]:
    """By text of a finding's column the label: 1, 0 or NaN (masked).

    Args:
        finding: the finding.
        uncertain: policies by finding, and under `default`.
        blank: one of `BLANK_POLICIES`.
        nothing: whether the image's No Finding is 1.
    """
    ruled_out = nothing and blank == "no_finding" and finding not in NOT_RULED_OUT
    of_blank = 0.0 if blank == "zeros" or ruled_out else math.nan
    of_uncertain = POLICIES[policy_of(finding, uncertain)]
    return {
        text: of_blank if not text else of_uncertain if value == UNCERTAIN else float(value)
        for text, value in LABELS.items()
    }
