"""The modifier of PC-DARTS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from archgrad.choice import Choice
from archgrad.engine import Cell
from archgrad.engine.candidates import cells_of, choices_of, lacking
from archgrad.errors import require_positive
from archgrad.roles import Modifier
from archgrad.supernet import Supernet


@dataclass(frozen=True)
class PartialChannels(Modifier):
    """Candidates see 1/K of the channels; the others pass by the edge, and the channels of a node are shuffled.

    state_j = shuffle(cat(Σ_i Σ_o w_{ij,o} · o(x_i[:C/K]), Σ_i x_i[C/K:])); where an edge halves the map, what passes by
    is max-pooled. ``share``: K; 1 changes nothing. ``random``: which channels is drawn in every forward pass of a
    training step instead of always the first. `State.rebuild` with ``share`` widens the candidates in mid-search.

    A `Choice` outside of cells computes shuffle(cat(Σ_o w_o · o(x[:C/K]), x[C/K:])) where its candidates are made by a
    function of the channels, and is left alone otherwise.

    *Source:* PC-DARTS, arXiv 1907.05737, section 3.2 and its published code (K = 4, fixed channels).
    """

    rebuilds = True
    needs = "cells, or choices whose candidates are made by a function of the channels, Choice(function, channels=…)"

    share: int = 4
    random: bool = False

    def __post_init__(self) -> None:
        require_positive("PartialChannels", share=self.share)

    def prepare(self, supernet: Supernet, size: Mapping[str, int]) -> None:
        network = supernet.network
        sites: list[Cell | Choice] = [
            *cells_of(network),
            *(choice for choice in choices_of(network) if choice.make is not None),
        ]
        if not sites:
            raise lacking(self)
        for site in sites:
            site.narrow(size.get("share", self.share), self.random)
