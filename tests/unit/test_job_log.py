"""A job's output reaches its log; bars reach the terminal alone."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "workflow/scripts"


def run(code, tmp_path, *options, **environment):
    return subprocess.run(
        [sys.executable, *options, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(SCRIPTS), "PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        encoding="utf-8",
    )


def test_prints_tracebacks_warnings_and_children_reach_the_log(tmp_path):
    done = run(
        "from rarecxr.core.job_log import log_to; log_to('logs/a/b.log')\n"
        "import os, warnings, logging\n"
        "print('printed'); os.system('echo from a child'); warnings.warn('careful')\n"
        "logging.getLogger('x').info('told'); raise ValueError('row 7')\n",
        tmp_path,
    )
    log = (tmp_path / "logs/a/b.log").read_text(encoding="utf-8")
    for text in ("printed", "from a child", "careful", "told", "ValueError: row 7"):
        assert text in log
    assert done.returncode == 1
    assert done.stdout == done.stderr == ""


def test_the_log_is_utf_8_where_the_locale_is_not(tmp_path):
    done = run(
        "from rarecxr.core.job_log import log_to, Progress; log_to('logs/a/b.log')\n"
        "import logging; from rarecxr.core import job_log; job_log.FILE_INTERVAL_S = 0\n"
        "with Progress(1, 'images', 'finding – 병변') as bar: bar.update()\n"
        "print('printed – 병변'); logging.getLogger('x').info('logged – 병변')\n"
        "raise ValueError('raised – 병변')\n",
        tmp_path,
        PYTHONIOENCODING="latin-1",
    )
    log = (tmp_path / "logs/a/b.log").read_text(encoding="utf-8")
    for text in ("printed – 병변", "logged – 병변", "ValueError: raised – 병변"):
        assert text in log
    # The console gets the codes of what it cannot show.
    assert r"finding \u2013 \ubcd1\ubcc0" in done.stderr


def test_a_bar_shows_job_share_rate_and_time_left_and_stays_out_of_the_log(tmp_path):
    done = run(
        "from rarecxr.core import job_log; job_log.log_to('logs/train_gan/plain/10.log')\n"
        "job_log.FILE_INTERVAL_S = 0.05\n"
        "import time\n"
        "with job_log.Progress(4, 'images', 'at 32 px') as bar:\n"
        "    bar.note('loss 0.5')\n"
        "    for _ in range(4): time.sleep(0.06); bar.update()\n",
        tmp_path,
    )
    assert (tmp_path / "logs/train_gan/plain/10.log").read_text(encoding="utf-8") == ""
    second = done.stderr.splitlines()[1]
    assert second.startswith("train_gan plain/10 at 32 px:  50% |")
    assert "2/4 images" in second
    assert "left" in second
    assert "images/s" in second
    assert "loss 0.5" in second


def test_a_short_loop_prints_nothing(tmp_path):
    done = run(
        "from rarecxr.core.job_log import Progress\n"
        "with Progress(3, 'images') as bar:\n"
        "    for _ in range(3): bar.update()\n",
        tmp_path,
    )
    assert done.stderr == ""


def test_a_missing_package_reaches_the_log_with_what_to_do(tmp_path):
    """As for someone who brings Snakemake alone: no package but the standard library."""
    done = run(
        "from rarecxr.core.job_log import log_to; log_to('logs/a/b.log')\nimport h5py\n",
        tmp_path,
        "-S",
    )
    assert done.returncode == 1
    log = (tmp_path / "logs/a/b.log").read_text(encoding="utf-8")
    assert "ModuleNotFoundError: No module named 'h5py'" in log
    assert (
        "has no package h5py. Either let Snakemake make the environments (add --use-conda)" in log
    )


def test_a_missing_module_of_our_own_is_no_missing_package(tmp_path):
    run(
        "from rarecxr.core.job_log import log_to; log_to('b.log')\nimport rarecxr.nowhere\n",
        tmp_path,
    )
    assert "--use-conda" not in (tmp_path / "b.log").read_text(encoding="utf-8")


def test_a_loud_warning_stands_in_the_log_and_at_the_terminal(tmp_path):
    done = run(
        "from rarecxr.core import job_log; job_log.log_to('logs/train_gan/plain/10.log')\n"
        "job_log.warn_loudly('no GPU')\n",
        tmp_path,
    )
    assert "WARNING" in (tmp_path / "logs/train_gan/plain/10.log").read_text(encoding="utf-8")
    assert done.stderr == "train_gan plain/10: WARNING: no GPU\n"


@pytest.mark.parametrize(
    "error",
    [
        "OSError(28, 'No space left on device')",
        "OSError('Unable to synchronously close file (error message = No space left on device)')",
        "RuntimeError('No space left on device')",
    ],
)
def test_a_full_disk_which_takes_no_log_either_is_named_at_the_terminal(tmp_path, error):
    done = run(
        "from rarecxr.core.job_log import log_to; log_to('logs/make_bank/plain.log')\n"
        f"try: raise {error}\n"
        "except Exception as error: raise ValueError('the bank is not whole') from error\n",
        tmp_path,
    )
    expected = "make_bank plain: ERROR: nothing can be written (No space left on device). Make room"
    assert done.stderr.startswith(expected)
    assert done.stderr.count("\n") == 1
