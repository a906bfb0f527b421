"""LayerAlignment and FlatMinima on top of everything else: at strength 0 the base bit for bit, and exact resume."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from archgrad import ArchgradError, Choice, Method, data, gradient, methods, relaxation, search, spaces
from archgrad.context import Clock, Context
from archgrad.engine import Cell
from archgrad.gradient import FirstOrder, FlatMinima, LayerAlignment, Plain, SingleLevel, Unrolled
from archgrad.gradient.layer_alignment import alignment_gradient
from archgrad.mixture import Mixture
from archgrad.objective import Objective
from archgrad.randomness import isolated
from archgrad.roles import Relaxation
from archgrad.runs import Run
from archgrad.search import Search, SearchResult
from archgrad.spaces import Darts
from archgrad.supernet import Supernet

RELAXATIONS = [
    made
    for name in relaxation.__all__
    if isinstance(made := getattr(relaxation, name), type)
    and issubclass(made, Relaxation)
    and name not in ("Composite", "RandomPath")
]
"""All that have a gradient by themselves: a random path does not depend on alphas."""


def network() -> nn.Module:
    """Two sites of one group, batch statistics and dropout: all that extra passes could disturb."""

    def block() -> Choice:
        candidates = {
            "linear": nn.Linear(4, 4),
            "tanh": nn.Sequential(nn.Linear(4, 4), nn.Tanh()),
            "skip": nn.Identity(),
        }
        return Choice(candidates, group="body")

    with isolated(3, "weights"):
        return nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), block(), nn.Dropout(0.2), block(), nn.Linear(4, 2))


def points() -> data.Dataset:
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(32) % 2
    x = torch.randn(32, 4, generator=generator) + y[:, None]
    return data.from_tensors(x, y, x[:8], y[:8], name="points")


def find(method: Method, epochs: int = 2, **options: Any) -> SearchResult:
    return search(network(), method, points(), epochs=epochs, batch_size=8, device="cpu", progress=False, **options)


def same(one: SearchResult, other: SearchResult) -> bool:
    """Whether all alphas, weights and running statistics are equal to the last bit."""
    states = one.supernet.state_dict(), other.supernet.state_dict()
    return all(torch.equal(states[0][name], states[1][name]) for name in states[0]) and all(
        np.array_equal(one.alphas[group], other.alphas[group]) for group in one.alphas
    )


def find_in_a_space(method: Method, space: str, epochs: int) -> SearchResult:
    """For methods that change cells, or need images between 0 and 1."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(16) % 2
    x = torch.rand(16, 3, 8, 8, generator=generator)
    images = data.from_tensors(x, y, x[:8], y[:8], name="images")
    small = spaces.get(space, channels=4, cells=1 if space == "nasbench201" else 3)
    return search(small, method, images, epochs=epochs, batch_size=4, device="cpu", progress=False)


LONG = ("p_darts", "robust_darts")
NAMES = [pytest.param(name, marks=pytest.mark.slow) if name in LONG else name for name in methods.METHODS]


@pytest.mark.parametrize("name", NAMES)
def test_strength_zero_is_the_base_bit_for_bit_for_every_method(name: str):
    base = methods.get(name, "own:network")
    epochs = min(2, base.epochs)
    run: Callable[[Method], SearchResult] = partial(find, epochs=epochs)
    try:
        plain = run(base)
    except ArchgradError:
        space = "darts" if name == "p_darts" else "nasbench201"
        base, run = methods.get(name, space), partial(find_in_a_space, space=space, epochs=epochs)
        plain = run(base)
    aligned = replace(base, weight_gradient=LayerAlignment(0.0, base=base.weight_gradient))
    assert same(run(aligned), plain)
    flat = replace(base, architecture_gradient=FlatMinima(0.0, base=base.architecture_gradient))
    assert same(run(flat), plain)


BOTH = replace(
    methods.darts(),
    weight_gradient=LayerAlignment(0.5, epsilon=1e-2),
    architecture_gradient=FlatMinima(0.1),
    relaxation=relaxation.Dirichlet(),
)


