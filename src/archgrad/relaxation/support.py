"""What relaxations share: masks, temperatures, and random numbers that are the same within one step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from archgrad.components import Context
from archgrad.errors import ArchgradError
from archgrad.mixture import Mixture
from archgrad.schedules.anneal import Anneal, value_at

Per = Literal["step", "epoch", "site"]
"""How often is drawn: once per step for all sites, once per epoch for all sites, or once per step for every site."""


def check_temperature(owner: str, temperature: float | Anneal) -> None:
    """Refuse temperatures that are not above 0 throughout."""
    ends = (temperature.start, temperature.end) if isinstance(temperature, Anneal) else (temperature,)
    if not all(value > 0 for value in ends):
        raise ArchgradError(f"{owner}: the temperature must stay above 0, got {temperature!r}")


def check_per(owner: str, per: str) -> None:
    """Refuse unknown sampling intervals."""
    if per not in ("step", "epoch", "site"):
        raise ArchgradError(f"{owner}: per must be 'step', 'epoch' or 'site', got {per!r}")


def temperature_at(temperature: float | Anneal, context: Context) -> float:
    """The temperature now."""
    return value_at(temperature, context.clock)


def masked(group: str, logits: Tensor, context: Context) -> Tensor:
    """Logits with −∞ where a candidate does not exist or has been pruned."""
    if group not in context.masks:
        return logits
    return logits.masked_fill(~context.masks[group].to(logits.device, non_blocking=True), -torch.inf)


def uniform(group: str, alpha: Tensor, sites: int, per: Per, context: Context) -> Float[Tensor, "sites edges ops"]:
    """Uniform numbers in (0, 1) for the candidates of a group; the first axis is 1 unless drawn per site."""
    if per == "epoch":
        context = replace(context, clock=replace(context.clock, step=0))
    shape = (sites if per == "site" else 1, *alpha.shape)
    drawn = torch.rand(shape, generator=context.generator(f"relaxation {group}"), dtype=torch.float64)
    tiny = torch.finfo(torch.float64).tiny
    return drawn.clamp_(tiny, 1 - 2**-53).to(alpha, non_blocking=True)


def gumbel(group: str, alpha: Tensor, sites: int, per: Per, context: Context) -> Float[Tensor, "sites edges ops"]:
    """Standard Gumbel numbers −log(−log u)."""
    return -torch.log(-torch.log(uniform(group, alpha, sites, per, context)))


def mixture_of(weights: Mapping[str, Tensor], sites: Mapping[str, int], context: Context) -> Mixture:
    """Weights ``[1 or sites, edges, ops]`` as a mixture that leaves pruned candidates out."""
    spread = {group: w.expand(sites[group], -1, -1) for group, w in weights.items()}
    return Mixture(spread).restricted({g: mask for g, mask in context.masks.items() if not bool(mask.all())})


def hardened(mixture: Mixture) -> Mixture:
    """The one-hot mixture of the largest weights, with the gradient of the soft one; only the winners are computed.

    Which candidate won is read on the host, once per group.
    """
    weights, active = {}, {}
    for group, soft in mixture.items():
        winner = torch.zeros_like(soft).scatter(-1, soft.argmax(-1, keepdim=True), 1.0)
        weights[group] = winner + soft - soft.detach()
        active[group] = winner.detach().bool().cpu()
    return Mixture(weights, active, mixture.extras)
