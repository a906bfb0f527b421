from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from archgrad import Supernet, data, spaces
from archgrad.context import Clock, Context
from archgrad.engine import Cell, Standard
from archgrad.genotype import Edge, Group
from archgrad.method import Method
from archgrad.mixture import Mixture
from archgrad.modifiers import AuxiliarySkip, EdgeNormalisation, PartialChannels
from archgrad.modifiers.operation_attention import NAME, Gates, OperationAttention
from archgrad.modifiers.weight_entanglement import WeightEntanglement
from archgrad.objective import Objective
from archgrad.relaxation import Softmax, StraightThroughGumbel
from archgrad.roles import Modifier
from archgrad.search import Search, search
from archgrad.spaces.darts import OPERATIONS
from archgrad.spaces.nasbench201 import OneOutput

X, Y = torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(0)).double(), torch.tensor([0, 1, 2, 3])


def images() -> data.Dataset:
    """32 tiny images."""
    g = torch.Generator().manual_seed(0)
    return data.from_tensors(
        torch.randn(32, 3, 6, 6, generator=g), torch.arange(32) % 2, *(torch.zeros(2, 3, 6, 6), torch.tensor([0, 1]))
    )


def tiny(channels: int, executor: str) -> Supernet:
    """One cell of three edges with the candidates of DARTS."""
    edges = tuple(Edge(source, target, OPERATIONS) for source, target in ((0, 1), (0, 2), (1, 2)))
    cell = Cell(Group("cell", edges), 1, [2], [1, 2, 2], channels, Standard(), executor)
    stem = nn.Conv2d(3, channels, 3, padding=1, bias=False)
    return Supernet(nn.Sequential(stem, OneOutput(cell), nn.AdaptiveAvgPool2d(1), nn.Flatten()))


def net(space: str = "nasbench201", *modifiers: Modifier, executor: str = "plain") -> Supernet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if space == "tiny":
            supernet = tiny(8, executor)
        else:
            supernet = spaces.get(space, channels=8, cells=1).supernet(executor=executor)
        for modifier in modifiers:
            modifier.prepare(supernet, {})
        return open_gates(supernet.double())


