"""Methods are compositions with the published settings, and every component of one is checked."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from archgrad import ArchgradError, Choice, Method, data, methods, search, spaces
from archgrad.choice import Partial
from archgrad.cli.listing import _about_method
from archgrad.discretise import BestOfRandom, Strongest
from archgrad.gradient import FirstOrder, Fixed, Plain, Unrolled
from archgrad.method import AlphaOptimiser, WeightOptimiser, describe
from archgrad.regularisers import DirichletAnchor
from archgrad.relaxation import RandomPath, Softmax
from archgrad.roles import Relaxation, Schedule
from archgrad.schedules import WarmUp


def test_darts_has_its_published_settings():
    method = methods.get("darts", "darts")
    assert method.weight_optimiser == WeightOptimiser(
        lr=0.025, lr_min=0.001, momentum=0.9, weight_decay=3e-4, nesterov=False, clip=5.0
    )
    assert method.alpha_optimiser == AlphaOptimiser(lr=3e-4, betas=(0.5, 0.999), weight_decay=1e-3)
    assert (method.epochs, method.batch_size, method.order) == (50, 64, "alphas-first")
    parts = (method.relaxation, method.architecture_gradient, method.weight_gradient, method.discretisation)
    assert parts == (Softmax(1.0), FirstOrder(), Plain(), Strongest())


def test_on_nasbench201_darts_has_the_settings_of_the_benchmarks_own_searches():
    there, here = methods.get("darts", "darts"), methods.get("darts", "nasbench201")
    weights = replace(there.weight_optimiser, weight_decay=5e-4, nesterov=True)
    assert here == replace(there, weight_optimiser=weights, order="weights-first")


def test_alphas_start_where_the_method_says():
    """FairDARTS' start at 0, and SNAS' have ten times the usual spread; the draw is the same."""
    space, settings = spaces.get("nasbench201", channels=4, cells=1), {"epochs": 0, "progress": False}
    usual = search(space, replace(methods.get("darts"), batch_size=64), **settings).alphas["cell"][0]
    wide = search(space, methods.get("snas"), **settings).alphas["cell"][0]
    zero = search(space, methods.get("fair_darts", "nasbench201"), **settings).alphas["cell"][0]
    assert 1e-4 < usual.std() < 1e-2
    assert wide == pytest.approx(10 * usual, rel=1e-5)
    assert not zero.any()


def test_what_a_method_leaves_out_is_neither_mixed_nor_found():
    """No weight in any pass and no share of the softmax, −∞ in the record; the others are as without that column."""
    seen, space = [], spaces.get("nasbench201", channels=2, cells=1)

    @dataclass(frozen=True)
    class Watched(Softmax):
        def __call__(self, *given: Any, **named: Any) -> Any:
            mixture = super().__call__(*given, **named)
            seen.append(mixture)
            return mixture

    base = replace(methods.get("darts", "nasbench201"), relaxation=Watched(), epochs=1, batch_size=512)
    found = search(space, replace(base, without=("none",)), progress=False, diagnose=0)
    for mixture in seen:
        assert not mixture.active["cell"][..., 0].any()
        assert not mixture["cell"][..., 0].any()
        torch.testing.assert_close(mixture["cell"].sum(-1), torch.ones(3, 6))
    assert (found.alphas["cell"][..., 0] == -float("inf")).all()
    assert abs(found.alphas["cell"][..., 1:]).max() < 0.1
    assert all(names[0] != "none" for names in found.genotype.choices["cell"])


def test_a_method_cannot_leave_out_everything():
    space = spaces.get("robust_darts_s1", channels=4, cells=3)
    method = replace(methods.get("darts"), without=("skip_connect", "dil_conv_3x3"), batch_size=64)
    with pytest.raises(ArchgradError, match="without skip_connect, dil_conv_3x3 nothing is left to choose on edge"):
        search(space, method, progress=False)
    with pytest.raises(ArchgradError, match="without must be a tuple of names of candidates, got 'none'"):
        replace(method, without="none")
    names = replace(method, without=["none", "no such operation"])
    assert names.without == ("none", "no such operation"), "names that a space does not know do not matter"


def test_alphas_gradients_are_clipped_where_the_method_says():
    """Their common norm over all groups is at most `clip`; Adam without memory then moves nothing more or less."""
    seen: list[list[Tensor]] = []

    @dataclass(frozen=True)
    class Steep(FirstOrder):
        def __call__(self, objective: Any, alphas: Any, context: Any) -> Any:
            return {name: torch.full_like(alpha, 3.0) for name, alpha in alphas.items()}

    space = spaces.get("nasbench201", channels=4, cells=1)
    original = torch.optim.Adam.step

    def step(self: torch.optim.Adam, *given: Any) -> Any:
        seen.append([p.grad.clone() for group in self.param_groups for p in group["params"]])
        return original(self, *given)

    for clip, norm in ((None, 3 * 30**0.5), (5.0, 5.0), (50.0, 3 * 30**0.5)):
        alphas = AlphaOptimiser(clip=clip)
        method = Method(architecture_gradient=Steep(), alpha_optimiser=alphas, epochs=1, batch_size=512)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.optim.Adam, "step", step)
            search(space, method, progress=False, diagnose=0)
        assert float(seen[0][0].norm()) == pytest.approx(norm, rel=1e-4)
        seen.clear()
    with pytest.raises(ArchgradError, match="clip must be a number above 0"):
        AlphaOptimiser(clip=0.0)


def test_fair_darts_reaches_its_threshold_in_three_epochs():
    """σ(α) ≥ 0.85 takes α = 1.7346; Adam moves an alpha whose gradient stays the same by its learning rate a step."""
    settings = methods.get("fair_darts").alpha_optimiser
    alpha = torch.full((), settings.start, requires_grad=True)
    optimiser = torch.optim.Adam([alpha], settings.lr, settings.betas)
    steps = 0
    while alpha.sigmoid() < 0.85:
        alpha.grad = torch.tensor(-1.0)
        optimiser.step()
        steps += 1
    assert steps == 579


def test_second_order_differs_from_first_in_the_gradient_alone():
    for space in ("darts", "nasbench201"):
        first, second = methods.get("darts", space), methods.get("darts_second_order", space)
        assert replace(second, name="darts", architecture_gradient=FirstOrder(), order=first.order) == first
    assert second.architecture_gradient == Unrolled("finite-difference", radius=1e-2)
    assert methods.get("darts_second_order", exact=True).architecture_gradient == Unrolled("exact")


def test_the_baselines_have_the_budget_that_they_say():
    random = methods.get("random_search", "nasbench201")
    darts = methods.get("darts", "nasbench201")
    assert (random.relaxation, random.architecture_gradient) == (RandomPath(), Fixed())
    assert random.discretisation == BestOfRandom(100)
    assert (random.epochs, random.batch_size) == (250, darts.batch_size)
    assert random.weight_optimiser == darts.weight_optimiser
    genotype = methods.get("random_genotype", "nasbench201")
    assert (genotype.epochs, genotype.discretisation) == (0, BestOfRandom(1))


@pytest.mark.parametrize("space", ["darts", "darts_without_none", "nasbench201", "own:network"])
@pytest.mark.parametrize("name", methods.names())
def test_every_method_is_described_as_plain_data_for_every_space(name: str, space: str):
    method = methods.get(name, space)
    described = json.loads(json.dumps(describe(method)))
    assert described["class_path"] == "archgrad.method.Method"
    assert described["init_args"]["name"].startswith(name)
    relaxation = described["init_args"]["relaxation"]
    assert relaxation["class_path"].rpartition(".")[2] == type(method.relaxation).__name__
    assert methods.get(name, space) == method, "a value, equal whenever it is made"


PARTICULAR = {
    "pc_darts": "choices whose candidates are made by a function of the channels",
    "darts_minus": "a choice with a skip connection among its candidates",
    "weight_entangled": r"cells \(archgrad.engine.Cell\) with convolutions",
    "attention_darts": r"cells \(archgrad.engine.Cell\)",
    "p_darts": "a space, whose networks can be built in several depths",
    "lora_darts": r"candidates with an nn.Conv2d",
    "robust_darts": "a classification of images",
}
"""The methods that not every network of a user's own will do for, and what they need, as `archgrad list` says."""

