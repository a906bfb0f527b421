"""The regulariser of DrNAS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Bool, Float
from torch import Tensor

from archgrad.anneal import Anneal
from archgrad.devices import placed
from archgrad.errors import ArchgradError
from archgrad.formulas.dirichlet import concentrations
from archgrad.roles import SumOverEdges


@dataclass(frozen=True)
class DirichletAnchor(SumOverEdges):
    """Keeps Dirichlet(elu(α) + 1) near Dirichlet(1), the uniform distribution of mixtures.

    ``kl``: weight · sum over edges of KL(Dirichlet(elu(α)+1) ‖ Dirichlet(1)), over the candidates that an edge has;
    ``l2``: weight · sum over edges of ‖elu(α)‖².

    *Source:* DrNAS, arXiv 2006.10355, section 3.2; its program, with ``--reg_type kl``: weight 1e-3, the sum over the
    edges of both kinds of cells, and no weight decay of the alphas beside it.
    """

    weight: float | Anneal = 1e-3
    distance: Literal["kl", "l2"] = "kl"

    def __post_init__(self) -> None:
        if self.distance not in ("kl", "l2"):
            raise ArchgradError(f"DirichletAnchor: distance must be 'kl' or 'l2', got {self.distance!r}")

    def values(
        self,
        alpha: Float[Tensor, "edges ops"],
        weights: Float[Tensor, "sites edges ops"],
        exists: Bool[Tensor, "edges ops"],
    ) -> Float[Tensor, " edges"]:
        mask = placed(exists, alpha.device)
        c = concentrations(alpha).where(mask, 1.0)  # at 1 every summand below vanishes
        if self.distance == "l2":
            return (c - 1).square().sum(-1)
        total, count = (c * mask).sum(-1), mask.sum(-1).to(c)
        shift = ((c - 1) * (c.digamma() - total.digamma()[:, None])).sum(-1)
        return total.lgamma() - c.lgamma().sum(-1) - count.lgamma() + shift
