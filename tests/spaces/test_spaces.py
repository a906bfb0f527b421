"""Facts that hold in every space."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archgrad import modifiers, spaces
from archgrad.context import Clock, Context
from archgrad.engine import SettledCell
from archgrad.errors import ArchgradError
from archgrad.genotype import Genotype
from archgrad.method import Method
from archgrad.relaxation import Softmax, StraightThroughGumbel
from archgrad.spaces import Darts, Space

SMALL = {"channels": 4, "cells": 3}


def small(space: Space) -> dict[str, int]:
    """A few channels, and a few cells of every kind."""
    alone = space.name.startswith(("nasbench1shot1", "transnas", "single_cell"))
    return {"channels": 4, "cells": 1 if alone else 3}


EVERY = {name: spaces.get(name) for name in spaces.SPACES}


@pytest.fixture(params=EVERY)
def space(request: pytest.FixtureRequest) -> Space:
    return EVERY[request.param]


def draw(space: Space, count: int, seed: int = 0) -> list[Genotype]:
    generator = torch.Generator().manual_seed(seed)
    return [space.random(generator) for _ in range(count)]


def images(size: int = 8) -> torch.Tensor:
    return torch.randn(4, 3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_text_and_json_give_the_genotype_back(space: Space) -> None:
    for genotype in draw(space, 200):
        assert space.parse(space.format(genotype)) == genotype
        assert space.parse(genotype.to_json()) == genotype
        assert genotype.space == space.name


def test_the_same_seed_draws_the_same_genotypes(space: Space) -> None:
    assert draw(space, 5, seed=3) == draw(space, 5, seed=3) != draw(space, 5, seed=4)


def test_distance_is_a_metric(space: Space) -> None:
    drawn = draw(space, 12)
    for a in drawn:
        assert space.distance(a, a) == 0
        for b in drawn:
            assert space.distance(a, b) == space.distance(b, a)
            assert (space.distance(a, b) == 0) == (a == b)
            for c in drawn:
                assert space.distance(a, c) <= space.distance(a, b) + space.distance(b, c)


def genotypes_with_every_operation(space: Space) -> list[Genotype]:
    """Random genotypes that, between them, keep every candidate in every group, at cell inputs and inside."""

    def kept(genotype: Genotype) -> set[tuple[str, bool, str]]:
        return {
            (name, edge.source < 2, candidate)
            for name, group in space.groups.items()
            for edge, candidates in zip(group.edges, genotype.choices[name], strict=True)
            for candidate in candidates
        }

    drawn, seen, chosen = draw(space, 200), set(), []
    everything = set().union(*map(kept, drawn))
    for genotype in drawn:
        if kept(genotype) - seen:
            chosen.append(genotype)
            seen |= kept(genotype)
    assert everything == {
        (name, edge.source < 2, candidate)
        for name, group in space.groups.items()
        for number, edge in enumerate(group.edges)
        for candidate in group.selectable(number)
    }
    return chosen


def reads_zeros(space: Space, genotype: Genotype) -> bool:
    """Whether an operation is kept that reads a state into which nothing flows."""
    for name, group in space.groups.items():
        kept, inputs = genotype.choices[name], 2 if isinstance(space, Darts) else 1
        pairs = [(number, op) for number, names in enumerate(kept) for op in names if op != "none"]
        filled = set(range(inputs))
        for number, _ in pairs:
            if group.edges[number].source not in filled:
                return True
            filled.add(group.edges[number].target)
    return False


@pytest.mark.parametrize("training", [True, False])
def test_the_supernet_at_a_one_hot_mixture_equals_the_settled_network(space: Space, training: bool) -> None:
    if getattr(space, "auxiliary_skip", False):
        pytest.skip("the supernet has auxiliary skips on every edge, a settled network on those that stay")
    supernet = space.supernet(**small(space)).double()
    with torch.no_grad():
        supernet(images(), supernet.uniform())  # running statistics that differ from their first values
    supernet.train(training)
    for genotype in genotypes_with_every_operation(space):
        if not training and reads_zeros(space, genotype):
            continue  # running statistics make a constant of zeros, which settled networks leave out
        settled = supernet.settle(genotype, inherit=True).train(training)
        with torch.no_grad():
            expected = settled(images())
            state = {name: value.clone() for name, value in supernet.state_dict().items()}
            found = supernet(images(), supernet.one_hot(genotype))
            supernet.load_state_dict(state)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("executor", ["loop", "batched"])
def test_every_executor_computes_the_same_loss_and_mixture_gradients(space: Space, executor: str) -> None:
    y, found = torch.tensor([1, 0, 3, 9]), []
    for name in ("plain", executor):
        torch.manual_seed(0)
        supernet = space.supernet(**small(space), executor=name).double()
        g = torch.Generator().manual_seed(1)
        weights = {
            group: torch.rand(w.shape, generator=g, dtype=w.dtype) * (w > 0) for group, w in supernet.uniform().items()
        }
        mixture = supernet.uniform().with_weights(weights).leaf()
        loss = F.cross_entropy(supernet(images(16), mixture), y)
        found.append((loss.detach(), *torch.autograd.grad(loss, list(mixture.values()))))
    for ours, reference in zip(found[1], found[0], strict=True):
        torch.testing.assert_close(ours, reference, rtol=0, atol=1e-10 * max(1.0, float(reference.abs().max())))


def test_one_hot_weights_equal_a_dense_mixture_of_zeros_and_ones(space: Space) -> None:
    supernet = space.supernet(**small(space)).double().eval()
    mixture = supernet.one_hot(draw(space, 1)[0])
    with torch.no_grad():
        dense = supernet(images(), type(mixture)(mixture.weights))
        torch.testing.assert_close(dense, supernet(images(), mixture), rtol=0, atol=1e-10)


def structure(module: nn.Module) -> list[str]:
    """The operations in order, whatever wraps them, with their settings."""
    parts = (nn.Conv2d, nn.Linear, nn.Identity, nn.ReLU)
    return [
        repr(m) for m in module.modules() if isinstance(m, parts) or type(m).__name__ in ("Pool", "FactorizedReduce")
    ]


def test_the_network_of_a_space_is_the_settled_supernet_with_affine_norms() -> None:
    space = EVERY["nasbench201"]
    for genotype in draw(space, 10):
        settled = space.supernet(**SMALL, affine=True).settle(genotype)
        network = space.network(genotype, **SMALL)
        assert [(n, p.shape) for n, p in network.named_parameters()] == [
            (n, p.shape) for n, p in settled.named_parameters()
        ]
        assert network.load_state_dict(settled.state_dict(), strict=True)
        assert structure(network) == structure(settled)


def test_darts_networks_differ_from_the_settled_supernet_in_pool_norms_and_drop_path_only() -> None:
    space = EVERY["darts"]
    for genotype in draw(space, 4):
        settled = space.supernet(**SMALL, affine=True).settle(genotype).double().eval()
        network = space.network(genotype, **SMALL).double().eval()
        assert [p.shape for p in network.parameters()] == [p.shape for p in settled.parameters()]
        for ours, theirs in zip(network.parameters(), settled.parameters(), strict=True):
            ours.data.copy_(theirs)
        for module in settled.modules():
            if type(module).__name__ == "Pool":
                module.norm = None
        torch.testing.assert_close(network(images(16)), settled(images(16)), rtol=0, atol=1e-10)


def settled_cells(network: nn.Module) -> list[SettledCell]:
    return [module for module in network.modules() if isinstance(module, SettledCell)]


@pytest.mark.parametrize("space", [EVERY["nasbench201"], Darts(multiplier=1)], ids=["nasbench201", "darts"])
def test_removing_what_is_not_reached_leaves_the_output(space: Space) -> None:
    removed = 0
    for genotype in draw(space, 12, seed=5):
        network = space.network(genotype, **SMALL, unreached=True).double().eval()
        shorter = space.network(genotype, **SMALL, unreached=False)
        before = network(images())
        for cell, short in zip(settled_cells(network), settled_cells(shorter), strict=True):
            removed += len(cell.places) - len(short.places)
            operations = dict(zip(cell.places, cell.operations, strict=True))
            cell.places, cell.operations = short.places, nn.ModuleList(operations[place] for place in short.places)
        assert structure(network) == structure(shorter)
        torch.testing.assert_close(network(images()), before, rtol=0, atol=1e-10)
    assert removed > 0


def test_an_unknown_space_or_option_is_refused() -> None:
    with pytest.raises(ArchgradError, match=r"unknown space 'dart': did you mean 'darts'"):
        spaces.get("dart")
    with pytest.raises(ArchgradError, match=r"space 'darts': .*stepps"):
        spaces.get("darts", stepps=3)


@pytest.mark.parametrize(
    "modifier", [None, "PartialChannels", "EdgeNormalisation", "AuxiliarySkip", "OperationDropout", "DropPath"]
)
@pytest.mark.parametrize("name", ["robust_darts_s1", "robust_darts_s4", "nasbench1shot1_3", "transnasbench101"])
def test_every_modifier_works_on_every_kind_of_space(name: str, modifier: str | None) -> None:
    """An alpha step and a weight step, with soft and with sampled mixtures."""
    space = EVERY[name]
    batch = images(16).float(), torch.tensor([1, 0, 3, 9])
    for relaxation in (Softmax(), StraightThroughGumbel()):
        supernet = space.supernet(channels=8, cells=small(space)["cells"], executor="loop", checkpoint_cells=True)
        options = {"operations": space.operations[:1]} if modifier == "OperationDropout" else {}
        chosen = [] if modifier is None else [getattr(modifiers, modifier)(**options)]
        for used in chosen:
            used.prepare(supernet, small(space))
        alphas = dict(supernet.alphas.items())
        context = Context(supernet, Clock(0, 2, 0, 2), masks=supernet.masks)
        objective = Method(relaxation=relaxation, modifiers=chosen).objective(batch, context)
        gradients = objective.gradient(alphas)
        assert all(torch.isfinite(g).all() for g in gradients.values())
        assert any((g != 0).any() for g in gradients.values())
        for group, mask in supernet.masks.items():
            assert (gradients[group][~mask] == 0).all()
        assert all(torch.isfinite(g).all() for g in objective.weight_gradient(objective.mix(alphas)))
