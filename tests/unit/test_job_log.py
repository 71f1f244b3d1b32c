"""A job's output reaches its log; bars reach the terminal alone."""

import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "workflow/scripts"


def run(code, tmp_path):
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(SCRIPTS), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )


def test_prints_tracebacks_warnings_and_children_reach_the_log(tmp_path):
    done = run(
        "from rarecxr.core.job_log import log_to; log_to('logs/a/b.log')\n"
        "import os, warnings, logging\n"
        "print('printed'); os.system('echo from a child'); warnings.warn('careful')\n"
        "logging.getLogger('x').info('told'); raise ValueError('row 7')\n",
        tmp_path,
    )
    log = (tmp_path / "logs/a/b.log").read_text()
    for text in ("printed", "from a child", "careful", "told", "ValueError: row 7"):
        assert text in log
    assert done.returncode == 1
    assert done.stdout == done.stderr == ""


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
    assert (tmp_path / "logs/train_gan/plain/10.log").read_text() == ""
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
