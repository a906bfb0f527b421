"""Plans: counts and storage by formula, hours in proportion to what is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from archgrad.attacks import PGD
from archgrad.bench import Campaign
from archgrad.bench.protocol import plan
from archgrad.bench.protocol.driver import run
from archgrad.gradient import LayerAlignment
from archgrad.step_cost import StepCost

Make = Callable[..., Campaign]

ALIGNED = {"weight_gradient": {"class_path": "archgrad.gradient.LayerAlignment"}}


def test_units_and_storage(make: Make) -> None:
    """Of settled networks the weights, 4 bytes each; twice of those and their momentum where checkpoints stay."""
    campaign = make(seeds=3)
    found = plan.plan(campaign, probe=False)
    assert (found.searches, found.trainings, found.done) == (9, 18, 0)
    space = campaign.suite.benchmarks[0].space
    weights = sum(p.numel() for p in replace(space, channels=4, cells=1).supernet().parameters())
    assert found.working == 4 * 4 * weights
    bare = plan.plan(make("bare", seeds=3, keep="results"), probe=False).storage
    assert bare == 27 * plan.FIXED
    settled = found.storage - bare
    assert settled > 0
    assert settled % (18 * 4) == 0
    everything = plan.plan(make("all", seeds=3, keep="checkpoints"), probe=False).storage
    assert everything == bare + 5 * settled + 9 * 4 * 4 * weights


def test_hours_are_steps_times_the_timed_step(make: Make, Inline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """128 images, halves of 64, of which 32 train weights: two steps of 16 per search; random genotypes take none."""
    monkeypatch.setattr(plan, "step_cost", lambda *_, **__: StepCost(0.5, 1000, 1))
    monkeypatch.setattr(plan, "_training_second", lambda *_: 0.25)
    monkeypatch.setattr(plan, "_ratios", lambda *_: {"darts": 2.0, "random_search": 1.0, "random_genotype": 0.0})
    campaign = make(seeds=2)
    found = plan.plan(campaign)
    assert found.by_method["darts"] == pytest.approx(2 * 2 * 0.5 * 2.0 / 3600)
    assert found.by_method["random_search"] == pytest.approx(2 * 2 * 0.5 / 3600)
    assert found.training_hours == pytest.approx(3 * 2 * 2 * 64 * 0.25 / 3600)
    assert found.total == pytest.approx(found.training_hours + sum(found.by_method.values()))
    assert found.largest_step == 1000
    campaign.save()
    with Inline() as executor:
        run(campaign, executor, progress=False)
    after = plan.plan(campaign)
    assert after.done == len(campaign)
    assert after.total == 0


def test_a_real_probe_gives_hours_and_memory(make: Make) -> None:
    found = plan.plan(make(methods=["darts", "darts_second_order"], seeds=1, settings=[1]), device="cpu")
    assert 0 < found.total < 1
    assert found.largest_step > 0
    assert found.by_method["darts"] > 0


def test_the_probe_does_what_a_search_does_later_and_to_pixels(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attacks refuse what are no pixels, and λ is 0 in the first epoch of a search: both were timed as plain steps."""
    done: set[str] = set()

    def noted(kind: type, name: str) -> None:
        original = getattr(kind, name)

        def calls(*args: Any, **options: Any) -> Any:
            done.add(name)
            return original(*args, **options)

        monkeypatch.setattr(kind, name, calls)

    noted(PGD, "perturb")
    noted(LayerAlignment, "_finite_difference")
    three = {"subspaces": {"one": {"cells": 3, "kinds": ["normal", "reduce"]}}}  # one cell has nobody to agree with
    campaign = make(methods=["robust_darts", {"name": "aligned", "method": "darts", **ALIGNED}], changes=three)
    assert plan._ratios(campaign, "cpu").keys() == {"robust_darts", "aligned", "random_search", "random_genotype"}
    assert done == {"perturb", "_finite_difference"}