@pytest.mark.parametrize("steps", [3, 4])
def test_an_interrupted_search_ends_as_the_whole_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int):
    whole = find(BOTH, 3, out=tmp_path / "whole")
    assert not same(whole, find(replace(BOTH, weight_gradient=Plain()), 3)), "alignment does something"
    assert not same(whole, find(replace(BOTH, architecture_gradient=FirstOrder()), 3)), "the ascent does something"
    original: Callable[..., None] = Search.train_step
    done = 0

    def interrupted(self: Search, *batches: Any) -> None:
        nonlocal done
        if done == steps:
            raise KeyboardInterrupt
        done += 1
        original(self, *batches)

    monkeypatch.setattr(Search, "train_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        find(BOTH, 3, out=tmp_path / "parts", checkpoint_seconds=0.0)
    monkeypatch.setattr(Search, "train_step", original)
    assert same(find(BOTH, 3, out=tmp_path / "parts"), whole)
    histories = [Run.open(tmp_path / name).history() for name in ("whole", "parts")]
    for record in [record for history in histories for record in history]:
        del record["seconds"]
    assert histories[0] == histories[1]


@pytest.mark.parametrize("rule", [FirstOrder(), SingleLevel(), Unrolled(), FlatMinima(0.1)])
@pytest.mark.parametrize("made", RELAXATIONS)
def test_alignment_works_with_every_relaxation_and_architecture_gradient(made: type[Relaxation], rule: Any):
    method = replace(methods.darts(), relaxation=made(), architecture_gradient=rule)
    plain = find(method)
    aligned = find(replace(method, weight_gradient=LayerAlignment(1.0, epsilon=1e-2)))
    assert all(np.isfinite(alphas).all() for alphas in aligned.alphas.values())
    if made in (relaxation.Softmax, relaxation.Sigmoid, relaxation.Dirichlet, relaxation.GumbelSoftmax):
        assert not same(aligned, plain), "where all candidates are computed, the gradients of the sites differ"


def objective(supernet: Supernet, size: int = 8) -> Objective:
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(6, 3, size, size, dtype=torch.float64, generator=draw)
    return Method().objective((x, torch.randint(10, (6,), generator=draw)), Context(supernet, Clock(1, 2)))


def test_the_sites_are_those_of_the_papers():
    assert spaces.get("nasbench201", channels=2, cells=5).supernet().sites == {"cell": 15}
    assert spaces.get("darts", channels=2, cells=8).supernet().sites == {"normal": 6, "reduce": 2}
    assert methods.lambda_darts("nasbench201").weight_gradient == LayerAlignment(0.25, 1e-4)
    assert methods.lambda_darts("darts").weight_gradient == LayerAlignment(0.125, 1e-4, groups=("normal",))


@pytest.mark.parametrize("site", [0, 2, 5])
def test_a_perturbed_row_changes_that_cell_and_none_before_it(site: int):
    torch.manual_seed(0)
    supernet = spaces.get("nasbench201", channels=2, cells=2).supernet(executor="plain").double()
    cells = [module for module in supernet.network.modules() if isinstance(module, Cell)]
    assert len(cells) == 6

    def outputs(mixture: Mixture) -> tuple[list[Tensor], list[Tensor]]:
        came: list[Tensor] = []
        went: list[Tensor] = []

        def record(_: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            came.append(inputs[0] if isinstance(inputs[0], Tensor) else inputs[0][0])
            went.append(output[0] if isinstance(output, list | tuple) else output)

        hooks = [cell.register_forward_hook(record) for cell in cells]
        with torch.no_grad():
            supernet(torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(2)).double(), mixture)
        for hook in hooks:
            hook.remove()
        return came, went

    weights = supernet.uniform()["cell"].clone()
    came, went = outputs(Mixture({"cell": weights}))
    moved = weights.clone()
    moved[site, :, 3] += 0.1
    came_too, went_too = outputs(Mixture({"cell": moved}))
    assert all(torch.equal(a, b) for a, b in zip(went[:site], went_too[:site], strict=True))
    assert torch.equal(came[site], came_too[site])
    assert not torch.equal(went[site], went_too[site])


def test_reduction_cells_are_not_perturbed(monkeypatch: pytest.MonkeyPatch):
    torch.manual_seed(0)
    space = Darts(candidates=("skip_connect", "sep_conv_3x3"), steps=2, multiplier=2)
    supernet = replace(space, channels=2, cells=5).supernet(executor="plain").double()
    at, seen = objective(supernet, 16), []
    original: Callable[..., Tensor] = Supernet.forward

    def record(self: Supernet, x: Tensor, mixture: Mixture) -> Tensor:
        seen.append({group: weights.detach().clone() for group, weights in mixture.items()})
        return original(self, x, mixture)

    monkeypatch.setattr(Supernet, "forward", record)
    rule = LayerAlignment(1.0, groups=("normal",))
    rule(at, dict(supernet.alphas.items()), at.context)
    clean, up, down = seen
    for moved in (up, down):
        assert torch.equal(moved["reduce"], clean["reduce"])
        assert not torch.equal(moved["normal"], clean["normal"])


def test_a_saturated_mixture_is_at_rest_whatever_the_gradients_of_the_cells():
    torch.manual_seed(0)
    supernet = spaces.get("nasbench201", channels=2, cells=1).supernet(executor="plain").double()
    with torch.no_grad():
        supernet.alphas["cell"].zero_()[:, 2] = 1e4  # whose softmax is 1 and 0 exactly
    at = objective(supernet)
    found = at.gradient(dict(supernet.alphas.items()))
    assert at.trace.site_gradients["cell"].abs().max() > 0
    assert not found["cell"].any()
    with torch.no_grad():
        supernet.alphas["cell"][:, 2] = 1.0
    at = objective(supernet)
    assert at.gradient(dict(supernet.alphas.items()))["cell"].abs().max() > 0


@pytest.mark.parametrize("kind", ["corr", "signcorr"])
def test_only_one_site_out_of_line_moves_all(kind: Any):
    """δ is zero where all sites agree; turning one of them moves it and, by symmetry, the others alike."""
    g = torch.tensor([[1.0, 2.0, 0.5]] * 4, dtype=torch.float64)
    g[2] = torch.tensor([2.0, -1.0, 0.5])
    delta = alignment_gradient(g, kind)
    assert delta[2].abs().max() > 0
    torch.testing.assert_close(delta[0], delta[1])
    torch.testing.assert_close(delta[0], delta[3])


def test_flat_minima_asks_the_base_four_times_and_leaves_it_as_it_was():
    torch.manual_seed(0)
    supernet = spaces.get("nasbench201", channels=2, cells=1).supernet(executor="plain").double()
    asked: list[dict[str, Tensor]] = []

    class Counting(gradient.FirstOrder):
        def __call__(self, at: Objective, alphas: Any, context: Context) -> dict[str, Tensor] | None:
            asked.append({group: alpha.detach().clone() for group, alpha in alphas.items()})
            return super().__call__(at, alphas, context)

    before = copy.deepcopy(supernet.state_dict())
    at = objective(supernet)
    FlatMinima(0.5, epsilon=1e-2, centre="alpha", base=Counting())(at, dict(supernet.alphas.items()), at.context)
    after = supernet.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert all("running" in name or "num_batches" in name for name in changed)
    start, ascent, up, down = (point["cell"] for point in asked)
    torch.testing.assert_close((up + down) / 2, start, rtol=0, atol=1e-15)  # the centre is alpha itself
    first = objective(supernet).gradient(dict(supernet.alphas.items()))["cell"]
    torch.testing.assert_close(ascent - start, 0.5 * first)


def test_finite_differences_of_alignment_are_exact_between_the_kinks_of_relus_only():
    """Every ReLU that changes its state between the two passes makes the gradient jump by an amount that ε divides."""
    torch.manual_seed(0)
    supernet = spaces.get("nasbench201", channels=4, cells=2).supernet(executor="plain").double()
    alphas = dict(supernet.alphas.items())

    def ascent(**options: Any) -> Tensor:
        at = objective(supernet, 16)
        found = LayerAlignment(1.0, **options)(at, alphas, at.context)
        plain = Plain()(objective(supernet, 16), alphas, at.context)
        return torch.cat([(p - g).flatten() for p, g in zip(plain, found, strict=True)])

    exact = ascent(exact=True)
    errors = [float((ascent(epsilon=epsilon) - exact).norm() / exact.norm()) for epsilon in (1e-8, 1e-2)]
    assert errors[0] < 1e-5
    assert errors[1] > 0.5
