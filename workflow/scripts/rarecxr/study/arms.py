"""What arms add and how much of it: several doses of one arm, and the arms that add most.

Of a list of ratios in `bank.ratio` the bank is drawn for the largest, which stays the arm's own
run. Each smaller ratio is a run of the same arm by a name of its own, `{arm}@{ratio}`, with the
bank's first images.
"""

from collections.abc import Iterable, Mapping, Sequence

from rarecxr.study.configuration.training import Arm
from rarecxr.study.sizes import Addition, Sizes
from rarecxr.study.values import ByFinding


def times(arm: Arm) -> int:
    """How many times an arm adds as many images as there are in the banks of positives."""
    kinds = (arm.recipe is not None, arm.negatives, arm.oversample, arm.reserve)
    return sum(map(bool, kinds))


def at_doses(
    arms: Mapping[str, Arm], ratio: ByFinding[float] | list[float] | None
) -> tuple[dict[str, Arm], dict[str, dict[str, float]]]:
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
    definitions = dict(arms)
    doses: dict[str, dict[str, float]] = {}
    for name, arm in arms.items():
        if len(ratios) < 2 or not times(arm) or arm.ratio is not None:
            continue
        *smaller, most = ratios
        doses[name] = {f"{name}@{dose:g}": dose for dose in smaller}
        definitions |= {
            run: arm.model_copy(update={"ratio": ByFinding(dose)})
            for run, dose in doses[name].items()
        }
        doses[name][name] = most
    return definitions, doses


def largest_additions(
    arms: Iterable[Arm], bank: Sizes, target_findings: Sequence[str]
) -> list[Addition]:
    """What the arms add that may be the largest of a cell: all that no other arm surely exceeds.

    Which arm is the largest may depend on how many positives a fraction holds. What is left out
    here never is, so that an arm of that kind can come and go without any change.

    Args:
        arms: definitions of the arms. Those without real images do not count: how long the others
            are trained does not depend on them.
        bank: the sizes that banks are generated for.
        target_findings: the findings that are added to.

    Returns:
        What is left, each once, in a fixed order; empty where no arm adds anything.
    """
    every: list[Addition] = []
    for arm in arms:
        if not times(arm) or not arm.real:
            continue
        sizes = bank if arm.ratio is None else Sizes(ratio=arm.ratio)
        addition = Addition(times=times(arm), ratio=sizes.ratio, number=sizes.number)
        if addition not in every:
            every.append(addition)
    kept: list[Addition] = []
    for place, addition in enumerate(every):
        others = [*kept, *every[place + 1 :]]
        if not any(_surely_as_large(other, addition, target_findings) for other in others):
            kept.append(addition)
    return sorted(kept, key=repr)


def _surely_as_large(one: Addition, other: Addition, findings: Sequence[str]) -> bool:
    """Whether `one` adds at least as many images as `other`, whatever the number of positives."""
    if one.times < other.times:
        return False
    for finding in findings:
        numbers = [
            None if each.number is None else each.number.get(finding) for each in (one, other)
        ]
        ratios = [None if each.ratio is None else each.ratio.get(finding) for each in (one, other)]
        fixed = [number is not None for number in numbers]
        if fixed[0] != fixed[1]:
            return False
        mine, theirs = numbers if fixed[0] else ratios
        if mine is None or theirs is None or mine < theirs:
            return False
    return True
