"""CRoZe: how consistent a network stays with a perturbed copy of itself on perturbed images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from archgrad.data.augmentation import Normalisation
from archgrad.derivatives import derivatives
from archgrad.errors import ArchgradError, require_positive
from archgrad.proxies.layers import outputs
from archgrad.proxies.proxy import Proxy
from archgrad.proxies.specimen import Specimen


class Pass(NamedTuple):
    """One forward and backward pass: gradients of the moved weights, and features by layer."""

    gradients: list[Tensor]
    features: dict[str, Tensor]


@dataclass(frozen=True)
class CRoZe(Proxy):
    """Consistency of features, weights and gradients between a network and its perturbed copy on perturbed images.

    θ^r = θ + β‖θ‖·∇L/‖∇L‖ per weight tensor, x' = FGSM on f_{θ^r}; g and g^r are the gradients of the losses L(f_θ(x))
    and L(f_{θ^r}(x')). Summed over the convolutions and linear layers m, with z_m the layer's output:

        CRoZe = Σ_m Z_m P_m G_m,   Z = 1 + cos(z, z^r),   P = 1 + cos(θ − γg, θ^r − γg^r),   G = |cos(g, g^r)|

    ``epsilon``: of FGSM, in units of pixel values in [0, 1]. x' stays in the range of valid pixels, which follows from
    how the images were normalised. Where that is unknown, images inside [0, 1] stay inside, and others keep the range
    of the batch in every channel. Takes three forward and backward passes, the second for the images only.

    >>> import torch
    >>> from torch import nn
    >>> network = nn.Linear(2, 2, bias=False)
    >>> batch = torch.tensor([[0.5, 0.25]]), torch.tensor([0])
    >>> round(CRoZe(beta=1e-9, epsilon=1e-9)(network, batch), 4)  # nothing is perturbed: Z = P = 2, G = 1
    4.0

    *Source:* Ha et al., Generalizable Lightweight Proxy for Robust NAS against Diverse Perturbations, arXiv 2306.05031.
    *Differs:* the published code is not the published formula; see `OfficialCRoZe`.
    """

    beta: float = 2.0
    gamma: float = 0.01
    epsilon: float = 8 / 255

    def __post_init__(self) -> None:
        require_positive("CRoZe", beta=self.beta, epsilon=self.epsilon)

    def examine(self, specimen: Specimen) -> dict[str, Tensor | float]:
        """The product of every layer; one that was not called contributes nothing."""
        layers, moved = specimen.layers, tensors(specimen.network)
        before = [weight.detach().clone() for weight in moved]
        clean = forward_backward(specimen, specimen.pixels, moved, layers)
        perturb(moved, clean.gradients, self.beta)
        images, normalisation = specimen.pixels, specimen.normalisation
        epsilon = self.epsilon / _channels(normalisation.std, images) if normalisation else self.epsilon
        attacked = fgsm(images, image_gradient(specimen, images), epsilon, *valid_range(images, normalisation))
        robust = forward_backward(specimen, attacked, moved, layers)
        place = {id(weight): number for number, weight in enumerate(moved)}
        found: dict[str, Tensor | float] = dict.fromkeys(layers, 0.0)
        for name in clean.features:
            i = place[id(layers[name].weight)]
            g, g_r = clean.gradients[i], robust.gradients[i]
            z = 1 + cosine(clean.features[name], robust.features[name])
            p = 1 + cosine(before[i] - self.gamma * g, moved[i].detach() - self.gamma * g_r)
            found[name] = z * p * cosine(g, g_r).abs()
        return found


def tensors(network: nn.Module) -> list[nn.Parameter]:
    """The weight tensors of more than one dimension: what is moved."""
    return [weight for weight in network.parameters() if weight.dim() > 1]


def forward_backward(
    specimen: Specimen, images: Tensor, weights: Sequence[Tensor], features: Mapping[str, nn.Module]
) -> Pass:
    """The gradients of the loss of these images by tensors, and the outputs of some modules."""
    torch.manual_seed(0)  # dropout drops the same in every pass
    with outputs(features) as found:
        loss = specimen.loss(images)
    return Pass(derivatives(loss, weights), {name: feature.detach() for name, feature in found.items()})


def image_gradient(specimen: Specimen, images: Tensor) -> Tensor:
    """The gradient of the loss by the images."""
    images = images.detach().requires_grad_(True)
    return forward_backward(specimen, images, [images], {}).gradients[0]


@torch.no_grad()
def perturb(weights: Sequence[Tensor], gradient: Sequence[Tensor], beta: float) -> None:
    """Move w by β‖w‖ · g/‖g‖, in place; tensors without a gradient stay."""
    for weight, g in zip(weights, gradient, strict=True):
        weight += beta * torch.linalg.vector_norm(weight) * unit(g)


def fgsm(images: Tensor, gradient: Tensor, epsilon: Tensor | float, low: Tensor, high: Tensor) -> Tensor:
    """The images moved by ε·sign(∇ₓCE), clamped."""
    return torch.clamp(images + epsilon * gradient.sign(), low, high)


def valid_range(images: Tensor, normalisation: Normalisation | None = None) -> tuple[Tensor, Tensor]:
    """The least and largest valid value, per channel where they differ."""
    if normalisation:
        shift, scale = _channels(normalisation.mean, images), _channels(normalisation.std, images)
        return (0 - shift) / scale, (1 - shift) / scale
    if images.min() >= 0 and images.max() <= 1:
        return images.new_zeros(()), images.new_ones(())
    axes = [0, *range(2, images.ndim)]
    return images.amin(axes, keepdim=True), images.amax(axes, keepdim=True)


def cosine(a: Tensor, b: Tensor, dim: int | None = None) -> Tensor:
    """The cosine of two tensors as vectors, or of all their vectors along one axis; 0 where a vector is 0."""
    if dim is None:
        return (unit(a) * unit(b)).sum()
    return (unit(a, dim) * unit(b, dim)).sum(dim)


def unit(vector: Tensor, dim: int | None = None) -> Tensor:
    """Divide by the length; 0 stays 0. Largest entries are divided out first, so that no square overflows."""
    tiny = torch.finfo(vector.dtype).tiny
    largest = vector.abs().amax() if dim is None else vector.abs().amax(dim, keepdim=True)
    scaled = vector / largest.clamp_min(tiny)
    length = torch.linalg.vector_norm(scaled, dim=dim, keepdim=dim is not None)
    found: Tensor = scaled / length.clamp_min(tiny)
    return found


def _channels(values: Sequence[float], images: Tensor) -> Tensor:
    if len(values) not in (1, images.shape[1]):
        raise ArchgradError(
            f"CRoZe: the images were normalised with {len(values)} numbers, but have {images.shape[1]} channels"
        )
    return torch.tensor(values, dtype=images.dtype, device=images.device).view(-1, *[1] * (images.ndim - 2))
