"""The modifier of PC-DARTS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from archgrad.engine.candidates import cells
from archgrad.errors import require_positive
from archgrad.roles import Modifier
from archgrad.supernet import Supernet


@dataclass(frozen=True)
class PartialChannels(Modifier):
    """Candidates see 1/K of the channels; the others pass by the edge, and the channels of a node are shuffled.

    state_j = shuffle(cat(Σ_i Σ_o w_{ij,o} · o(x_i[:C/K]), Σ_i x_i[C/K:])); where an edge halves the map, what passes by
    is max-pooled. ``share``: K; 1 changes nothing. ``random``: which channels is drawn in every forward pass of a
    training step instead of always the first. `State.rebuild` with ``share`` widens the candidates in mid-search.

    *Source:* PC-DARTS, arXiv 1907.05737, section 3.2 and its published code (K = 4, fixed channels).
    """

    rebuilds = True

    share: int = 4
    random: bool = False

    def __post_init__(self) -> None:
        require_positive("PartialChannels", share=self.share)

    def prepare(self, supernet: Supernet, size: Mapping[str, int]) -> None:
        for cell in cells("PartialChannels", supernet.network):
            cell.narrow(size.get("share", self.share), self.random)
