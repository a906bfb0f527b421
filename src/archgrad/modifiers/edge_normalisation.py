"""Weights of whole edges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from archgrad.context import Alphas, Context
from archgrad.engine.candidates import cells_of
from archgrad.errors import ArchgradError
from archgrad.formulas.settling import edge_shares
from archgrad.mixture import Mixture
from archgrad.randomness import generator
from archgrad.roles import Modifier
from archgrad.supernet import EDGES, Supernet


@dataclass(frozen=True)
class EdgeNormalisation(Modifier):
    """Everything on edge i→j counts exp(β_ij) / Σ_i' exp(β_i'j), with one more architecture parameter β per edge.

    The parameters are ``alphas["normal@edges"]``, ``[edges, 1]``, and so for every group. The genotype has to be read
    from α·β: see `EdgeNormalised`. A `Choice` outside of cells is one edge, whose share is 1: nothing changes there.

    *Source:* PC-DARTS, arXiv 1907.05737, section 3.3, equation 4.
    """

    def prepare(self, supernet: Supernet, size: Mapping[str, int]) -> None:
        for cell in cells_of(supernet.network):
            name = cell.group.name + EDGES
            if name not in supernet.alphas:
                draw = torch.randn(len(cell.group.edges), 1, generator=generator(0, "edges", name))
                supernet.alphas[name] = nn.Parameter(1e-3 * draw)

    def mix(self, mixture: Mixture, alphas: Alphas, context: Context) -> Mixture:
        if context.supernet is None:
            raise ArchgradError("EdgeNormalisation needs a supernet in its context")
        groups, sites = context.supernet.groups, context.supernet.sites
        return mixture.with_edges(
            {
                name: edge_shares(group, alphas[name + EDGES]).expand(sites[name], -1, -1)
                for name, group in groups.items()
                if name + EDGES in alphas
            }
        )
