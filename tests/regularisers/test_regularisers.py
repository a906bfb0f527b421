"""Regularisers against values computed by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from archgrad.context import Clock, Context
from archgrad.regularisers import AlphaNorm, BetaDecay, DirichletAnchor, Entropy, ZeroOne
from archgrad.relaxation import Softmax
from archgrad.roles import Regulariser

DOUBLE = torch.float64


def value(regulariser: Regulariser, rows: list[list[float]], context: Context | None = None) -> float:
    alphas = {"cell": torch.tensor(rows, dtype=DOUBLE)}
    context = context or Context()
    found: Tensor = regulariser(alphas, Softmax()(alphas, {"cell": 2}, context), context)
    return found.item()


def test_zero_one_is_the_mean_square_distance_of_the_sigmoid_from_a_half() -> None:
    sigmoid = 1 / (1 + math.exp(-2))
    assert value(ZeroOne(weight=10), [[2.0, 0.0]]) == pytest.approx(-10 * (sigmoid - 0.5) ** 2 / 2)


def test_zero_one_by_absolute_distances() -> None:
    """F.l1_loss(σ(α), ½) of the program's other loss."""
    sigmoid = 1 / (1 + math.exp(-2))
    assert value(ZeroOne(distance="l1"), [[2.0, 0.0], [0.0, -2.0]]) == pytest.approx(-10 * (sigmoid - 0.5) / 2)


def test_alpha_norm_is_the_length_of_each_group() -> None:
    assert value(AlphaNorm(), [[3.0, 0.0], [0.0, 4.0]]) == pytest.approx(5e-3)
    alphas = {"normal": torch.tensor([[3.0, 4.0]], dtype=DOUBLE), "reduce": torch.tensor([[0.0, 2.0]], dtype=DOUBLE)}
    mixture = Softmax()(alphas, {"normal": 1, "reduce": 1}, Context())
    assert AlphaNorm(weight=1)(alphas, mixture, Context()).item() == pytest.approx(7)


def test_zero_one_counts_existing_candidates_only() -> None:
    context = Context(masks={"cell": torch.tensor([[True, False]])})
    assert value(ZeroOne(weight=1), [[2.0, 9.0]], context) == pytest.approx(value(ZeroOne(weight=1), [[2.0]]))


def test_beta_decay_grows_with_the_epoch_not_with_the_step() -> None:
    """Known error of a published library: the step number was passed as the epoch."""
    rows = [[0.0, 0.0], [1.0, 1.0]]
    mean = (math.log(2) + 1 + math.log(2)) / 2
    for epoch, epochs, step, weight in (
        (0, 50, 5, 0.0), (1, 10, 0, 0.5), (49, 50, 0, 24.5), (49, 50, 99, 24.5), (99, 100, 7, 49.5)
    ):  # fmt: skip
        context = Context(clock=Clock(epoch, epochs, step, 100))
        assert value(BetaDecay(), rows, context) == pytest.approx(weight * mean)


def test_entropy_of_uniform_and_certain_rows() -> None:
    assert value(Entropy(weight=1), [[0.0, 0.0, 0.0]]) == pytest.approx(math.log(3))
    assert value(Entropy(weight=1), [[0.0, 500.0]]) == pytest.approx(0, abs=1e-12)
    assert value(Entropy(weight=0.5), [[0.0, 0.0], [0.0, 900.0]]) == pytest.approx(0.5 * math.log(2) / 2)


def test_dirichlet_anchor_is_the_divergence_from_the_uniform_distribution() -> None:
    assert value(DirichletAnchor(weight=1), [[0.0, 0.0, 0.0]]) == pytest.approx(0, abs=1e-12)
    # KL(Beta(2, 1) ‖ Beta(1, 1)) = ∫ 2x log 2x dx = log 2 − 1/2
    assert value(DirichletAnchor(weight=1), [[1.0, 0.0]]) == pytest.approx(math.log(2) - 0.5)
    shrunk = math.expm1(-1)
    assert value(DirichletAnchor(weight=1, distance="l2"), [[1.0, -1.0]]) == pytest.approx(1 + shrunk**2)


def test_dirichlet_anchor_is_the_sum_over_edges() -> None:
    """As in the program of DrNAS; a mean over the 28 edges of the DARTS space is 28 times weaker."""
    rows = [[0.0, 0.5, -0.5], [1.0, 0.0, 0.0]]
    divergences = [0.345522293673868, 0.265278955334776]
    assert [value(DirichletAnchor(weight=1), [row]) for row in rows] == pytest.approx(divergences)
    assert value(DirichletAnchor(), rows) == pytest.approx(6.10801249008645e-4, rel=1e-12)


def test_dirichlet_anchor_counts_existing_candidates_only() -> None:
    context = Context(masks={"cell": torch.tensor([[True, True, False]])})
    expected = value(DirichletAnchor(weight=1), [[1.0, 0.5]])
    assert value(DirichletAnchor(weight=1), [[1.0, 0.5, 3.0]], context) == pytest.approx(expected)


@pytest.mark.parametrize(
    "regulariser",
    [
        ZeroOne(),
        ZeroOne(distance="l1"),
        AlphaNorm(),
        BetaDecay(weight=1.0),
        DirichletAnchor(),
        DirichletAnchor(distance="l2"),
        Entropy(),
    ],
    ids=lambda r: type(r).__name__,
)
def test_missing_and_fully_pruned_candidates_count_nowhere(regulariser: Regulariser) -> None:
    mask = torch.tensor([[True, True, False], [False, False, False], [True, False, True]])
    rows = [[0.3, -0.5, 4.0], [1.0, 2.0, 3.0], [0.1, -7.0, 0.9]]
    expected = value(regulariser, [[0.3, -0.5], [0.1, 0.9]])
    assert value(regulariser, rows, Context(masks={"cell": mask})) == pytest.approx(expected, rel=1e-12)


def test_dirichlet_anchor_equals_torchs_divergence() -> None:
    rows = torch.randn(7, 5, dtype=DOUBLE, generator=torch.Generator().manual_seed(0))
    c = torch.nn.functional.elu(rows) + 1
    ones = torch.distributions.Dirichlet(torch.ones_like(c))
    expected = torch.distributions.kl_divergence(torch.distributions.Dirichlet(c), ones).sum().item()
    assert value(DirichletAnchor(weight=1), rows.tolist()) == pytest.approx(expected, rel=1e-12)


def test_entropy_has_finite_gradients_where_weights_are_zero() -> None:
    alphas = {"cell": torch.tensor([[0.0, -2000.0, 1.0]], dtype=DOUBLE, requires_grad=True)}
    (gradient,) = torch.autograd.grad(Entropy()(alphas, Softmax()(alphas, {"cell": 2}), Context()), alphas["cell"])
    assert torch.isfinite(gradient).all()
    assert gradient[0, 0].item() == pytest.approx(-gradient[0, 2].item(), rel=1e-9) != 0
    assert gradient[0, 1] == 0
