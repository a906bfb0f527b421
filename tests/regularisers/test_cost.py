"""Cost is the exact expectation over sampled genotypes."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

from archgrad import ArchgradError, Choice, Supernet, spaces
from archgrad.context import Context
from archgrad.discretise import Sampled
from archgrad.genotype import Genotype
from archgrad.mixture import Mixture
from archgrad.regularisers import Cost
from archgrad.relaxation import Softmax, StraightThroughGumbel
from archgrad.spaces.darts import Darts


def with_alphas(net: Supernet, scale: float = 1.0, seed: int = 0) -> Supernet:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for alpha in net.alphas.values():
            alpha.copy_(scale * torch.randn(alpha.shape, generator=generator))
    return net.double()


def mixed(net: Supernet) -> Mixture:
    return Softmax()(dict(net.alphas.items()), net.sites, Context(net))


def test_flops_equal_the_mean_over_all_genotypes_of_nasbench201() -> None:
    space = spaces.get("nasbench201", channels=4, cells=1)
    net = with_alphas(space.supernet())
    p = net.alphas["cell"].detach().softmax(-1)
    names = net.groups["cell"].operations
    empty = space.flops(space.parse("000000"))
    costs = {op: space.flops(space.parse(f"{i}00000")) - empty for i, op in enumerate(names)}
    # All edges of a cell cost the same here, which one genotype checks against the sum.
    genotype = space.parse("123412")
    assert space.flops(genotype) - empty == sum(costs[k[0]] for k in genotype.choices["cell"])
    expected = sum(
        math.prod(float(p[e, o]) for e, o in enumerate(way)) * sum(costs[names[o]] for o in way)
        for way in itertools.product(range(5), repeat=6)
    )
    found, largest = Cost("flops").expected(mixed(net), Context(net))
    assert found.item() == pytest.approx(expected, rel=1e-9)
    assert largest == 6 * max(costs.values())
    value = Cost("flops", weight=0.5)(dict(net.alphas.items()), mixed(net), Context(net))
    assert value.item() == pytest.approx(0.5 * expected / largest)


def test_flops_equal_the_mean_over_sampled_genotypes_of_darts() -> None:
    space = Darts(steps=3, multiplier=2, channels=4, cells=3)
    net = with_alphas(space.supernet())
    empty = space.flops(Genotype.of({n: [()] * len(g.edges) for n, g in space.groups.items()}), unreached=True)
    found, _ = Cost("flops").expected(mixed(net), Context(net))
    alphas, costs = dict(net.alphas.items()), []
    for seed in range(250):
        genotype = Sampled()(alphas, Context(net, seed=seed))
        costs.append(space.flops(genotype, unreached=True) - empty)
    drawn = torch.tensor(costs).double()
    assert abs(float(drawn.mean()) - float(found)) < 4 * float(drawn.std()) / math.sqrt(len(costs))
    largest = max(
        space.flops(space.random(torch.Generator().manual_seed(s)), unreached=True) - empty for s in range(100)
    )
    assert largest <= Cost("flops").expected(mixed(net), Context(net))[1]


def test_a_one_hot_mixture_costs_what_its_genotype_does() -> None:
    space = spaces.get("nasbench201", channels=4, cells=2)
    net = with_alphas(space.supernet())
    for text in ("000000", "333333", "123412", "043210"):
        genotype = space.parse(text)
        found, _ = Cost("flops").expected(net.one_hot(genotype), Context(net))
        assert float(found) == space.flops(genotype) - space.flops(space.parse("000000"))


def test_parameters_are_those_of_the_settled_supernet() -> None:
    def block() -> Choice:
        candidates = {
            "wide": nn.Linear(4, 4),
            "two": nn.Sequential(nn.Linear(4, 9), nn.Linear(9, 4)),
            "skip": nn.Identity(),
        }
        return Choice(candidates, group="block")

    net = with_alphas(Supernet(nn.Sequential(block(), block(), nn.Linear(4, 2))))
    p = net.alphas["block"].detach()[0].softmax(-1)

    def counted(name: str) -> int:
        settled = net.settle(Genotype.of({"block": [[name]]}))
        return sum(w.numel() for w in settled.parameters()) - sum(w.numel() for w in nn.Linear(4, 2).parameters())

    expected = sum(float(p[o]) * counted(name) for o, name in enumerate(("wide", "two", "skip")))
    found, largest = Cost("parameters").expected(mixed(net), Context(net))
    assert float(found) == pytest.approx(expected)
    assert largest == counted("two")
    flops, _ = Cost("flops").expected(mixed(net), Context(net))
    assert float(flops) == pytest.approx(2 * (float(p[0]) * 16 + float(p[1]) * 72))


def test_a_choice_inside_a_candidate_counts_as_often_as_the_candidate() -> None:
    inner = Choice({"a": nn.Linear(4, 4, bias=False), "b": nn.Identity()}, group="inner")
    outer = Choice({"nested": nn.Sequential(nn.Linear(4, 4, bias=False), inner), "skip": nn.Identity()}, group="outer")
    net = with_alphas(Supernet(nn.Sequential(outer, nn.Linear(4, 2))))
    p, q = net.alphas["outer"].detach()[0].softmax(-1), net.alphas["inner"].detach()[0].softmax(-1)
    found, largest = Cost("parameters").expected(mixed(net), Context(net))
    assert float(found) == pytest.approx(float(p[0]) * 16 * (1 + float(q[0])))
    assert largest == 32


def test_the_gradient_is_that_of_the_formula() -> None:
    net = with_alphas(Darts(steps=3, multiplier=2, channels=4, cells=2).supernet(), 0.5)

    def value(*alphas: torch.Tensor) -> torch.Tensor:
        named = dict(zip(net.alphas, alphas, strict=True))
        return Cost("flops")(named, Softmax()(named, net.sites, Context(net)), Context(net))

    assert torch.autograd.gradcheck(value, [a.detach().requires_grad_() for a in net.alphas.values()], atol=1e-6)


def test_pruned_candidates_cost_nothing() -> None:
    net = with_alphas(spaces.get("nasbench201", channels=4, cells=1).supernet())
    mask = torch.zeros(6, 5, dtype=torch.bool)
    mask[:, 1] = True
    context = Context(net, masks={"cell": mask})
    mixture = Softmax()(dict(net.alphas.items()), net.sites, context)
    assert float(Cost("flops").expected(mixture, context)[0]) == 0


def test_sampled_mixtures_have_a_cost_too() -> None:
    net = with_alphas(Darts(steps=2, multiplier=2, channels=4, cells=3).supernet())
    mixture = StraightThroughGumbel()(dict(net.alphas.items()), net.sites, Context(net))
    value = Cost("flops")(dict(net.alphas.items()), mixture, Context(net))
    assert 0 <= float(value) <= 0.1
    gradients = torch.autograd.grad(value, list(net.alphas.values()))
    assert all(g.isfinite().all() for g in gradients)


def test_latency_is_measured_once_per_run() -> None:
    net = with_alphas(spaces.get("nasbench201", channels=4, cells=1).supernet()).float()
    context = Context(net)
    one, largest = Cost("latency").expected(mixed(net), context)
    (tables,) = context.memory["latency"].values()
    assert 0 < float(one) < largest
    assert tables["cell"].shape == (3, 6, 5)
    assert not tables["cell"][..., 0].any(), "nothing takes no time"
    assert (tables["cell"][..., 3] > 0).all()
    again, _ = Cost("latency").expected(mixed(net), Context(net, memory=context.memory))
    assert torch.equal(one, again)
    assert all(p.device.type == "cpu" for p in net.parameters())


def test_what_cannot_be_counted_is_one_line() -> None:
    with pytest.raises(ArchgradError, match="kind must be 'flops', 'parameters' or 'latency', got 'money'"):
        Cost("money")  # type: ignore[arg-type]
    free = Supernet(nn.Sequential(Choice({"tanh": nn.Tanh(), "skip": nn.Identity()}), nn.Linear(4, 2)))
    with pytest.raises(ArchgradError, match="no candidate of this supernet has any flops"):
        Cost()(dict(free.alphas.items()), mixed(free), Context(free))
    nothing = Supernet(nn.Sequential(Choice({"tanh": nn.Tanh(), "skip": nn.Identity()})))
    with pytest.raises(ArchgradError, match="give the shape of one input"):
        Cost()(dict(nothing.alphas.items()), mixed(nothing), Context(nothing))
    net = spaces.get("nasbench201", channels=4, cells=1).supernet()
    with pytest.raises(ArchgradError, match=r"cannot take an input of shape \[1, 8, 8\]"):
        Cost(shape=(1, 8, 8))(dict(net.alphas.items()), mixed(net), Context(net))
