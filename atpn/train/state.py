"""A run's state on disk: weights, averaged weights, and optimizer in one safetensors file, no pickles.

A kill between two files would leave a pair that does not match, so the JSON part is in the header.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from atpn.data.field_names import with_new_field_names
from atpn.model import ATPN, Network
from edge_runtime.files import write_atomically
from edge_runtime.reading import open_regular, quote

AnyNetwork = TypeVar("AnyNetwork", bound=Network)


@dataclass
class Progress:
    """Progress of a stage."""

    step: int = 0
    samples: int = 0
    seconds: float = 0.0
    """Seconds of training, over all starts of the run."""
    finished: bool = False
    batch_norm_frozen: bool = False
    """Batch-norm statistics are fixed."""
    setup: dict[str, Any] = field(default_factory=dict)
    """Recipe, seed, and data, which must not change when the run resumes."""


def save_state(
    path: Path, model: Network, ema_model: Network, optimizer: torch.optim.Optimizer, progress: Progress
) -> None:
    """Write everything that the next step depends on, atomically."""
    tensors = {f"model/{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"average/{name}": tensor for name, tensor in ema_model.state_dict().items()}
    for name, parameter in model.named_parameters():
        for key, tensor in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer/{name}/{key}"] = tensor
    header = {"progress": json.dumps(asdict(progress)), "config": json.dumps(model.stored_config)}
    # Clones: a network and its average may share frozen tensors, which the format refuses.
    content = save({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}, header)
    write_atomically(path, content)


def load_state(
    path: Path, kind: type[AnyNetwork] = ATPN
) -> tuple[AnyNetwork, AnyNetwork, dict[str, dict[str, Tensor]], Progress]:
    """Read network, averaged network, optimizer state by parameter name, and progress; ValueError if damaged."""
    try:
        open_regular(path).close()  # a pipe would block
        with safe_open(path, "pt") as file:
            header = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a mapping
        progress = Progress(**with_new_field_names(json.loads(header["progress"])))
        networks = []
        for prefix in ("model/", "average/"):
            network = kind.from_config(json.loads(header["config"]))
            network.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
            networks.append(network)
    except (SafetensorError, AttributeError, KeyError, TypeError, RuntimeError, ValueError) as error:
        raise ValueError(f"{path} is not a training state ({quote(error)}); delete it to restart the stage") from error
    moments: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer/"):
            _, parameter, key = name.split("/")
            moments.setdefault(parameter, {})[key] = tensor
    return networks[0], networks[1], moments, progress


def plain(value: Any) -> Any:
    """Convert to what JSON reads back (tuples become lists), so that it equals what is stored."""
    return json.loads(json.dumps(value))


def with_defaults(stored: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Add, at any depth, the defaults of keys that are missing."""
    nested = {
        key: with_defaults(value, defaults[key])
        for key, value in stored.items()
        if isinstance(value, dict) and isinstance(defaults.get(key), dict)
    }
    return defaults | stored | nested


def differences(key: str, old: Any, new: Any) -> str:
    """Describe what changed between two values of a setup's key, field by field."""
    if isinstance(old, dict) and isinstance(new, dict):
        names = [name for name in new if old.get(name) != new[name]]
        names += [name for name in old if name not in new]
        return "; ".join(differences(name, old.get(name), new.get(name)) for name in names)
    return f"option {key} was {old}, got {new}"


def moments_of(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, dict[str, Tensor]]:
    """Return the optimizer state by parameter name."""
    return {name: optimizer.state[p] for name, p in model.named_parameters() if p in optimizer.state}


def restore_moments(model: nn.Module, optimizer: torch.optim.Optimizer, moments: dict[str, dict[str, Tensor]]) -> None:
    """Load optimizer state by parameter name; a parameter of another shape starts without one."""
    for name, parameter in model.named_parameters():
        state = moments.get(name)
        if parameter.requires_grad and state and state["exp_avg"].shape == parameter.shape:
            optimizer.state[parameter] = {key: _laid_out_as(parameter, value) for key, value in state.items()}


def _laid_out_as(parameter: Tensor, value: Tensor) -> Tensor:
    """Copy to the parameter's device and memory layout: fused optimizers pair elements by place in memory."""
    if value.shape != parameter.shape:  # the step counter
        return value.to(parameter.device).clone()
    return torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)
