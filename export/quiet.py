"""Silence for converters that narrate their work, from C++ too."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back what reaches standard output and error, from any library; show it only if the work fails.

    The file descriptors are redirected, since what C++ writes does not pass through `sys.stderr`, and `sys.stderr`
    itself stays, since libraries keep hold of the stream they find when they are imported.
    """
    _flush()
    kept = [os.dup(descriptor) for descriptor in (1, 2)]
    with tempfile.TemporaryFile() as said:
        for descriptor in (1, 2):
            os.dup2(said.fileno(), descriptor)
        failed = True
        try:
            yield
            failed = False
        finally:
            _flush()
            for descriptor, original in zip((1, 2), kept, strict=True):
                os.dup2(original, descriptor)
                os.close(original)
            if failed:
                said.seek(0)
                sys.stderr.write(said.read().decode(errors="replace"))


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
