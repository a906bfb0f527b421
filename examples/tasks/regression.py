"""Regression: how far diabetes has come a year later, from ten numbers per patient.

    python examples/tasks/regression.py

The 442 patients come with scikit-learn. A network of three layers chooses for each what it computes; it is compared
with random choices, with linear regression, and with always saying the mean.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression
from torch import Tensor, nn

import archgrad
from archgrad import Choice, data, methods
from archgrad.comparison import train_own
from archgrad.method import AlphaOptimiser
from archgrad.recipes import Recipe
from archgrad.tasks import Regression

WIDTH = 16


def patients() -> tuple[data.Dataset, float, float]:
    """The data set, with targets in standard deviations; that deviation; the error of linear regression."""
    x, y = (torch.tensor(values, dtype=torch.float32) for values in load_diabetes(return_X_y=True))
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    train, test = order[:300], order[300:]
    x = (x - x[train].mean(0)) / x[train].std(0)
    mean, spread = y[train].mean(), y[train].std()
    y = (y - mean) / spread
    line = LinearRegression().fit(x[train], y[train])
    error = torch.tensor(line.predict(x[test])) - y[test]
    dataset = data.from_tensors(x[train], y[train], x[test], y[test], task=Regression(), name="diabetes")
    return dataset, float(spread), float(error.square().mean().sqrt())


def layer(activation: type[nn.Module]) -> nn.Module:
    return nn.Sequential(nn.Linear(WIDTH, WIDTH), activation())


class Net(nn.Module):
    """Three layers between an input and an output layer; each may be left out."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(10, WIDTH), nn.Linear(WIDTH, 1)
        self.layers = nn.Sequential(
            *(
                Choice(
                    {"skip": nn.Identity(), "relu": layer(nn.ReLU), "tanh": layer(nn.Tanh), "gelu": layer(nn.GELU)},
                    f"layer {number}",
                )
                for number in (1, 2, 3)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.layers(self.first(x)))


def main(epochs: int = 25, training: int = 25, random: int = 4) -> dict[str, float]:
    """Search, train what was found and ``random`` others, and say how they compare."""
    points, spread, linear = patients()
    torch.manual_seed(0)
    method = replace(methods.get("darts"), alpha_optimiser=AlphaOptimiser(lr=0.03), batch_size=32)
    found = archgrad.search(Net(), method, points, epochs=epochs, diagnose=0, progress=False)
    print(found.genotype)

    draw = torch.Generator().manual_seed(1)
    genotypes = [found.genotype, *(found.supernet.random(draw) for _ in range(random))]
    recipe = Recipe(epochs=training, batch_size=32, lr=0.01, weight_decay=3e-3, clip=1.0)
    trained = partial(train_own, Net(), data=points, recipe=recipe, progress=False)
    found_error, *others = [spread * trained(genotype).test.score for genotype in genotypes]
    always_mean = spread * float(points.test.targets.square().mean().sqrt())
    print(f"error (RMSE): {found_error:.1f} found, {min(others):.1f} to {max(others):.1f} of {random} random networks,")
    print(f"{spread * linear:.1f} linear regression, {always_mean:.1f} always the mean")
    return {"found": found_error, "linear": spread * linear, "mean": always_mean, "best random": min(others)}


if __name__ == "__main__":
    main()
