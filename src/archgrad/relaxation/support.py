"""What relaxations share: masks, temperatures, and random numbers that are the same within one step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Bool, Float
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


def candidates(group: str, context: Context) -> Bool[Tensor, "edges ops"] | None:
    """On the host, True for candidates that exist and have not been pruned; None where the context does not know."""
    pruned = context.masks.get(group)
    if context.supernet is None or group not in context.supernet.groups:
        return pruned
    existing = context.supernet.groups[group].mask
    return existing if pruned is None else existing & pruned


def support(group: str, context: Context) -> Bool[Tensor, "edges ops"] | None:
    """As `candidates`, with everything on edges that have no candidate left, where no distribution could live.

    `mixture_of` takes the weight of those edges away.
    """
    mask = candidates(group, context)
    return None if mask is None else mask | ~mask.any(-1, keepdim=True)


def masked(group: str, logits: Tensor, context: Context) -> Tensor:
    """Logits with −∞ where a candidate does not exist or has been pruned, on edges that have one left."""
    mask = support(group, context)
    return logits if mask is None else logits.masked_fill(~mask.to(logits.device, non_blocking=True), -torch.inf)


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
    """Weights ``[1 or sites, edges, ops]`` as a mixture that leaves out candidates that do not exist or are pruned."""
    spread, masks = {}, {}
    for group, w in weights.items():
        mask = candidates(group, context)
        if mask is not None and not bool(mask.all()):
            masks[group] = mask
            if not bool(mask.any(-1).all()):
                w = w.masked_fill(~mask.to(w.device, non_blocking=True), 0)
        spread[group] = w.expand(sites[group], -1, -1)
    return Mixture(spread).restricted(masks)


def hardened(mixture: Mixture) -> Mixture:
    """The one-hot mixture of the largest weights, with the gradient of the soft one; only the winners are computed.

    Which candidate won is read on the host, once per group.
    """
    weights, active = {}, {}
    for group, soft in mixture.items():
        winner = torch.zeros_like(soft).scatter(-1, soft.argmax(-1, keepdim=True), 1.0)
        if group in mixture.active:  # nobody wins where nothing is left
            winner = winner * mixture.active[group].to(winner, non_blocking=True)
        weights[group] = winner + soft - soft.detach()
        active[group] = winner.detach().bool().cpu()
    return Mixture(weights, active, mixture.extras)
