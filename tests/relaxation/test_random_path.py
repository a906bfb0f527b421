"""RandomPath: one genotype per step."""

from __future__ import annotations

from dataclasses import replace

import pytest

from archgrad import spaces
from archgrad.context import Clock, Context
from archgrad.errors import ArchgradError
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
