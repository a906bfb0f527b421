"""P-DARTS: at most two skip connections in a normal cell."""

from __future__ import annotations

import pytest
import torch

from archgrad import ArchgradError, spaces
from archgrad.context import Context
from archgrad.discretise import SkipLimit, Strongest
from archgrad.genotype import is_skip, skips


def drawn(seed: int, bias: float) -> tuple[Context, dict[str, torch.Tensor]]:
    net = spaces.get("darts", channels=4, cells=3).supernet()
    generator = torch.Generator().manual_seed(seed)
    alphas = {n: torch.randn(a.shape, generator=generator) for n, a in net.alphas.items()}
    for alpha in alphas.values():
        alpha[:, 3] += bias
    return Context(net), alphas


@pytest.mark.parametrize("limit", [0, 1, 2, 3])
def test_the_limit_holds_in_normal_cells_only(limit: int) -> None:
    for seed in range(5):
        context, alphas = drawn(seed, 3.0)
        free, found = Strongest()(alphas, context).choices, SkipLimit(limit)(alphas, context).choices
        assert skips(free["normal"]) > 3
        assert skips(found["normal"]) == limit
        assert found["reduce"] == free["reduce"]
        assert sum(map(len, found["normal"])) == 8, "two operations per node stay"


def test_few_skips_change_nothing() -> None:
    context, alphas = drawn(0, -5.0)
    assert SkipLimit()(alphas, context) == Strongest()(alphas, context)


def test_the_weakest_skips_go() -> None:
    net = spaces.get("nasbench201", channels=4, cells=1).supernet()
    alpha = torch.zeros(6, 5)
    alpha[:, 1] = torch.tensor([5.0, 1.0, 4.0, 2.0, 3.0, -1.0])
    alpha[:, 3] = 0.5
    found = SkipLimit(2)({"cell": alpha}, Context(net)).choices["cell"]
    assert [names[0] for names in found] == ["skip_connect", *["nor_conv_3x3"], "skip_connect", *["nor_conv_3x3"] * 3]


def test_a_skip_that_is_the_last_candidate_stays() -> None:
    net = spaces.get("nasbench201", channels=4, cells=1).supernet()
    mask = torch.zeros(6, 5, dtype=torch.bool)
    mask[:, 1] = True
    mask[0, 3] = True
    found = SkipLimit(0)({"cell": torch.zeros(6, 5)}, Context(net, masks={"cell": mask})).choices["cell"]
    assert [names[0] for names in found] == ["nor_conv_3x3", *["skip_connect"] * 5]


def test_the_masks_of_the_search_are_not_changed() -> None:
    context, alphas = drawn(0, 3.0)
    assert context.supernet is not None
    masks = {name: group.mask.clone() for name, group in context.supernet.groups.items()}
    SkipLimit(0)(alphas, Context(context.supernet, masks=masks))
    assert all(mask.all() for mask in masks.values())
    assert all(group.mask.all() for group in context.supernet.groups.values())


def test_names_and_bad_settings() -> None:
    assert is_skip("skip_connect")
    assert is_skip("Identity")
    assert not is_skip("sep_conv_3x3")
    with pytest.raises(ArchgradError, match="limit must be 0 or more"):
        SkipLimit(-1)
    context, alphas = drawn(0, 0.0)
    with pytest.raises(ArchgradError, match="there is no group 'norml'"):
        SkipLimit(groups=("norml",))(alphas, context)
