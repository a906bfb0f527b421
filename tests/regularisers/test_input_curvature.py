"""AdvRush's penalty: h² times the squared curvature of the loss in the images, and its gradient in the alphas."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from archgrad import Choice, Supernet
from archgrad.context import Clock, Context
from archgrad.errors import ArchgradError
from archgrad.gradient import FirstOrder, FlatMinima
from archgrad.method import Method
from archgrad.objective import Objective
from archgrad.regularisers.input_curvature import InputCurvature, curvature
from archgrad.roles import Regulariser
from archgrad.tasks import Task


class Power(nn.Module):
    def __init__(self, power: int):
        super().__init__()
        self.power = power
        self.scale = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x**self.power


def objective(*regularisers: Regulariser, clock: Clock | None = None) -> Objective:
    """ℓ = mean over images of the sum of p₁x + p₂x²: its gradient in x is p₁ + 2p₂x, its curvature 2p₂."""
    supernet = Supernet(Choice({"linear": Power(1), "square": Power(2)}, group="g")).double()
    torch.manual_seed(0)
    batch = 0.5 + torch.rand(5, 1, 2, 2, dtype=torch.float64), torch.zeros(5)

    def loss(output: Tensor, y: Tensor) -> Tensor:
        return output.flatten(1).sum(1).mean()

    context = Context(supernet, clock or Clock())
    return Method(regularisers=regularisers).objective(batch, context, task=Task(loss=loss))


def alphas(one: Objective) -> dict[str, Tensor]:
    return {name: alpha.detach() for name, alpha in one.supernet.alphas.items()}


def test_closed_form_of_a_quadratic() -> None:
    one, h = objective(), 0.3
    with torch.no_grad():
        mixture = one.mix(alphas(one))
    # z = (1, 1, 1, 1)/2: the gradient changes by 2 p₂ h/2 in each of four pixels.
    expected = 4 * (2 * mixture["g"][0, 0, 1] * h / 2) ** 2
    torch.testing.assert_close(curvature(one, mixture, h), expected)


def test_the_gradient_is_that_of_the_penalised_loss() -> None:
    weight, h = 0.7, 0.3
    one = objective(InputCurvature(weight, h, start=0))
    found = FirstOrder()(one, alphas(one), one.context)["g"]

    def penalised(alpha: Tensor) -> Tensor:
        p = alpha.softmax(-1)[0]
        x = one.batch[0]
        return (p[0] * x + p[1] * x**2).flatten(1).sum(1).mean() + weight * 4 * (p[1] * h) ** 2

    expected = torch.autograd.functional.jacobian(penalised, alphas(one)["g"])
    torch.testing.assert_close(found, expected)
    assert all(w.requires_grad for w in one.supernet.weights())


@pytest.mark.parametrize("base", [FirstOrder(), FlatMinima()])
def test_without_weight_or_before_its_start_nothing_is_added(base) -> None:
    for rule, clock in ((InputCurvature(0.0, start=0), Clock()),
                        (InputCurvature(1.0), Clock(49, 60)),
                        (InputCurvature(1.0), Clock(50, 60))):  # fmt: skip
        one, other = objective(rule, clock=clock), objective(clock=clock)
        plain, found = (base(at, alphas(at), at.context)["g"] for at in (other, one))
        assert torch.equal(found, plain) == (clock.epoch < 50 or rule.weight == 0)


def test_it_needs_the_batch() -> None:
    one = objective()
    with torch.no_grad():
        mixture = one.mix(alphas(one))
    with pytest.raises(ArchgradError, match="needs the objective of a batch"):
        InputCurvature(start=0)(alphas(one), mixture, one.context)


def test_it_flattens_a_real_supernet() -> None:
    from archgrad import spaces

    torch.manual_seed(0)
    supernet = spaces.get("nasbench201", channels=2, cells=1).supernet().double()
    batch = torch.rand(4, 3, 8, 8, dtype=torch.float64), torch.randint(10, (4,))

    def made(*regularisers: Regulariser) -> Objective:
        return Method(regularisers=regularisers).objective(batch, Context(supernet))

    start = {name: alpha.detach().clone() for name, alpha in supernet.alphas.items()}
    one, other = made(InputCurvature(1.0, start=0)), made()
    with_penalty = FirstOrder()(one, start, Context(supernet))["cell"]
    slope = with_penalty - FirstOrder()(other, start, Context(supernet))["cell"]
    assert slope.abs().max() > 0

    def penalty(point: dict[str, Tensor]) -> float:
        at = made()
        at.trace.loss = torch.zeros(())  # another evaluation of one step
        return float(curvature(at, at.mix(point), 1.5).detach())

    # So small a step that neither a ReLU nor a sign of z changes.
    step = 1e-6 / slope.norm()
    up, down = (penalty({"cell": start["cell"] + sign * step * slope}) for sign in (1, -1))
    assert down < penalty(start) < up
    assert (up - down) / 2 == pytest.approx(float(step * slope.norm() ** 2), rel=1e-4)


def test_unusable_settings_are_one_line() -> None:
    with pytest.raises(ArchgradError, match="h must be a number above 0"):
        InputCurvature(h=0)
    with pytest.raises(ArchgradError, match="start must be a share"):
        InputCurvature(start=2)
