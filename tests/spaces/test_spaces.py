"""Facts that hold in every space."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import yaml
from torch import nn

from archgrad import Choice, Supernet, modifiers, spaces
from archgrad.context import Clock, Context
from archgrad.engine import SettledCell
from archgrad.errors import ArchgradError
from archgrad.genotype import Edge, Genotype, Group
from archgrad.method import Method
from archgrad.relaxation import Softmax, StraightThroughGumbel
from archgrad.spaces import Darts, Size, Space

EVERY = {
    name: spaces.get(name, channels=4, cells=1 if name.startswith(("nasbench1shot1", "transnas", "single_cell")) else 3)
    for name in spaces.SPACES
}
"""With a few channels, and a few cells of every kind."""


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
    supernet = space.supernet().double()
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
        supernet = space.supernet(executor=name).double()
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
    supernet = space.supernet().double().eval()
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
        settled = space.supernet(affine=True).settle(genotype)
        network = space.network(genotype)
        assert [(n, p.shape) for n, p in network.named_parameters()] == [
            (n, p.shape) for n, p in settled.named_parameters()
        ]
        assert network.load_state_dict(settled.state_dict(), strict=True)
        assert structure(network) == structure(settled)


def test_darts_networks_differ_from_the_settled_supernet_in_pool_norms_and_drop_path_only() -> None:
    space = EVERY["darts"]
    for genotype in draw(space, 4):
        settled = space.supernet(affine=True).settle(genotype).double().eval()
        network = space.network(genotype).double().eval()
        assert [p.shape for p in network.parameters()] == [p.shape for p in settled.parameters()]
        for ours, theirs in zip(network.parameters(), settled.parameters(), strict=True):
            ours.data.copy_(theirs)
        for module in settled.modules():
            if type(module).__name__ == "Pool":
                module.norm = None
        torch.testing.assert_close(network(images(16)), settled(images(16)), rtol=0, atol=1e-10)


def settled_cells(network: nn.Module) -> list[SettledCell]:
    return [module for module in network.modules() if isinstance(module, SettledCell)]


@pytest.mark.parametrize(
    "space", [EVERY["nasbench201"], Darts(multiplier=1, channels=4, cells=3)], ids=["nasbench201", "darts"]
)
def test_removing_what_is_not_reached_leaves_the_output(space: Space) -> None:
    removed = 0
    for genotype in draw(space, 12, seed=5):
        network = space.network(genotype, unreached=True).double().eval()
        shorter = space.network(genotype, unreached=False)
        before = network(images())
        for cell, short in zip(settled_cells(network), settled_cells(shorter), strict=True):
            removed += len(cell.places) - len(short.places)
            operations = dict(zip(cell.places, cell.operations, strict=True))
            cell.places, cell.operations = short.places, nn.ModuleList(operations[place] for place in short.places)
        assert structure(network) == structure(shorter)
        torch.testing.assert_close(network(images()), before, rtol=0, atol=1e-10)
    assert removed > 0


@pytest.mark.parametrize("size", [(32, 32), (19, 40)])
def test_the_formula_of_a_cost_equals_the_trace_of_the_network(space: Space, size: tuple[int, int]) -> None:
    for genotype in draw(space, 3):
        traced = Space.cost(space, genotype, classes=7, in_channels=1, image_size=size)
        assert space.cost(genotype, classes=7, in_channels=1, image_size=size, unreached=False) == traced


def test_one_number_stands_for_the_height_and_width_of_an_image() -> None:
    space = EVERY["nasbench201"]
    (genotype,) = draw(space, 1)
    assert space.cost(genotype, image_size=16) == space.cost(genotype, image_size=(16, 16))
    assert space.flops(genotype, image_size=(8, 16)) == space.flops(genotype, image_size=(16, 8))
    with pytest.raises(ArchgradError, match="image_size: width must be a whole number, 1 or more, got 0"):
        space.cost(genotype, image_size=(8, 0))


class Short(Space):
    """What a space of one's own must say."""

    name = "short"
    published_supernet, published_network = Size(6, 1), Size(12, 1)
    groups = MappingProxyType({"body": Group("body", (Edge(0, 1, ("three", "skip")),))})

    def supernet(self, *, classes: int = 10, in_channels: int = 3, executor: str = "auto", seed: int = 0) -> Supernet:
        """A stem, one choice, a classifier."""
        channels, _ = self.supernet_size
        body = {"three": nn.Conv2d(channels, channels, 3, padding=1, bias=False), "skip": nn.Identity()}
        stem, head = nn.Conv2d(in_channels, channels, 1, bias=False), nn.Linear(channels, classes)
        layers = [stem, Choice(body, group="body"), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head]
        return Supernet(nn.Sequential(*layers), space=self, seed=seed)


