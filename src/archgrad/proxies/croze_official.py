"""CRoZe as its authors released it, which is not the formula that they published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from archgrad.errors import require_positive
from archgrad.proxies.croze import cosine, forward_backward, perturb, tensors
from archgrad.proxies.layers import Layer, absolute, remove_norm
from archgrad.proxies.proxy import Proxy
from archgrad.proxies.published import add_biases
from archgrad.proxies.specimen import Specimen
from archgrad.spaces.darts import DartsNetwork
from archgrad.spaces.nasbench201 import NASBench201Network, Residual


@dataclass(frozen=True)
class OfficialCRoZe(Proxy):
    """`CRoZe` as released: Σ_m |Σ(1 + cos(θ, θ^r)) · Σ|cos(g, g^r)| · Σ(1 + cos(z, z^r))|, all cosines over axis 0.

    The inner sums are over all other positions, so that they grow with the layers' sizes. On a copy without BN and with
    absolute weights, in double precision, since logits exceed single precision without BN. x' lies on the other side of
    x and is clamped to [0, 1], and g^r has the gradient at x added to it. Of NAS-Bench-201 z are five features, that of
    the stem, those behind each stage and the pooled one; of DARTS networks those of the stem and of each cell, and the
    pooled one; elsewhere, where no program was published, a layer's own output.

    Two accidents of the program, which are not in the paper, change scores of NAS-Bench-201 by up to 2 %:
    ``inplace_head``: the head's ReLU works in place and so overwrites the feature behind stage 3.
    ``biases``: convolutions of the cells have biases, here drawn from ``seed`` as torch initialises them, where the
    network has none.

    >>> import torch
    >>> from torch import nn
    >>> network = nn.Linear(3, 2, bias=False)
    >>> batch = torch.ones(4, 3) / 2, torch.tensor([0, 0, 0, 0])
    >>> round(OfficialCRoZe(beta=1e-300, epsilon=1e-300)(network, batch), 4)  # 2 · 3 positions, 3, and 2 · 2
    72.0

    *Source:* the published code of Ha et al., arXiv 2306.05031.
    """

    beta: float = 2.0
    epsilon: float = 0.01
    inplace_head: bool = True
    biases: bool = True
    seed: int = 0

    dtype: ClassVar[torch.dtype | None] = torch.float64
    axis: ClassVar[int | None] = 0

    def __post_init__(self) -> None:
        require_positive(type(self).__name__, beta=self.beta, epsilon=self.epsilon)

    def examine(self, specimen: Specimen) -> dict[str, Tensor | float]:
        """The product of every layer; one that was not called contributes nothing."""
        biases = self.seed if self.biases else None
        pairs = specimen.once(compared, self.beta, self.epsilon, self.inplace_head, biases)
        found: dict[str, Tensor | float] = dict.fromkeys(pairs, 0.0)
        for name, pair in pairs.items():
            if pair:
                p, g, z = (cosine(a, b, self.axis) for a, b in pair)
                found[name] = ((1 + p).sum() * g.abs().sum() * (1 + z).sum()).abs()
        return found


@dataclass(frozen=True)
class FlatCRoZe(OfficialCRoZe):
    """`OfficialCRoZe` with one cosine per layer, of the flattened tensors: it does not grow with the layers' sizes.

    The two accidents of the program are left out, unless they are asked for.

    >>> import torch
    >>> from torch import nn
    >>> network = nn.Linear(3, 2, bias=False)
    >>> batch = torch.ones(4, 3) / 2, torch.tensor([0, 0, 0, 0])
    >>> round(FlatCRoZe(beta=1e-300, epsilon=1e-300)(network, batch), 4)
    4.0

    *Source:* the published code of Ha et al., arXiv 2306.05031. *Differs:* the cosines, as the paper has them.
    """

    inplace_head: bool = False
    biases: bool = False

    axis: ClassVar[int | None] = None


Pair = tuple[Tensor, Tensor]


def compared(
    specimen: Specimen, beta: float, epsilon: float, inplace_head: bool, biases: int | None
) -> dict[str, tuple[Pair, Pair, Pair] | None]:
    """For every layer what is compared: weights, gradients and features, each perturbed and clean.

    None for layers whose feature was not computed. ``biases``: the seed of those that the program adds. Changes the
    copy.
    """
    network, clean_images = specimen.network, specimen.pixels
    remove_norm(network, keep=(Residual,))
    if biases is not None:
        add_biases(network, biases)
    absolute(network)
    layers, moved = specimen.layers, tensors(network)
    stages, stage_of = feature_stages(network, layers, inplace_head)
    before = [weight.detach().clone() for weight in moved]
    clean = forward_backward(specimen, clean_images, moved, stages)
    perturb(moved, clean.gradients, beta)
    images = clean_images.detach().requires_grad_(True)
    *kept, by_images = forward_backward(specimen, images, [*moved, images], {}).gradients
    attacked = (images.detach() - epsilon * by_images.sign()).clamp(0, 1)
    last = forward_backward(specimen, attacked, moved, stages)
    place = {id(weight): number for number, weight in enumerate(moved)}

    def pairs(name: str) -> tuple[Pair, Pair, Pair] | None:
        i, stage = place[id(layers[name].weight)], stage_of[name]
        if stage not in clean.features:
            return None
        weights = moved[i].detach(), before[i]
        gradients = kept[i] + last.gradients[i], clean.gradients[i]
        return weights, gradients, (last.features[stage], clean.features[stage])

    return {name: pairs(name) for name in layers}


def feature_stages(
    network: nn.Module, layers: Mapping[str, Layer], inplace_head: bool = True
) -> tuple[dict[str, nn.Module], dict[str, str]]:
    """Modules whose outputs are features, and for every layer the name of its feature.

    NAS-Bench-201 as released: stem, both reductions, the last cell (or, with ``inplace_head``, the ReLU behind it), and
    the pooled map; with N cells per stage, what stands behind k cells belongs to feature k // N, the classifier to the
    last one. DARTS as released: stem, every cell for its own layers, and the pooled map for the classifier. Elsewhere a
    layer's own output.
    """
    if isinstance(network, NASBench201Network):
        ends, feature_of = _of_stages(network, inplace_head)
    elif isinstance(network, DartsNetwork):
        ends, feature_of = _of_cells(network)
    else:
        return dict(layers), {name: name for name in layers}
    first, *_, last = ends

    def feature(layer: str) -> str:
        part, number = layer.split(".")[:2] if "." in layer else (layer, "")
        return first if part == "stem" else feature_of.get(f"{part}.{number}", last)

    return ends, {name: feature(name) for name in layers}


def _of_stages(network: NASBench201Network, inplace_head: bool) -> tuple[dict[str, nn.Module], dict[str, str]]:
    """The features of NAS-Bench-201, and which of them belongs to each module of the stages."""
    children = {f"stages.{name}": child for name, child in network.stages.named_children()}
    per_stage = sum(not isinstance(child, Residual) for child in children.values()) // 3
    ends: dict[str, nn.Module] = {"stem": network.stem}
    ends |= {name: child for name, child in children.items() if isinstance(child, Residual)}
    behind = list(children)[-1]
    ends |= {"last": network.last} if inplace_head else {behind: children[behind]}
    ends["pool"] = network.pool
    names, cells, feature_of = list(ends), 0, {}
    for name, child in children.items():
        cells += not isinstance(child, Residual)
        feature_of[name] = names[cells // per_stage]
    return ends, feature_of


def _of_cells(network: DartsNetwork) -> tuple[dict[str, nn.Module], dict[str, str]]:
    """The features of DARTS networks: those that the first cell and every further one read, and the pooled one."""
    cells = {f"cells.{name}": cell for name, cell in network.cells.named_children()}
    stem = list(network.stem.named_children())[-1]
    ends = {f"stem.{stem[0]}": stem[1], **cells, "pool": network.pool}
    return ends, {name: name for name in cells}
