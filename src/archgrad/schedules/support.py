"""What schedules share: which candidates stay, and the weights of every candidate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from archgrad.engine.candidates import candidates
from archgrad.genotype import Group
from archgrad.state import State
from archgrad.supernet import Supernet


def strongest_left(
    group: Group, strength: Float[Tensor, "edges ops"], left: Bool[Tensor, "edges ops"], keep: Sequence[int]
) -> Bool[Tensor, "edges ops"]:
    """The strongest of the candidates that each edge has left, ``keep`` of each.

    As many as must stay once settled always do, of those that a genotype may keep. Ties go to what is listed first.
    """
    result = torch.zeros_like(left)
    for edge, row in enumerate(strength.detach().cpu().double().tolist()):
        here = sorted((o for o in range(len(row)) if bool(left[edge, o])), key=lambda o: -row[o])
        names = group.selectable(edge)
        must = [o for o in here if group.operations[o] in names][: group.select]
        others = [o for o in here if o not in must]
        stay = must + others[: max(0, keep[edge] - len(must))]
        result[edge, stay] = True
    return result


def prune(state: State, keep: Mapping[str, Sequence[int]]) -> None:
    """Close the candidates with the smallest alphas of every edge; group → how many stay of each edge."""
    for name, group in state.supernet.groups.items():
        left = group.mask & state.masks[name]
        state.masks[name] = strongest_left(group, state.supernet.alphas[name], left, keep[name])


def operations(supernet: Supernet) -> dict[str, list[str]]:
    """Candidate (path of its module) → its weights, by their names in the network; those without any left out.

    A weight of a candidate within a candidate belongs to the inner one.
    """
    paths = {id(module): path for path, module in supernet.network.named_modules()}
    owner: dict[str, str] = {}
    for candidate in candidates(supernet.network):
        path = paths[id(candidate.module)]
        for inner, _ in candidate.module.named_parameters():
            owner[f"{path}.{inner}"] = path
    found: dict[str, list[str]] = {}
    for weight, _ in supernet.network.named_parameters():
        if weight in owner:
            found.setdefault(owner[weight], []).append(weight)
    return found
