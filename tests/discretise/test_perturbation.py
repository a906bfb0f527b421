"""DARTS-PT against brute force, and the errors of a published library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from archgrad import ArchgradError, Choice, Genotype, Supernet, data, methods, search, spaces
from archgrad.choice import Site
from archgrad.context import Context
from archgrad.discretise import Perturbation
from archgrad.engine import Cell
from archgrad.genotype import Edge, Group, Kept
from archgrad.relaxation import Softmax
from archgrad.roles import Score
from archgrad.spaces.darts import Darts
from archgrad.supernet_score import SupernetScore


class Decision(Site):
    def settle(self, kept: Kept) -> nn.Module:
        return nn.Identity()


class Table(Score):
    """A number for every mask, the same whenever it is asked; it writes down what happens."""

    def __init__(self, seed: int = 0) -> None:
        self.seed, self.log = seed, list[Any]()

    def __call__(self, genotype: Genotype) -> float:
        raise AssertionError("genotypes are not evaluated")

    def masked(self, masks: Mapping[str, Tensor], shown: Mapping[str, Tensor] | None = None) -> float:
        left = {**masks, **(shown or {})}
        self.log.append({name: mask.clone() for name, mask in left.items()})
        return self.value(left)

    def value(self, masks: Mapping[str, Tensor]) -> float:
        code = hash((self.seed, *((name, tuple(mask.flatten().tolist())) for name, mask in masks.items())))
        return float(torch.rand((), generator=torch.Generator().manual_seed(code % 2**31)))

    def tune(self, masks: Mapping[str, Tensor], epochs: int) -> None:
        self.log.append(epochs)


def one(group: Group) -> Supernet:
    return Supernet(Decision(group))


OPS = ("a", "b", "c")
TWO = Group("g", (Edge(0, 1, OPS), Edge(0, 2, OPS)))


def test_it_equals_brute_force_on_two_edges() -> None:
    seen = set()
    for seed in range(20):
        net, score = one(TWO), Table(seed)
        context = Context(net, seed=seed)
        found = Perturbation(tune=0)({"g": torch.zeros(2, 3)}, context, score).choices["g"]
        results = []
        for order in ((0, 1), (1, 0)):
            mask = torch.ones(2, 3, dtype=torch.bool)
            for edge in order:
                values = []
                for o in range(3):
                    without = mask.clone()
                    without[edge, o] = False
                    values.append(score.value({"g": without}))
                mask[edge] = torch.arange(3) == min(range(3), key=lambda o: values[o])
            results.append(tuple((OPS[row.index(True)],) for row in mask.tolist()))
        assert found in results
        seen.add(results.index(found))
        first = score.log[0]["g"]
        assert found == results[int(bool(first[0].all()))], "the order that was drawn"
    assert seen == {0, 1}, "edges are decided in random order"


def test_it_equals_brute_force_on_a_real_supernet() -> None:
    """Accuracies put together by hand: the terms of a two-edge cell, added up with their softmax weights.

    While a candidate is left out the others' weights stay, as in the published program: their sum is below 1.
    """
    torch.manual_seed(0)
    operations = [nn.Linear(4, 4), nn.Tanh(), nn.Identity(), nn.Linear(4, 4), nn.Tanh(), nn.Identity()]
    net = Supernet(Pair(operations))
    alpha = torch.tensor([[0.4, 0.1, -0.2], [0.0, 0.3, 0.2]])
    x = torch.randn(400, 4)
    y = (net(x, net.uniform())[:, 0] > 0).long()

    class Accuracy(Score):
        def __call__(self, genotype: Genotype) -> float:
            raise AssertionError

        def masked(self, masks: Mapping[str, Tensor], shown: Mapping[str, Tensor] | None = None) -> float:
            mixture = Softmax()({"g": alpha}, net.sites, Context(net, masks=masks)).restricted(shown or {})
            return float((net(x, mixture).argmax(1) == y).double().mean())

    def by_hand(mask: Tensor, decided: Tensor) -> float:
        states = []
        for edge in range(2):
            weights = alpha[edge].masked_fill(~decided[edge], -torch.inf).softmax(0)
            states.append(sum(weights[o] * operations[3 * edge + o](x) for o in range(3) if mask[edge, o]))
        return float((net.network.head(torch.cat(states, 1)).argmax(1) == y).double().mean())

    context = Context(net, seed=1)
    found = Perturbation(tune=0)({"g": alpha}, context, Accuracy()).choices["g"]
    order = torch.randperm(2, generator=context.generator("order")).tolist()
    mask = torch.ones(2, 3, dtype=torch.bool)
    for edge in order:
        values = {}
        for o in range(3):
            without = mask.clone()
            without[edge, o] = False
            values[o] = by_hand(without, mask)
        mask[edge] = torch.arange(3) == min(values, key=lambda o: (values[o], -float(alpha[edge, o])))
    assert found == tuple((OPS[row.index(True)],) for row in mask.tolist())


@pytest.mark.parametrize("tune", [1, 5])
def test_every_edge_is_decided_whatever_the_interval(tune: int) -> None:
    """Known error: with an interval of 1 edges were skipped."""
    net, score = spaces.get("nasbench201", channels=4, cells=1).supernet(), Table()
    found = Perturbation(tune)(dict(net.alphas.items()), Context(net), score).choices["cell"]
    assert [len(names) for names in found] == [1] * 6
    evaluated = [entry for entry in score.log if isinstance(entry, dict)]
    assert len(evaluated) == 30, "five candidates on each of six edges, once"
    assert [entry for entry in score.log if not isinstance(entry, dict)] == [tune] * 5, "between decisions"


def test_one_candidate_of_one_edge_is_left_out_at_a_time() -> None:
    """Known error: masks were applied to all edges of a space."""
    net, score = Darts(steps=3, multiplier=2, channels=4, cells=3).supernet(), Table()
    Perturbation(tune=0)(dict(net.alphas.items()), Context(net), score)
    current = {name: group.mask.clone() for name, group in net.groups.items()}
    for masks in score.log[:7]:  # the candidates of the first edge
        changed = [(n, int(e)) for n in masks for e in (masks[n] != current[n]).any(1).nonzero()]
        assert len(changed) == 1
        ((name, edge),) = changed
        assert int((~masks[name][edge]).sum()) == 1


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_cells_of_any_number_of_nodes_are_settled(steps: int) -> None:
    """Known error: the number of nodes was fixed at four."""
    space = Darts(steps=steps, multiplier=1)
    net, score = replace(space, channels=4, cells=3).supernet(), Table()
    genotype = Perturbation(tune=2)(dict(net.alphas.items()), Context(net), score)
    for name, kept in space.check(genotype).choices.items():
        assert all(len(names) <= 1 and "none" not in names for names in kept)
        for incoming in space.groups[name].incoming.values():
            assert sum(bool(kept[e]) for e in incoming) == min(2, len(incoming))


def test_the_edges_that_are_missed_most_stay() -> None:
    group = Group("g", tuple(Edge(s, 3, ("x",)) for s in range(3)), keep=2)

    class Known(Table):
        def value(self, masks: Mapping[str, Tensor]) -> float:
            return {0: 0.5, 1: 0.9, 2: 0.2}[int((~masks["g"].any(1)).nonzero())]

    found = Perturbation()({"g": torch.zeros(3, 1)}, Context(one(group)), Known()).choices["g"]
    assert found == (("x",), (), ("x",))


def test_pruned_candidates_are_no_options() -> None:
    mask = torch.tensor([[True, False, True], [False, True, False]])
    score = Table()
    found = Perturbation()({"g": torch.zeros(2, 3)}, Context(one(TWO), masks={"g": mask}), score).choices["g"]
    assert found[1] == ("b",)
    assert found[0] in (("a",), ("c",))
    assert len([entry for entry in score.log if isinstance(entry, dict)]) == 2


def test_ties_go_to_the_larger_alpha() -> None:
    class Flat(Table):
        def value(self, masks: Mapping[str, Tensor]) -> float:
            return 0.5

    alpha = torch.tensor([[0.0, 2, 1], [3, 2, 1]])
    assert Perturbation()({"g": alpha}, Context(one(TWO)), Flat()).choices["g"] == (("b",), ("a",))


def small() -> nn.Module:
    torch.manual_seed(0)
    norm = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.ReLU())
    first = Choice({"linear": nn.Linear(6, 6), "norm": norm, "skip": nn.Identity()}, group="first")
    second = Choice({"linear": nn.Linear(6, 6), "tanh": nn.Tanh()}, group="second")
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 6), first, second, nn.Linear(6, 2))


class Pair(nn.Module):
    """A cell with two edges of the group `TWO`."""

    def __init__(self, operations: Sequence[nn.Module]) -> None:
        super().__init__()
        made = iter(operations)
        self.cell = Cell(TWO, 1, [1, 2], [1, 1], 4, lambda *_: next(made), executor="plain")
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.cat(self.cell(x), 1))


def pair() -> nn.Module:
    torch.manual_seed(0)
    operations = [module for _ in range(2) for module in (nn.Linear(4, 4), nn.Tanh(), nn.Identity())]
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 4), Pair(operations))


def points() -> data.Dataset:
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(48) % 2
    x = torch.randn(48, 1, 8, 8, generator=generator) + y.view(-1, 1, 1, 1)
    return data.from_tensors(x, y, x[:8], y[:8], name="points")


def test_a_search_ends_with_it_and_tunes_weights_and_alphas(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the learning rate in every step, from momenta of 0; alphas that are fixed stay."""
    moved, original = [], SupernetScore.tune

    def tune(self: SupernetScore, masks: Any, epochs: int) -> None:
        weight = self.bilevel.supernet.weights()[0]
        before, alphas = weight.detach().clone(), {n: a.detach().clone() for n, a in self.bilevel.alphas.items()}
        original(self, masks, epochs)
        fixed = all(torch.equal(a, self.bilevel.alphas[n]) for n, a in alphas.items())
        moved.append((not torch.equal(before, weight), fixed, self.bilevel.weight_optimiser.param_groups[0]["lr"]))

    monkeypatch.setattr(SupernetScore, "tune", tune)
    for name, fixed in (("darts_pt", False), ("darts_pt_fixed", True)):
        method = replace(methods.get(name, tune=1), epochs=1, batch_size=24)
        one, two = (search(pair(), method, points(), device="cpu", progress=False) for _ in range(2))
        assert one.genotype == two.genotype
        assert moved == [(True, fixed, 0.0025)] * 2, "between the two decisions of each search"
        moved.clear()
        assert one.history[0]["genotype"] is None


