"""Several processes as one: each computes its slice of the batch; gradients and batch statistics are of the whole.

Gradients are taken by `torch.autograd.grad` and averaged explicitly, so no module is wrapped and no hook is needed.
Start with `torchrun --nproc_per_node N -m archgrad …` or `accelerate launch`; without either there is one process.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self, TypeVar

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn

from archgrad.errors import ArchgradError, reason, unknown
from archgrad.ranks import first_of_machine

LOGGER = logging.getLogger(__name__)
T = TypeVar("T")
PRECISIONS = ("no", "bf16")


def require_precision(name: str) -> None:
    """Refuse a mixed precision that is none of `PRECISIONS`."""
    if name == "fp16":
        raise ArchgradError(
            "mixed precision fp16 needs loss scaling, which architecture gradients cannot have: use bf16"
        )
    if name not in PRECISIONS:
        raise unknown("mixed precision", name, PRECISIONS)


@lru_cache
def note(text: str) -> None:
    """Log a warning, once per machine, and only once."""
    if first_of_machine():
        LOGGER.warning(text)


@dataclass(frozen=True)
class World:
    """The processes of this run and the device of this one.

    `size` processes, of which this is number `rank`. `mixed_precision`: `"no"`, or `"bf16"` for matrix products and
    convolutions in bfloat16.
    """

    rank: int
    size: int
    device: torch.device
    mixed_precision: str = "no"

    @classmethod
    def start(cls, device: str | torch.device | None = None, mixed_precision: str = "no") -> World:
        """Join the other processes, if there are any; the device is the best one there is unless given.

        Raises ArchgradError for a device that is not there, and for `"fp16"`: its gradients need loss scaling, which
        the gradients inside an architecture gradient do not get.
        """
        from accelerate import PartialState  # costs a third of a second, and not every command computes

        require_precision(mixed_precision)
        try:
            chosen = None if device is None else torch.device(device)
            # Without an accelerator accelerate has to be told: it would not join the processes of torchrun.
            cpu = chosen.type == "cpu" if chosen is not None else not torch.accelerator.is_available()
            state = PartialState(cpu=cpu)
            chosen = state.device if chosen is None or (state.num_processes > 1 and chosen.index is None) else chosen
            torch.empty(0, device=chosen)
        except (RuntimeError, AssertionError, ValueError) as error:
            raise ArchgradError(f"device {str(device or 'auto')!r} cannot be used: {reason(error)}") from None
        return cls(state.process_index, state.num_processes, chosen, mixed_precision)

    @property
    def main(self) -> bool:
        """Whether this is the process that writes files and shows progress."""
        return self.rank == 0

    def settings(self) -> dict[str, Any]:
        """What a run records of its processes."""
        return {"mixed_precision": self.mixed_precision, "processes": self.size}

    def autocast(self) -> AbstractContextManager[Any]:
        """The context for forward passes in the chosen precision."""
        if self.mixed_precision == "no":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its mean over the processes, in place, in one transfer per type of number."""
        self._reduce(tensors, 1 / self.size)

    def sum(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its sum over the processes, in place, in one transfer per type of number."""
        self._reduce(tensors, 1)

    def from_main(self, function: Callable[[], T]) -> T:
        """Call a function on the main process only; its result, or its ArchgradError, reaches every process."""
        if self.size == 1:
            return function()
        outcome: list[Any] = [None, None]
        if self.main:
            try:
                outcome[0] = function()
            except ArchgradError as error:
                outcome[1] = str(error)
        from accelerate.utils import broadcast_object_list

        broadcast_object_list(outcome)
        if outcome[1] is not None:
            raise ArchgradError(outcome[1])
        result: T = outcome[0]
        return result

    def _reduce(self, tensors: Iterable[Tensor], factor: float) -> None:
        if self.size == 1:
            return
        groups: dict[torch.dtype, list[Tensor]] = {}
        for tensor in tensors:
            groups.setdefault(tensor.dtype, []).append(tensor)
        for group in groups.values():
            flat = torch.cat([tensor.reshape(-1) for tensor in group])
            dist.all_reduce(flat)
            if factor != 1:
                flat *= factor
            for tensor, part in zip(group, torch.split(flat, [tensor.numel() for tensor in group]), strict=True):
                tensor.copy_(part.view_as(tensor))


class SyncBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation whose training statistics are those of the batch of all processes.

    Forward, gradients of any order and running statistics equal those of `nn.BatchNorm*` on the joined batch, of which
    a process may even hold nothing. Where running statistics are used it is `nn.BatchNorm*` itself. Unlike
    `nn.SyncBatchNorm` it also works on the CPU.
    """

    @classmethod
    def of(cls, norm: nn.modules.batchnorm._BatchNorm) -> Self:
        """The synchronised twin of a normalisation, with the very same parameters and buffers."""
        twin = cls(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        twin._parameters, twin._buffers = norm._parameters, norm._buffers
        return twin.train(norm.training)

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected at least 2 axes [batch, channels, …], got {input.dim()}")

    def forward(self, x: Float[Tensor, "batch channels ..."]) -> Float[Tensor, "batch channels ..."]:
        """Normalise a batch."""
        if not self.training and self.running_mean is not None:
            return super().forward(x)
        self._check_input_dim(x)
        axes = [axis for axis in range(x.dim()) if axis != 1]
        shape = [1, -1, *[1] * (x.dim() - 2)]
        wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
        local = wide.new_full((1,), x.numel() / x.shape[1])
        sums = _all_sum(torch.cat([local, wide.sum(axes)]))
        count, mean = sums[0], sums[1:] / sums[0]
        centred = wide - mean.view(shape)
        variance = _all_sum((centred**2).sum(axes)) / count  # about the mean: E[x²] − E[x]² would cancel
        if self.training:
            self._track(mean.detach(), (variance * count / (count - 1)).detach())
        out = centred * torch.rsqrt(variance + self.eps).view(shape)
        if self.affine:
            out = out * self.weight.view(shape) + self.bias.view(shape)
        return out.to(x.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        momentum = 1 / self.num_batches_tracked.double() if self.momentum is None else self.momentum
        self.running_mean += momentum * (mean - self.running_mean)
        self.running_var += momentum * (variance - self.running_var)


def synchronise_batch_norm(module: nn.Module, world: World) -> nn.Module:
    """Replace every `nn.BatchNorm1d/2d/3d` inside a module, in place, by its synchronised twin; one process: nothing.

    Parameters and buffers stay the same tensors under the same names, so optimisers and `state_dict` see no change.
    Returns the module, or its twin where it is itself a normalisation.
    """
    if world.size == 1:
        return module
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
        return SyncBatchNorm.of(module)
    for name, child in module.named_children():
        setattr(module, name, synchronise_batch_norm(child, world))
    return module


class _AllSum(torch.autograd.Function):
    """Sum over processes; its gradient is the same sum, so derivatives of any order are exact."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _all_sum(gradients[0])


def _all_sum(x: Tensor) -> Tensor:
    total: Tensor = _AllSum.apply(x)
    return total
