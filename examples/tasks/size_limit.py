"""A limit on size: how good a network of at most 1,500 parameters can be, and what more of them would bring.

    python examples/tasks/size_limit.py

Signals of four waves in noise, generated here. `Cost` adds the expected number of parameters to the loss of the search;
searches with several weights of that term give networks of several sizes. Those that no other one beats in both size
and accuracy are the front, from which a limit chooses. ``Cost("latency")`` does the same with measured milliseconds,
and ``Cost("flops")`` with multiply-accumulates.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

import archgrad
from archgrad import Choice, data, methods
from archgrad.comparison import train_own
from archgrad.genotype import Genotype
from archgrad.method import AlphaOptimiser
from archgrad.recipes import Recipe
from archgrad.regularisers import Cost

LENGTH, CHANNELS = 64, 8
WEIGHTS = (0.0, 0.03, 0.1, 0.3)
LIMIT = 1_500


def signals(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Sines, squares, sawteeth and pulses ``[count, 1, length]`` of random phase and frequency, and their classes."""
    generator = torch.Generator().manual_seed(seed)
    kind = torch.randint(4, (count,), generator=generator)
    frequency, start = 2 + 2 * torch.rand(count, 1, generator=generator), torch.rand(count, 1, generator=generator)
    turns = frequency * torch.linspace(0, 1, LENGTH) + start
    sine = (2 * torch.pi * turns).sin()
    clean = torch.stack([sine, sine.sign(), 2 * (turns % 1) - 1, 3 * ((turns % 1) < 0.15).float() - 0.5])
    return (clean[kind, torch.arange(count)] + 0.7 * torch.randn(count, LENGTH, generator=generator))[:, None], kind


def block(kernel: int) -> nn.Module:
    convolution = nn.Conv1d(CHANNELS, CHANNELS, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm1d(CHANNELS), nn.ReLU())


class Net(nn.Module):
    """Three blocks, from nothing at all to a long convolution, with the signal halved before each."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(1, CHANNELS, 1)  # what a wave looks like, only the blocks can see
        self.blocks = nn.ModuleList(
            Choice(
                {"skip": nn.Identity(), "conv1": block(1), "conv3": block(3), "conv7": block(7), "conv11": block(11)},
                f"block {number}",
            )
            for number in (1, 2, 3)
        )
        self.head = nn.Linear(CHANNELS, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = block(nn.functional.max_pool1d(x, 2))
        return self.head(x.mean(2))


class Point(NamedTuple):
    """A trained network: which weight of the cost led to it, its parameters, and its accuracy in %."""

    weight: float | None
    parameters: int
    accuracy: float
    genotype: Genotype


def front(points: list[Point]) -> list[Point]:
    """The points that no other one beats in one number without losing in the other, the smallest first."""
    best: list[Point] = []
    for point in sorted(points, key=lambda point: (point.parameters, -point.accuracy)):
        if not best or point.accuracy > best[-1].accuracy:
            best.append(point)
    return best


def main(epochs: int = 8, training: int = 10, random: int = 3, count: int = 800) -> dict[str, Any]:
    """Search with every weight, train what was found and ``random`` others, and say which of them are the front."""
    waves = data.from_tensors(*signals(count, seed=0), *signals(1000, seed=1), name="waves")
    method = replace(methods.get("darts"), alpha_optimiser=AlphaOptimiser(lr=0.03), batch_size=40)
    recipe = Recipe(epochs=training, batch_size=40, lr=0.1, lr_per_step=True, weight_decay=5e-4, clip=5.0)
    train = partial(train_own, Net(), data=waves, recipe=recipe, progress=False)

    def trained(genotype: Genotype, weight: float | None = None) -> Point:
        result = train(genotype)
        return Point(weight, result.parameters, 100 * result.test.score, genotype)

    points = []
    for weight in WEIGHTS:
        torch.manual_seed(0)
        costly = replace(method, regularisers=(Cost("parameters", weight=weight, shape=(1, LENGTH)),))
        found = archgrad.search(Net(), costly, waves, epochs=epochs, diagnose=0, progress=False)
        points.append(trained(found.genotype, weight))
    generator = torch.Generator().manual_seed(1)
    points += [trained(found.supernet.random(generator)) for _ in range(random)]

    best = front(points)
    for point in sorted(points, key=lambda point: point.parameters):
        origin = "random" if point.weight is None else f"cost × {point.weight:g}"
        print(f"{point.parameters:6,} parameters  {point.accuracy:5.1f} %  {origin}{'  front' * (point in best)}")
    within = [point for point in best if point.parameters <= LIMIT]
    chosen = within[-1] if within else None
    print(f"at most {LIMIT:,} parameters: {chosen.accuracy:.1f} %\n{chosen.genotype}" if chosen else "none is so small")
    return {"points": points, "front": best, "chosen": chosen}


if __name__ == "__main__":
    main()
