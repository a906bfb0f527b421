"""Multi-label: which of four shapes an image shows, which may be none or all of them.

    python examples/tasks/multi_label.py

Images are drawn here. The network chooses the kernel of each of its blocks; it is compared with random choices, and
with giving every image its most frequent answer.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn

import archgrad
from archgrad import Choice, data, methods
from archgrad.comparison import train_own
from archgrad.method import AlphaOptimiser
from archgrad.recipes import Recipe
from archgrad.tasks import MultiLabel

SHAPES = ("circle", "square", "triangle", "cross")
SIDE = 20
CHANNELS = 12


def draw(shape: str, pen: ImageDraw.ImageDraw, x: float, y: float, r: float) -> None:
    if shape == "circle":
        pen.ellipse((x - r, y - r, x + r, y + r), outline=255, width=1)
    elif shape == "square":
        pen.rectangle((x - r, y - r, x + r, y + r), outline=255, width=1)
    elif shape == "triangle":
        pen.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], outline=255)
    else:
        pen.line((x - r, y, x + r, y), fill=255)
        pen.line((x, y - r, x, y + r), fill=255)


def pictures(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images ``[count, 1, side, side]`` of noise and some of the shapes, and which of them each one shows."""
    numbers = np.random.default_rng(seed)
    shown = (numbers.random((count, len(SHAPES))) < 0.4).astype(int)
    images = np.zeros((count, 1, SIDE, SIDE), dtype=np.uint8)
    for image, row in zip(images, shown, strict=True):
        canvas = Image.new("L", (SIDE, SIDE))
        for shape, there in zip(SHAPES, row, strict=True):
            if there:
                draw(shape, ImageDraw.Draw(canvas), *numbers.uniform(5, SIDE - 5, 2), numbers.uniform(3, 5))
        image[0] = np.clip(np.asarray(canvas) * 0.7 + numbers.normal(40, 20, (SIDE, SIDE)), 0, 255)
    return images, shown


def block(kernel: int, dilation: int = 1) -> nn.Module:
    padding = dilation * (kernel // 2)
    convolution = nn.Conv2d(CHANNELS, CHANNELS, kernel, padding=padding, dilation=dilation, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(CHANNELS), nn.ReLU())


class Net(nn.Module):
    """Three blocks, with the map halved before each."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, CHANNELS, 3, padding=1), nn.BatchNorm2d(CHANNELS), nn.ReLU())
        self.blocks = nn.ModuleList(
            Choice(
                {
                    "skip": nn.Identity(),
                    "conv1": block(1),
                    "conv3": block(3),
                    "conv5": block(5),
                    "dilated": block(3, 2),
                },
                f"block {number}",
            )
            for number in (1, 2, 3)
        )
        self.head = nn.Linear(CHANNELS, len(SHAPES))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = block(nn.functional.max_pool2d(x, 2))
        return self.head(x.amax((2, 3)))


def main(epochs: int = 8, training: int = 9, random: int = 2, count: int = 800) -> dict[str, float]:
    """Search, train what was found and ``random`` others, and say how they compare."""
    images = data.from_tensors(*pictures(count, seed=0), *pictures(400, seed=1), task=MultiLabel(SHAPES), name="shapes")
    torch.manual_seed(0)
    method = replace(methods.get("darts"), alpha_optimiser=AlphaOptimiser(lr=0.02), batch_size=50)
    found = archgrad.search(Net(), method, images, epochs=epochs, diagnose=0, progress=False)
    print(found.genotype)

    generator = torch.Generator().manual_seed(1)
    genotypes = [found.genotype, *(found.supernet.random(generator) for _ in range(random))]
    recipe = Recipe(epochs=training, batch_size=50, lr=0.05, lr_per_step=True, weight_decay=5e-4, clip=5.0)
    trained = partial(train_own, Net(), data=images, recipe=recipe, progress=False)
    tests = [trained(genotype).test.metrics for genotype in genotypes]
    exact = [100 * float(metrics["exact_match"]) for metrics in tests]
    rows = [tuple(row) for row in images.test.targets.int().tolist()]
    usual = 100 * max(rows.count(row) for row in set(rows)) / len(rows)
    print(f"all four labels right: {exact[0]:.1f} % found, {min(exact[1:]):.1f} to {max(exact[1:]):.1f} % of {random}")
    print(f"random networks, {usual:.1f} % by the most frequent answer; F₁ of the found one {tests[0]['f1']:.3f}")
    return {"found": exact[0], "usual": usual, "best random": max(exact[1:]), "f1": float(tests[0]["f1"])}


if __name__ == "__main__":
    main()
