"""Whether labels can give an answer at all, seen before any job. Needs the standard library alone.

Rule check_labels looks closer, at each split; what no split could mend is found here.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from rarecxr.data.label_policies import BLANK_POLICIES, label_texts
from rarecxr.study.findings import NO_FINDING


def precheck_labels(
    path: str | os.PathLike,
    read: Callable[[Sequence[str]], Iterable[tuple[str, ...]]],
    views: Sequence[str],
    uncertain: Mapping[str, str],
    blank: str,
    target_findings: Sequence[str],
    negative_for: Sequence[str],
) -> None:
    """Refuse a data set whose labels leave a finding without positives or negatives.

    Args:
        path: its table, for the message.
        read: gives, for some findings, the texts of their labels (`LABELS`) of each image that is
            trained on or split off and has one of the views.
        views: the views that are used.
        uncertain: as in `label_images`.
        blank: as in `label_images`.
        target_findings: findings that take a positive and a negative image.
        negative_for: findings that some image must be negative for, all at once; empty if none.

    Raises:
        ValueError: says what is missing, and what another policy for blank labels would give.
    """
    findings = list(dict.fromkeys([*target_findings, *negative_for]))
    rows = list(read([NO_FINDING, *findings]))
    missing = {
        policy: list(_missing(rows, findings, uncertain, policy, target_findings, negative_for))
        for policy in BLANK_POLICIES
    }
    if not missing[blank]:
        return
    others = [
        f"with dataset.blank: {policy} "
        + (f"{len(lines)} of these would be missing" if lines else "nothing would be missing")
        for policy, lines in missing.items()
        if policy != blank
    ]
    raise ValueError(
        f"{path}: the labels of its {len(rows)} images of the views {', '.join(views)} cannot give "
        f"an answer with dataset.blank: {blank}. Missing is\n  "
        + "\n  ".join([*missing[blank], *others])
    )


def _missing(
    rows: list[tuple[str, ...]],
    findings: list[str],
    uncertain: Mapping[str, str],
    blank: str,
    target_findings: Sequence[str],
    negative_for: Sequence[str],
) -> Iterator[str]:
    """What images are needed and not there, in words."""
    # By whether No Finding is 1, and by finding: what becomes of each text.
    labels = [
        [label_texts(finding, uncertain, blank, nothing) for finding in findings]
        for nothing in (False, True)
    ]
    together = [finding in negative_for for finding in findings]
    seen = [set() for _ in findings]
    all_negative = not negative_for
    for nothing, *texts in rows:
        applied = labels[nothing in ("1", "1.0")]
        values = [by_text.get(text) for by_text, text in zip(applied, texts, strict=True)]
        for found, value in zip(seen, values, strict=True):
            found.add(value)
        all_negative = all_negative or all(
            value == 0 for value, needed in zip(values, together, strict=True) if needed
        )
    for finding, found in zip(findings, seen, strict=True):
        if finding in target_findings:
            for word, value in (("positive", 1), ("negative", 0)):
                if value not in found:
                    yield f"an image that is {word} for {finding}"
    if not all_negative:
        yield (
            f"an image that is negative for all of {', '.join(negative_for)}: the base GAN trains "
            "on these"
        )
