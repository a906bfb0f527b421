"""The regulariser of FairDARTS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Bool, Float
from torch import Tensor

from archgrad.anneal import Anneal
from archgrad.devices import placed
from archgrad.errors import ArchgradError
from archgrad.roles import MeanOverEdges


@dataclass(frozen=True)
class ZeroOne(MeanOverEdges):
    """Pushes weights to 0 or 1, by their distances from ½ over the N existing entries of all groups.

    ``l2``: −(weight/N) Σ (σ(α) − ½)²; ``l1``: −(weight/N) Σ |σ(α) − ½|.

    *Source:* FairDARTS, arXiv 1911.12126, equation 4 (weight 10); its program has both, and squares by default.
    """

    weight: float | Anneal = 10.0
    distance: Literal["l2", "l1"] = "l2"

    def __post_init__(self) -> None:
        if self.distance not in ("l2", "l1"):
            raise ArchgradError(f"ZeroOne: distance must be 'l2' or 'l1', got {self.distance!r}")

    def values(
        self,
        alpha: Float[Tensor, "edges ops"],
        weights: Float[Tensor, "sites edges ops"],
        exists: Bool[Tensor, "edges ops"],
    ) -> Float[Tensor, " entries"]:
        entries = placed(exists.flatten().nonzero()[:, 0], alpha.device)
        away = alpha.flatten()[entries].sigmoid() - 0.5
        return -(away.square() if self.distance == "l2" else away.abs())
