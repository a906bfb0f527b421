"""Small pieces of every training loop: the cosine schedule, gradient clipping, and running averages on the device."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.utils import get_total_norm


def cosine(start: float, end: float, position: float) -> float:
    """Half a cosine from `start` at position 0 to `end` at position 1: end + (start − end) · (1 + cos π·position) / 2.

    *Source:* Loshchilov and Hutter, SGDR, arXiv 1608.03983, equation 5, one period.
    """
    return end + (start - end) * (1 + math.cos(math.pi * position)) / 2


def set_lr(optimiser: torch.optim.Optimizer, lr: float) -> None:
    """Give all parameters of an optimiser the same learning rate."""
    for group in optimiser.param_groups:
        group["lr"] = lr


@torch.no_grad()
def clip(gradients: Sequence[Tensor], max_norm: float) -> Float[Tensor, ""]:
    """Scale gradients in place so that their common norm is at most `max_norm`; the norm before is returned.

    Nothing waits for the device: the factor min(1, max_norm / norm) stays there.
    """
    norm = get_total_norm(gradients)
    factor = (max_norm / (norm + 1e-6)).clamp(max=1.0)
    if gradients:
        torch._foreach_mul_(list(gradients), factor)  # few kernels, where one for each would be over a thousand
    return norm


def restore(optimiser: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Give an optimiser the state that one like it had. Raises ValueError or TypeError for that of another one."""
    own = [{name: value for name, value in group.items() if name != "params"} for group in optimiser.param_groups]
    optimiser.load_state_dict(dict(state))
    for group, usual in zip(optimiser.param_groups, own, strict=True):
        for name, value in usual.items():
            if name not in group or (isinstance(value, float | int) and not _is_single(group[name])):
                raise ValueError(f"the optimiser's {name} is {group.get(name)!r}, not like {value!r}")
    needed: set[str] = {"step", "exp_avg", "exp_avg_sq"} if isinstance(optimiser, torch.optim.Adam) else set()
    for parameter, entries in optimiser.state.items():
        for name in needed - set(entries):
            raise ValueError(f"the optimiser's {name} is missing")
        for name, value in entries.items():
            if not _fits(name, value, parameter):
                raise ValueError(f"the optimiser's {name} does not fit the weight that it is of")


def _is_single(value: Any) -> bool:
    """Whether a number is one in single precision, too, in which it is multiplied with weights."""
    return isinstance(value, float | int) and abs(value) <= torch.finfo(torch.float32).max


def _fits(name: str, value: Any, parameter: Tensor) -> bool:
    """Whether an entry of an optimiser may belong to a weight: a count of steps, or a tensor like the weight."""
    if name == "step":
        return isinstance(value, float | int) or (isinstance(value, Tensor) and value.numel() == 1)
    if value is None:
        return name == "momentum_buffer"
    return isinstance(value, Tensor) and value.shape == parameter.shape and value.dtype == parameter.dtype


class Averages:
    """Running means of an epoch, kept on the device: adding does not wait for it, only reading does."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.count = 0

    def add(self, count: int, **sums: Float[Tensor, ""]) -> None:
        """Add the sums of some quantities over `count` inputs."""
        self.count += count
        for name, value in sums.items():
            value = value.detach()
            self.sums[name] = self.sums[name] + value if name in self.sums else value.clone()

    def means(self) -> dict[str, float]:
        """The mean of each quantity since the start; waits for the device once."""
        if not self.sums:
            return {}
        values = torch.stack([value.float() if value.device.type == "mps" else value.double() for value in
                              self.sums.values()]).tolist()  # fmt: skip
        return {name: value / self.count for name, value in zip(self.sums, values, strict=True)}

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs to go on in the middle of an epoch."""
        return {"sums": dict(self.sums), "count": self.count}

    def restore(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Go on from a state."""
        self.sums = {name: value.to(device) for name, value in state["sums"].items()}
        self.count = operator.index(state["count"])