def open_gates(supernet: Supernet) -> Supernet:
    """Gates as after some training."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for module in supernet.modules():
            if isinstance(module, Gates):
                for parameter in module.parameters():
                    parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return supernet


def objective(supernet: Supernet, *modifiers: Modifier, relaxation=None, epoch: int = 0, masks=None) -> Objective:
    context = Context(supernet, Clock(epoch, 3), masks or {})
    return Method(relaxation=relaxation or Softmax(), modifiers=modifiers).objective((X, Y), context)


def first(supernet: Supernet) -> Cell:
    return next(module for module in supernet.network.modules() if isinstance(module, Cell))


def told(gate: nn.Linear, x: Tensor) -> Tensor:
    return torch.tanh(x.mean((2, 3)) @ gate.weight.T + gate.bias)


def test_every_image_has_its_own_mixture() -> None:
    """The first edge by hand: Σ_o (w_o + c·a_o(x)) · o(x), with a(x) = tanh(G·mean(x) + b)."""
    modifier = OperationAttention(0.5)
    supernet = net("nasbench201", modifier)
    cell = first(supernet)
    cell.outputs = (1,)
    x = torch.randn(3, 8, 6, 6).double()
    mixture = objective(supernet, modifier).mix(supernet.alphas)
    with supernet._bind(mixture):
        (found,) = cell(x)
    weights = mixture["cell"][0, 0] + 0.5 * told(cell.rules[0].gates[0], x)
    terms = [cell.operations[0][name](x) for name in cell.group.operations]
    expected = sum(w[:, None, None, None] * term for w, term in zip(weights.T, terms, strict=True))
    torch.testing.assert_close(found, expected)
    assert (weights[0] - weights[1]).abs().max() > 0.01


def test_it_falls_from_1_towards_a_ten_thousandth() -> None:
    supernet = net()
    values = [
        OperationAttention().mix(supernet.uniform(), {}, Context(supernet, Clock(e, 4))).extras[NAME].item()
        for e in range(4)
    ]
    for epoch, value in enumerate(values):
        assert value == pytest.approx(10 ** (-epoch), rel=1e-6)


@pytest.mark.parametrize("executor", ["plain", "loop", "batched"])
def test_without_weight_it_is_the_base_exactly(executor: str) -> None:
    """At c = 0; and at any c while the gates are as they start."""
    base, gated = net(executor=executor), net("nasbench201", OperationAttention(0.0), executor=executor)
    expected = base(X, objective(base).mix(base.alphas))
    assert torch.equal(gated(X, objective(gated, OperationAttention(0.0)).mix(gated.alphas)), expected)
    for module in gated.modules():
        if isinstance(module, Gates):
            for gate in module.gates:
                gate.reset_parameters()
    found = gated(X, objective(gated, OperationAttention(1.0)).mix(gated.alphas))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("modifiers", [
    (PartialChannels(2), OperationAttention()),
    (OperationAttention(), PartialChannels(2)),
    (OperationAttention(), PartialChannels(4, random=True), EdgeNormalisation(), AuxiliarySkip()),
    (WeightEntanglement(), OperationAttention()),
    (OperationAttention(), WeightEntanglement()),
])  # fmt: skip
@pytest.mark.parametrize("space", ["tiny", "nasbench201", "transnasbench101"])
def test_it_works_beside_others_in_any_order(space: str, modifiers: tuple[Modifier, ...]) -> None:
    """Known error: a shape error beside partial channels."""
    supernet = net(space, *modifiers)
    x = torch.randn(4, 3, 32, 32).double() if space == "transnasbench101" else X
    ell = objective(supernet, *modifiers)
    ell = replace(ell, batch=(x, Y))
    gradient = ell.gradient(supernet.alphas)
    assert all(g.isfinite().all() and g.abs().max() > 0 for g in gradient.values())
    plain = objective(supernet, *[m for m in modifiers if not isinstance(m, OperationAttention)])
    plain = replace(plain, batch=(x, Y))
    assert not torch.allclose(ell(supernet.alphas), plain(supernet.alphas))


def test_gates_have_the_channels_that_candidates_read() -> None:
    supernet = net("tiny", PartialChannels(4), OperationAttention())
    for module in supernet.network.modules():
        if isinstance(module, Cell):
            assert {gate.in_features for gate in module.rules[0].gates} == {module.channels // 4}
            assert {gate.out_features for gate in module.rules[0].gates} == {8}


def test_edges_weigh_what_gates_say() -> None:
    """With an edge's share at 0 nothing that its gate says comes through."""
    modifier = OperationAttention(1.0)
    supernet = net("nasbench201", modifier)
    cell = first(supernet)
    cell.outputs = (1,)
    mixture = objective(supernet, modifier).mix(supernet.alphas)
    shares = torch.full((len(mixture["cell"]), 6, 1), 0.25).double()
    x, found = torch.randn(2, 8, 6, 6).double(), []
    for edges in ({}, {"cell": shares}):
        with supernet._bind(mixture.with_edges(edges)):
            found += cell(x)
    torch.testing.assert_close(found[1], found[0] / 4)


def test_the_family_of_entangled_candidates_is_weighed_as_one() -> None:
    """(s + c·Σ_o a_o(x)) · BN(…)."""
    modifier = OperationAttention(0.5)
    supernet = net("nasbench201", WeightEntanglement(), modifier)
    cell = first(supernet)
    cell.outputs = (1,)
    x = torch.randn(3, 8, 6, 6).double()
    columns = [cell.group.operations.index(name) for name in ("nor_conv_1x1", "nor_conv_3x3")]
    active = torch.zeros(3, 6, 5, dtype=torch.bool)
    active[:, 0, columns] = True
    mixture = Mixture({"cell": torch.full((3, 6, 5), 0.2).double()}, {"cell": active})
    found = []
    for chosen in (mixture, modifier.mix(mixture, {}, Context(supernet))):
        with supernet._bind(chosen):
            found += cell(x)
    said = told(cell.rules[1].gates[0], x)[:, columns].sum(1)
    torch.testing.assert_close(found[1], found[0] / 0.4 * (0.4 + 0.5 * said)[:, None, None, None])


class Counted(nn.Module):
    def __init__(self, operation: nn.Module, calls: list[int]):
        super().__init__()
        self.operation, self.calls = operation, calls

    def forward(self, x: Tensor) -> Tensor:
        self.calls.append(1)
        return self.operation(x)


def counted(supernet: Supernet, name: str) -> list[int]:
    calls: list[int] = []
    for module in supernet.network.modules():
        if isinstance(module, Cell):
            for candidates in module.operations:
                candidates[name] = Counted(candidates[name], calls)
    return calls


