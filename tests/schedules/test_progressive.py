"""Supernets that are pruned, widened and deepened in the middle of a run, which resumes exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from archgrad import ArchgradError, Choice, Supernet, methods
from archgrad.context import Clock, Context
from archgrad.genotype import Edge, Group
from archgrad.method import Method
from archgrad.modifiers import PartialChannels
from archgrad.relaxation import Dirichlet, StraightThroughGumbel
from archgrad.schedules import ProgressiveDepth, ProgressivePruning
from archgrad.schedules.support import prune, strongest_left
from archgrad.search import Search
from archgrad.state import State

DARTS = replace(methods.darts(), batch_size=8)


@pytest.fixture
def find_cells(find: Any) -> Callable[..., Any]:
    return lambda method, **options: find(method, "nasbench201", **options)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the supernet is at the first step of every epoch."""
    records: list[dict[str, Any]] = []
    start = Search.start_epoch

    def started(self: Search) -> None:
        before = self.supernet
        state = {n: t.clone() for n, t in before.state_dict().items()}
        start(self)
        records.append(
            {
                "masks": {n: m.clone() for n, m in self.state.masks.items()},
                "sites": self.supernet.sites,
                "rest": self.state.alphas_rest,
                "lr": self.bilevel.weight_optimiser.param_groups[0]["lr"],
                "before": state,
                "after": {n: t.clone() for n, t in self.supernet.state_dict().items()},
                "rebuilt": self.supernet is not before,
            }
        )

    monkeypatch.setattr(Search, "start_epoch", started)
    return records


def test_half_of_the_candidates_are_dropped_halfway(find_cells: Any, watched: list[dict[str, Any]]) -> None:
    result = find_cells(replace(DARTS, epochs=4, schedules=(ProgressivePruning(),)))
    assert [int(r["masks"]["cell"].sum()) for r in watched] == [30, 30, 18, 18]
    alphas = torch.from_numpy(result.alphas["cell"][2])
    last = watched[2]["masks"]["cell"]
    for edge in range(6):
        assert alphas[edge][last[edge]].min() > alphas[edge][~last[edge]].max()
    assert all(names[0] in [op for op, m in zip(result.supernet.groups["cell"].operations, last[e], strict=True) if m]
               for e, names in enumerate(result.genotype.choices["cell"]))  # fmt: skip


def test_the_share_is_of_what_an_edge_began_with() -> None:
    """Edges of six and two candidates; without the first two of the six, half of four stays."""
    wide = Choice({name: nn.Linear(2, 2) for name in "abcdef"}, group="wide")
    narrow = Choice({name: nn.Linear(2, 2) for name in "cd"}, group="narrow")
    supernet = Supernet(nn.Sequential(wide, narrow))
    state = State(supernet, Method(without=("a", "b")).masks(supernet.groups), lambda: None)  # type: ignore[arg-type,return-value]
    schedule, memory = ProgressivePruning(at=(0.25, 0.5), keep=(0.5, 0.25)), dict[str, Any]()
    left = []
    for epoch in range(4):
        context = Context(supernet, Clock(epoch, 4), memory=memory)
        schedule.epoch_start(state, context)
        schedule.epoch_end(state, context)
        left.append([int(state.masks[name].sum()) for name in ("wide", "narrow")])
    assert left == [[2, 1], [1, 1], [1, 1], [1, 1]]


def test_the_alphas_at_the_end_decide_not_the_mixtures_that_were_drawn() -> None:
    """A row of alphas (.3, .1, .2) keeps the first and the third, whatever was sampled in the epoch before."""
    supernet = Supernet(nn.Sequential(Choice({name: nn.Linear(2, 2) for name in "abc"}, group="g")))
    with torch.no_grad():
        supernet.alphas["g"].copy_(torch.tensor([[0.3, 0.1, 0.2]]))
    state = State(supernet, dict(supernet.masks), lambda: None)  # type: ignore[arg-type,return-value]
    prune(state, {"g": [2]})
    assert state.masks["g"].tolist() == [[True, False, True]]


def test_each_stage_begins_with_epochs_of_weights_only(find_cells: Any, watched: list[dict[str, Any]]) -> None:
    """DrNAS trains only weights in 10 of each 25 epochs."""
    find_cells(replace(DARTS, epochs=6, schedules=(ProgressivePruning(warm_up=0.4),)))
    assert [r["rest"] for r in watched] == [True, False, False] * 2


def test_pruned_candidates_are_not_trained_any_more(find_cells: Any, watched: list[dict[str, Any]]) -> None:
    optimiser = replace(DARTS.weight_optimiser, momentum=0.0, weight_decay=0.0)
    schedule = ProgressivePruning(keep=(0.2,))
    result = find_cells(replace(DARTS, epochs=4, schedules=(schedule,), weight_optimiser=optimiser))
    mask, end = watched[2]["masks"]["cell"], result.supernet.state_dict()
    assert mask.sum() == 6
    for name, tensor in watched[2]["after"].items():
        if ".operations." in name and name.endswith("weight"):
            edge, operation = (
                int(name.split(".operations.")[1].split(".")[0]),
                name.split(".operations.")[1].split(".")[1],
            )
            column = result.supernet.groups["cell"].operations.index(operation)
            if not mask[edge, column]:
                assert torch.equal(tensor, end[name])


