"""What a job's networks compute with: threads, and memory that stays with the job."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rarecxr.core.processor import use_processor

SCRIPTS = Path(__file__).parents[2] / "workflow/scripts"

# Steps that allocate eight tensors of 8 MiB and free them, and how many pages come for them.
STEPS = """
import resource, sys
import torch
from rarecxr.core.processor import use_processor

def step():
    kept = [torch.ones(2 << 20)]
    for _ in range(7):
        kept.append(kept[-1] + 1)
    return float(kept[-1][-1])

{setting}
for _ in range(5):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    assert step() == 8
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def pages(setting):
    done = subprocess.run(
        [sys.executable, "-c", STEPS.format(setting=setting)],
        cwd=SCRIPTS,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_the_threads_are_set():
    before = torch.get_num_threads()
    try:
        use_processor(2)
        assert torch.get_num_threads() == 2
    finally:
        use_processor(before)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_memory_that_a_step_frees_stays_for_the_next():
    # How many pages a step has depends on the machine.
    anew, kept = pages("torch.set_num_threads(1)"), pages("use_processor(1)")
    assert anew >= 20
    assert kept < anew / 4


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr("ctypes.CDLL", lambda name: pytest.fail("mallopt was looked for"))
    use_processor(torch.get_num_threads())
