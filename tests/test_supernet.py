"""The supernet as a pure function: binding, errors, copies, and settling whatever the network looks like."""

from __future__ import annotations

import copy
import io
import pickle
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from archgrad import ArchgradError, Choice, Genotype, InputChoice, Mixture, Supernet, spaces
from archgrad.choice import Site
from archgrad.context import Context
from archgrad.gradient import Plain
from archgrad.method import Method
from archgrad.relaxation import Softmax


def network() -> nn.Sequential:
    def block() -> Choice:
        return Choice({"linear": nn.Linear(4, 4), "tanh": nn.Tanh(), "skip": nn.Identity()}, group="block")

    return nn.Sequential(block(), nn.BatchNorm1d(4), block(), nn.Linear(4, 2))


def bound(supernet: Supernet) -> list[object]:
    return [module.bound for module in supernet.modules() if isinstance(module, Site)]


X = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))


def test_alphas_are_small_seeded_and_apart_from_the_weights() -> None:
    supernet = Supernet(network(), seed=3)
    assert {g: tuple(a.shape) for g, a in supernet.alphas.items()} == {"block": (1, 3)}
    assert torch.equal(supernet.alphas["block"], Supernet(network(), seed=3).alphas["block"])
    assert not torch.equal(supernet.alphas["block"], Supernet(network(), seed=4).alphas["block"])
    big = Supernet(nn.Sequential(*(Choice({str(i): nn.Identity() for i in range(50)}) for _ in range(20))))
    drawn = torch.cat([a.detach().flatten() for a in big.alphas.values()])
    assert drawn.std().item() == pytest.approx(1e-3, rel=0.1)
    inside = {id(weight) for weight in supernet.weights()}
    assert not inside & {id(alpha) for alpha in supernet.alphas.values()}
    assert len(inside) + 1 == len(list(supernet.parameters()))


def test_every_site_has_its_own_gradient_and_they_sum_to_that_of_alphas() -> None:
    for supernet, x in (
        (Supernet(network()), X),
        (spaces.get("nasbench201", channels=4, cells=1).supernet(), torch.randn(2, 3, 8, 8)),
        (spaces.get("darts", channels=4, cells=3).supernet(), torch.randn(2, 3, 8, 8)),
    ):
        supernet.double()
        x = x.double()
        mixture = Softmax()(supernet.alphas, supernet.sites)
        alphas, groups = list(supernet.alphas.values()), list(supernet.alphas)
        loss = supernet(x, mixture).square().sum()
        direct = torch.autograd.grad(loss, alphas, retain_graph=True)
        cut = mixture.leaf()
        rows = torch.autograd.grad(supernet(x, cut).square().sum(), [cut[g] for g in groups])
        through = torch.autograd.grad([mixture[g] for g in groups], alphas, rows)
        for group, row, a, b in zip(groups, rows, direct, through, strict=True):
            assert row.shape == (supernet.sites[group], *supernet.alphas[group].shape)
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)
            jacobian = torch.func.jacrev(lambda alpha: alpha.softmax(-1))(supernet.alphas[group].detach())
            torch.testing.assert_close(a, torch.einsum("seo,eoxy->xy", row, jacobian), rtol=1e-9, atol=1e-10)


def test_sites_are_in_the_order_of_the_modules() -> None:
    supernet = Supernet(network()).eval()
    weights = torch.tensor([[[0.0, 1, 0]], [[0.0, 0, 2]]])  # tanh at the first site, twice the input at the second
    expected = supernet.network[3](2 * supernet.network[1](torch.tanh(X)))
    torch.testing.assert_close(supernet(X, Mixture({"block": weights})), expected)