SPACES_ONLY = ("weight_entangled", "attention_darts", "p_darts")


def test_the_list_marks_every_method_that_needs_something():
    for name in methods.names():
        needs = methods.get(name, space="").needs
        assert bool(needs) == (name in PARTICULAR), name
        assert re.search(PARTICULAR.get(name, ""), " ".join(needs))
        assert all(f"Needs {text}." in _about_method(name) for text in needs)


@pytest.mark.parametrize("name", methods.names())
def test_every_method_searches_any_network_or_says_what_it_needs(name: str):
    torch.manual_seed(0)
    x, y = torch.randn(16, 4), torch.arange(16) % 2
    body = [Choice({"a": nn.Linear(4, 4), "b": nn.Tanh(), "c": nn.ReLU()}, group="body") for _ in range(2)]
    network = nn.Sequential(*body, nn.Linear(4, 2))
    epochs = min(2, methods.get(name).epochs)
    settings = {"epochs": epochs, "batch_size": 4, "device": "cpu", "progress": False}
    if name in PARTICULAR:
        said = "pixels lie outside" if name == "robust_darts" else PARTICULAR[name]
        with pytest.raises(ArchgradError, match=said):
            search(network, name, data.from_tensors(x, y, x, y), **settings)
        return
    result = search(network, name, data.from_tensors(x, y, x, y), **settings)
    assert len(result.history) == min(2, methods.get(name).epochs)
    assert result.alphas["body"].shape == (len(result.history) + 1, 1, 3)


