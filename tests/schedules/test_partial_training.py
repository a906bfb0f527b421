"""A drawn share of the candidates is trained in every epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from archgrad import ArchgradError, methods
from archgrad.schedules import PartialTraining
from archgrad.schedules.operation_freeze import operations
from archgrad.search import Search

DARTS = replace(methods.darts(), batch_size=8)


def moved(find: Any, share: float, monkeypatch: pytest.MonkeyPatch, epochs: int = 5) -> list[set[str]]:
    """Per epoch the names of the weights that moved."""
    found = []
    start, end = Search.start_epoch, Search._close_epoch
    before: dict[str, torch.Tensor] = {}

    def started(self: Search) -> None:
        start(self)
        before.update({n: w.detach().clone() for n, w in self.supernet.network.named_parameters()})

    def ended(self: Search) -> None:
        found.append({n for n, w in self.supernet.network.named_parameters() if not torch.equal(w, before[n])})
        end(self)

    monkeypatch.setattr(Search, "start_epoch", started)
    monkeypatch.setattr(Search, "_close_epoch", ended)
    result = find(replace(DARTS, epochs=epochs, schedules=(PartialTraining(share),)))
    candidates = operations(result.supernet)
    all_of_them = {name for names in candidates.values() for name in names}
    others = {n for n, _ in result.supernet.network.named_parameters()} - all_of_them
    assert all(others <= names for names in found), "what is outside of choices is always trained"
    return [{path for path, names in candidates.items() if set(names) & names_moved} for names_moved in found]


@pytest.mark.parametrize(("share", "expected"), [(0.5, 2), (0.01, 1), (1.0, 4)])
def test_exactly_the_share_is_trained_and_drawn_anew(
    find: Any, monkeypatch: pytest.MonkeyPatch, share: float, expected: int
) -> None:
    """Two sites with two candidates that have weights."""
    found = moved(find, share, monkeypatch)
    assert [len(names) for names in found] == [expected] * 5
    if share < 1:
        assert len(set(map(frozenset, found))) > 1


def test_it_resumes_in_the_middle_of_an_epoch(resumes: Callable[..., Any]) -> None:
    resumes(replace(DARTS, epochs=3, schedules=(PartialTraining(0.5),)), (1, 2), (2, 1))


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ArchgradError, match=r"share must be in \(0, 1\], got 0"):
        PartialTraining(0)
