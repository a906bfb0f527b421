"""Relaxations: alphas → mixture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from archgrad.anneal import Anneal, ends
from archgrad.context import Alphas, Clock, Context
from archgrad.devices import fetched, placed
from archgrad.errors import ArchgradError
from archgrad.mixture import Mixture

Per = Literal["step", "epoch", "site"]
"""How often numbers are drawn: once per step or once per epoch for all sites, or once per step for every site."""


@dataclass(frozen=True)
class Now:
    """One group in one step: the clock, and random numbers that are the same whenever they are drawn in one step."""

    group: str
    sites: int
    context: Context

    @property
    def clock(self) -> Clock:
        """Epoch and step."""
        return self.context.clock

    def uniform(self, alpha: Float[Tensor, "edges ops"], per: Per = "step") -> Float[Tensor, "draws edges ops"]:
        """Uniform numbers in (0, 1), as many as alphas; one draw, or one for every site where ``per`` says so."""
        context = self.context.of_epoch() if per == "epoch" else self.context
        shape = (self.sites if per == "site" else 1, *alpha.shape)
        drawn = torch.rand(shape, generator=context.generator(f"relaxation {self.group}"), dtype=torch.float64)
        tiny = torch.finfo(torch.float64).tiny
        return placed(drawn.clamp_(tiny, 1 - 2**-53), alpha.device, alpha.dtype)

    def gumbel(self, alpha: Float[Tensor, "edges ops"], per: Per = "step") -> Float[Tensor, "draws edges ops"]:
        """Standard Gumbel numbers, −log(−log u)."""
        return -torch.log(-torch.log(self.uniform(alpha, per)))


class Relaxation:
    """Turns alphas into the weights of a mixture.

    A relaxation is its formula, `weights`. Missing and pruned candidates, the sites of a group, and what need not be
    computed are taken care of here; one that decides several groups together replaces ``__call__`` instead.
    """

    hard = False  # no annotation: jsonargparse would read it with the names of the subclass' module
    """Whether only the candidate with the largest weight is computed, with weight 1 and the gradient of the formula."""

    def weights(
        self, alpha: Float[Tensor, "edges ops"], now: Now
    ) -> Float[Tensor, "edges ops"] | Float[Tensor, "draws edges ops"]:
        """The weights of one group; with a first axis of 1 or ``now.sites`` where they were drawn.

        ``alpha`` is −∞ where a candidate does not exist or has been pruned, on edges that have one left; whatever
        weight the formula gives such a candidate is set to 0.
        """
        raise ArchgradError(f"{type(self).__name__}: a relaxation needs a formula: def weights(self, alpha, now)")

    def __call__(self, alphas: Alphas, sites: Mapping[str, int], context: Context | None = None) -> Mixture:
        """From alphas ``[edges, ops]`` per group to a mixture ``[sites, edges, ops]``."""
        context = context or Context()
        weights, active = {}, {}
        for group, alpha in alphas.items():
            mask = context.candidates(group)
            mask = None if mask is None or bool(mask.all()) else mask
            found = self.weights(masked(alpha, mask), Now(group, sites[group], context))
            self._check(group, found, alpha)
            if mask is not None:
                found = found.masked_fill(~placed(mask, found.device), 0)
                active[group] = mask.expand(sites[group], -1, -1)
                if context.clock.epoch == context.clock.step == 0:  # once per run: looking waits for the device
                    self._require_numbers(group, found)
            weights[group] = found.expand(sites[group], -1, -1)
        mixture = Mixture(weights, active)
        return hardened(mixture) if self.hard else mixture

    def _check(self, group: str, found: Tensor, alpha: Tensor) -> None:
        if found.shape[-2:] != alpha.shape or found.dim() > 3:
            raise ArchgradError(
                f"{type(self).__name__}: weights of group {group!r} must have the shape of its alphas, "
                f"{list(alpha.shape)}, or an axis of draws before it, got {list(found.shape)}"
            )

    def _require_numbers(self, group: str, found: Tensor) -> None:
        if not bool(found.isfinite().all()):
            raise ArchgradError(
                f"{type(self).__name__}: weights of group {group!r} are not finite; its alphas are −∞ where an edge "
                "lacks a candidate: let the formula give that one a weight of 0"
            )


def masked(alpha: Float[Tensor, "edges ops"], mask: Bool[Tensor, "edges ops"] | None) -> Float[Tensor, "edges ops"]:
    """Alphas with −∞ where the mask (on the host) is False; edges of which nothing is left stay as they are.

    No distribution could live on such an edge; its weights are taken away afterwards.
    """
    if mask is None:
        return alpha
    closed = ~(mask | ~mask.any(-1, keepdim=True))
    return alpha.masked_fill(placed(closed, alpha.device), -torch.inf)


def hardened(mixture: Mixture) -> Mixture:
    """The one-hot mixture of the largest weights, with the gradient of the soft one; only the winners are computed.

    Which candidates won is read on the host, in one transfer for all groups.
    """
    weights, winners = {}, {}
    for group, soft in mixture.items():
        winner = torch.zeros_like(soft).scatter(-1, soft.argmax(-1, keepdim=True), 1.0)
        if group in mixture.active:  # nobody wins where nothing is left
            winner = winner * placed(mixture.active[group], winner.device, winner.dtype)
        weights[group] = winner + soft - soft.detach()
        winners[group] = winner.detach().bool()
    active = dict(zip(winners, fetched(list(winners.values())), strict=True))
    return Mixture(weights, active, mixture.extras)


def require_temperature(owner: str, temperature: float | Anneal) -> None:
    """Refuse temperatures that are not above 0 throughout."""
    if not all(value > 0 for value in ends(temperature)):
        raise ArchgradError(f"{owner}: the temperature must stay above 0, got {temperature!r}")


def require_per(owner: str, per: str) -> None:
    """Refuse unknown sampling intervals."""
    if per not in ("step", "epoch", "site"):
        raise ArchgradError(f"{owner}: per must be 'step', 'epoch' or 'site', got {per!r}")
