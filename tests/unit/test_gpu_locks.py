"""Jobs side by side on one machine have GPUs of their own."""

import errno
import fcntl
import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from rarecxr.core.gpu_locks import take_gpus

LIBRARY = Path(__file__).parents[2] / "workflow/scripts"
JOB = """
import os, sys
from rarecxr.core.gpu_locks import take_gpus
take_gpus(int(sys.argv[1]), folder=sys.argv[2], wait_s=0.05)
print(os.environ.get("CUDA_VISIBLE_DEVICES", "unset"), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def start(tmp_path):
    """Start a job that takes GPUs and holds them until its standard input is closed."""
    jobs = []

    def start(number, **environment):
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID")
        }
        job = subprocess.Popen(
            [sys.executable, "-c", JOB, str(number), str(tmp_path / "locks")],
            env={**inherited, "PYTHONPATH": str(LIBRARY), **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        jobs.append(job)
        return job

    yield start
    for job in jobs:
        job.kill()
        job.wait()


def seen(job):
    return job.stdout.readline().strip()


def end(job):
    job.stdin.close()
    job.wait()


def test_two_jobs_have_different_gpus_and_a_third_waits(start):
    jobs = [start(1, CUDA_VISIBLE_DEVICES="0,1") for _ in range(2)]
    first, second = map(seen, jobs)
    assert {first, second} == {"0", "1"}
    third = start(1, CUDA_VISIBLE_DEVICES="0,1")
    assert select.select([third.stdout], [], [], 1)[0] == []
    end(jobs[1])
    assert seen(third) == second


def test_a_killed_job_gives_its_gpu_back(start):
    job = start(2, CUDA_VISIBLE_DEVICES="2,5,7")
    assert seen(job) == "2,5"
    job.kill()
    job.wait()
    assert seen(start(2, CUDA_VISIBLE_DEVICES="2,5,7")) == "2,5"


def test_jobs_that_want_several_do_not_wait_for_each_other_forever(start):
    jobs = [start(2, CUDA_VISIBLE_DEVICES="0,1,2") for _ in range(4)]
    while jobs:
        ready = select.select([job.stdout for job in jobs], [], [], 120)[0]
        assert len(ready) == 1
        job = next(job for job in jobs if job.stdout is ready[0])
        assert len(set(seen(job).split(","))) == 2
        end(job)
        jobs.remove(job)


def test_what_a_scheduler_gave_is_used_as_it_is(start):
    # Every job of a node may be shown its own GPU as number 0.
    jobs = [start(1, CUDA_VISIBLE_DEVICES="0", SLURM_JOB_ID="7") for _ in range(2)]
    assert [seen(job) for job in jobs] == ["0", "0"]


def test_the_only_gpu_may_be_shared(start):
    jobs = [start(1, CUDA_VISIBLE_DEVICES="0") for _ in range(2)]
    assert [seen(job) for job in jobs] == ["0", "0"]


def test_without_the_variable_the_driver_is_asked(start, tmp_path):
    # Stands in for NVIDIA's program, which a machine without a GPU lacks.
    program = tmp_path / "bin/nvidia-smi"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nprintf 'GPU-aa\\nGPU-bb\\n'\n", encoding="utf-8")
    program.chmod(0o755)
    path = f"{program.parent}:{os.environ['PATH']}"
    jobs = [start(1, PATH=path) for _ in range(2)]
    assert {seen(job) for job in jobs} == {"GPU-aa", "GPU-bb"}


def test_a_machine_without_a_gpu_is_left_as_it_is(start, tmp_path):
    assert seen(start(1, PATH=str(tmp_path))) == "unset"


def test_a_file_system_without_locks_is_named_with_what_helps(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(ValueError, match="No locks available.*set TMPDIR to a folder"):
        take_gpus(1, folder=tmp_path)