def test_every_decision_looks_at_the_whole_validation_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last batch, which is not full, included; a lone input alone has no statistics."""
    counts, original = [], SupernetScore._of

    def counted(self: SupernetScore, mixture: Any, batches: data.Batches, steps: int) -> float:
        counts.append([len(y) for (_, y), _ in zip(batches.epoch(), range(steps), strict=False)])
        return original(self, mixture, batches, steps)

    monkeypatch.setattr(SupernetScore, "_of", counted)
    for size, expected in ((2, [2] * 12), (7, [7, 7, 7, 3]), (23, [23])):
        method = replace(methods.get("darts_pt", tune=0), epochs=1, batch_size=size)
        search(small(), method, points(), device="cpu", progress=False)
        assert counts == [expected] * 5, "24 inputs"
        counts.clear()


def test_a_round_is_one_decision_of_every_group_and_tuning_lies_between_rounds() -> None:
    """Cells of 14 edges and three nodes with something to decide: 14 + 3 rounds, with 5 epochs before all but one."""
    net, score = Darts(channels=4, cells=3).supernet(), Table()
    Perturbation()(dict(net.alphas.items()), Context(net), score)
    assert [entry for entry in score.log if not isinstance(entry, dict)] == [5] * 16
    masks = {name: group.mask.clone() for name, group in net.groups.items()}
    seen: list[list[str]] = [[]]
    for entry in score.log:
        if not isinstance(entry, dict):
            seen.append([])
            continue
        changed = [name for name in masks if not torch.equal(entry[name], masks[name])]
        seen[-1] += [name for name in changed if name not in seen[-1]]
        masks = entry
    assert all(set(names) == {"normal", "reduce"} for names in seen)
    assert len(seen) == 17


@pytest.mark.parametrize(("keep", "stay"), [(2, {0, 2}), (1, {0})])
def test_edges_go_one_by_one_and_are_looked_at_again(keep: int, stay: set[int]) -> None:
    group = Group("g", tuple(Edge(s, 3, ("x",)) for s in range(3)), keep=keep)
    accuracies = {(1, 2): 0.6, (0, 2): 0.7, (0, 1): 0.5, (2,): 0.4, (0,): 0.65}

    class Known(Table):
        def value(self, masks: Mapping[str, Tensor]) -> float:
            return accuracies[tuple(masks["g"].any(1).nonzero()[:, 0].tolist())]

    found = Perturbation()({"g": torch.zeros(3, 1)}, Context(one(group)), Known()).choices["g"]
    assert {edge for edge, names in enumerate(found) if names} == stay


def test_it_is_scored_with_the_statistics_of_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Known error: running statistics, which belong to the mixture of all candidates, were used."""
    same: list[bool] = []
    original = SupernetScore._of

    def both(self: SupernetScore, mixture: Any, *rest: Any) -> float:
        norms = [
            m for m in self.bilevel.supernet.modules() if isinstance(m, nn.BatchNorm1d) and m.running_mean is not None
        ]
        before = [norm.running_mean.clone() for norm in norms]
        for norm in norms:
            norm.running_mean.fill_(1e3)
        spoilt = original(self, mixture, *rest)
        for norm, mean in zip(norms, before, strict=True):
            norm.running_mean.copy_(mean)
        same.append(spoilt == original(self, mixture, *rest))
        return spoilt

    monkeypatch.setattr(SupernetScore, "_of", both)
    method = replace(methods.darts(), epochs=1, batch_size=8, discretisation=Perturbation(tune=0))
    search(small(), method, points(), device="cpu", progress=False)
    assert len(same) == 5
    assert all(same)


def test_it_needs_a_score() -> None:
    with pytest.raises(ArchgradError, match="needs a score"):
        Perturbation()({"g": torch.zeros(2, 3)}, Context(one(TWO)))
    with pytest.raises(ArchgradError, match="tune must be 0 or more epochs"):
        Perturbation(tune=-1)
    assert Perturbation().evaluates
