"""Checkpoints: safetensors for the weights, JSON beside it for everything else; never pickles."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError
from safetensors.torch import load, save

from atpn.model.atpn import ATPN
from atpn.model.network import Network
from edge_runtime.files import write_atomically
from edge_runtime.reading import MAX_MODEL_BYTES, quote, read_bytes, read_text

FORMAT_VERSION = 1
MAX_WEIGHTS_BYTES = 2**32
"""Maximum size of a checkpoint's weights; the largest of ours have 20 MB."""

AnyNetwork = TypeVar("AnyNetwork", bound=Network)


class CheckpointError(ValueError):
    """A checkpoint that is missing, truncated, inconsistent or of another architecture."""


def save_checkpoint(path: Path, model: Network, metadata: dict[str, Any]) -> None:
    """Write `path` (.safetensors) and its JSON: config, SHA-256 of the weights, and `metadata` as given.

    Each file appears complete or not at all; an interruption between the two leaves a pair that does not load.
    """
    check_suffix(path)
    weights = save({name: tensor.contiguous() for name, tensor in model.state_dict().items()})
    description = {
        "format_version": FORMAT_VERSION,
        "architecture": type(model).__name__,
        "config": model.stored_config,
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "metadata": metadata,
    }
    write_atomically(path, weights)
    write_atomically(path.with_suffix(".json"), (json.dumps(description, indent=2) + "\n").encode())


def check_suffix(path: Path) -> None:
    """Raise CheckpointError if a path is not a checkpoint's."""
    if path.suffix != ".safetensors":
        raise CheckpointError(f"a checkpoint's path ends in .safetensors, got {path}")


def load_checkpoint(path: Path) -> tuple[ATPN, dict[str, Any]]:
    """Load an ATPN (see `load_network`)."""
    return load_network(path, ATPN)


def load_network(path: Path, kind: type[AnyNetwork]) -> tuple[AnyNetwork, dict[str, Any]]:
    """Load a network, in inference mode on the CPU, and its metadata; CheckpointError for missing or invalid files."""
    check_suffix(path)
    description = read_description(path, kind)
    weights = read_bytes(path, MAX_WEIGHTS_BYTES, CheckpointError)
    digest = hashlib.sha256(weights).hexdigest()
    if digest != description["weights_sha256"]:
        raise CheckpointError(
            f"{path} ({len(weights)} bytes) has SHA-256 {digest[:12]}…, but {path.with_suffix('.json').name} describes "
            f"{description['weights_sha256'][:12]}…: one of the two is truncated or from another run; copy both again"
        )
    try:
        state = load(weights)
        model = kind.from_config(description["config"])
        model.load_state_dict(state)
    except (SafetensorError, AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} does not fit this version's {kind.__name__}: {quote(error)}; train again, "
            "or use the version of the code that wrote it"
        ) from error
    return model.eval(), description["metadata"]


def weights_sha256(path: Path, kind: type[Network] = ATPN) -> str:
    """Return the SHA-256 of a checkpoint's weights as stated in its JSON, in hexadecimal."""
    return str(read_description(path, kind)["weights_sha256"])


def read_description(path: Path, kind: type[Network] = ATPN) -> dict[str, Any]:
    """Read the JSON beside the weights `path`; CheckpointError if a file is missing or of another kind."""
    beside = path.with_suffix(".json")
    for file in (path, beside):
        if not file.exists():
            raise CheckpointError(f"no checkpoint file {file}; a checkpoint is {path.name} and {beside.name} together")
    try:
        description = json.loads(read_text(beside, MAX_MODEL_BYTES, CheckpointError))  # metadata may hold NaN
        if description["architecture"] != kind.__name__ or description["format_version"] != FORMAT_VERSION:
            found = f"{quote(description['architecture'])} version {quote(description['format_version'])}"
            raise CheckpointError(f"{beside} describes {found}, expected {kind.__name__} version {FORMAT_VERSION}")
        missing = {"config", "weights_sha256", "metadata"} - set(description)
        digest, metadata = description.get("weights_sha256", ""), description.get("metadata", {})
        if not isinstance(digest, str) or not isinstance(metadata, dict):
            raise TypeError(f"weights_sha256 must be a text and metadata an object, got {digest!r} and {metadata!r}")
    except CheckpointError:
        raise
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(
            f"{beside} is not a checkpoint's description ({quote(repr(error))}); copy it again"
        ) from error
    if missing:
        raise CheckpointError(f"{beside} lacks {', '.join(sorted(missing))}; copy it again")
    return dict(description)
