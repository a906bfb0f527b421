"""Zen-score: how expressive a network with Gaussian weights is, with the scale that BN takes away put back."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from archgrad.proxies.layers import Norm, logits, numbers, weighted
from archgrad.proxies.proxy import Measurement, Proxy
from archgrad.randomness import generator


@dataclass(frozen=True)
class Zen(Proxy):
    """log E‖f(x) − f(x + αε)‖ + Σ_BN log σ̄, with x, ε and all weights drawn from N(0, 1).

    f is the map before the last global pooling, the network's output where there is none; σ̄² is the mean over the
    channels of the variances that a BN divides by; α = 0.01. Of the batch only the shape matters. A layer
    contributes log σ̄, the difference of the maps is the contribution "".

    *Source:* Lin et al., Zen-NAS, arXiv 2102.01063.
    *Differs:* the published code reads BN's running variances, which still hold a share of their initial value.
    """

    alpha: float = 0.01
    repeats: int = 1
    seed: int = 0

    @torch.no_grad()
    def evaluate(self, network: nn.Module, images: Tensor, labels: Tensor) -> Measurement:
        """The score with Gaussian weights drawn from the seed, the same whatever the network's own."""
        draw = generator(self.seed, "zen")

        def normal(like: Tensor) -> Tensor:
            return torch.randn(like.shape, generator=draw, dtype=torch.float32).to(like)

        for layer in weighted(network).values():
            layer.weight.copy_(normal(layer.weight))
            if layer.bias is not None:
                layer.bias.zero_()
        norms = {name: module for name, module in network.named_modules() if isinstance(module, Norm)}
        for norm in norms.values():
            norm.reset_parameters()
        pools = [module for module in network.modules() if isinstance(module, nn.AdaptiveAvgPool2d)]
        sums: dict[str, Tensor] = {}
        for _ in range(self.repeats):
            x, noise = normal(images), normal(images)
            clean, deviations = _features(network, x, pools[-1:], norms)
            moved, _ = _features(network, x + self.alpha * noise, pools[-1:], {})
            terms = {**deviations, "": (clean - moved).flatten(1).norm(dim=1).mean().log()}
            sums = {name: sums.get(name, 0.0) + term for name, term in terms.items()}
        means = dict(zip(sums, numbers([total / self.repeats for total in sums.values()]), strict=True))
        return Measurement(sum(means.values()), means)


def _features(
    network: nn.Module, x: Tensor, pools: list[nn.AdaptiveAvgPool2d], norms: dict[str, Norm]
) -> tuple[Tensor, dict[str, Tensor]]:
    """The map before the pooling, and log σ̄ of every BN that was called."""
    before: list[Tensor] = []
    deviations: dict[str, Tensor] = {}

    def watch(name: str, norm: Norm) -> torch.utils.hooks.RemovableHandle:
        def hook(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            (values,) = inputs
            axes = [0, *range(2, values.ndim)]
            deviations[name] = 0.5 * values.var(axes, correction=0).mean().log()

        return norm.register_forward_pre_hook(hook)

    handles = [pool.register_forward_pre_hook(lambda _m, inputs: before.append(inputs[0])) for pool in pools]
    handles += [watch(name, norm) for name, norm in norms.items()]
    try:
        output = logits(network, x)
    finally:
        for handle in handles:
            handle.remove()
    return (before[-1] if before else output), deviations