def candidates(channels: int) -> dict[str, nn.Module]:
    return {"conv": nn.Conv2d(channels, channels, 3, padding=1), "bn": nn.BatchNorm2d(channels), "skip": nn.Identity()}


@pytest.mark.parametrize("name", methods.names())
def test_a_network_that_has_what_they_need_is_searched_and_resumed(name: str, tmp_path: Path):
    """Images, convolutions, a skip connection and candidates in any width: all but those of spaces and cells work."""
    x, y = torch.rand(16, 1, 6, 6), torch.arange(16) % 2

    def network() -> nn.Module:
        torch.manual_seed(0)
        body = [Choice(candidates, "body", channels=8) for _ in range(2)]
        return nn.Sequential(nn.Conv2d(1, 8, 3), *body, nn.Flatten(), nn.Linear(128, 2))

    images = data.from_tensors(x, y, x, y)
    epochs = min(2, methods.get(name).epochs)
    settings = {"epochs": epochs, "batch_size": 4, "device": "cpu", "progress": False, "diagnose": 0}
    if name in SPACES_ONLY:
        with pytest.raises(ArchgradError, match=PARTICULAR[name]):
            search(network(), name, images, **settings)
        return
    result = search(network(), name, images, out=tmp_path, **settings)
    again = search(network(), name, images, out=tmp_path, **settings)
    assert (result.alphas["body"] == again.alphas["body"]).all()
    settled = result.build()
    assert settled(x).shape == (16, 2)
    assert not [module for module in settled.modules() if isinstance(module, Choice | Partial)]
    assert {conv.in_channels for conv in settled.modules() if isinstance(conv, nn.Conv2d)} <= {1, 8}


def test_unknown_names_and_options_are_one_line():
    with pytest.raises(ArchgradError, match="unknown method 'dart': did you mean 'darts'"):
        methods.get("dart")
    with pytest.raises(ArchgradError, match=r"method 'random_search' has no option 'candidate'; it has .*'candidates'"):
        methods.get("random_search", candidate=3)
    assert methods.get("random_search", candidates=3).discretisation == BestOfRandom(3)


class Entry:
    """An entry point of an installed plug-in."""

    name = "mine"

    @staticmethod
    def load() -> Any:
        return lambda rate=0.1: Method("mine", weight_optimiser=WeightOptimiser(lr=rate))


def test_plug_ins_are_methods_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(methods, "entry_points", lambda group: [Entry] if group == "archgrad.methods" else [])
    assert "mine" in methods.names()
    assert methods.get("mine", "nasbench201").weight_optimiser.lr == 0.1
    assert methods.get("mine", rate=0.2).weight_optimiser.lr == 0.2
    with pytest.raises(ArchgradError, match="did you mean 'mine'"):
        methods.get("mines")


class Broken(Entry):
    """An entry point of a plug-in that lacks a package."""

    name, value = "broken", "stranger.methods:broken"

    @staticmethod
    def load() -> Any:
        raise ModuleNotFoundError("No module named 'needed'")


def test_a_plug_in_that_cannot_be_imported_is_one_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(methods, "entry_points", lambda group: [Broken])
    with pytest.raises(ArchgradError) as error:
        methods.get("broken")
    assert str(error.value) == (
        "method 'broken': its plug-in stranger.methods:broken cannot be imported "
        "(ModuleNotFoundError: No module named 'needed')"
    )
    assert methods.function("darts") is methods.darts


class Bare(Relaxation):
    """A component whose settings a run could not record."""

    def __call__(self, alphas: Any, sites: Any, context: Any = None) -> Any:
        raise AssertionError


