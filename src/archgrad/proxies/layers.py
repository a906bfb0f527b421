"""What proxies do to networks and ask of their layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from archgrad.derivatives import derivatives
from archgrad.errors import ArchgradError
from archgrad.evaluation import widened

Layer = nn.modules.conv._ConvNd | nn.Linear
Norm = nn.modules.batchnorm._BatchNorm


def weighted(network: nn.Module) -> dict[str, Layer]:
    """The convolutions and linear layers by name."""
    kinds = (nn.modules.conv._ConvNd, nn.Linear)
    return {name: module for name, module in network.named_modules() if isinstance(module, kinds)}


def logits(network: nn.Module, images: Tensor) -> Float[Tensor, "batch classes"]:
    """The network's output; of several outputs the first, since the others are auxiliary heads."""
    output = network(images)
    found: Tensor = output[0] if isinstance(output, tuple | list) else output
    return widened(found)


def cross_entropy(output: Float[Tensor, "batch classes"], labels: Int[Tensor, " batch"]) -> Tensor:
    """The mean cross-entropy, after a look at whether the labels fit the network."""
    classes = output.shape[1]
    if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise ArchgradError(f"proxy: labels must lie in 0 … {classes - 1}, the network's outputs")
    return F.cross_entropy(output, labels)


def by_layer(
    weights: Mapping[str, Layer], gradient: Iterable[Tensor], score: Callable[[Tensor, Tensor], Tensor]
) -> dict[str, float]:
    """score(weight, gradient) of every layer."""
    values = [score(layer.weight.detach(), g) for layer, g in zip(weights.values(), gradient, strict=True)]
    return dict(zip(weights, numbers(values), strict=True))


def numbers(values: Sequence[Tensor]) -> list[float]:
    """Scalars as floats, fetched from their device together."""
    return torch.stack([value.detach().double() for value in values]).tolist() if values else []


@contextmanager
def outputs(modules: Mapping[str, nn.Module]) -> Iterator[dict[str, Tensor]]:
    """Collects what these modules return while the block runs."""
    found: dict[str, Tensor] = {}

    def hook(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            found[name] = output

        return keep

    handles = [module.register_forward_hook(hook(name)) for name, module in modules.items()]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


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


def jacobian(network: nn.Module, images: Tensor) -> tuple[Float[Tensor, "batch inputs"], int]:
    """One row per image, the gradient of the sum of all logits by that image; and the number of classes."""
    x = images.detach().requires_grad_(True)
    output = logits(network, x)
    (found,) = derivatives(output.sum(), [x])
    return found.flatten(1).double(), output.shape[1]


def correlation(rows: Float[Tensor, "rows columns"]) -> Float[Tensor, "rows rows"]:
    """Pearson correlation of the rows; constant rows count as equal to each other and unlike all others."""
    centred = rows - rows.mean(1, keepdim=True)
    length = centred.norm(dim=1, keepdim=True)
    constant = (length <= 1e-12 * rows.abs().amax(1, keepdim=True)).squeeze(1)
    unit = centred / length.masked_fill(constant[:, None], 1.0)
    unit[constant] = 0.0
    found = (unit @ unit.T).clamp(-1, 1)
    return torch.where(constant[:, None] & constant[None, :], torch.ones_like(found), found)
