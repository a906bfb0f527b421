"""CRoZe: how consistent a network stays with a perturbed copy of itself on perturbed images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from archgrad.derivatives import derivatives
from archgrad.errors import ArchgradError, require_positive, unknown
from archgrad.proxies.layers import (
    Layer,
    absolute,
    cross_entropy,
    logits,
    numbers,
    outputs,
    remove_norm,
    weighted,
)
from archgrad.proxies.proxy import Measurement, Proxy
from archgrad.spaces.nasbench201 import NASBench201Network, Residual

MODES = ("paper", "official", "flattened")
EPSILON = {"paper": 8 / 255, "official": 0.01, "flattened": 0.01}


class Pass(NamedTuple):
    """One forward and backward pass: gradients of the moved weights, and features by layer."""

    gradients: list[Tensor]
    features: dict[str, Tensor]


@dataclass(frozen=True)
class CRoZe(Proxy):
    """Consistency of features, weights and gradients between a network and its perturbed copy on perturbed images.

    θ^r = θ + β‖θ‖·∇CE/‖∇CE‖ per weight tensor, x' = FGSM on f_{θ^r}; g and g^r are the gradients of CE(f_θ(x)) and
    CE(f_{θ^r}(x')). Summed over the convolutions and linear layers m:

        CRoZe = Σ_m Z_m P_m G_m,   Z = 1 + cos(z, z^r),   P = 1 + cos(θ − γg, θ^r − γg^r),   G = |cos(g, g^r)|

    with z_m the layer's output. ``mode``: ``"paper"`` is this. ``"official"`` is what the authors released: a copy
    without BN and with absolute weights in double precision, P between θ and θ^r, x' on the other side of x and clamped
    to [0, 1], g^r with the gradient at x added to it, cosines over the first axis, summed over all positions.
    ``"flattened"`` is that with one cosine per layer. The sums of ``"official"`` grow with the layers' sizes.

    ``epsilon``: in units of pixel values in [0, 1]; 8/255, or 0.01 as released. ``mean``, ``std``: how the images were
    normalised, for paper mode, which keeps x' in the range of valid pixels. Without them images inside [0, 1] stay
    inside, and others keep the range of the batch in every channel.

    Mode paper takes three forward and backward passes, the second for the images only.

    *Source:* Ha et al., Generalizable Lightweight Proxy for Robust NAS against Diverse Perturbations, arXiv 2306.05031.
    *Differs:* the published code is not the published formula: ``"official"`` against ``"paper"``.
    """

    mode: str = "paper"
    beta: float = 2.0
    gamma: float = 0.01
    epsilon: float | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise unknown("mode of CRoZe", self.mode, MODES)
        if len(self.mean) != len(self.std):
            raise ArchgradError("CRoZe: give both mean and std, one number per channel each")
        require_positive("CRoZe", beta=self.beta, epsilon=self.epsilon_used)

    @property
    def epsilon_used(self) -> float:
        """ε, that of the mode by default."""
        return EPSILON[self.mode] if self.epsilon is None else self.epsilon

    @property
    def dtype(self) -> torch.dtype | None:  # type: ignore[override]
        """As released without BN, logits exceed single precision."""
        return None if self.mode == "paper" else torch.float64

    def evaluate(
        self, network: nn.Module, images: Float[Tensor, "batch ..."], labels: Int[Tensor, " batch"]
    ) -> Measurement:
        """The sum over layers."""
        if self.mode == "paper":
            return self._paper(network, images, labels)
        return released(network, images, labels, self.beta, self.epsilon_used)[self.mode]

    def _paper(self, network: nn.Module, images: Tensor, labels: Tensor) -> Measurement:
        layers = weighted(network)
        features: dict[str, nn.Module] = dict(layers)
        moved = tensors(network)
        before = [weight.detach().clone() for weight in moved]
        clean = forward_backward(network, images, labels, moved, features)
        perturb(moved, clean.gradients, self.beta)
        attacked = fgsm(
            images,
            image_gradient(network, images, labels),
            self._epsilon_of(images),
            *valid_range(images, self.mean, self.std),
        )
        robust = forward_backward(network, attacked, labels, moved, features)
        place = {id(weight): number for number, weight in enumerate(moved)}
        names: list[str] = []
        values: list[Tensor] = []
        for name, layer in layers.items():
            if name not in clean.features or name not in robust.features:
                continue  # a layer that was not called contributes nothing
            i = place[id(layer.weight)]
            g, g_r = clean.gradients[i], robust.gradients[i]
            z = 1 + cosine(clean.features[name], robust.features[name])
            p = 1 + cosine(before[i] - self.gamma * g, moved[i].detach() - self.gamma * g_r)
            names.append(name)
            values.append(z * p * cosine(g, g_r).abs())
        found = {**dict.fromkeys(layers, 0.0), **dict(zip(names, numbers(values), strict=True))}
        return Measurement(sum(found.values()), found)

    def _epsilon_of(self, images: Tensor) -> Tensor | float:
        """ε in the units of the images."""
        return self.epsilon_used / _channels(self.std, images) if self.std else self.epsilon_used


def released(
    network: nn.Module, images: Tensor, labels: Tensor, beta: float = 2.0, epsilon: float = 0.01
) -> dict[str, Measurement]:
    """Both modes of the published code at once: they share everything but the cosines. Changes the network."""
    remove_norm(network, keep=(Residual,))
    absolute(network)
    layers, moved = weighted(network), tensors(network)
    stages, stage_of = feature_stages(network, layers)
    before = [weight.detach().clone() for weight in moved]
    clean = forward_backward(network, images, labels, moved, stages)
    perturb(moved, clean.gradients, beta)
    at_images = forward_backward(network, images, labels, moved, {}, with_images=True)
    *kept, by_images = at_images.gradients
    attacked = (images - epsilon * by_images.sign()).clamp(0, 1)
    last = forward_backward(network, attacked, labels, moved, stages)
    robust = [a + b for a, b in zip(kept, last.gradients, strict=True)]
    place = {id(weight): number for number, weight in enumerate(moved)}
    found: dict[str, dict[str, float]] = {"official": {}, "flattened": {}}
    for name, layer in layers.items():
        i, stage = place[id(layer.weight)], stage_of[name]
        if stage not in clean.features or stage not in last.features:
            found["official"][name] = found["flattened"][name] = 0.0
            continue
        pairs = (
            (moved[i].detach(), before[i]),
            (robust[i], clean.gradients[i]),
            (last.features[stage], clean.features[stage]),
        )
        for mode, dim in (("official", 0), ("flattened", None)):
            p, g, z = (cosine(a, b, dim) for a, b in pairs)
            contribution = (1 + p).sum() * g.abs().sum() * (1 + z).sum()
            found[mode][name] = abs(float(contribution))
    return {mode: Measurement(sum(values.values()), values) for mode, values in found.items()}


def feature_stages(network: nn.Module, layers: dict[str, Layer]) -> tuple[dict[str, nn.Module], dict[str, str]]:
    """Modules whose outputs are features, and for every layer the name of its feature.

    NAS-Bench-201 as released: stem, both reductions, the last cell, and the pooled map; with N cells per stage, what
    stands behind k cells belongs to feature k // N, the classifier to the last one. Elsewhere a layer's own output.
    """
    if not isinstance(network, NASBench201Network):
        return dict(layers), {name: name for name in layers}
    children = list(network.stages.named_children())
    per_stage = sum(not isinstance(child, Residual) for _, child in children) // 3
    ends: dict[str, nn.Module] = {"stem": network.stem}
    ends |= {f"stages.{name}": child for name, child in children if isinstance(child, Residual)}
    ends[f"stages.{children[-1][0]}"] = children[-1][1]
    ends["pool"] = network.pool
    names = list(ends)
    stage_of: dict[str, str] = {}
    cells = 0
    behind: dict[str, int] = {}
    for name, child in children:
        cells += not isinstance(child, Residual)
        behind[name] = cells
    for name in layers:
        parts = name.split(".")
        if parts[0] == "stages":
            stage_of[name] = names[behind[parts[1]] // per_stage]
        else:
            stage_of[name] = names[0] if parts[0] == "stem" else names[-1]
    return ends, stage_of


def tensors(network: nn.Module) -> list[nn.Parameter]:
    """The weight tensors of more than one dimension: what is moved."""
    return [weight for weight in network.parameters() if weight.dim() > 1]


def forward_backward(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    weights: Sequence[Tensor],
    features: dict[str, nn.Module],
    with_images: bool = False,
) -> Pass:
    """Gradients of the cross-entropy and outputs of some modules; ``with_images``: the images' gradient as well."""
    torch.manual_seed(0)  # dropout drops the same in every pass
    if with_images:
        images = images.detach().requires_grad_(True)
    with outputs(features) as found:
        loss = cross_entropy(logits(network, images), labels)
    wanted = [*weights, images] if with_images else list(weights)
    return Pass(derivatives(loss, wanted), {name: feature.detach() for name, feature in found.items()})


def image_gradient(network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """The gradient of the cross-entropy by the images."""
    return forward_backward(network, images, labels, [], {}, with_images=True).gradients[0]


@torch.no_grad()
def perturb(weights: Sequence[Tensor], gradient: Sequence[Tensor], beta: float) -> None:
    """Move w by β‖w‖ · g/‖g‖, in place; tensors without a gradient stay."""
    for weight, g in zip(weights, gradient, strict=True):
        weight += beta * torch.linalg.vector_norm(weight) * unit(g)


def fgsm(images: Tensor, gradient: Tensor, epsilon: Tensor | float, low: Tensor, high: Tensor) -> Tensor:
    """The images moved by ε·sign(∇ₓCE), clamped."""
    return torch.clamp(images + epsilon * gradient.sign(), low, high)


def valid_range(images: Tensor, mean: Sequence[float] = (), std: Sequence[float] = ()) -> tuple[Tensor, Tensor]:
    """The least and largest valid value, per channel where they differ."""
    if std:
        shift, scale = _channels(mean, images), _channels(std, images)
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
        raise ArchgradError(f"CRoZe: mean and std have {len(values)} numbers, the images {images.shape[1]} channels")
    return torch.tensor(values, dtype=images.dtype, device=images.device).view(-1, *[1] * (images.ndim - 2))
