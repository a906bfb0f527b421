"""What diverges or cannot be computed ends in a line that blames what is to blame."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from archgrad import ArchgradError, Choice, Supernet, data, diagnostics, methods, search, spaces
from archgrad.comparison import train_genotype
from archgrad.context import Context
from archgrad.objective import Objective
from archgrad.recipes import Recipe
from archgrad.relaxation import Dirichlet, Softmax

SPACE = spaces.get("nasbench201", channels=2, cells=1)


def few(image_size: int | None = None) -> data.Dataset:
    part = data.load("digits", image_size=image_size).train.take(torch.arange(48))
    return data.from_tensors(part.inputs, part.targets, part.inputs, part.targets, classes=10, name="few")


@pytest.mark.parametrize("name", ["darts", "drnas", "gdas"])
@pytest.mark.parametrize(
    ("alphas", "weights", "blamed"),
    [
        (3e-4, 1e30, r"try smaller learning rates? than 1e\+30 \(weights\)"),
        (1e38, 0.025, r"try a? ?smaller learning rates? than .*1e\+38 \(alphas\)"),
    ],
)
def test_a_search_that_diverges_blames_its_learning_rates(name: str, alphas: float, weights: float, blamed: str):
    method = methods.get(name, "nasbench201")
    method = replace(
        method,
        alpha_optimiser=replace(method.alpha_optimiser, lr=alphas),
        weight_optimiser=replace(method.weight_optimiser, lr=weights, clip=None),
        schedules=(),
    )
    with pytest.raises(ArchgradError, match=f"the loss or a weight is not finite in epoch 0.*: {blamed}"):
        search(SPACE, method, few(), epochs=1, batch_size=4, device="cpu", progress=False)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_dirichlet_mixture_of_no_numbers_is_no_error_of_torch(value: float):
    alpha = torch.zeros(2, 3)
    alpha[0, 1] = value
    Dirichlet()({"g": alpha}, {"g": 1})


def test_the_eigenvalue_of_what_is_not_finite_is_nan(monkeypatch: pytest.MonkeyPatch):
    """Both where the Hessian is computed whole and where it is not, also if the first product is finite."""
    for candidates in (3, 20):
        choice = Choice({f"c{n}": nn.Conv2d(1, 2, 1) for n in range(candidates)}, group="g")
        supernet = Supernet(nn.Sequential(choice, nn.AdaptiveAvgPool2d(1), nn.Flatten()))
        batch = torch.randn(4, 1, 2, 2), torch.tensor([0, 1, 0, 1])
        objective = Objective(supernet, lambda a, s=supernet: Softmax()(a, s.sites), batch, Context(supernet))
        calls = []

        def product(v: dict[str, Tensor], calls: list[int] = calls) -> dict[str, Tensor]:
            calls.append(1)
            return {"g": v["g"] if len(calls) == 1 else torch.full_like(v["g"], math.nan)}

        monkeypatch.setattr(diagnostics, "_products", lambda *_: product)
        assert math.isnan(diagnostics.dominant_eigenvalue(objective, dict(supernet.alphas.items())))
        assert len(calls) > 1


@pytest.mark.parametrize("executor", ["plain", "loop"])
def test_single_values_per_channel_are_named(executor: str):
    with pytest.raises(ArchgradError, match=r"search darts: .* maps of 1×1 meet batches of 1: use a larger batch"):
        search(SPACE, "darts", few(4), epochs=1, batch_size=1, device="cpu", progress=False, executor=executor)
    recipe = Recipe(epochs=1, batch_size=1, lr=0.1)
    with pytest.raises(ArchgradError, match=r"training: .* maps of 1×1 meet batches of 1"):
        train_genotype(SPACE, "333333", few(4), recipe=recipe, device="cpu", progress=False)
