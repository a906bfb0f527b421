"""RandomPath: one genotype per step."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from archgrad import spaces
from archgrad.context import Clock, Context
from archgrad.discretise import BestOfRandom
from archgrad.errors import ArchgradError
from archgrad.method import Method
from archgrad.relaxation import RandomPath

SPACE = spaces.get("nasbench201")


def test_it_is_the_one_hot_mixture_of_a_genotype_that_changes_with_the_step_only() -> None:
    supernet = replace(SPACE, channels=4, cells=1).supernet()

    def digits(step: int, seed: int = 0) -> str:
        context = Context(supernet, Clock(step=step, steps=100), seed=seed)
        mixture = RandomPath()(supernet.alphas, supernet.sites, context)
        weights = mixture["cell"]
        assert weights.sum(-1).eq(1).all()
        assert weights.eq(weights[:1]).all()
        assert mixture.active["cell"].equal(weights.bool())
        return "".join(str(column) for column in weights[0].argmax(-1).tolist())

    drawn = [digits(step) for step in range(100)]
    assert drawn == [digits(step) for step in range(100)]
    assert len(set(drawn)) > 95
    assert drawn != [digits(step, seed=1) for step in range(100)]
    for edge in range(6):
        assert {d[edge] for d in drawn} == set("01234")


def test_it_needs_a_supernet() -> None:
    with pytest.raises(ArchgradError, match="RandomPath needs a supernet"):
        RandomPath()({}, {})


@pytest.mark.parametrize("space", ["nasbench201", "darts", "nasbench1shot1_1"])
def test_what_the_method_goes_without_is_never_drawn_and_all_else_is(space: str) -> None:
    supernet = spaces.get(space, channels=4, cells=3).supernet()
    method = Method(relaxation=RandomPath(), discretisation=BestOfRandom(1), without=("skip_connect",))
    masks = method.masks(supernet.groups)
    seen = {name: torch.zeros_like(mask) for name, mask in masks.items()}
    for step in range(300):
        context = Context(supernet, Clock(step=step, steps=300), masks)
        for name, active in method.mix(supernet.alphas, context).active.items():
            seen[name] |= active[0]
        found = method.discretisation({}, replace(context, seed=step))
        assert not any("skip_connect" in names for kept in found.choices.values() for names in kept)
    for name, group in supernet.groups.items():
        rows = [[op in group.selectable(edge) for op in group.operations] for edge in range(len(group.edges))]
        assert seen[name].equal(masks[name] & torch.tensor(rows))
