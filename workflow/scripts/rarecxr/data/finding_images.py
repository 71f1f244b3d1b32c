"""Which images belong to a finding."""

from collections.abc import Sequence

import pandas as pd

from rarecxr.study.findings import ALL, NEGATIVES


def of_finding(table: pd.DataFrame, finding: str, target_findings: Sequence[str]) -> pd.DataFrame:
    """The rows of a table of labels that belong to a finding.

    Args:
        table: labels in {0, 1, NaN}, a column for each finding.
        finding: a target finding: rows labelled 1; `NEGATIVES`: rows labelled 0 for every target
            finding; `ALL`: all rows.
        target_findings: names of columns.

    Raises:
        ValueError: `finding` is none of these.
    """
    if finding == ALL:
        return table
    if finding == NEGATIVES:
        return table[(table[list(target_findings)] == 0).all(axis=1)]
    if finding not in target_findings:
        raise ValueError(f"{finding!r} is none of the target findings {list(target_findings)}")
    return table[table[finding] == 1]
