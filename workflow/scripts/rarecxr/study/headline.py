"""Which arm a study's answer is about."""

from collections.abc import Mapping, Sequence
from typing import Any


def recipes_of(arms: Sequence[str], definitions: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The recipe of each of `arms` that uses synthetic images, whatever the arm is called.

    Args:
        arms: names of arms.
        definitions: section `arms` of the configuration.
    """
    found = {arm: definitions.get(arm, {}).get("recipe") for arm in arms}
    return {arm: recipe for arm, recipe in found.items() if recipe}


def headline_arm(
    headline_arms: Sequence[str],
    arms: Sequence[str],
    definitions: Mapping[str, Mapping[str, Any]],
    baseline: str,
) -> str | None:
    """The arm that the answer is about: the first of `headline_arms` that the study runs.

    If it runs none of them: the first of its arms that adds synthetic images to real ones, since
    what they add is not seen where there are no real ones; None without any.

    Args:
        headline_arms: names in the order of preference.
        arms: names of the study's arms.
        definitions: section `arms` of the configuration.
        baseline: never the arm that the answer is about.
    """
    candidates = [
        arm
        for arm in recipes_of(arms, definitions)
        if arm != baseline and definitions[arm].get("real", True)
    ]
    preferred = [arm for arm in headline_arms if arm in candidates]
    return next(iter([*preferred, *candidates]), None)
