"""The machine that trains: its device and its memory."""

from __future__ import annotations

import ctypes
import os
import platform
import sys

import torch


def pick_device(name: str) -> str:
    """A device as PyTorch names it; `auto` takes a GPU when there is one, each process of torchrun its own."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return f"cuda:{os.environ['LOCAL_RANK']}" if name == "cuda" and "LOCAL_RANK" in os.environ else name


def keep_freed_memory() -> None:
    """Let glibc keep freed blocks: each step frees and takes the same gigabyte, and page faults cost a tenth."""
    if sys.platform.startswith("linux") and platform.libc_ver()[0] == "glibc":
        mmap_max, trim_threshold, top_pad = -4, -1, -2  # names from malloc.h
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, 2**31 - 1)
        libc.mallopt(top_pad, 2**28)