@dataclass(frozen=True)
class Nothing(Schedule):
    """Does nothing."""


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"relaxation": FirstOrder()}, r"relaxation must be a Relaxation, got FirstOrder\(\)"),
        ({"architecture_gradient": Plain()}, "architecture_gradient must be a ArchitectureGradient"),
        ({"weight_gradient": FirstOrder()}, "weight_gradient must be a WeightGradient"),
        ({"discretisation": Softmax()}, "discretisation must be a Discretisation"),
        ({"schedules": (WarmUp(1), Softmax())}, r"schedules must be of Schedule, got Softmax"),
        ({"modifiers": (WarmUp(1),)}, "modifiers must be of Modifier"),
        ({"regularisers": (WarmUp(1),)}, "regularisers must be of Regulariser"),
        ({"relaxation": Bare()}, "Bare must be a dataclass"),
        ({"order": "first"}, "order must be 'alphas-first' or 'weights-first', got 'first'"),
        ({"epochs": -1}, "epochs must be a whole number, 0 or more"),
        ({"epochs": 1.5}, "epochs must be a whole number, 0 or more"),
        ({"epochs": "5"}, "epochs must be a whole number, 0 or more, got '5', which is text"),
        ({"batch_size": 0}, "batch_size must be a whole number, 1 or more, got 0"),
        ({"batch_size": 6.5}, "batch_size must be a whole number, 1 or more, got 6.5"),
        ({"schedules": WarmUp(1)}, r"schedules must be a tuple of Schedule, got WarmUp\(epochs=1\)"),
        ({"modifiers": None}, "modifiers must be a tuple of Modifier, got None"),
    ],
)
def test_a_method_says_what_does_not_fit(settings: dict[str, Any], message: str):
    with pytest.raises(ArchgradError, match=f"^method 'mine': .*{message}"):
        Method("mine", **settings)
    assert Method("mine", schedules=(WarmUp(1), Nothing())).schedules[1] == Nothing()
    assert Method("mine", schedules=[WarmUp(1)]).schedules == (WarmUp(1),)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (WeightOptimiser, {"lr": 0.0}, "lr must be a number above 0"),
        (WeightOptimiser, {"clip": 0.0}, "clip must be a number above 0"),
        (WeightOptimiser, {"momentum": -0.1}, "momentum must not be negative"),
        (WeightOptimiser, {"weight_decay": float("nan")}, "weight_decay must not be negative, got nan"),
        (AlphaOptimiser, {"lr": float("inf")}, "lr must be a number above 0"),
        (AlphaOptimiser, {"betas": (0.5, 1.0)}, r"betas must be two numbers in \[0, 1\)"),
        (AlphaOptimiser, {"betas": 0.5}, r"betas must be two numbers in \[0, 1\), got 0.5"),
        (AlphaOptimiser, {"betas": ("0.5", 0.9)}, r"betas must be two numbers in \[0, 1\), got \('0.5', 0.9\)"),
        (AlphaOptimiser, {"weight_decay": -1.0}, "weight_decay must not be negative"),
        (AlphaOptimiser, {"weight_decay": None}, "weight_decay must be a number, got None$"),
        (WeightOptimiser, {"momentum": "1e-3"}, "momentum must be a number, got '1e-3', which is text: .* 1.0e-3"),
        (WeightOptimiser, {"lr": "fast"}, "lr must be a number, got 'fast'$"),
        (WeightOptimiser, {"lr": True}, "lr must be a number, got True$"),
    ],
)
def test_optimisers_say_what_does_not_fit(kind: type, settings: dict[str, Any], message: str):
    with pytest.raises(ArchgradError, match=f"^{kind.__name__}: {message}"):
        kind(**settings)
    assert WeightOptimiser(clip=None).clip is None


def test_a_component_describes_what_it_wraps():
    @dataclass(frozen=True)
    class Wrapped(Relaxation):
        """Another relaxation, some number of times."""

        inner: Relaxation
        counts: tuple[int, ...] = (1, 2)

        def __call__(self, alphas: Any, sites: Any, context: Any = None) -> Any:
            mixture = self.inner(alphas, sites, context)
            assert isinstance(mixture["body"], Tensor)
            return mixture

    described = describe(Wrapped(Softmax(0.5)))
    assert described["class_path"].endswith("Wrapped")
    assert described["init_args"]["inner"]["init_args"] == {"temperature": 0.5}
    assert described["init_args"]["counts"] == [1, 2]


@pytest.mark.parametrize("space", ["darts", "nasbench201"])
def test_drnas_holds_its_alphas_by_decay_or_by_the_divergence_never_by_both(space: str):
    commands, paper = methods.get("drnas", space), methods.get("drnas", space, anchor="kl")
    assert (commands.regularisers, commands.alpha_optimiser.weight_decay) == ((), 1e-3)
    assert (paper.regularisers, paper.alpha_optimiser.weight_decay) == ((DirichletAnchor(),), 0.0)
