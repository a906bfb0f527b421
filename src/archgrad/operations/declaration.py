"""What an operation tells an executor about its inside, so that the executor may compute it in its own way.

operation(x) = norm(W · prefix(x)): some steps that lead from the state to z, and a linear tail.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeGuard, cast

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class Shared(NamedTuple):
    """A function without parameters or randomness: equal ones are computed once for all operations on a state."""

    function: Callable[..., Tensor]
    arguments: tuple[Any, ...] = ()

    def __call__(self, x: Tensor) -> Tensor:
        return self.function(x, *self.arguments)


class Hidden(NamedTuple):
    """relu(norm(conv(x))) with a pointwise convolution: the first half of a separable convolution."""

    conv: nn.Conv2d
    norm: nn.BatchNorm2d

    def __call__(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)))


Step = Shared | Hidden | nn.Module
"""Of the modules executors know `nn.Conv2d`; they call any other one."""


class Declaration(NamedTuple):
    """operation(x) = norm(W · prefix(x)); without ``weight`` there is no W, without ``norm`` no normalisation."""

    prefix: tuple[Step, ...] = ()
    weight: Float[Tensor, "channels_out channels_in"] | None = None
    norm: nn.BatchNorm2d | None = None

    def __call__(self, x: Tensor) -> Tensor:
        for step in self.prefix:
            x = step(x)
        if self.weight is not None:
            x = F.conv2d(x, self.weight[:, :, None, None])
        return x if self.norm is None else self.norm(x)


class Declaring(Protocol):
    """An operation that declares itself."""

    def declare(self) -> Declaration:
        """The same computation as ``forward``, from the parameters of this moment."""


def declaration(operation: nn.Module) -> Declaration:
    """What an operation declares; one that declares nothing is a single step and no tail.

    A subclass that overrides ``forward`` alone no longer computes what its parent declares: it declares nothing.
    """
    if type(operation) is nn.Identity and not _hooked(operation):
        return Declaration()
    if _declares(type(operation)) and not _hooked(operation):
        found: Declaration = cast(Declaring, operation).declare()
        return found
    if type(operation) is nn.Sequential and not _hooked(operation):
        return chain(*operation)
    return Declaration((operation,))


def chain(*steps: Step) -> Declaration:
    """The declaration of steps that follow each other: the tail is found in the modules at the end.

    Inner sequences are opened. A module of another kind than expected, one with hooks or with a parametrisation for
    example, becomes a step of its own.

    >>> chain(nn.ReLU(), nn.Conv2d(8, 8, 1, bias=False), nn.BatchNorm2d(8)).prefix
    (Shared(function=<function relu at ...>, arguments=()),)
    """
    left = _opened(steps)
    norm: nn.BatchNorm2d | None = None
    weight: Tensor | None = None
    if left and is_batch_norm(last := left[-1]):
        norm = last
        left.pop()
    if left and is_pointwise(last := left[-1]):
        weight = last.weight.flatten(1)
        left.pop()
    prefix: list[Step] = []
    for step in left:
        if type(step) is nn.ReLU and not step.inplace and not _hooked(step):
            if len(prefix) > 1 and is_pointwise(conv := prefix[-2]) and is_batch_norm(bn := prefix[-1]):
                prefix[-2:] = [Hidden(conv, bn)]
            else:
                prefix.append(Shared(F.relu))
        else:
            prefix.append(step)
    return Declaration(tuple(prefix), weight, norm)


def is_batch_norm(step: Step) -> TypeGuard[nn.BatchNorm2d]:
    """Whether this is `nn.BatchNorm2d` and nothing else."""
    return type(step) is nn.BatchNorm2d and not _hooked(step)


def is_convolution(step: Step) -> TypeGuard[nn.Conv2d]:
    """Whether this is a convolution that its weight and numbers describe: without bias, padded by zeros."""
    return (
        type(step) is nn.Conv2d
        and step.bias is None
        and step.padding_mode == "zeros"
        and not isinstance(step.padding, str)
        and not _hooked(step)
    )


def is_pointwise(step: Step) -> TypeGuard[nn.Conv2d]:
    """Whether this is a linear map of the channels of every pixel."""
    return (
        is_convolution(step)
        and step.kernel_size == (1, 1)
        and step.stride == (1, 1)
        and step.padding == (0, 0)
        and step.groups == 1
    )


def is_depthwise(step: Step) -> TypeGuard[nn.Conv2d]:
    """Whether this is a convolution with one filter per channel and the same geometry along both axes."""
    return (
        is_convolution(step)
        and step.groups == step.in_channels == step.out_channels
        and all(len(set(pair)) == 1 for pair in (step.stride, step.padding, step.dilation))
    )


def _opened(steps: tuple[Step, ...]) -> list[Step]:
    """The steps with everything that is only a sequence of others replaced by its parts."""
    parts: list[Step] = []
    for step in steps:
        if not isinstance(step, nn.Module) or _hooked(step):
            parts.append(step)
        elif isinstance(step, nn.Sequential) and type(step).forward is nn.Sequential.forward:
            parts += _opened(tuple(step))
        elif _declares(type(step)) and (inner := declaration(step)).weight is None:
            parts += inner.prefix if inner.norm is None else (*inner.prefix, inner.norm)
        else:
            parts.append(step)
    return parts


def _hooked(step: Any) -> bool:
    return bool(step._forward_hooks or step._forward_pre_hooks or step._backward_hooks or step._backward_pre_hooks)


def _declares(kind: type) -> bool:
    for parent in kind.__mro__:
        if "declare" in vars(parent):
            return True
        if "forward" in vars(parent):
            return False
    return False
