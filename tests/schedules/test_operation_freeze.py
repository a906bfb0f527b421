"""OLES: the score, the window, and operations that stay frozen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from archgrad import ArchgradError, Choice, Mixture, Supernet, methods
from archgrad.context import Clock, Context
from archgrad.method import Method
from archgrad.objective import Objective
from archgrad.relaxation import Softmax, StraightThroughGumbel
from archgrad.schedules import OperationFreeze
from archgrad.schedules.operation_freeze import flattened, operations, released
from archgrad.search import Search
from archgrad.state import SearchStep, State

DARTS = replace(methods.darts(), batch_size=8)


def net() -> Supernet:
    torch.manual_seed(0)
    block = Choice({"good": nn.Linear(4, 4), "bad": nn.Linear(4, 4), "skip": nn.Identity()}, group="block")
    return Supernet(nn.Sequential(block, nn.Linear(4, 2)))


@dataclass(frozen=True)
class Agreeing(Objective):
    """Its weight gradients have a given cosine with those of the training objective, per tensor of ``bad``."""

    cosine: float = 1.0

    def weight_gradient(self, mixture: Mixture, **options: Any) -> list[Tensor]:
        gradients = super().weight_gradient(mixture, **options)
        names = [n for n, w in self.supernet.network.named_parameters() if w.requires_grad]
        result = []
        for name, g in zip(names, gradients, strict=True):
            other = torch.zeros_like(g)
            if ".bad." in name and g.dim() > 1:
                other[0, :2] = torch.stack([-g[0, 1], g[0, 0]])  # orthogonal to g
                other = other * g.norm() / other.norm()
                g = self.cosine * g + (1 - self.cosine**2) ** 0.5 * other
            result.append(g * 3)
        return result


def steps(supernet: Supernet, rule: OperationFreeze, count: int, cosine: float, relaxation: Any = None) -> Context:
    supernet.network[0].candidates["bad"].bias.requires_grad_(False)
    state = State(supernet, dict(supernet.masks), lambda: None)  # type: ignore[arg-type,return-value]
    context = Context(supernet)
    generator = torch.Generator().manual_seed(0)
    for step in range(count):
        batch = torch.randn(8, 4, generator=generator), torch.arange(8) % 2
        here = Context(supernet, Clock(0, 1, step, count))
        train = Method(relaxation=relaxation or Softmax()).objective(batch, here)
        validation = Agreeing(supernet, train.mix, batch, here, cosine=cosine)
        gradients = train.weight_gradient(train.mix(supernet.alphas))
        rule.step_end(state, SearchStep(train, validation, gradients), context)
    return context


TRAIN = [torch.tensor([[1.0, 2.0], [3.0, 4.0]]).double(), torch.tensor([[1.0, 0.0]]).double()]
VALIDATION = [torch.tensor([[1.0, -2.0], [3.0, 4.0]]).double(), torch.tensor([[1.0, 1.0]]).double()]


def test_the_two_scores_by_hand() -> None:
    """The released one adds the training gradient to that of the validation loss, and takes columns by themselves."""
    pairs = list(zip(TRAIN, VALIDATION, strict=True))
    assert released(pairs).tolist() == pytest.approx([0.723606797749979, 1])
    assert flattened(pairs).tolist() == pytest.approx([0.730250730250795, 1])
    orthogonal = [(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))]
    assert released(orthogonal).tolist() == pytest.approx([0.5**0.5, 1])
    assert flattened(orthogonal).tolist() == [0, 1]
    nothing = [(torch.zeros(2), torch.ones(2))]
    assert released(nothing).tolist() == flattened(nothing).tolist() == [0, 0]


@dataclass(frozen=True)
class Scored(OperationFreeze):
    """Every operation scores the same in every step."""

    value: float = 0.0

    def scores(self, state: State, step: SearchStep, found: dict[str, list[str]]) -> Tensor:
        return torch.tensor([[self.value, 1.0]]).expand(len(found), 2)


@pytest.mark.parametrize(("value", "score"), [(0.385, 0.40425), (0.38, 0.399)])
def test_the_released_window_divides_21_scores_by_20(value: float, score: float) -> None:
    context = steps(net(), Scored(value=value), 20, 1.0)
    assert context.memory["frozen"] == []
    context = steps(net(), Scored(value=value), 21, 1.0)
    assert context.memory["scores"]["0.candidates.bad"] == pytest.approx(score)
    assert bool(context.memory["frozen"]) == (score < 0.4)
    assert context.memory["steps"] == 0


def test_what_agrees_with_itself_scores_one_when_released() -> None:
    context = steps(net(), OperationFreeze(), 21, 1.0)
    assert context.memory["scores"]["0.candidates.good"] == pytest.approx(1.05, abs=1e-5)


def test_the_score_of_the_paper_is_the_mean_of_twenty_cosines() -> None:
    supernet = net()
    context = steps(supernet, OperationFreeze(score="paper"), 20, 0.39)
    assert context.memory["scores"]["0.candidates.good"] == pytest.approx(1, abs=1e-5)
    assert context.memory["scores"]["0.candidates.bad"] == pytest.approx(0.39, abs=1e-5)
    assert context.memory["frozen"] == ["0.candidates.bad.bias", "0.candidates.bad.weight"]
    assert not supernet.network[0].candidates["bad"].weight.requires_grad
    assert supernet.network[0].candidates["good"].weight.requires_grad
    assert supernet.network[1].weight.requires_grad


def test_nothing_is_decided_before_the_window_ends_or_above_the_threshold() -> None:
    assert steps(net(), OperationFreeze(score="paper"), 19, 0.1).memory["frozen"] == []
    assert steps(net(), OperationFreeze(score="paper"), 40, 0.41).memory["frozen"] == []
    context = steps(net(), OperationFreeze(window=3, score="paper"), 3, 0.1)
    assert context.memory["frozen"] == ["0.candidates.bad.bias", "0.candidates.bad.weight"]
    assert context.memory["steps"] == 0


def test_sums_stay_on_the_device_and_small() -> None:
    """No copies of gradients: between two reads the memory holds one tensor of two numbers per operation."""
    memory = steps(net(), OperationFreeze(score="paper"), 7, 0.1).memory
    tensors = [value for value in memory.values() if isinstance(value, Tensor)]
    assert [t.shape for t in tensors] == [(2, 2)]


def test_steps_without_the_operation_do_not_count() -> None:
    supernet = net()
    context = steps(supernet, OperationFreeze(window=12, score="paper"), 11, 0.2, StraightThroughGumbel(1.0))
    counts = context.memory["sums"][:, 1].tolist()
    assert all(0 < count < 11 for count in counts)
    context = steps(net(), OperationFreeze(window=12, score="paper"), 12, 0.2, StraightThroughGumbel(1.0))
    assert context.memory["scores"]["0.candidates.bad"] == pytest.approx(0.2, abs=1e-5)
    assert context.memory["scores"]["0.candidates.good"] == pytest.approx(1, abs=1e-5)


def test_the_last_weights_of_a_network_are_never_frozen(find: Any) -> None:
    network = nn.Sequential(nn.Flatten(), Choice({"one": nn.Linear(64, 2), "two": nn.Linear(64, 2)}, group="body"))
    method = replace(DARTS, epochs=2, schedules=(OperationFreeze(window=2, threshold=1.0),))
    result = find(method, network)
    assert sum(w.requires_grad for w in network.parameters()) == 2
    assert len(result.history) == 2


def test_frozen_operations_move_no_more(find: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = []
    end = Search._close_epoch

    def ended(self: Search) -> None:
        weights.append({n: w.detach().clone() for n, w in self.supernet.network.named_parameters()})
        end(self)

    monkeypatch.setattr(Search, "_close_epoch", ended)
    result = find(replace(DARTS, epochs=4, schedules=(OperationFreeze(window=4, threshold=1.0),)))
    frozen = {name for names in operations(result.supernet).values() for name in names}
    assert frozen
    assert all(torch.equal(weights[1][name], weights[3][name]) for name in frozen), "frozen in the second epoch"
    assert not any(torch.equal(weights[0][name], weights[1][name]) for name in frozen), "in the middle of it"
    assert not torch.equal(weights[1]["5.weight"], weights[3]["5.weight"])


def test_it_resumes_in_the_middle_of_a_window(resumes: Callable[..., Any]) -> None:
    result = resumes(replace(DARTS, epochs=4, schedules=(OperationFreeze(window=4, threshold=0.3),)), (0, 2), (2, 1))
    assert len(result.history) == 4


def test_the_run_is_not_disturbed_while_nothing_is_frozen(find: Any) -> None:
    one = find(replace(DARTS, epochs=2, schedules=(OperationFreeze(window=2, threshold=-1.0),)))
    two = find(replace(DARTS, epochs=2))
    for name, tensor in one.supernet.state_dict().items():
        assert torch.equal(tensor, two.supernet.state_dict()[name])


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ArchgradError, match="window must be a number above 0"):
        OperationFreeze(window=0)
    with pytest.raises(ArchgradError, match="threshold must be a cosine"):
        OperationFreeze(threshold=2)
