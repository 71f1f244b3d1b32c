"""Messages about a data set's settings, naming them where they stand. Standard library alone."""

import contextlib
import re
from collections.abc import Iterator

# Where the settings of the study's own data set stand, which messages name.
OWN = "dataset"


@contextlib.contextmanager
def keys_of(section: str) -> Iterator[None]:
    """A block whose `ValueError`s name keys of another section than `dataset`.

    The readers of tables and images know of one data set. Settings of external test sets have the
    same names, in a section of their own: `dataset.external.nih`.
    """
    try:
        yield
    except ValueError as error:
        if section == OWN:
            raise
        text = re.sub(rf"(?<![\w./]){OWN}\.(?=[a-z_]+\b)(?!external\.)", f"{section}.", str(error))
        raise ValueError(text) from None
