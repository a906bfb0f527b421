"""How decided the alphas are at the end of a search, and what to say where they are not."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from archgrad.context import Alphas, Context
from archgrad.formulas.dirichlet import concentrations
from archgrad.formulas.settling import shares
from archgrad.genotype import Group
from archgrad.relaxation import Composite, Dirichlet, Sigmoid
from archgrad.roles import Relaxation

MOVED = 1.25
"""The largest weight, in units of the uniform one, from which on alphas have moved; published ones end far above."""
GATE_MOVED = 0.05
"""The same for independent weights σ(α), as a distance from their start ½."""
NOISE = 2.0
"""An edge is decided where the margin of its alphas is this many standard deviations of what noise alone does."""


@dataclass(frozen=True)
class Decision:
    """How far the winners are ahead on ``edges`` edges that had something to decide.

    ``largest``: the largest weight, beside ``uniform``, what it would be if nothing had moved; of the edge where they
    differ most. ``margin`` and ``smallest_margin``: by how much the weight of the last candidate that stays exceeds the
    first that goes, the median over the edges and the smallest; ``alpha_margin``, the median of the same in alphas.
    ``noise``: by how much ``steps`` steps of Adam move an alpha whose gradient is noise alone, lr · √steps; on
    ``undecided`` edges the margin of the alphas is below twice that.
    """

    edges: int
    largest: float
    uniform: float
    margin: float
    smallest_margin: float
    alpha_margin: float
    noise: float
    undecided: int
    steps: int
    lr: float
    moved: bool

    @property
    def verdict(self) -> Literal["hardly moved", "within noise"] | None:
        """What is wrong with taking the genotype for a result; None where nothing is."""
        if not self.moved:
            return "hardly moved"
        return "within noise" if 2 * self.undecided > self.edges else None

    def text(self, auto: float | None = None) -> str | None:
        """The verdict in words; ``auto``: the learning rate that "auto" would be, where it is known."""
        if self.verdict == "hardly moved":
            larger = auto is not None and auto > self.lr
            hint = f" (auto would be {auto:.3g} here, not {self.lr:.3g})" if larger else ""
            return (
                f"The weights have hardly moved: the largest is {self.largest:.4f} where {self.uniform:.4f} is "
                f"uniform, and on half of the edges the winner is ahead by {self.margin:.2g} at most. This genotype is "
                f"close to a coin toss: raise --alpha_lr{hint}, or search longer."
            )
        if self.verdict == "within noise":
            return (
                f"On {self.undecided} of {self.edges} edges the winner is ahead by less than {self.steps:,} noisy "
                f"steps would put it ({NOISE * self.noise:.2g} in alpha). Another seed may well choose otherwise: "
                "search longer; a larger --alpha_lr does not help."
            )
        return None


def decision(relaxation: Relaxation, alphas: Alphas, context: Context, lr: float, steps: int) -> Decision | None:
    """How decided these alphas are after some steps of Adam; None where there were none, or nothing to decide."""
    supernet = context.supernet
    assert supernet is not None
    rows = []
    for name, group in supernet.groups.items():
        left = context.candidates(name)
        assert left is not None  # the supernet knows its groups
        rows += _rows(group, alphas[name].detach().cpu().double(), left, relaxation)
    if not rows or not steps:
        return None
    noise = lr * math.sqrt(steps)
    widest = max(rows, key=lambda row: row.largest / row.uniform)
    gates = isinstance(_innermost(relaxation), Sigmoid)
    return Decision(
        edges=len(rows),
        largest=widest.largest,
        uniform=widest.uniform,
        margin=statistics.median(row.margin for row in rows),
        smallest_margin=min(row.margin for row in rows),
        alpha_margin=statistics.median(row.alpha_margin for row in rows),
        noise=noise,
        undecided=sum(row.alpha_margin < NOISE * noise for row in rows),
        steps=steps,
        lr=lr,
        moved=any(row.travel >= GATE_MOVED if gates else row.largest >= MOVED * row.uniform for row in rows),
    )


class _Row(NamedTuple):
    """One edge; ``travel``: how far any of its weights is from ½."""

    largest: float
    uniform: float
    margin: float
    alpha_margin: float
    travel: float


def _rows(
    group: Group, alpha: Float[Tensor, "edges ops"], left: Bool[Tensor, "edges ops"], relaxation: Relaxation
) -> list[_Row]:
    weights, gates = weights_of(relaxation, alpha, left), isinstance(_innermost(relaxation), Sigmoid)
    rows = []
    for edge in range(len(group.edges)):
        names, still = group.selectable(edge), left[edge].tolist()
        may = [o for o, op in enumerate(group.operations) if still[o] and op in names]
        if len(may) > group.select:
            order = sorted(may, key=lambda o: -float(alpha[edge, o]))
            stays, goes = order[group.select - 1], order[group.select]
            there = weights[edge][left[edge]]
            margin, alpha_margin = (float(of[edge, stays] - of[edge, goes]) for of in (weights, alpha))
            uniform = 0.5 if gates else 1 / sum(still)
            travel = float((there - 0.5).abs().max())
            rows.append(_Row(float(there.max()), uniform, margin, alpha_margin, travel))
    return rows


def weights_of(
    relaxation: Relaxation, alpha: Float[Tensor, "edges ops"], left: Bool[Tensor, "edges ops"]
) -> Float[Tensor, "edges ops"]:
    """The weights that a relaxation gives on average, without its draws: σ(α), Dirichlet's mean, or softmax(α)."""
    inner = _innermost(relaxation)
    if isinstance(inner, Sigmoid):
        return alpha.sigmoid() * left
    if isinstance(inner, Dirichlet):
        concentration = concentrations(alpha) * left
        return concentration / concentration.sum(-1, keepdim=True).clamp_min(torch.finfo(alpha.dtype).tiny)
    return shares(alpha, left)


def _innermost(relaxation: Relaxation) -> Relaxation:
    return _innermost(relaxation.inner) if isinstance(relaxation, Composite) else relaxation
