"""External test sets beside the study's own: what tables call them, and their tables as one."""

from collections.abc import Mapping

import pandas as pd

_MARK = "external "


def split_of(name: str) -> str:
    """What the columns `split` of the tables call an external test set."""
    return f"{_MARK}{name}"


def set_of(split: str) -> str:
    """The name of the external test set that a split is; empty for a part of the study's own."""
    return split.removeprefix(_MARK) if split.startswith(_MARK) else ""


def by_set(tables: Mapping[str, pd.DataFrame], like: pd.DataFrame) -> pd.DataFrame:
    """The tables of several external test sets as one, with the set's name as first column, `set`.

    Args:
        tables: one for each set, by its split.
        like: a table of the same kind, for the columns where there is no set.
    """
    if not tables:
        return pd.DataFrame(columns=["set", *like.columns])
    named = [table.assign(set=set_of(split)) for split, table in tables.items()]
    return pd.concat(named, ignore_index=True)[["set", *like.columns]]