def test_a_space_of_ones_own_has_notation_network_and_cost_for_nothing() -> None:
    space = Short()
    three, skip = (Genotype.of({"body": [[name]]}, "short") for name in ("three", "skip"))
    assert {space.random(torch.Generator().manual_seed(seed)) for seed in range(9)} == {three, skip}
    assert space.parse(space.format(three)) == three
    with pytest.raises(ArchgradError, match="short: 'three' is not a genotype in JSON"):
        space.parse("three")
    stem_and_head = 3 * 12 + 13 * 10
    assert space.parameters(skip) == stem_and_head
    assert space.cost(three, image_size=(4, 9)) == (stem_and_head + 9 * 144, 4 * 9 * (36 + 9 * 144) + 130)
    assert replace(space, channels=2).parameters(skip) == 3 * 2 + 3 * 10
    assert space.as_searched().parameters(skip) == 3 * 6 + 7 * 10
    with pytest.raises(ArchgradError, match="short: networks have no operations that reach no output"):
        space.network(three, unreached=True)
    weights = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        weights.append(next(space.network(three).parameters()))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_counting_draws_no_random_numbers() -> None:
    state = torch.get_rng_state()
    Short().cost(Genotype.of({"body": [["three"]]}))
    assert torch.equal(torch.get_rng_state(), state)


def test_sizes_that_are_not_given_are_the_published_ones() -> None:
    darts = spaces.get("darts", channels=20)
    assert (darts.supernet_size, darts.network_size) == ((20, 8), (20, 20))
    assert darts.as_searched() == spaces.get("darts", channels=20, cells=8)
    assert darts.as_searched().network_size == darts.supernet_size
    assert len(darts.supernet().network.cells) == 8
    assert darts.count == spaces.get("darts").count


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("darts", {"channels": 4, "candidates": ("skip_connect", "sep_conv_3x3"), "stem": "imagenet"}),
        ("darts_without_none", {}),
        ("wide-all_skip", {"cells": 3}),
        ("robust_darts_s3", {"steps": 2, "multiplier": 2}),
        ("nasbench1shot1_2", {"channels": 8}),
    ],
)
def test_what_a_run_records_of_a_space_is_that_space(name: str, fields: dict[str, Any]) -> None:
    space = spaces.get(name, **fields)
    config = yaml.safe_load(yaml.safe_dump(spaces.record(space)))
    assert set(config["space_fields"]) == set(fields)
    assert spaces.recorded(config) == space
    assert spaces.recorded(config, cells=2) == replace(space, cells=2)


def test_an_unknown_space_or_option_is_refused() -> None:
    with pytest.raises(ArchgradError, match=r"unknown space 'dart': did you mean 'darts'"):
        spaces.get("dart")
    with pytest.raises(ArchgradError, match=r"unknown field of the space 'darts' 'stepps': did you mean 'steps'"):
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
        supernet = replace(space, channels=8).supernet(executor="loop", checkpoint_cells=True)
        options = {"operations": space.operations[:1]} if modifier == "OperationDropout" else {}
        chosen = [] if modifier is None else [getattr(modifiers, modifier)(**options)]
        for used in chosen:
            used.prepare(supernet, {})
        alphas = dict(supernet.alphas.items())
        context = Context(supernet, Clock(0, 2, 0, 2), masks=supernet.masks)
        objective = Method(relaxation=relaxation, modifiers=chosen).objective(batch, context)
        gradients = objective.gradient(alphas)
        assert all(torch.isfinite(g).all() for g in gradients.values())
        assert any((g != 0).any() for g in gradients.values())
        for group, mask in supernet.masks.items():
            assert (gradients[group][~mask] == 0).all()
        assert all(torch.isfinite(g).all() for g in objective.weight_gradient(objective.mix(alphas)))
