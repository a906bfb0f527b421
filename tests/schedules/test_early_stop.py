"""Rules that end a search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from archgrad import ArchgradError, Supernet, methods, spaces
from archgrad.context import Clock, Context
from archgrad.schedules import EarlyStop, early_stop
from archgrad.schedules.early_stop import most_skips, rankings
from archgrad.state import State

DARTS = replace(methods.darts(), batch_size=8)


def supernet(name: str = "darts") -> Supernet:
    size = {"channels": 4, "cells": 3} if name == "darts" else {"channels": 4, "cells": 1}
    return spaces.get(name, **size).supernet()


def run(rule: EarlyStop, net: Supernet, epochs: int, alphas: Callable[[int], dict[str, Tensor]]) -> tuple[int, State]:
    """The epoch after which the rule stops (0 for never), with alphas given by epoch."""
    state = State(net, dict(net.masks), lambda: None)  # type: ignore[arg-type,return-value]
    memory: dict[str, Any] = {}
    for epoch in range(epochs):
        with torch.no_grad():
            for name, alpha in alphas(epoch).items():
                net.alphas[name].copy_(alpha)
        rule.epoch_end(state, Context(net, Clock(epoch, epochs), memory=memory))
        if state.stop:
            return epoch + 1, state
    return 0, state


def skipping(count: int) -> dict[str, Tensor]:
    """Alphas whose strongest normal cell has so many skip connections."""
    normal = torch.zeros(14, 8)
    normal[:, 4] = 1.0
    normal[2:, 4] += torch.arange(12) * 0.01
    kept = [0, 1, 3, 4, 7, 8, 12, 13]
    for edge in kept[:count]:
        normal[edge, 3] = 9.0
    for edge in kept:
        normal[edge, 4] += 1.0
    reduce = torch.zeros(14, 8)
    reduce[:, 3] = 5.0
    return {"normal": normal, "reduce": reduce}


def test_two_skip_connections_in_the_normal_cell() -> None:
    net = supernet()
    for count in range(4):
        assert most_skips(skipping(count), Context(net)) == count
    stopped, state = run(EarlyStop(skips=2, start=0), net, 20, lambda epoch: skipping(epoch // 5))
    assert stopped == 11
    assert state.stop == "2 skip connections in a cell after epoch 11"


def test_no_rule_holds_before_the_start() -> None:
    assert run(EarlyStop(skips=2), supernet(), 20, lambda epoch: skipping(4))[0] == 10
    assert run(EarlyStop(skips=2, start=3), supernet(), 20, lambda epoch: skipping(4))[0] == 3


def test_a_ranking_that_has_not_changed_for_ten_epochs() -> None:
    def alphas(epoch: int) -> dict[str, Tensor]:
        """Convolutions change places until epoch 6, then only their values and the others' places change."""
        normal = torch.arange(8.0).repeat(14, 1)
        normal[:, 4:] += torch.rand(14, 4, generator=torch.Generator().manual_seed(epoch)) * (9 if epoch < 6 else 0.5)
        normal[:, :4] = torch.rand(14, 4, generator=torch.Generator().manual_seed(epoch)) * 20
        return {"normal": normal, "reduce": torch.arange(8.0).repeat(14, 1)}

    stopped, state = run(EarlyStop(stable=10, start=0), supernet(), 40, alphas)
    # Ten epochs in which the ranking of epoch 7 stayed; the one before it was another.
    assert stopped == 17
    assert state.stop is not None
    assert "has not changed for 10 epochs" in state.stop


def test_only_operations_with_weights_are_ranked() -> None:
    net = supernet()
    found = rankings(net, {name: torch.arange(8.0).repeat(14, 1) for name in net.alphas})
    assert found["normal"] == [[7, 6, 5, 4]] * 14
    strided = [e for e, edge in enumerate(net.groups["reduce"].edges) if edge.source < 2]
    assert all(found["reduce"][e] == ([7, 6, 5, 4, 3] if e in strided else [7, 6, 5, 4]) for e in range(14))


def test_the_eigenvalue_rule_goes_back_to_the_epoch_before_the_rise(monkeypatch: pytest.MonkeyPatch) -> None:
    """λ = 1 and then 3 from epoch 15 on. λ̄ of i is the mean of i−2 … i+2; λ̄(i−5)/λ̄(i) falls below 0.75 first at
    i = 13, whose mean is (4·1 + 3)/5 = 1.4 with ratio 0.71; it is known after epoch 15. The alphas of epoch 8 return.
    """
    values = iter([1.0] * 14 + [3.0] * 30)
    monkeypatch.setattr(early_stop, "dominant_eigenvalue", lambda *_: next(values))
    net = supernet("nasbench201")
    stopped, state = run(EarlyStop(eigenvalue=0.75), net, 40, lambda epoch: {"cell": torch.full((6, 5), epoch + 1.0)})
    assert stopped == 15
    assert torch.equal(net.alphas["cell"], torch.full((6, 5), 8.0))
    assert state.stop == "the dominant eigenvalue has grown by 1/0.714 in 5 epochs"


def test_a_steady_eigenvalue_stops_nothing_and_memory_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    epochs = 50
    values = iter([1.05**i for i in range(epochs)])
    monkeypatch.setattr(early_stop, "dominant_eigenvalue", lambda *_: next(values))
    net = supernet("nasbench201")
    state = State(net, dict(net.masks), lambda: None)  # type: ignore[arg-type,return-value]
    memory: dict[str, Any] = {}
    for epoch in range(epochs):
        EarlyStop(eigenvalue=0.75).epoch_end(state, Context(net, Clock(epoch, epochs), memory=memory))
    assert state.stop is None
    assert len(memory["eigenvalues"]) == 10
    assert len(memory["alphas"]) == 8


def test_a_search_with_all_rules_resumes(resumes: Callable[..., Any]) -> None:
    rule = EarlyStop(skips=9, stable=3, eigenvalue=0.01, window=1, start=0)
    result = resumes(replace(DARTS, epochs=8, schedules=(rule,)), (2, 1), (3, 0))
    assert len(result.history) <= 8


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ArchgradError, match="give at least one rule of skips, stable, eigenvalue"):
        EarlyStop()
    with pytest.raises(ArchgradError, match="skips must be a number above 0"):
        EarlyStop(skips=0)
    with pytest.raises(ArchgradError, match="start must be 0 or more"):
        EarlyStop(skips=1, start=-1)
