"""Arms at several doses: what becomes of a list of ratios in `bank.ratio`.

The bank is drawn for the largest ratio, which stays the arm's own run. Each smaller ratio is a
run of the same arm by a name of its own, `{arm}@{ratio}`, with the bank's first images.
"""

from collections.abc import Mapping, Sequence
from typing import Any


def at_doses(
    arms: Mapping[str, Mapping[str, Any]], ratio: Any
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, float]]]:
    """The definitions of all arms, with those of smaller doses, and which doses each arm has.

    Swept are the arms that add what the bank's ratio says: those with a recipe or `oversample`,
    and without a ratio of their own.

    Args:
        arms: definitions by name, as the section `arms` has them.
        ratio: `bank.ratio`; only a list of several is a sweep.

    Returns:
        Definitions by name, and for each swept arm the ratio of each of its names, from the
        smallest; empty without a sweep.
    """
    ratios: Sequence[float] = sorted(ratio) if isinstance(ratio, list) else []
    definitions = {name: dict(arm) for name, arm in arms.items()}
    doses: dict[str, dict[str, float]] = {}
    for name, arm in arms.items():
        adds = arm.get("recipe") or arm.get("oversample")
        if len(ratios) < 2 or not adds or "ratio" in arm:
            continue
        *smaller, most = ratios
        doses[name] = {f"{name}@{dose:g}": float(dose) for dose in smaller}
        definitions |= {run: {**arm, "ratio": dose} for run, dose in doses[name].items()}
        doses[name][name] = float(most)
    return definitions, doses
