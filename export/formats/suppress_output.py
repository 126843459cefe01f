"""Suppress what converters print, from C++ too."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def suppress_output() -> Iterator[None]:
    """Hold back what any library writes to standard output and error; show it only if the block fails.

    The file descriptors are redirected, since C++ does not write through `sys.stderr`. `sys.stderr` itself stays, since
    libraries keep the stream that they find when they are imported.
    """
    _flush()
    originals = [os.dup(descriptor) for descriptor in (1, 2)]
    with tempfile.TemporaryFile() as log:
        for descriptor in (1, 2):
            os.dup2(log.fileno(), descriptor)
        failed = True
        try:
            yield
            failed = False
        finally:
            _flush()
            for descriptor, original in zip((1, 2), originals, strict=True):
                os.dup2(original, descriptor)
                os.close(original)
            if failed:
                log.seek(0)
                sys.stderr.write(log.read().decode(errors="replace"))


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
