"""The training machine: device, memory, library versions."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

HUGE_PAGE = 2**21
HEAP_BYTES = 2**32
"""Address range to advise, more than a training step allocates; no memory is taken."""


def select_device(name: str) -> str:
    """Return PyTorch's name of a device; `auto` is a GPU if there is one, each process of torchrun gets its own."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return f"cuda:{os.environ['LOCAL_RANK']}" if name == "cuda" and "LOCAL_RANK" in os.environ else name


BFLOAT16_GAIN = 1.1
"""Minimum speedup to choose bfloat16, so that neither rounding nor timing noise is traded for nothing."""


def faster_in_bfloat16(
    step: Callable[[bool], None], seconds: float = 0.3, clock: Callable[[], float] = time.perf_counter
) -> tuple[bool, tuple[float, float]]:
    """Time a training step in float32 and, with the argument True, in bfloat16.

    Each gets `seconds` after a first step, which prepares kernels and memory. Returns whether bfloat16 is faster by
    `BFLOAT16_GAIN`, and the seconds of the fastest step in float32 and in bfloat16.
    """
    fastest = []
    for bfloat16 in (False, True):
        step(bfloat16)
        times, end = [], clock() + seconds
        while not times or clock() < end:
            start = clock()
            step(bfloat16)
            times.append(clock() - start)
        fastest.append(min(times))
    return fastest[0] > BFLOAT16_GAIN * fastest[1], (fastest[0], fastest[1])


def keep_freed_memory() -> None:
    """Let glibc keep freed blocks, in huge pages where the kernel has them.

    Each step frees and allocates the same gigabyte: page faults cost a tenth of the time, small pages a fifth.
    """
    if sys.platform.startswith("linux") and platform.libc_ver()[0] == "glibc":
        mmap_max, trim_threshold, top_pad, never = -4, -1, -2, -1  # names from malloc.h
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, never)
        libc.mallopt(top_pad, 2**28)
        libc.malloc.restype = ctypes.c_void_p
        libc.malloc.argtypes, libc.free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]
        # The advice belongs to addresses and outlasts the block, which is freed without having been touched.
        if block := libc.malloc(HEAP_BYTES):
            start, advice = -(-block // HUGE_PAGE) * HUGE_PAGE, 14  # MADV_HUGEPAGE of mman.h
            libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(block + HEAP_BYTES - start), advice)
            libc.free(block)


def library_versions() -> dict[str, str]:
    """Return the versions that weights depend on, for a checkpoint's metadata."""
    return {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
