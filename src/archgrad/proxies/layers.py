"""What proxies do to networks, and how they watch their layers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize, remove_spectral_norm, remove_weight_norm
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

Layer = nn.modules.conv._ConvNd | nn.Linear
Norm = nn.modules.batchnorm._BatchNorm


def weighted(network: nn.Module) -> dict[str, Layer]:
    """The convolutions and linear layers by name."""
    kinds = (nn.modules.conv._ConvNd, nn.Linear)
    return {name: module for name, module in network.named_modules() if isinstance(module, kinds)}


@contextmanager
def watched(modules: Mapping[str, nn.Module], look: Callable[[str, Tensor, Tensor], Tensor | None]) -> Iterator[None]:
    """Calls look(name, input, output) after every call of one of these modules while the block runs.

    What it returns, where it returns something, takes the place of the output.
    """

    def hook(name: str) -> Callable[..., Tensor | None]:
        def looked(_module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: Tensor) -> Tensor | None:
            return look(name, inputs[0] if inputs else next(iter(named.values())), output)

        return looked

    handles = [module.register_forward_hook(hook(name), with_kwargs=True) for name, module in modules.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def outputs(modules: Mapping[str, nn.Module]) -> Iterator[dict[str, Tensor]]:
    """Collects what these modules return while the block runs, of several calls the last.

    The network goes on with a copy: what works in place behind a module does not change what was collected.
    """
    found: dict[str, Tensor] = {}

    def look(name: str, _read: Tensor, written: Tensor) -> Tensor:
        found[name] = written
        return written.clone()

    with watched(modules, look):
        yield found


def merge_parametrisations(network: nn.Module) -> None:
    """Make plain weights of those that are computed from others (weight_norm, spectral_norm …), with their values."""
    for module in network.modules():
        if parametrize.is_parametrized(module):
            # Not by remove_parametrizations: it takes the weight away from the class, which copies share.
            names = [name for name, _ in module._modules["parametrizations"].named_children()]  # type: ignore[union-attr]
            values = {name: getattr(module, name).detach().clone() for name in names}
            module.__class__ = type(module).__bases__[0]
            del module._modules["parametrizations"]
            for name, value in values.items():
                module.register_parameter(name, nn.Parameter(value))
        for hook in list(module._forward_pre_hooks.values()):
            if isinstance(hook, WeightNorm):
                remove_weight_norm(module, hook.name)
            elif isinstance(hook, SpectralNorm):
                remove_spectral_norm(module, hook.name)


def copied(network: nn.Module) -> nn.Module:
    """A deep copy; of tensors that are computed anew in every call (by the older weight_norm) the values are copied."""
    computed = [
        value
        for module in network.modules()
        for value in vars(module).values()
        if isinstance(value, Tensor) and not value.is_leaf
    ]
    return copy.deepcopy(network, {id(value): value.detach().clone() for value in computed})


def remove_norm(network: nn.Module, keep: tuple[type[nn.Module], ...] = ()) -> None:
    """Replace every batch normalisation by nothing, except inside modules of these kinds."""
    for name, child in network.named_children():
        if isinstance(child, Norm):
            setattr(network, name, nn.Identity())
        elif not isinstance(child, keep):
            remove_norm(child, keep)


@torch.no_grad()
def absolute(network: nn.Module) -> None:
    """Replace every parameter by its absolute value."""
    for parameter in network.parameters():
        parameter.abs_()


def correlation(rows: Float[Tensor, "rows columns"]) -> Float[Tensor, "rows rows"]:
    """Pearson correlation of the rows; constant rows count as equal to each other and unlike all others."""
    centred = rows - rows.mean(1, keepdim=True)
    length = centred.norm(dim=1, keepdim=True)
    constant = (length <= 1e-12 * rows.abs().amax(1, keepdim=True)).squeeze(1)
    unit = centred / length.masked_fill(constant[:, None], 1.0)
    unit[constant] = 0.0
    found = (unit @ unit.T).clamp(-1, 1)
    return torch.where(constant[:, None] & constant[None, :], torch.ones_like(found), found)