@pytest.mark.parametrize("relaxation", [Dirichlet(), StraightThroughGumbel()])
def test_several_rounds_with_any_relaxation(find_cells: Any, watched: list[dict[str, Any]], relaxation: Any) -> None:
    schedule = ProgressivePruning(at=(0.2, 0.4, 0.6), keep=(0.8, 0.4, 0.01))
    find_cells(replace(DARTS, relaxation=relaxation, epochs=5, schedules=(schedule,)))
    assert [int(r["masks"]["cell"].sum()) for r in watched] == [30, 24, 12, 6, 6], "the last candidate stays"


def test_wider_operations_keep_their_weights(find_cells: Any, watched: list[dict[str, Any]]) -> None:
    method = replace(
        DARTS,
        epochs=4,
        modifiers=(PartialChannels(4),),
        schedules=(ProgressivePruning(shares=(2,)),),
    )
    find_cells(method)
    assert [r["rebuilt"] for r in watched] == [False, False, True, False]
    before, after = watched[2]["before"], watched[2]["after"]
    assert torch.equal(before["alphas.cell"], after["alphas.cell"])
    assert torch.equal(before["network.classifier.weight"], after["network.classifier.weight"])
    name = next(n for n in before if ".operations." in n and n.endswith("nor_conv_3x3.1.weight"))
    small, large = before[name], after[name]
    assert large.shape[0] == 2 * small.shape[0]
    assert torch.equal(large[: small.shape[0], : small.shape[1]], small)


def test_pruned_and_widened_supernets_resume_exactly(resumes: Callable[..., Any]) -> None:
    method = replace(
        DARTS, epochs=4, modifiers=(PartialChannels(4),), schedules=(ProgressivePruning(keep=(0.4,), shares=(2,)),)
    )
    resumes(method, (1, 2), (2, 0), (2, 2), network="nasbench201")


def test_the_stages_of_p_darts(find_cells: Any, watched: list[dict[str, Any]]) -> None:
    schedule = ProgressiveDepth(cells=(1, 2, 3), operations=(5, 3, 2), warm_up=0.5)
    result = find_cells(replace(DARTS, epochs=6, schedules=(schedule,)))
    assert [r["sites"]["cell"] for r in watched] == [3, 3, 6, 6, 9, 9]
    assert [int(r["masks"]["cell"].sum()) for r in watched] == [30, 30, 18, 18, 12, 12]
    assert [r["rest"] for r in watched] == [True, False] * 3
    assert [r["lr"] for r in watched] == pytest.approx([watched[0]["lr"], watched[1]["lr"]] * 3)
    assert watched[0]["lr"] == DARTS.weight_optimiser.lr
    assert [r["rebuilt"] for r in watched] == [False, False, True, False, True, False] or watched[0]["rebuilt"]
    stem = "network.stem.0.weight"
    assert not torch.equal(watched[2]["before"][stem], watched[2]["after"][stem]), "fresh weights"
    assert torch.equal(watched[2]["after"]["alphas.cell"], watched[0]["after"]["alphas.cell"]), "fresh alphas"
    assert result.alphas["cell"].shape == (7, 6, 5)


def test_deepened_supernets_resume_exactly(resumes: Callable[..., Any]) -> None:
    schedule = ProgressiveDepth(cells=(1, 2), operations=(5, 3), warm_up=0.5)
    resumes(replace(DARTS, epochs=4, schedules=(schedule,)), (1, 1), (2, 0), (2, 2), network="nasbench201")


@pytest.mark.parametrize("epochs", [1, 2, 3, 7, 75])
def test_stages_cover_the_run(epochs: int) -> None:
    schedule = ProgressiveDepth()
    stages = [schedule.stage(epoch, epochs) for epoch in range(epochs)]
    assert all(first <= epoch < end for epoch, (_, (first, end)) in enumerate(stages))
    assert [stage for stage, _ in stages] == sorted(stage for stage, _ in stages)
    if epochs == 75:
        assert sorted({span for _, span in stages}) == [(0, 25), (25, 50), (50, 75)]


def test_what_a_genotype_may_keep_never_loses_its_last_candidate() -> None:
    group = Group("g", (Edge(0, 1, ("none", "x", "y")),), excluded=frozenset({"none"}))
    left = torch.ones(1, 3, dtype=torch.bool)
    weights = torch.tensor([[0.8, 0.05, 0.15]])
    assert strongest_left(group, weights, left, [1]).tolist() == [[False, False, True]]
    assert strongest_left(group, weights, left, [2]).tolist() == [[True, False, True]]
    assert strongest_left(group, weights, torch.tensor([[True, True, False]]), [1]).tolist() == [[False, True, False]]
    assert strongest_left(group, weights, left, [9]).tolist() == [[True, True, True]]


def test_bad_settings_are_refused() -> None:
    for options, message in (
        ({"at": ()}, "at must be rising shares"),
        ({"at": (0.5, 0.2), "keep": (0.5, 0.5)}, "at must be rising shares"),
        ({"at": (25.0,)}, "at must be rising shares"),
        ({"keep": (0.5, 0.2)}, "keep needs one share"),
        ({"keep": (0.0,)}, "keep needs one share"),
        ({"shares": (2, 2)}, "shares needs one number"),
        ({"warm_up": 10}, "warm_up must be a share"),
        ({"shares": (0,)}, "shares must be a number above 0"),
    ):
        with pytest.raises(ArchgradError, match=f"ProgressivePruning: {message}"):
            ProgressivePruning(**options)  # type: ignore[arg-type]
    with pytest.raises(ArchgradError, match="one number per stage"):
        ProgressiveDepth(cells=(5,))
    with pytest.raises(ArchgradError, match="warm_up must be a share"):
        ProgressiveDepth(warm_up=10)
