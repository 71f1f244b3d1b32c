"""A plain word where a package is missing: which one, in which Python, and how to bring it."""

import sys
from types import TracebackType


def explain_missing_packages() -> None:
    """From now on an import that fails ends with what to do about it, below the traceback."""
    sys.excepthook = _explain


def _explain(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.__excepthook__(kind, error, trace)
    # A module of our own that is not there is no package that could be installed.
    if isinstance(error, ModuleNotFoundError) and not str(error.name).startswith("rarecxr"):
        print(
            f"rarecxr: {sys.executable} has no package {error.name}. Either let Snakemake make the "
            "environments (add --use-conda), or run `make setup` once and start Snakemake and the "
            "scripts from .venv/bin.",
            file=sys.stderr,
        )
