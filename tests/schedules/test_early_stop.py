"""Rules that end a search."""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
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


def stopped_at(rule: EarlyStop, eigenvalues: Sequence[float], epochs: int) -> tuple[int, int] | None:
    """The epoch in which these eigenvalues stop a search, and the one it goes back to, both counted from 0."""
    values = iter(eigenvalues)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(early_stop, "dominant_eigenvalue", lambda *_: next(values))
        net = supernet("nasbench201")
        ended, state = run(rule, net, epochs, lambda epoch: {"cell": torch.full((6, 5), float(epoch))})
    return (ended - 1, int(net.alphas["cell"][0, 0])) if state.stop else None


def test_the_eigenvalue_rule_as_the_paper_has_it() -> None:
    """λ = 1, and 3 from epoch 14 on. λ̄(i) is the mean of i−2 … i+2; λ̄(i−5)/λ̄(i) falls below 0.75 first at i = 12,
    whose mean is (4·1 + 3)/5 = 1.4; it is known after epoch 14, but epoch 7 is before the start. So it is i = 15.
    """
    rule = EarlyStop(eigenvalue=4 / 3, every=1, back=5)
    eigenvalues = [1.0] * 14 + [3.0] * 30
    assert stopped_at(replace(rule, start=7), eigenvalues, 40) == (14, 7)
    assert stopped_at(rule, eigenvalues, 40) == (17, 10)


def test_the_eigenvalue_rule_as_the_program_has_it() -> None:
    """λ in every second epoch: 1, and 3 from the 13th on, so that of the means of five the 10th to 12th are 1, 1.4 and
    1.8, eight epochs after the 6th to 8th. The factor is 1.3; the 11th is known in epoch 26 (the 14th, from 0 on).
    """
    eigenvalues = [1.0] * 13 + [3.0] * 12
    assert stopped_at(EarlyStop(eigenvalue=1.3), eigenvalues, 50) == (26, 14)
    assert stopped_at(EarlyStop(eigenvalue=1.3, start=15), eigenvalues, 50) == (28, 16)
    assert stopped_at(EarlyStop(eigenvalue=1.3), eigenvalues, 27) is None, "the last epoch stops nothing"
    assert stopped_at(EarlyStop(eigenvalue=1.3), [1.05**i for i in range(25)], 50) is None


STOPS = {
    "s1 0.0003 1": (22, 10),
    "s1 0.0003 2": (22, 10),
    "s1 0.0003 3": (30, 18),
    "s1 0.0009 1": (22, 10),
    "s1 0.0009 2": (32, 20),
    "s1 0.0009 3": (32, 20),
    "s1 0.0027 1": (42, 30),
    "s1 0.0027 2": (40, 28),
    "s1 0.0027 3": (34, 22),
    "s1 0.0081 1": None,
    "s1 0.0081 2": None,
    "s1 0.0081 3": (48, 36),
    "s1 0.0243 1": None,
    "s3 0.0003 1": (34, 22),
    "s3 0.0003 2": (30, 18),
    "s3 0.0003 3": (24, 12),
    "s3 0.0009 1": (48, 36),
    "s3 0.0009 2": (32, 20),
    "s3 0.0009 3": (36, 24),
    "s3 0.0027 2": (34, 22),
    "s3 0.0027 3": (22, 10),
}
"""Space, weight decay and seed → where the published program's rule stops its published searches without drop-path."""


def test_published_searches_stop_where_the_published_rule_stops_them(real_data: Callable[[str], Path]) -> None:
    found: dict[str, list[float]] = defaultdict(list)
    with gzip.open(real_data("darts/robustdarts_hessian.csv.gz"), "rt") as file:
        for row in csv.DictReader(file):
            if float(row["drop_path_prob"]) == 0 and int(row["epoch"]) % 2 == 0:
                found[f"{row['space']} {row['weight_decay']} {row['seed']}"].append(float(row["eig_max"]))
    stops = {name: stopped_at(EarlyStop(eigenvalue=1.3), found[name], 50) for name in STOPS}
    assert stops == STOPS


def test_a_search_with_all_rules_resumes(resumes: Callable[..., Any]) -> None:
    rule = EarlyStop(skips=9, stable=3, eigenvalue=0.01, every=1, window=1, back=1, start=2)
    result = resumes(replace(DARTS, epochs=8, schedules=(rule,)), (2, 1), (3, 0))
    assert len(result.history) <= 8


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ArchgradError, match="give at least one rule of skips, stable, eigenvalue"):
        EarlyStop()
    with pytest.raises(ArchgradError, match="skips must be a number above 0"):
        EarlyStop(skips=0)
    with pytest.raises(ArchgradError, match="every must be a whole number, 1 or more"):
        EarlyStop(eigenvalue=1.3, every=0)
    with pytest.raises(ArchgradError, match="start must be 0 or more"):
        EarlyStop(skips=1, start=-1)