def test_nothing_stays_bound_even_after_an_exception() -> None:
    class Fails(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("inside")

    supernet = Supernet(nn.Sequential(network(), Fails()))
    with pytest.raises(RuntimeError, match="inside"):
        supernet(X, supernet.uniform())
    assert bound(supernet) == [None, None]
    with pytest.raises(ArchgradError, match="expected"):
        supernet(X, Mixture({"block": torch.ones(3, 1, 3)}))
    assert bound(supernet) == [None, None]
    with pytest.raises(ArchgradError, match="outside its supernet"):
        supernet.network(X)


def test_a_call_inside_a_call_gives_the_outer_rows_back() -> None:
    class Inner(nn.Module):
        """Calls the whole supernet with another mixture in the middle of its own forward pass."""

        supernet: list[Supernet]

        def forward(self, x: Tensor) -> Tensor:
            if self.supernet:
                supernet = self.supernet.pop()
                supernet(x, supernet.one_hot(Genotype.of({"g": [["zero"]]})))
            return x

    inner = Inner()
    inner.supernet = []
    double = nn.Linear(4, 4, bias=False)
    double.weight.data = 2 * torch.eye(4)
    choice = Choice({"twice": double, "zero": nn.Hardtanh(0, 1e-9)}, group="g")
    supernet = Supernet(nn.Sequential(inner, choice))
    inner.supernet.append(supernet)
    found = supernet(X, supernet.one_hot(Genotype.of({"g": [["twice"]]})))
    torch.testing.assert_close(found, 2 * X)
    assert bound(supernet) == [None]


def test_bad_networks_and_mixtures_are_refused() -> None:
    with pytest.raises(ArchgradError, match=r"Linear has no open choice: put an archgrad\.Choice"):
        Supernet(nn.Linear(2, 2))
    first = Choice({"a": nn.Identity(), "b": nn.Tanh()}, group="g")
    with pytest.raises(ArchgradError, match=r"group 'g' differ: \('a', 'b'\) at '0', \('a',\) at '1'"):
        Supernet(nn.Sequential(first, Choice({"a": nn.Identity()}, group="g")))
    with pytest.raises(ArchgradError, match="group 'g' differ"):
        Supernet(nn.Sequential(first, Choice({"b": nn.Tanh(), "a": nn.Identity()}, group="g")))
    for name in ("g.h", "keys", "train"):
        with pytest.raises(ArchgradError, match=rf"group: '{name}' cannot be a name here"):
            Supernet(Choice({"a": nn.Identity()}, group=name))
    supernet = Supernet(network())
    with pytest.raises(ArchgradError, match=r"nothing about group 'block'; it has \['blok'\]"):
        supernet(X, Mixture({"blok": torch.ones(2, 1, 3)}))
    with pytest.raises(ArchgradError, match=r"expected \[sites, edges, ops\] = \[2, 1, 3\], got \[1, 3\]"):
        supernet(X, Mixture({"block": torch.ones(1, 3)}))
    for bad in ({}, {"block": [["conv"]]}, {"block": [["tanh"], ["tanh"]]}):
        with pytest.raises(ArchgradError, match=r"genotype|unknown operation"):
            supernet.one_hot(Genotype.of(bad))
        with pytest.raises(ArchgradError, match=r"genotype|unknown operation"):
            supernet.settle(Genotype.of(bad))


def test_uniform_gives_every_candidate_of_an_edge_the_same_share() -> None:
    supernet = spaces.get("darts", channels=4, cells=3).supernet()
    assert torch.equal(supernet.uniform()["reduce"], torch.full((2, 14, 8), 1 / 8))


SKIP = Genotype.of({"block": [["skip"]]})
LINEAR = Genotype.of({"block": [["linear"]]})


def test_settling_copies_and_leaves_the_supernet_alone() -> None:
    supernet = Supernet(network())
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    settled = supernet.settle(LINEAR, inherit=True)
    with torch.no_grad():
        for weight in settled.parameters():
            weight.zero_()
    settled(X)
    assert all(torch.equal(value, before[name]) for name, value in supernet.state_dict().items())
    assert isinstance(supernet.network[0], Choice)
    assert "candidates" not in str(settled)


def test_a_settled_network_starts_afresh_by_seed() -> None:
    supernet = Supernet(network())
    supernet(X, supernet.uniform())
    torch.manual_seed(5)
    state = torch.get_rng_state()
    one, same, other = (supernet.settle(LINEAR, seed=s) for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one[0].weight, same[0].weight)
    assert not torch.equal(one[0].weight, other[0].weight)
    assert not torch.equal(one[0].weight, supernet.network[0].candidates["linear"].weight)
    assert torch.equal(one[1].running_mean, torch.zeros(4))
    inherited = supernet.settle(LINEAR, inherit=True)
    assert torch.equal(inherited[1].running_mean, supernet.network[1].running_mean)


def test_a_module_that_cannot_be_initialised_is_named() -> None:
    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factor = nn.Parameter(torch.ones(1))

        def forward(self, x: Tensor) -> Tensor:
            return x * self.factor

    supernet = Supernet(nn.Sequential(Scale(), network()))
    with pytest.raises(ArchgradError, match=r"settle: 0 \(Scale\) has parameters but no reset_parameters\(\)"):
        supernet.settle(SKIP)
    assert torch.equal(supernet.settle(SKIP, inherit=True)[0](X), X)


def test_what_the_user_froze_stays_frozen() -> None:
    backbone = nn.Linear(4, 4).requires_grad_(False)
    supernet = Supernet(nn.Sequential(backbone, network()))
    assert len(supernet.weights()) == len(list(supernet.network.parameters())) - 2
    settled = supernet.settle(LINEAR, inherit=True)
    assert [p.requires_grad for p in settled.parameters()] == [False, False] + [True] * 8


def test_copies_and_pickles_compute_the_same_on_their_own() -> None:
    for supernet, x in (
        (Supernet(network()), X),
        (spaces.get("nasbench201", channels=4, cells=1).supernet(), torch.randn(2, 3, 8, 8)),
        (spaces.get("darts", channels=4, cells=3).supernet(), torch.randn(2, 3, 8, 8)),
    ):
        supernet.eval()
        mixture = Softmax()(supernet.alphas, supernet.sites).with_weights(
            {g: w.detach() for g, w in Softmax()(supernet.alphas, supernet.sites).items()}
        )
        expected = supernet(x, mixture)
        for other in (copy.deepcopy(supernet), pickle.loads(pickle.dumps(supernet))):
            assert torch.equal(other(x, mixture), expected)
            assert other.groups == supernet.groups
            with torch.no_grad():
                for weight in other.parameters():
                    weight.zero_()
            assert torch.equal(supernet(x, mixture), expected)


def test_a_state_dict_carries_weights_and_alphas() -> None:
    space = spaces.get("nasbench201")
    supernet, other = (
        replace(space, channels=4, cells=1).supernet(),
        replace(space, channels=4, cells=1).supernet(seed=1),
    )
    buffer = io.BytesIO()
    torch.save(supernet.state_dict(), buffer)
    buffer.seek(0)
    other.load_state_dict(torch.load(buffer, weights_only=True))
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(other.alphas["cell"], supernet.alphas["cell"])
    assert torch.equal(
        other.eval()(x, Softmax()(other.alphas, other.sites)),
        supernet.eval()(x, Softmax()(supernet.alphas, {"cell": 3})),
    )


@pytest.mark.skipif(torch.torch_version.TorchVersion(torch.__version__) < (2, 10), reason="needs torch 2.10's dynamo")
def test_the_forward_pass_compiles() -> None:
    supernet = Supernet(network()).eval()
    compiled = torch.compile(supernet, backend="eager")
    for mixture in (supernet.uniform(), supernet.one_hot(SKIP), supernet.one_hot(LINEAR)):
        torch.testing.assert_close(compiled(X, mixture), supernet(X, mixture))
    assert bound(supernet) == [None, None]


def test_a_supernet_is_trained_by_an_ordinary_optimiser() -> None:
    supernet = Supernet(network())
    optimiser = torch.optim.SGD(supernet.parameters(), lr=0.1)
    y = torch.randint(2, (8,), generator=torch.Generator().manual_seed(1))
    losses = []
    for _ in range(200):
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(supernet(X, Softmax()(supernet.alphas, supernet.sites)), y)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


def leaf_module(kind: int) -> nn.Module:
    return [nn.Linear(3, 3), nn.Tanh(), nn.Identity(), nn.BatchNorm1d(3), nn.Dropout(0.5), nn.LayerNorm(3)][kind]


class Parallel(nn.Module):
    """Some branches, read through an input choice."""

    def __init__(self, branches: list[nn.Module], name: str):
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.read = InputChoice(len(branches), group=name, select=min(2, len(branches)))

    def forward(self, x: Tensor) -> Tensor:
        return self.read(*(branch(x) for branch in self.branches))


@st.composite
def networks(draw: st.DrawFn, depth: int = 3, named: list[int] | None = None) -> nn.Module:
    """Random compositions of sequences, choices (shared groups among them) and input choices."""
    named = [0] if named is None else named
    kinds = ["leaf"] if depth == 0 else ["leaf", "sequence", "choice", "inputs", "shared"]
    kind = draw(st.sampled_from(kinds))
    if kind == "leaf":
        return leaf_module(draw(st.integers(0, 5)))
    if kind == "shared":
        return Choice({"a": leaf_module(draw(st.integers(0, 5))), "b": leaf_module(draw(st.integers(0, 5)))}, "shared")
    parts = [draw(networks(depth - 1, named)) for _ in range(draw(st.integers(1, 3)))]
    if kind == "sequence":
        return nn.Sequential(*parts)
    named[0] += 1
    if kind == "inputs":
        return Parallel(parts, f"inputs{named[0]}")
    return Choice({f"candidate{i}": part for i, part in enumerate(parts)}, group=f"choice{named[0]}")


@settings(max_examples=60, deadline=None)
@given(networks(), st.integers(0, 2**32), st.booleans())
def test_any_composition_of_choices_settles_to_its_one_hot_mixture(net: nn.Module, seed: int, training: bool) -> None:
    torch.manual_seed(seed)
    supernet = Supernet(nn.Sequential(net, Choice({"a": nn.Linear(3, 2), "b": nn.Linear(3, 2)}, "last"))).double()
    x, y = torch.randn(5, 3, dtype=torch.float64), torch.arange(5) % 2
    objective = Method().objective((x, y), Context(supernet))
    for gradient in (*objective.gradient(supernet.alphas).values(), *Plain()(objective, supernet.alphas, Context())):
        assert gradient.isfinite().all()
    genotype = supernet.random(torch.Generator().manual_seed(seed))
    settled = supernet.settle(genotype, inherit=True).train(training)
    assert not any(isinstance(module, Site) for module in settled.modules())
    torch.manual_seed(seed)
    found = supernet.train(training)(x, supernet.one_hot(genotype))
    torch.manual_seed(seed)
    torch.testing.assert_close(found, settled(x), rtol=0, atol=1e-10)