@pytest.mark.parametrize("executor", ["plain", "loop", "batched"])
def test_masked_candidates_stay_out(executor: str) -> None:
    """Even where a relaxation says so by a weight of 0 alone."""
    modifier = OperationAttention()
    supernet = net("nasbench201", modifier, executor=executor)
    calls = counted(supernet, "nor_conv_3x3")
    masks = {"cell": supernet.masks["cell"].clone()}
    masks["cell"][:, supernet.groups["cell"].operations.index("nor_conv_3x3")] = False
    ell = objective(supernet, modifier, masks=masks)
    assert torch.isfinite(ell(supernet.alphas))
    assert not calls
    zeros = supernet.uniform().with_weights({"cell": supernet.uniform()["cell"] * masks["cell"]})
    supernet(X, modifier.mix(zeros, {}, ell.context))
    assert not calls


def test_candidates_that_are_not_sampled_stay_uncomputed() -> None:
    modifier = OperationAttention()
    supernet = net("nasbench201", modifier)
    calls = counted(supernet, "nor_conv_3x3")
    ell = objective(supernet, modifier, relaxation=StraightThroughGumbel())
    mixture = ell.mix(supernet.alphas)
    supernet(X, mixture)
    column = supernet.groups["cell"].operations.index("nor_conv_3x3")
    assert len(calls) == int(mixture.active["cell"][..., column].sum())


@pytest.mark.parametrize("executor", ["loop", "batched"])
def test_executors_agree(executor: str) -> None:
    modifiers = (PartialChannels(2), OperationAttention(), AuxiliarySkip())
    one, other = (net("tiny", *modifiers, executor=name) for name in ("plain", executor))
    results = []
    for supernet in (one, other):
        ell = objective(supernet, *modifiers)
        results.append([*ell.gradient(supernet.alphas).values(), *ell.weight_gradient(ell.mix(supernet.alphas))])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)


def test_gradients_against_differences() -> None:
    """In the alphas and in a gate."""
    modifier = OperationAttention(0.7)
    supernet = net("nasbench201", modifier)
    ell = objective(supernet, modifier)
    mixture = ell.mix(supernet.alphas)
    gate = first(supernet).rules[0].gates[2]
    number = next(n for n, weight in enumerate(ell.weights) if weight is gate.weight)
    found = ell.weight_gradient(mixture.leaf())[number][3, 1]
    with torch.no_grad():
        values = []
        for step in (1e-5, -2e-5):
            gate.weight[3, 1] += step
            values.append(ell.loss(mixture))
        gate.weight[3, 1] += 1e-5
    torch.testing.assert_close((values[0] - values[1]) / 2e-5, found, rtol=1e-4, atol=1e-9)
    moved, values = {"cell": supernet.alphas["cell"].detach().clone()}, []
    for step in (1e-5, -2e-5):
        moved["cell"][1, 2] += step
        values.append(ell(moved))
    torch.testing.assert_close(
        (values[0] - values[1]) / 2e-5, ell.gradient(supernet.alphas)["cell"][1, 2], rtol=1e-4, atol=1e-9
    )


def test_settled_networks_and_one_hot_mixtures_have_no_gates() -> None:
    supernet = net("nasbench201", OperationAttention()).eval()
    genotype = supernet.random(torch.Generator().manual_seed(1))
    settled = supernet.settle(genotype, inherit=True).eval()
    assert not any(isinstance(module, Gates) for module in settled.modules())
    torch.testing.assert_close(settled(X), supernet(X, supernet.one_hot(genotype)))


class StopError(Exception):
    """The search was interrupted."""


def test_a_search_trains_the_gates_and_resumes_exactly(tmp_path, monkeypatch) -> None:
    method = Method("attention", modifiers=(OperationAttention(), PartialChannels(2)), batch_size=8)
    options = {"method": method, "data": images(), "epochs": 2, "progress": False}
    whole = search(spaces.get("nasbench201", channels=4, cells=1), **options)
    gates = [m for m in whole.supernet.modules() if isinstance(m, Gates)]
    # `none` is never computed, and what no path reads gets no gradient
    assert sum(gate.weight.abs().max() > 0 for rule in gates for gate in rule.gates) > len(gates)
    end = Search._close_epoch

    def interrupted(self: Search) -> None:
        end(self)
        raise StopError

    monkeypatch.setattr(Search, "_close_epoch", interrupted)
    with pytest.raises(StopError):
        search(spaces.get("nasbench201", channels=4, cells=1), out=tmp_path / "run", **options)
    monkeypatch.setattr(Search, "_close_epoch", end)
    again = search(spaces.get("nasbench201", channels=4, cells=1), out=tmp_path / "run", **options)
    for name, value in whole.supernet.state_dict().items():
        assert torch.equal(again.supernet.state_dict()[name], value), name
