"""Settings that are one value for all findings, or values by finding."""

from collections.abc import Mapping
from typing import TypeVar

from rarecxr.study.findings import slug

Value = TypeVar("Value")
# One number for all findings, numbers by finding with an entry `default`, or none at all.
ByFinding = float | Mapping[str, float | None] | None


def for_finding(value: Value | Mapping[str, Value], finding: str) -> Value | None:
    """What a setting says for one finding.

    Args:
        value: one value, or values by finding (its name, or its name in paths) and `default`.
        finding: the finding, by its name or by its name in paths.

    Returns:
        The finding's own value, else the default; None where there is neither.
    """
    if not isinstance(value, Mapping):
        return value
    by_slug = {slug(name): each for name, each in value.items()}
    return by_slug.get(slug(finding), by_slug.get("default"))
