"""Weights of whole edges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from archgrad.components import Alphas, Context, Modifier
from archgrad.errors import ArchgradError
from archgrad.genotype import Group
from archgrad.mixture import Mixture
from archgrad.modifiers.support import cells
from archgrad.randomness import generator
from archgrad.supernet import EDGES, Supernet


@dataclass(frozen=True)
class EdgeNormalisation(Modifier):
    """Everything on edge i→j counts exp(β_ij) / Σ_i' exp(β_i'j), with one more architecture parameter β per edge.

    The parameters are ``alphas["normal@edges"]``, ``[edges, 1]``, and so for every group. The genotype has to be read
    from α·β: see `EdgeNormalised`.

    *Source:* PC-DARTS, arXiv 1907.05737, section 3.3, equation 4.
    """

    def prepare(self, supernet: Supernet, size: Mapping[str, int]) -> None:
        for cell in cells("EdgeNormalisation", supernet):
            name = cell.group.name + EDGES
            if name not in supernet.alphas:
                draw = torch.randn(len(cell.group.edges), 1, generator=generator(0, "edges", name))
                supernet.alphas[name] = nn.Parameter(1e-3 * draw)

    def mix(self, mixture: Mixture, alphas: Alphas, context: Context) -> Mixture:
        if context.supernet is None:
            raise ArchgradError("EdgeNormalisation needs a supernet in its context")
        weights = dict(mixture)
        for name, group in context.supernet.groups.items():
            if name + EDGES in alphas:
                shares = edge_shares(group, alphas[name + EDGES])
                weights[name + EDGES] = shares.expand(context.supernet.sites[name], -1, -1)
        return mixture.with_weights(weights)


def edge_shares(group: Group, betas: Float[Tensor, "edges 1"]) -> Float[Tensor, "edges 1"]:
    """Softmax over the edges that enter each node; edges are listed node by node."""
    return torch.cat(
        [part.softmax(0) for part in torch.split(betas, [len(edges) for edges in group.incoming.values()])]
    )
