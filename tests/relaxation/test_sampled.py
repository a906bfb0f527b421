"""Relaxations that draw: their support, their frequencies, their gradients, and what is drawn how often."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from archgrad import Choice, Supernet, spaces
from archgrad.anneal import Anneal
from archgrad.context import Clock, Context
from archgrad.engine.candidates import cells
from archgrad.errors import ArchgradError
from archgrad.relaxation import Composite, Dirichlet, GumbelSoftmax, ReinMax, Sigmoid, Softmax, StraightThroughGumbel
from archgrad.roles import Now, Relaxation

DOUBLE = torch.float64
DRAWS = 20_000
SOFT: list[Relaxation] = [Softmax(), GumbelSoftmax(), Dirichlet(), Composite(Dirichlet(), GumbelSoftmax())]
HARD: list[Relaxation] = [StraightThroughGumbel(), ReinMax(), Composite(Dirichlet(), StraightThroughGumbel())]
DRAWN: list[Relaxation] = [*SOFT[1:], *HARD]


def name(relaxation: Relaxation) -> str:
    return type(relaxation).__name__


def alphas(edges: int = 6, ops: int = 4) -> dict[str, Tensor]:
    values = torch.randn(edges, ops, dtype=DOUBLE, generator=torch.Generator().manual_seed(0))
    return {"cell": values.requires_grad_()}


def many(row: list[float]) -> dict[str, Tensor]:
    """One row of alphas on many edges: as many independent draws in one call."""
    return {"cell": torch.tensor(row, dtype=DOUBLE).expand(DRAWS, -1).clone().requires_grad_()}


SITES = {"cell": 3}


@pytest.mark.parametrize("relaxation", [*SOFT, *HARD], ids=name)
def test_rows_are_distributions_over_the_candidates_that_are_left(relaxation: Relaxation) -> None:
    mask = torch.ones(6, 4, dtype=torch.bool)
    mask[0, 1] = mask[3, 0] = mask[3, 2] = False
    mixture = relaxation(alphas(), SITES, Context(masks={"cell": mask}))
    weights = mixture["cell"]
    assert weights.shape == (3, 6, 4)
    assert (weights >= 0).all()
    assert (weights[:, ~mask] == 0).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, 6, dtype=DOUBLE))
    assert not mixture.active["cell"][:, ~mask].any()
    gradient = torch.autograd.grad((weights * torch.randn_like(weights)).sum(), weights, retain_graph=True)[0]
    assert torch.isfinite(gradient).all()


def test_sigmoid_weights_do_not_compete() -> None:
    values = alphas()
    weights = Sigmoid()(values, SITES)["cell"]
    torch.testing.assert_close(weights[1], values["cell"].sigmoid())


@pytest.mark.parametrize("relaxation", HARD, ids=name)
def test_hard_relaxations_compute_the_winner_only(relaxation: Relaxation) -> None:
    mixture = relaxation(alphas(), SITES)
    assert torch.equal(mixture.active["cell"], mixture["cell"] > 0.5)
    assert (mixture.active["cell"].sum(-1) == 1).all()
    assert set(mixture["cell"].unique().round(decimals=12).tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("relaxation", [StraightThroughGumbel(), ReinMax()], ids=name)
def test_winners_are_drawn_with_the_probabilities_of_the_softmax(relaxation: Relaxation) -> None:
    values = many([1.0, 0.0, -1.0, 0.5])
    frequencies = relaxation(values, {"cell": 1})["cell"].detach().mean((0, 1))
    p = values["cell"][0].detach().softmax(-1)
    error = (p * (1 - p) / DRAWS).sqrt()
    assert ((frequencies - p).abs() < 4 * error).all()


def test_dirichlet_mean_and_variance() -> None:
    values = many([1.0, 0.0, -1.0, 0.5])
    draws = Dirichlet()(values, {"cell": 1})["cell"][0].detach()
    c = torch.nn.functional.elu(values["cell"][0].detach()) + 1
    total = c.sum()
    mean, variance = c / total, c * (total - c) / (total**2 * (total + 1))
    assert ((draws.mean(0) - mean).abs() < 4 * (variance / DRAWS).sqrt()).all()
    torch.testing.assert_close(draws.var(0), variance, rtol=0.1, atol=0)


def test_dirichlet_gradient_is_that_of_the_mean() -> None:
    """E[∂w/∂α] = ∂E[w]/∂α, for a linear loss."""
    values, coefficients = many([0.3, -0.4, 0.1]), torch.tensor([1.0, -2.0, 0.5], dtype=DOUBLE)
    loss = (Dirichlet()(values, {"cell": 1})["cell"][0] * coefficients).sum()
    (per_draw,) = torch.autograd.grad(loss, values["cell"])
    row = values["cell"][0].detach().requires_grad_()
    c = torch.nn.functional.elu(row) + 1
    (expected,) = torch.autograd.grad((c / c.sum() * coefficients).sum(), row)
    error = per_draw.std(0) / DRAWS**0.5
    assert ((per_draw.mean(0) - expected).abs() < 4 * error).all()


def test_straight_through_gradient_is_that_of_the_soft_sample() -> None:
    soft, hard = GumbelSoftmax(temperature=2.0), StraightThroughGumbel(temperature=2.0)
    values, direction = alphas(), torch.randn(3, 6, 4, dtype=DOUBLE)
    gradients = [
        torch.autograd.grad((r(values, SITES)["cell"] * direction).sum(), values["cell"])[0] for r in (soft, hard)
    ]
    torch.testing.assert_close(gradients[0], gradients[1])


def test_reinmax_gradient_is_exact_for_quadratic_losses() -> None:
    matrix = torch.randn(4, 4, dtype=DOUBLE, generator=torch.Generator().manual_seed(3))
    matrix, linear = matrix + matrix.T, torch.tensor([0.5, -1.0, 2.0, 0.0], dtype=DOUBLE)

    def loss(x: Tensor) -> Tensor:
        return 0.5 * ((x @ matrix) * x).sum(-1) + x @ linear

    values = many([0.8, 0.0, -0.5, 0.2])
    (per_draw,) = torch.autograd.grad(loss(ReinMax()(values, {"cell": 1})["cell"][0]).sum(), values["cell"])
    row = values["cell"][0].detach().requires_grad_()
    (expected,) = torch.autograd.grad((row.softmax(-1) * loss(torch.eye(4, dtype=DOUBLE))).sum(), row)
    error = per_draw.std(0) / DRAWS**0.5
    assert ((per_draw.mean(0) - expected).abs() < 4 * error).all()


def test_gumbel_softmax_becomes_one_hot_when_cold_and_uniform_when_hot() -> None:
    cold = GumbelSoftmax(temperature=1e-4)(alphas(), SITES)["cell"]
    hot = GumbelSoftmax(temperature=1e4)(alphas(), SITES)["cell"]
    assert cold.max(-1).values.min() > 0.99
    torch.testing.assert_close(hot, torch.full_like(hot, 0.25), rtol=0, atol=1e-2)


def test_gdas_temperature_spans_this_runs_own_epochs() -> None:
    """Known error of published code: 250 epochs assumed, so that 50 epochs ended at τ = 8.05 and 300 below 0."""
    temperature = StraightThroughGumbel().temperature
    assert isinstance(temperature, Anneal)
    for epochs in (2, 50, 300):
        values = [temperature.at(Clock(epoch, epochs)) for epoch in range(epochs)]
        assert values[0] == 10
        assert values[-1] == pytest.approx(0.1)
        assert min(values) > 0
    # The sign of τ decides who is drawn: at the end of a 300-epoch run the likely candidate still is.
    drawn = StraightThroughGumbel()(many([4.0, 0, 0, 0]), {"cell": 1}, Context(clock=Clock(299, 300)))
    assert drawn["cell"][..., 0].mean().item() == pytest.approx(0.948, abs=0.01)


@pytest.mark.parametrize("relaxation", DRAWN, ids=name)
def test_draws_are_replayed_within_a_step_and_new_in_the_next(relaxation: Relaxation) -> None:
    first, again = (relaxation(many([0.0, 0.1]), {"cell": 1}, Context(clock=Clock(step=1)))["cell"] for _ in range(2))
    following = relaxation(many([0.0, 0.1]), {"cell": 1}, Context(clock=Clock(step=2)))["cell"]
    other_seed = relaxation(many([0.0, 0.1]), {"cell": 1}, Context(clock=Clock(step=1), seed=1))["cell"]
    assert torch.equal(first, again)
    assert not torch.equal(first, following)
    assert not torch.equal(first, other_seed)


@pytest.mark.parametrize("relaxation", [GumbelSoftmax(), StraightThroughGumbel(), Dirichlet(), ReinMax()], ids=name)
def test_draws_per_epoch_and_per_site(relaxation: Relaxation) -> None:
    per_epoch, per_site = replace(relaxation, per="epoch"), replace(relaxation, per="site")  # type: ignore[type-var]
    values = {"cell": torch.zeros(50, 4, dtype=DOUBLE)}
    one, two = (per_epoch(values, SITES, Context(clock=Clock(1, 3, step)))["cell"] for step in (0, 7))
    later = per_epoch(values, SITES, Context(clock=Clock(2, 3, 0)))["cell"]
    assert torch.equal(one, two)
    assert not torch.equal(one, later)
    assert torch.equal(one[0], one[1])
    sites = per_site(values, SITES)["cell"]
    assert not torch.equal(sites[0], sites[1])


def test_the_callers_random_numbers_are_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    for relaxation in DRAWN:
        relaxation(alphas(), SITES)
    assert torch.equal(torch.rand(3), expected)


def test_bad_settings_are_refused_by_name() -> None:
    with pytest.raises(ArchgradError, match="GumbelSoftmax: the temperature must stay above 0"):
        GumbelSoftmax(temperature=Anneal(1.0, -0.5))
    with pytest.raises(ArchgradError, match="Softmax: the temperature"):
        Softmax(temperature=0)
    with pytest.raises(ArchgradError, match="StraightThroughGumbel: unselected must be 'none' or 'constant'"):
        StraightThroughGumbel(unselected="all")  # type: ignore[arg-type]
    with pytest.raises(ArchgradError, match="per must be 'step', 'epoch' or 'site'"):
        Dirichlet(per="never")  # type: ignore[arg-type]


class Times(nn.Module):
    """An operation that multiplies."""

    def __init__(self, factor: float):
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


@pytest.mark.parametrize(
    ("unselected", "expected"),
    [("none", [-8.811914879, -13.145832251, 21.957747130]), ("constant", [-7.049531904, -10.516665800, 17.566197704])],
)
def test_gdas_gradients_of_paper_and_program(monkeypatch: Any, unselected: Any, expected: list[float]) -> None:
    """For the loss ‖output‖² of one choice among 0·x, x and 3·x; numbers of ``gdas_v1`` and ``gdas``."""
    noise = torch.tensor([[[-0.3, 0.4, 0.1]]], dtype=DOUBLE)
    monkeypatch.setattr(Now, "gumbel", lambda self, alpha, per: noise)
    choice = Choice({"zero": Times(0.0), "one": Times(1.0), "three": Times(3.0)}, group="choice")
    supernet = Supernet(nn.Sequential(choice)).double()
    alpha = torch.tensor([[0.2, -0.1, 0.4]], dtype=DOUBLE, requires_grad=True)
    mixture = StraightThroughGumbel(1.0, unselected=unselected)({"choice": alpha}, {"choice": 1})
    output = supernet(torch.tensor([1.0, 2.0], dtype=DOUBLE), mixture)
    assert output.tolist() == [3.0, 6.0]
    (gradient,) = torch.autograd.grad(output.square().sum(), alpha)
    assert gradient[0].tolist() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("executor", ["plain", "loop", "batched"])
@pytest.mark.parametrize("share", [1, 2])
def test_constants_change_gradients_alone_and_by_the_gradient_of_their_edge(executor: str, share: int) -> None:
    """A constant added to a state moves all edges into it alike."""
    torch.manual_seed(0)
    supernet = spaces.get("nasbench201", channels=4, cells=1).supernet(executor=executor).double()
    for cell in cells("test", supernet.network):
        cell.narrow(share)
    supernet.double()
    x, found = torch.randn(4, 3, 8, 8, dtype=DOUBLE), []
    for unselected in ("none", "constant"):
        torch.manual_seed(1)
        mixture = StraightThroughGumbel(unselected=unselected)(dict(supernet.alphas.items()), supernet.sites).leaf()
        output = supernet(x, mixture)
        found.append((output, *torch.autograd.grad(output.square().sum(), [mixture["cell"]])))
    (before, without), (after, constant) = found
    assert torch.equal(before, after)
    selected = mixture.active["cell"]
    torch.testing.assert_close(constant[selected], without[selected])
    assert not without[~selected].any()
    for incoming in supernet.groups["cell"].incoming.values():
        for site in range(supernet.sites["cell"]):
            values = constant[site, list(incoming)][~selected[site, list(incoming)]]
            torch.testing.assert_close(values, values[:1].expand_as(values))
    assert constant[~selected].abs().max() > 1e-6
