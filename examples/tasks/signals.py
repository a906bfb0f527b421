"""One-dimensional signals: which of six waves is hidden in noise.

    python examples/tasks/signals.py

Signals are generated here. The network chooses how each block looks along the signal: near, far, or not at all. It is
compared with random choices, and with the nearest mean signal of a class, which a random phase defeats.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

import archgrad
from archgrad import Choice, data, methods
from archgrad.comparison import train_own
from archgrad.method import AlphaOptimiser
from archgrad.recipes import Recipe

WAVES = ("sine", "square", "sawtooth", "pulses", "rising", "two tones")
LENGTH = 64
CHANNELS = 12


def signals(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Signals ``[count, 1, length]`` and their classes: random phase and frequency, and as much noise as signal."""
    generator = torch.Generator().manual_seed(seed)
    kind = torch.randint(len(WAVES), (count, 1), generator=generator)
    frequency = 2 + 2 * torch.rand(count, 1, generator=generator)
    start = torch.rand(count, 1, generator=generator)
    time = torch.linspace(0, 1, LENGTH)
    turns = frequency * time + start
    angle = 2 * torch.pi * turns
    shapes = torch.stack(
        [
            angle.sin(),
            angle.sin().sign(),
            2 * (turns % 1) - 1,
            3 * ((turns % 1) < 0.15).float() - 0.5,
            (angle * (0.5 + time)).sin(),
            0.7 * angle.sin() + 0.7 * (3 * angle).sin(),
        ]
    )
    clean = shapes.gather(0, kind.expand(count, LENGTH)[None])[0]
    return (clean + torch.randn(count, LENGTH, generator=generator))[:, None], kind[:, 0]


def block(kernel: int, dilation: int = 1) -> nn.Module:
    padding = dilation * (kernel // 2)
    convolution = nn.Conv1d(CHANNELS, CHANNELS, kernel, padding=padding, dilation=dilation, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm1d(CHANNELS), nn.ReLU())


class Net(nn.Module):
    """Three blocks, with the signal halved before each."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(1, CHANNELS, 7, padding=3)
        self.blocks = nn.ModuleList(
            Choice(
                {
                    "skip": nn.Identity(),
                    "pool": nn.AvgPool1d(3, 1, 1),
                    "conv1": block(1),
                    "conv3": block(3),
                    "conv9": block(9),
                    "dilated5": block(5, dilation=4),
                },
                f"block {number}",
            )
            for number in (1, 2, 3)
        )
        self.head = nn.Linear(CHANNELS, len(WAVES))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = block(nn.functional.max_pool1d(x, 2))
        return self.head(x.mean(2))


def main(epochs: int = 10, training: int = 8, random: int = 3, count: int = 1000) -> dict[str, float]:
    """Search, train what was found and ``random`` others, and say how they compare."""
    (x, y), (test_x, test_y) = signals(count, seed=0), signals(1000, seed=1)
    waves = data.from_tensors(x, y, test_x, test_y, classes=WAVES, name="waves")
    torch.manual_seed(0)
    method = replace(methods.get("darts"), alpha_optimiser=AlphaOptimiser(lr=0.02), batch_size=50)
    found = archgrad.search(Net(), method, waves, epochs=epochs, diagnose=0, progress=False)
    print(found.genotype)

    generator = torch.Generator().manual_seed(1)
    genotypes = [found.genotype, *(found.supernet.random(generator) for _ in range(random))]
    recipe = Recipe(epochs=training, batch_size=50, lr=0.05, lr_per_step=True, weight_decay=5e-4, clip=5.0)
    trained = partial(train_own, Net(), data=waves, recipe=recipe, progress=False)
    accuracy, *others = [100 * trained(genotype).test.score for genotype in genotypes]
    means = torch.stack([x[y == kind].mean(0) for kind in range(len(WAVES))])
    nearest = 100 * float((torch.cdist(test_x.flatten(1), means.flatten(1)).argmin(1) == test_y).float().mean())
    print(f"accuracy: {accuracy:.1f} % found, {min(others):.1f} to {max(others):.1f} % of {random} random networks,")
    print(f"{nearest:.1f} % by the nearest mean signal")
    return {"found": accuracy, "nearest": nearest, "best random": max(others)}


if __name__ == "__main__":
    main()
