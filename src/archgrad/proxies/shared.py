"""Proxies that read the same pass through a network, and many proxies measured with as few passes as that allows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

from jaxtyping import Float, Int
from torch import Tensor, nn

from archgrad.derivatives import derivatives
from archgrad.genotype import Genotype
from archgrad.proxies.croze import CRoZe, released
from archgrad.proxies.layers import Layer, by_layer, cross_entropy, jacobian, logits, weighted
from archgrad.proxies.proxy import Batch, Measurement, Proxy, measuring


class GradientProxy(Proxy):
    """A sum over the convolutions and linear layers of something of their weights and gradients."""

    def evaluate(self, network: nn.Module, images: Tensor, labels: Tensor) -> Measurement:
        """The sum over layers."""
        return self.summed(*loss_gradient(network, images, labels))

    def summed(self, layers: Mapping[str, Layer], gradient: list[Tensor]) -> Measurement:
        """The sum, from the gradients of the cross-entropy by the layers' weights."""
        found = by_layer(layers, gradient, self.contribution)
        return Measurement(sum(found.values()), found)

    @abstractmethod
    def contribution(self, weight: Tensor, gradient: Tensor) -> Float[Tensor, ""]:
        """What one layer contributes."""


class JacobianProxy(Proxy):
    """A number that depends on the images' Jacobians; the whole is the contribution of the network, ""."""

    def evaluate(self, network: nn.Module, images: Tensor, labels: Tensor) -> Measurement:
        """The whole network's score."""
        return self.whole(*jacobian(network, images), labels)

    def whole(self, rows: Tensor, classes: int, labels: Tensor) -> Measurement:
        """The score from the Jacobians."""
        value = self.score(rows, classes, labels)
        return Measurement(value, {"": value})

    @abstractmethod
    def score(self, rows: Float[Tensor, "batch inputs"], classes: int, labels: Int[Tensor, " batch"]) -> float:
        """The score from the gradient of the sum of all logits by each image."""


def loss_gradient(network: nn.Module, images: Tensor, labels: Tensor) -> tuple[dict[str, Layer], list[Tensor]]:
    """The layers, and the gradient of the cross-entropy by their weights."""
    layers = weighted(network)
    loss = cross_entropy(logits(network, images), labels)
    return layers, derivatives(loss, [layer.weight for layer in layers.values()])


def measure(
    proxies: Mapping[str, Proxy], network: nn.Module, batch: Batch, genotype: Genotype | None = None
) -> dict[str, Measurement]:
    """Every proxy's measurement; proxies that read the same pass share it, with the results that each gives alone."""
    found: dict[str, Measurement] = {}
    by_gradient = {name: proxy for name, proxy in proxies.items() if isinstance(proxy, GradientProxy)}
    if by_gradient:
        with measuring(network, batch, genotype) as given:
            layers, gradient = loss_gradient(*given)
            found |= {name: proxy.summed(layers, gradient) for name, proxy in by_gradient.items()}
    by_jacobian = {name: proxy for name, proxy in proxies.items() if isinstance(proxy, JacobianProxy)}
    if by_jacobian:
        with measuring(network, batch, genotype) as (twin, images, labels):
            rows, classes = jacobian(twin, images)
            found |= {name: proxy.whole(rows, classes, labels) for name, proxy in by_jacobian.items()}
    modes: dict[tuple[float, float], dict[str, Measurement]] = {}
    for name, proxy in proxies.items():
        if name in found:
            continue
        if isinstance(proxy, CRoZe) and proxy.mode != "paper":
            key = (proxy.beta, proxy.epsilon_used)
            if key not in modes:
                with measuring(network, batch, genotype, proxy.dtype) as given:
                    modes[key] = released(*given, *key)
            found[name] = modes[key][proxy.mode]
        else:
            found[name] = proxy.measure(network, batch, genotype)
    return {name: found[name] for name in proxies}
