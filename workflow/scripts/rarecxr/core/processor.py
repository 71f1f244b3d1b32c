"""The processor as a job's networks use it: its threads, and memory that stays with the job."""

import ctypes
import platform

import torch

# Numbers of glibc's mallopt (malloc.h), and what they are set to in bytes: the largest values that
# the first takes, and more than a step of a network for a CPU leaves free.
_MMAP_THRESHOLD, _LARGEST_BLOCK = -3, 1 << 25
_TRIM_THRESHOLD, _KEPT = -1, 1 << 30


def use_processor(threads: int) -> None:
    """Compute with so many threads, and keep memory that a step frees for the next one.

    glibc returns the tensors of a step to the system when they are freed, and each comes back page
    by page, filled with zeros: a tenth of the time of many a network's step, a fifth of
    DenseNet-121's. No result depends on it. With another C library only the threads are set.
    """
    torch.set_num_threads(threads)
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        library.mallopt(_MMAP_THRESHOLD, _LARGEST_BLOCK)
        library.mallopt(_TRIM_THRESHOLD, _KEPT)
