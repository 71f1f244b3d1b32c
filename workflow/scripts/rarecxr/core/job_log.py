"""A job's log file, and progress on the terminal beside it."""

import errno
import logging
import os
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import TextIO

from rarecxr.core.missing_packages import explain_missing_packages

# Seconds between two lines of one bar. Jobs run side by side and Snakemake writes to the same
# terminal, so a bar is a line now and then rather than one that is drawn over.
TERMINAL_INTERVAL_S = 5.0
# Where no person watches (a file, a CI log), a sign of life is enough.
FILE_INTERVAL_S = 60.0

# What the system says where nothing can be written, and so no log either.
_NOT_WRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)

_screen: TextIO | None = None
_job = ""


def log_to(path: str | os.PathLike) -> None:
    """Send all that this process and its children print to the log file `path`.

    File descriptors 1 and 2 are pointed at the file, so tracebacks, warnings and what
    compiled libraries print reach it too. Progress bars go on to the stream that was
    standard error before. Log records of level INFO and above are written with their time.
    """
    global _screen, _job
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    _screen = os.fdopen(
        os.dup(2), "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace"
    )
    _job = _name(path)
    with open(path, "w", encoding="utf-8") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    # Logs are UTF-8 like every other file, whatever the locale.
    sys.stdout.reconfigure(encoding="utf-8", line_buffering=True)
    sys.stderr.reconfigure(encoding="utf-8")
    explain_missing_packages()
    _explain_full_disks()
    logging.captureWarnings(True)
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        force=True,
    )


def _explain_full_disks() -> None:
    """From now on an error of a disk that takes nothing more stands at the terminal, too."""
    before = sys.excepthook

    def explain(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        before(kind, error, trace)
        reason = _not_writable(error)
        if reason and _screen:
            _screen.write(
                f"{_job}: ERROR: nothing can be written ({reason}). Make room, or make the folder "
                "writable, then start again: what is finished is kept\n"
            )
            _screen.flush()

    sys.excepthook = explain


def _not_writable(error: BaseException | None) -> str | None:
    """What the system says, if an error or one that led to it is of a disk that takes no more."""
    while error is not None:
        for number in _NOT_WRITABLE:
            # Libraries hand on the text, and not always the number.
            known = isinstance(error, OSError) and error.errno == number
            if known or os.strerror(number) in str(error):
                return os.strerror(number)
        error = error.__cause__ or error.__context__
    return None


def warn_loudly(text: str) -> None:
    """Log a warning that a person at the terminal must not miss: it stands there, too."""
    logging.getLogger(__name__).warning("%s", text)
    if _screen:
        _screen.write(f"{_job}: WARNING: {text}\n")
        _screen.flush()


class Progress:
    """A bar for one long loop, with rate and time left.

    Prints a whole line every few seconds on a terminal, every minute into a file, and
    nothing for loops that end before the first interval is over.

    Args:
        total: number of units of the whole loop.
        unit: what is counted, as in "images" or "kimg".
        label: what is being done; the job's name stands before it.
        done: units that an earlier, interrupted run has made already.
    """

    def __init__(self, total: float, unit: str, label: str = "", done: float = 0):
        self.total = total
        self.unit = unit
        self.label = " ".join(part for part in (_job, label) if part)
        self.screen = _screen or sys.stderr
        self.interval = TERMINAL_INTERVAL_S if self.screen.isatty() else FILE_INTERVAL_S
        self.done = self.initial = done
        self.begin = self.last = time.monotonic()
        self.text = ""

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exception) -> None:
        if self.last > self.begin and exception[0] is None:
            self._print()

    def update(self, units: float = 1) -> None:
        """Count `units` more as done."""
        self.done += units
        if time.monotonic() - self.last >= self.interval:
            self._print()

    def note(self, text: str) -> None:
        """Show `text` behind the bar from the next line on."""
        self.text = text

    def _print(self) -> None:
        # Only where a bar is shown: a script's log is open before any other package is needed.
        from tqdm import tqdm

        self.last = time.monotonic()
        line = tqdm.format_meter(
            n=round(self.done, 3),
            total=self.total,
            elapsed=self.last - self.begin,
            initial=self.initial,
            prefix=self.label,
            unit=f" {self.unit}",
            postfix=self.text or None,
            bar_format="{desc}: {percentage:3.0f}% |{bar:20}| {n_fmt}/{total_fmt}{unit}"
            " [{remaining} left, {rate_fmt}{postfix}]",
        )
        self.screen.write(line + "\n")
        self.screen.flush()


def _name(log: Path) -> str:
    """A job's name from its log file: `train_gan filtered/10/draw0/fracture`."""
    parts = log.with_suffix("").parts
    if "logs" in parts:
        parts = parts[len(parts) - parts[::-1].index("logs") :]
    return f"{parts[0]} {'/'.join(parts[1:])}".strip()
