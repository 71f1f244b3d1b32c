"""What arms add and how much of it: several doses of one arm, and the arms that add most.

Of a list of ratios in `bank.ratio` the bank is drawn for the largest, which stays the arm's own
run. Each smaller ratio is a run of the same arm by a name of its own, `{arm}@{ratio}`, with the
bank's first images.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rarecxr.study.by_finding import for_finding

# Keys of an arm that each add as many images as the bank of positives holds.
_ADDING = ("recipe", "negatives", "oversample", "reserve")


def times(arm: Mapping[str, Any]) -> int:
    """How many times an arm adds as many images as there are in the banks of positives."""
    return sum(bool(arm.get(key)) for key in _ADDING)


def at_doses(
    arms: Mapping[str, Mapping[str, Any]], ratio: Any
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, float]]]:
    """The definitions of all arms, with those of smaller doses, and which doses each arm has.

    Swept are the arms that add what the bank's ratio says, and have no ratio of their own.

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
        if len(ratios) < 2 or not times(arm) or "ratio" in arm:
            continue
        *smaller, most = ratios
        doses[name] = {f"{name}@{dose:g}": float(dose) for dose in smaller}
        definitions |= {run: {**arm, "ratio": dose} for run, dose in doses[name].items()}
        doses[name][name] = float(most)
    return definitions, doses


def largest_additions(
    arms: Iterable[Mapping[str, Any]], ratio: Any, number: Any, target_findings: Sequence[str]
) -> list[dict[str, Any]]:
    """What the arms add that may be the largest of a cell: all that no other arm surely exceeds.

    Which arm is the largest may depend on how many positives a fraction holds. What is left out
    here never is, so that an arm of that kind can come and go without any change.

    Args:
        arms: definitions of the arms.
        ratio: the ratio that banks are generated for, as a plain value.
        number: `bank.number`, likewise.
        target_findings: the findings that are added to.

    Returns:
        `times`, and `ratio` and `number` as `added_positives` takes them: the arm adds `times` as
        many images. Sorted, each once; empty where no arm adds anything.
    """
    every = []
    for arm in arms:
        own = {"ratio": arm["ratio"], "number": None} if "ratio" in arm else None
        added = own or {"ratio": ratio, "number": number}
        if times(arm) and (entry := {"times": times(arm), **added}) not in every:
            every.append(entry)
    kept = []
    for place, entry in enumerate(every):
        others = [*kept, *every[place + 1 :]]
        if not any(_surely_as_large(other, entry, target_findings) for other in others):
            kept.append(entry)
    return sorted(kept, key=repr)


def _surely_as_large(one, other, findings):
    """Whether `one` adds at least as many images as `other`, whatever the number of positives."""
    if one["times"] < other["times"]:
        return False
    for finding in findings:
        numbers = [for_finding(arm["number"], finding) for arm in (one, other)]
        ratios = [for_finding(arm["ratio"], finding) for arm in (one, other)]
        fixed = [number is not None for number in numbers]
        if fixed[0] != fixed[1]:
            return False
        mine, theirs = numbers if fixed[0] else ratios
        if mine is None or theirs is None or mine < theirs:
            return False
    return True
