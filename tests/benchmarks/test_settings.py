"""The table of published settings is what the methods have, and these are what the published programs have."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from programs import program

from archgrad import methods
from archgrad.alpha_lr import alpha_epochs
from archgrad.anneal import Anneal
from archgrad.context import Clock
from archgrad.gradient import LayerAlignment, Unrolled
from archgrad.method import Method
from archgrad.modifiers import DropPath, PartialChannels
from archgrad.schedules import EarlyStop, ProgressivePruning

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def settings() -> ModuleType:
    return program("benchmarks/settings.py")


PROGRAMS: dict[str, tuple[float | bool | str, ...]] = {
    # batch, epochs, weights' lr, its end, Nesterov, decay, alphas' lr, first beta, order
    "darts darts": (64, 50, 0.025, 0.001, False, 0.0003, 0.0003, 0.5, "alphas-first"),
    "darts nasbench201": (64, 50, 0.025, 0.001, True, 0.0005, 0.0003, 0.5, "weights-first"),
    "darts_second_order darts": (64, 50, 0.025, 0.001, False, 0.0003, 0.0003, 0.5, "alphas-first"),
    "darts_second_order nasbench201": (64, 50, 0.025, 0.001, True, 0.0005, 0.0003, 0.5, "alphas-first"),
    "snas darts": (64, 150, 0.025, 0.001, False, 0.0003, 0.0003, 0.5, "alphas-first"),
    "snas nasbench201": (64, 100, 0.025, 0.001, False, 0.0003, 0.0003, 0.5, "alphas-first"),
    "gdas darts": (256, 250, 0.025, 0.001, True, 0.0005, 0.0003, 0.5, "weights-first"),
    "gdas nasbench201": (64, 250, 0.025, 0.001, True, 0.0005, 0.0003, 0.5, "weights-first"),
    "fair_darts darts": (128, 50, 0.005, 0.001, False, 0.0003, 0.003, 0.9, "alphas-first"),
    "beta_darts darts": (64, 50, 0.025, 0.001, False, 0.0003, 0.0003, 0.5, "alphas-first"),
    "beta_darts nasbench201": (64, 100, 0.025, 0.001, False, 0.0003, 0.0003, 0.5, "alphas-first"),
    "idarts nasbench201": (64, 30, 0.01, 0.001, True, 0.0005, 0.0003, 0.5, "weights-first"),
    "pc_darts darts": (256, 50, 0.1, 0.0, False, 0.0003, 0.0006, 0.5, "alphas-first"),
    "pc_darts nasbench201": (64, 100, 0.025, 0.001, False, 0.0003, 0.0003, 0.5, "alphas-first"),
    "p_darts darts": (96, 75, 0.025, 0.0, False, 0.0003, 0.0006, 0.5, "alphas-first"),
    "drnas darts": (64, 50, 0.1, 0.0, False, 0.0003, 0.0006, 0.5, "alphas-first"),
    "drnas nasbench201": (64, 100, 0.025, 0.001, False, 0.0003, 0.0003, 0.5, "alphas-first"),
    "sdarts_random darts": (64, 50, 0.025, 0.001, False, 0.0003, 0.0003, 0.5, "alphas-first"),
    "sdarts_random nasbench201": (64, 100, 0.025, 0.001, False, 0.0003, 0.0003, 0.5, "alphas-first"),
    "sdarts_adversarial darts": (64, 50, 0.025, 0.001, False, 0.0003, 0.0003, 0.5, "alphas-first"),
    "sdarts_adversarial nasbench201": (64, 100, 0.025, 0.001, False, 0.0003, 0.0003, 0.5, "alphas-first"),
    "r_darts_l2 darts": (64, 50, 0.025, 0.001, False, 0.0027, 0.0003, 0.5, "alphas-first"),
    "r_darts_dp darts": (64, 50, 0.025, 0.001, False, 0.0003, 0.0003, 0.5, "alphas-first"),
    "darts_es darts": (64, 50, 0.025, 0.001, False, 0.0003, 0.0003, 0.5, "alphas-first"),
    "darts_minus darts": (64, 50, 0.025, 0.001, False, 0.0003, 0.0003, 0.5, "alphas-first"),
    "darts_minus nasbench201": (64, 50, 0.025, 0.001, False, 0.0003, 0.0003, 0.5, "alphas-first"),
    "oles darts": (64, 50, 0.025, 0.001, False, 0.0003, 0.0003, 0.5, "alphas-first"),
    "darts_pt darts": (64, 50, 0.025, 0.001, False, 0.0003, 0.0003, 0.5, "alphas-first"),
    "darts_pt nasbench201": (64, 100, 0.025, 0.001, False, 0.0003, 0.0003, 0.5, "alphas-first"),
    "lambda_darts darts": (96, 50, 0.025, 0.001, False, 0.0003, 0.0003, 0.5, "alphas-first"),
    "lambda_darts nasbench201": (64, 100, 0.025, 0.001, False, 0.0003, 0.0001, 0.5, "weights-first"),
    "a2m darts": (64, 50, 0.025, 0.001, False, 0.0003, 0.0003, 0.5, "alphas-first"),
    "a2m nasbench201": (64, 50, 0.025, 0.001, False, 0.0003, 0.0003, 0.5, "alphas-first"),
}


def settled(method: Method) -> tuple[float | bool | str, ...]:
    weights, alphas = method.weight_optimiser, method.alpha_optimiser
    assert (weights.momentum, weights.clip, alphas.betas[1], alphas.weight_decay) == (0.9, 5.0, 0.999, 1e-3)
    of_weights = (weights.lr, weights.lr_min, weights.nesterov, weights.weight_decay)
    return (method.batch_size, method.epochs, *of_weights, alphas.lr, alphas.betas[0], method.order)


@pytest.mark.parametrize("pair", PROGRAMS)
def test_settings_are_those_of_the_published_program(pair: str) -> None:
    name, space = pair.split()
    assert settled(methods.get(name, space)) == PROGRAMS[pair]


def test_every_method_is_in_the_table_and_the_table_in_the_documentation(settings: ModuleType) -> None:
    named = set(methods.METHODS) - {"random_genotype"}
    assert set(settings.SOURCES) == {(name, space) for name in named for space in ("darts", "nasbench201")}
    assert "\n".join(settings.table()) in (ROOT / "docs/methods.md").read_text(), (
        "docs/methods.md: put in what python benchmarks/settings.py prints"
    )


WEIGHTS_ONLY = {"pc_darts darts": 15, "p_darts darts": 3 * 10, "p_darts nasbench201": 3 * 10, "drnas darts": 2 * 10}
"""Epochs in which alphas rest; none anywhere else."""


def test_epochs_that_train_weights_only() -> None:
    for name in set(methods.METHODS) - {"random_genotype"}:
        for space in ("darts", "nasbench201"):
            method = methods.get(name, space)
            assert method.epochs - alpha_epochs(method) == WEIGHTS_ONLY.get(f"{name} {space}", 0)


WITHOUT_NONE = {
    "fair_darts", "beta_darts", "drnas", "sdarts_random", "sdarts_adversarial", "darts_pt", "darts_pt_fixed",
    "lambda_darts", "a2m",
}  # fmt: skip
"""The methods whose programs have no ``none`` in the DARTS space; all have it on NAS-Bench-201."""


def test_which_searches_have_none() -> None:
    for name in set(methods.METHODS):
        assert methods.get(name, "darts").without == (("none",) if name in WITHOUT_NONE else ())
        assert methods.get(name, "nasbench201").without == ()


def test_constants_that_the_table_does_not_show() -> None:
    assert methods.get("p_darts").alpha_optimiser.clip == 5.0
    assert methods.get("snas").modifiers == (DropPath(0.3),)
    temperatures = [methods.get("snas", space).relaxation.temperature for space in ("darts", "nasbench201")]  # type: ignore[attr-defined]
    for epoch in (0, 1, 149):
        assert temperatures[0].at(Clock(epoch, 150)) == pytest.approx(1 - 0.97 * (epoch + 1) / 150)
        assert temperatures[1].at(Clock(epoch, 150)) == pytest.approx(10 - 9 * epoch / 150)
    assert methods.get("darts_es").schedules == (EarlyStop(eigenvalue=1.3),)
    assert methods.get("darts_plus").schedules == (EarlyStop(skips=2, stable=10),)
    assert methods.get("r_darts_dp").modifiers == (DropPath(Anneal(0.0, 0.2)),)
    assert methods.get("fair_darts").alpha_optimiser.start == 0.0
    assert methods.get("snas").alpha_optimiser.start == 1e-2
    assert methods.get("lambda_darts", "nasbench201").weight_gradient == LayerAlignment(strength=0.25, epsilon=1e-4)
    assert methods.get("lambda_darts").weight_gradient == LayerAlignment(0.125, 1e-4, groups=("normal",))
    for name in ("r_darts_l2", "r_darts_dp", "darts_es"):
        assert methods.get(name).architecture_gradient == Unrolled()
    assert methods.get("drnas").modifiers == (PartialChannels(6),)
    assert methods.get("drnas").schedules == (ProgressivePruning(shares=(4,), warm_up=0.4),)
    assert methods.get("pc_darts", "nasbench201").schedules == ()
    assert [methods.get("random_search", space).epochs for space in ("darts", "nasbench201")] == [100, 250]
    assert [methods.get("a2m", space).architecture_gradient.rho for space in ("darts", "nasbench201")] == [0.1, 0.01]  # type: ignore[attr-defined]
