"""Everything combines with everything: each combination takes a step and resumes exactly, or is refused by name."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import archgrad
from archgrad import data, gradient, methods, modifiers, relaxation, spaces
from archgrad.context import Alphas, Context
from archgrad.errors import ArchgradError
from archgrad.method import REFUSED, AlphaOptimiser, Method
from archgrad.mixture import Mixture
from archgrad.roles import ArchitectureGradient, Modifier, Relaxation, WeightGradient
from archgrad.search import Search, search

SPACE = archgrad.spaces.get("nasbench201")


def images() -> data.Dataset:
    g = torch.Generator().manual_seed(0)
    return data.from_tensors(
        torch.rand(32, 3, 6, 6, generator=g), torch.arange(32) % 2, *(torch.zeros(2, 3, 6, 6), torch.tensor([0, 1]))
    )


def public(module: Any, kind: type, **needed: dict[str, Any]) -> list[Any]:
    """One of each public component of a role, with its default settings where those suffice."""
    found = [getattr(module, name) for name in module.__all__]
    kinds = [k for k in found if isinstance(k, type) and issubclass(k, kind)]
    return [k(**needed.get(k.__name__, {})) for k in kinds]


RELAXATIONS = public(
    relaxation,
    Relaxation,
    Composite={"inner": relaxation.Softmax(), "outer": relaxation.StraightThroughGumbel()},
)
MODIFIERS = [None, *public(modifiers, Modifier, PartialChannels={"share": 2})]
ARCHITECTURE = public(gradient, ArchitectureGradient)
WEIGHTS = public(gradient, WeightGradient)
PAIRS = list(itertools.product(RELAXATIONS, MODIFIERS, ARCHITECTURE, WEIGHTS))


class StopError(Exception):
    """The search was interrupted."""


def interrupted(self: Search) -> None:
    end(self)
    raise StopError


end = Search._close_epoch


def check(parts: tuple[Any, ...], directory: Path) -> None:
    mix, modifier, architecture, weights = parts
    chosen = () if modifier is None else (modifier,)
    names = {type(part).__name__ for part in parts}
    make = {"relaxation": mix, "modifiers": chosen, "architecture_gradient": architecture, "weight_gradient": weights}
    if any(pair <= names for pair in REFUSED):
        with pytest.raises(ArchgradError, match="|".join(names)):
            Method("pair", **make)
        return
    method = Method("pair", batch_size=8, epochs=2, **make)
    options: dict[str, Any] = {"progress": False, "device": "cpu", "diagnose": 0}
    whole = search(SPACE, method, images(), **options)
    Search._close_epoch = interrupted  # type: ignore[method-assign]
    try:
        with pytest.raises(StopError):
            search(SPACE, method, images(), out=directory, **options)
    finally:
        Search._close_epoch = end  # type: ignore[method-assign]
    again = search(SPACE, method, images(), out=directory, **options)
    for name, alphas in whole.alphas.items():
        assert torch.isfinite(torch.as_tensor(alphas)).all()
        assert (alphas == again.alphas[name]).all(), name
    for (name, mine), other in zip(
        whole.supernet.state_dict().items(), again.supernet.state_dict().values(), strict=True
    ):
        assert torch.equal(mine, other), name


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(PAIRS))
def test_some_combinations(tmp_path_factory: pytest.TempPathFactory, parts: tuple[Any, ...]) -> None:
    check(parts, tmp_path_factory.mktemp("run") / "run")


@pytest.mark.slow
@pytest.mark.parametrize("mix", RELAXATIONS, ids=lambda part: type(part).__name__)
@pytest.mark.parametrize("modifier", MODIFIERS, ids=lambda part: type(part).__name__)
def test_all_combinations(tmp_path: Path, mix: Relaxation, modifier: Modifier | None) -> None:
    for number, (architecture, weights) in enumerate(itertools.product(ARCHITECTURE, WEIGHTS)):
        check((mix, modifier, architecture, weights), tmp_path / str(number))


class Cut(relaxation.StraightThroughGumbel):
    """Every sample keeps ``none`` alone: nothing leads from the input to the classifier."""

    def __call__(self, alphas: Alphas, sites: Mapping[str, int], context: Context | None = None) -> Mixture:
        none = torch.nn.functional.one_hot(torch.tensor(SPACE.groups["cell"].operations.index("none")), 5)
        return super().__call__({group: alpha + 1e3 * none for group, alpha in alphas.items()}, sites, context)


@pytest.mark.parametrize(
    "part",
    [*ARCHITECTURE, *WEIGHTS, gradient.LayerAlignment(exact=True), gradient.FlatMinima(second_order="exact"),
     *(gradient.Unrolled(second_order=way) for way in ("exact", "double-backward"))],
    ids=lambda part: type(part).__name__,
)  # fmt: skip
def test_a_sample_that_cuts_the_network_has_gradient_zero(part: ArchitectureGradient | WeightGradient) -> None:
    role = "architecture_gradient" if isinstance(part, ArchitectureGradient) else "weight_gradient"
    decay = AlphaOptimiser(weight_decay=0)
    method = Method("cut", batch_size=16, epochs=1, relaxation=Cut(), alpha_optimiser=decay, **{role: part})
    found = search(replace(SPACE, channels=4, cells=1), method, images(), progress=False, device="cpu", diagnose=1)
    assert (found.alphas["cell"][1] == found.alphas["cell"][0]).all()


@pytest.mark.parametrize(
    "pair", list(itertools.combinations(MODIFIERS[1:], 2)), ids=lambda pair: "+".join(type(p).__name__ for p in pair)
)
def test_modifiers_combine_in_either_order(pair: tuple[Modifier, Modifier]) -> None:
    names = {type(part).__name__ for part in pair}
    for chosen in (pair, pair[::-1]):
        if any(refused <= names for refused in REFUSED):
            with pytest.raises(ArchgradError, match="|".join(names)):
                Method("two", modifiers=chosen)
        else:
            method = Method("two", batch_size=16, epochs=1, modifiers=chosen)
            found = search(replace(SPACE, channels=4, cells=1), method, images(), progress=False, device="cpu")
            assert all(torch.isfinite(torch.as_tensor(alphas)).all() for alphas in found.alphas.values())


SLOW = {("darts_pt", "darts"), ("darts_pt_fixed", "darts"), ("p_darts", "darts")}
"""Tuning before each of 28 decisions; 17 cells."""


@pytest.mark.parametrize(
    ("name", "space"),
    [
        pytest.param(name, space, marks=pytest.mark.slow if (name, space) in SLOW else ())
        for name in methods.names()
        for space in ("nasbench201", "darts")
    ],
)
def test_every_method_searches(name: str, space: str) -> None:
    method = methods.get(name, space)
    channels = 6 if name == "drnas" else 4  # whose operations first see one channel in six
    found = search(
        spaces.get(space, channels=channels, cells=1 if space == "nasbench201" else 3),
        method,
        images(),
        batch_size=16,
        epochs=min(method.epochs, 2),
        diagnose=0,
        progress=False,
        device="cpu",
    )
    assert archgrad.spaces.get(space).check(found.genotype)
