"""How often CheXpert's reports label each finding, and the rates that phantoms are drawn with.

Counts are those of CheXpert's train.csv (223,414 rows; Irvin et al. 2019, arXiv 1901.07031, whose
table 1 counts the same labels by study).
"""

from collections.abc import Mapping

from rarecxr.study.findings import SUPPORT_DEVICES

ROWS = 223_414

# Rows of train.csv labelled 1, 0 and -1; the others are blank.
COUNTS = {
    "Enlarged Cardiomediastinum": (10_798, 21_638, 12_403),
    "Cardiomegaly": (27_000, 11_116, 8_087),
    "Lung Opacity": (105_581, 6_599, 5_598),
    "Lung Lesion": (9_186, 1_270, 1_488),
    "Edema": (52_246, 20_726, 12_984),
    "Consolidation": (14_783, 28_097, 27_742),
    "Pneumonia": (6_039, 2_799, 18_770),
    "Atelectasis": (33_376, 1_328, 33_739),
    "Pneumothorax": (19_448, 56_341, 3_145),
    "Pleural Effusion": (86_187, 35_396, 11_628),
    "Pleural Other": (3_523, 316, 2_653),
    "Fracture": (9_040, 2_512, 642),
    SUPPORT_DEVICES: (116_001, 6_137, 1_079),
}

# The findings that are drawn; No Finding follows from them.
DRAWN = tuple(COUNTS)


def label_shares(
    prevalence: Mapping[str, float], uncertain: float
) -> dict[str, tuple[float, float]]:
    """Shares of rows labelled 1 and -1, by finding.

    Args:
        prevalence: `scale` multiplies the share of positives of every finding that is not named;
            a finding's name gives its own share of positives.
        uncertain: multiplies the shares of uncertain labels; 0 for none.
    """
    scale = float(prevalence.get("scale", 1.0))
    shares = {}
    for finding, (ones, _, questions) in COUNTS.items():
        share = float(prevalence.get(finding, scale * ones / ROWS))
        # A finding that is made rarer has fewer uncertain reports in proportion.
        doubt = uncertain * questions / ROWS
        if share < ones / ROWS:
            doubt *= share * ROWS / ones
        shares[finding] = (share, doubt)
    return shares
