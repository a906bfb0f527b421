"""Weight decay that changes over the epochs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from archgrad import ArchgradError, methods
from archgrad.anneal import Anneal
from archgrad.context import Context
from archgrad.roles import Schedule
from archgrad.schedules import WeightDecayRamp
from archgrad.schedules.weight_decay_ramp import LADDER
from archgrad.search import Search
from archgrad.state import State

DARTS = replace(methods.darts(), epochs=5, batch_size=8)


@dataclass(frozen=True)
class Watch(Schedule):
    def epoch_end(self, state: State, context: Context) -> None:
        state.history[-1]["decay"] = state.weight_decay


def test_the_optimiser_climbs_the_ladder(find: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    used = []
    original = Search._close_epoch

    def end(self: Search) -> None:
        used.append(self.bilevel.weight_optimiser.param_groups[0]["weight_decay"])
        original(self)

    monkeypatch.setattr(Search, "_close_epoch", end)
    find(replace(DARTS, schedules=(WeightDecayRamp(),)))
    assert used == pytest.approx(list(LADDER))
    assert pytest.approx([3e-4, 9e-4, 2.7e-3, 8.1e-3, 2.43e-2]) == list(LADDER)


def test_it_changes_the_weights_and_resumes(resumes: Callable[..., Any], find: Any) -> None:
    ramp = replace(DARTS, epochs=3, schedules=(WeightDecayRamp(Anneal(0.0, 0.5)),))
    one, two = resumes(ramp, (1, 1)), find(replace(ramp, schedules=()))
    assert one.history[-1]["train_loss"] != two.history[-1]["train_loss"]


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ArchgradError, match="decay must not be negative"):
        WeightDecayRamp(-1.0)
