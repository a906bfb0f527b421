"""What proxies do to networks, and how they watch their layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

Layer = nn.modules.conv._ConvNd | nn.Linear
Norm = nn.modules.batchnorm._BatchNorm


def weighted(network: nn.Module) -> dict[str, Layer]:
    """The convolutions and linear layers by name."""
    kinds = (nn.modules.conv._ConvNd, nn.Linear)
    return {name: module for name, module in network.named_modules() if isinstance(module, kinds)}


@contextmanager
def watched(modules: Mapping[str, nn.Module], look: Callable[[str, Tensor, Tensor], None]) -> Iterator[None]:
    """Calls look(name, input, output) after every call of one of these modules while the block runs."""

    def hook(name: str) -> Callable[[nn.Module, tuple[Any, ...], Tensor], None]:
        return lambda _module, inputs, output: look(name, inputs[0], output)

    handles = [module.register_forward_hook(hook(name)) for name, module in modules.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def outputs(modules: Mapping[str, nn.Module]) -> Iterator[dict[str, Tensor]]:
    """Collects what these modules return while the block runs, of several calls the last."""
    found: dict[str, Tensor] = {}
    with watched(modules, lambda name, _read, written: found.update({name: written})):
        yield found


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
