"""A sample of tests/faults, which takes hours: a killed job, and a file damaged meanwhile."""

import contextlib
import os
import random

import psutil
import pytest
from trials import Study

from rarecxr.core.files import digest_file, sha256

GAN = "results/tiny/gan/base/50/draw0/negatives"
TARGET = f"{GAN}/training_set.h5"
LABELS = "results/tiny/dataset/labels.parquet"


@pytest.fixture
def study(done):
    return Study(done.folder)


def test_a_killed_job_leaves_nothing_and_the_next_attempt_makes_the_same_file(study):
    made = study.folder / TARGET
    before = sha256(made)
    made.unlink()
    run = study.start(TARGET, "--retries", "2")
    job = study.wait_for_job(run, "make_training_set")
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.wait_procs([job], timeout=random.Random(0).uniform(0, 0.5))
        job.kill()
    assert run.wait(300) == 0, study.said()
    assert "Trying to restart job" in study.said()
    assert sha256(made) == before
    assert not study.litter()


@pytest.mark.long
def test_a_file_that_is_damaged_between_two_stages_stops_the_second_with_its_name(study):
    made, labels = study.folder / TARGET, study.folder / LABELS
    made.unlink()
    content, times = bytearray(labels.read_bytes()), labels.stat()
    content[len(content) // 2] ^= 1
    labels.write_bytes(content)
    # Not as one that was written since.
    os.utime(labels, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert digest_file(labels).is_file()
    assert study.attempt(TARGET)
    assert f"{LABELS}: damaged, or changed since it was written" in study.said()
    assert not made.exists()
