"""Zen-score: how expressive a network with Gaussian weights is, with the scale that BN takes away put back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from archgrad.errors import ArchgradError
from archgrad.proxies.layers import Norm, watched
from archgrad.proxies.proxy import Proxy
from archgrad.proxies.specimen import Specimen
from archgrad.randomness import generator

NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)


@dataclass(frozen=True)
class Zen(Proxy):
    """log E‖f(x) − f(x + αε)‖ + Σ_BN log σ̄, with x, ε and all weights drawn from N(0, 1).

    f is the map before the last global pooling, the network's output where there is none; σ̄² is the mean over the
    channels of the variances that a BN divides by; α = 0.01. Of the batch only the shape matters. A layer
    contributes log σ̄, the difference of the maps is the contribution "".

    ``norm`` of the difference of the maps of an image, "l1" or "l2". ``variance`` that σ̄ is made of: "batch", of the
    first pass, or "running", as BN has it after both passes, with a share of its initial value 1.

    >>> import torch
    >>> from torch import nn
    >>> network, batch = nn.Linear(2, 2), (torch.rand(4, 2), torch.tensor([0, 1, 0, 1]))
    >>> Zen()(network, batch) == Zen()(nn.Linear(2, 2), batch)  # whatever the weights
    True

    *Source:* Lin et al., Zen-NAS, arXiv 2102.01063.
    *Differs:* the published program is that of ``norm="l1", variance="running"``.
    """

    alpha: float = 0.01
    repeats: int = 1
    seed: int = 0
    norm: Literal["l1", "l2"] = "l2"
    variance: Literal["batch", "running"] = "batch"

    def __post_init__(self) -> None:
        if self.norm not in ("l1", "l2"):
            raise ArchgradError(f"zen: norm must be 'l1' or 'l2', got {self.norm!r}")
        if self.variance not in ("batch", "running"):
            raise ArchgradError(f"zen: variance must be 'batch' or 'running', got {self.variance!r}")

    @torch.no_grad()
    def examine(self, specimen: Specimen) -> dict[str, Tensor]:
        """The score with Gaussian weights drawn from the seed, the same whatever the network's own."""
        draw = generator(self.seed, "zen")

        def normal(like: Tensor) -> Tensor:
            return torch.randn(like.shape, generator=draw, dtype=torch.float32).to(like)

        layers, images = specimen.layers, specimen.pixels
        _require_drawn(specimen.network)
        for layer in layers.values():
            layer.weight.copy_(normal(layer.weight))
            if layer.bias is not None:
                layer.bias.zero_()
        for module in specimen.network.modules():
            if isinstance(module, NORMS):
                module.reset_parameters()
        sums: dict[str, Tensor] = {}
        for _ in range(self.repeats):
            x, noise = normal(images), normal(images)
            clean, deviations = _features(specimen, x)
            moved, _ = _features(specimen, x + self.alpha * noise)
            if self.variance == "running":
                deviations = {name: _running(specimen.network.get_submodule(name)) for name in deviations}
            distance = (clean - moved).flatten(1).norm(p=1 if self.norm == "l1" else 2, dim=1)
            terms = {**deviations, "": distance.mean().log()}
            sums = {name: sums.get(name, 0.0) + term for name, term in terms.items()}
        return {name: total / self.repeats for name, total in sums.items()}


def _require_drawn(network: nn.Module) -> None:
    """Refuse networks with weights that would stay what they are: the score is that of Gaussian ones."""
    for name, module in network.named_modules():
        if isinstance(module, (nn.modules.conv._ConvNd, nn.Linear, *NORMS)):
            continue
        for weight, tensor in module.named_parameters(recurse=False):
            if tensor.dim() > 1:
                what = f"{name}.{weight}".lstrip(".")
                raise ArchgradError(
                    f"zen: it draws the weights of convolutions and linear layers, and {what} is neither"
                )


def _running(norm: nn.Module) -> Tensor:
    """Logarithm of σ̄ of a BN by its running variances."""
    if not isinstance(norm.running_var, Tensor):
        raise ArchgradError("zen: variance='running' needs networks whose BN tracks its statistics")
    return 0.5 * norm.running_var.mean().log()


def _features(specimen: Specimen, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The map before the last pooling, and log σ̄ of every BN that was called."""
    modules = dict(specimen.network.named_modules())
    norms = {name: module for name, module in modules.items() if isinstance(module, Norm)}
    pools = [(name, module) for name, module in modules.items() if isinstance(module, nn.AdaptiveAvgPool2d)]
    pooled: list[Tensor] = []
    deviations: dict[str, Tensor] = {}

    def look(name: str, read: Tensor, _written: Tensor) -> None:
        if name in norms:
            deviations[name] = 0.5 * read.var([0, *range(2, read.ndim)], correction=0).mean().log()
        else:
            pooled.append(read.clone())  # what works in place may come behind

    with watched({**norms, **dict(pools[-1:])}, look):
        output = specimen.logits(x)
    return (pooled[-1] if pooled else output), deviations
