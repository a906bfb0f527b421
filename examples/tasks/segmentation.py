"""Segmentation: which pixels of a noisy image belong to a disc, which to a square, and which to neither.

    python examples/tasks/segmentation.py

Images are drawn here. A small U-Net chooses the block of every level; it is compared with random choices, and with
calling everything background. The measure is the mean over classes of intersection over union.
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
from archgrad.tasks import Segmentation

SIDE = 16
WIDTH = 8


def pictures(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Images ``[count, 1, side, side]`` and their masks: 0 background, 1 disc, 2 square, on a sloping, noisy ground."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float, number: int = 1) -> Tensor:
        return low + (high - low) * torch.rand(count, number, 1, 1, generator=generator)

    y, x = torch.meshgrid(torch.arange(float(SIDE)), torch.arange(float(SIDE)), indexing="ij")
    (disc_x, disc_y, square_x, square_y), radius = uniform(4, SIDE - 4, 4).unbind(1), uniform(2.5, 4.5, 2)
    disc = (x - disc_x).square() + (y - disc_y).square() < radius[:, 0].square()
    square = torch.maximum((x - square_x).abs(), (y - square_y).abs()) < 0.9 * radius[:, 1]
    masks = torch.where(square, 2, torch.where(disc, 1, 0))
    slope = uniform(-1, 1) * x / SIDE + uniform(-1, 1) * y / SIDE
    images = slope + (masks > 0)[:, None] + 0.3 * torch.randn(count, 1, SIDE, SIDE, generator=generator)
    return images, masks


def block(channels: int, kernel: int, dilation: int = 1, depthwise: bool = False) -> nn.Module:
    padding, groups = dilation * (kernel // 2), channels if depthwise else 1
    layers = [nn.Conv2d(channels, channels, kernel, padding=padding, dilation=dilation, groups=groups, bias=False)]
    layers += [nn.Conv2d(channels, channels, 1, bias=False)] if depthwise else []
    return nn.Sequential(*layers, nn.BatchNorm2d(channels), nn.ReLU())


def choice(name: str, channels: int) -> Choice:
    return Choice(
        {
            "skip": nn.Identity(),
            "conv3": block(channels, 3),
            "conv5": block(channels, 5),
            "dilated3": block(channels, 3, dilation=2),
            "separable5": block(channels, 5, depthwise=True),
        },
        name,
    )


class UNet(nn.Module):
    """Two levels down, two up, and a choice of the block at each of the five places."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, WIDTH, 3, padding=1)
        self.down1, self.down2 = nn.Conv2d(WIDTH, 2 * WIDTH, 2, 2), nn.Conv2d(2 * WIDTH, 4 * WIDTH, 2, 2)
        self.up2 = nn.ConvTranspose2d(4 * WIDTH, 2 * WIDTH, 2, 2)
        self.up1 = nn.ConvTranspose2d(2 * WIDTH, WIDTH, 2, 2)
        self.encoder1, self.encoder2 = choice("encoder 1", WIDTH), choice("encoder 2", 2 * WIDTH)
        self.middle = choice("middle", 4 * WIDTH)
        self.decoder2, self.decoder1 = choice("decoder 2", 2 * WIDTH), choice("decoder 1", WIDTH)
        self.head = nn.Conv2d(WIDTH, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.encoder1(self.stem(x))
        coarse = self.encoder2(self.down1(fine))
        x = self.decoder2(self.up2(self.middle(self.down2(coarse))) + coarse)
        return self.head(self.decoder1(self.up1(x) + fine))


def main(epochs: int = 8, training: int = 14, random: int = 2, count: int = 400) -> dict[str, float]:
    """Search, train what was found and ``random`` others, and say how they compare."""
    images = data.from_tensors(*pictures(count, seed=0), *pictures(200, seed=1), task=Segmentation(3), name="shapes")
    torch.manual_seed(0)
    method = replace(methods.get("darts"), alpha_optimiser=AlphaOptimiser(lr=0.03), batch_size=20)
    found = archgrad.search(UNet(), method, images, epochs=epochs, diagnose=0, progress=False)
    print(found.genotype)

    generator = torch.Generator().manual_seed(1)
    genotypes = [found.genotype, *(found.supernet.random(generator) for _ in range(random))]
    recipe = Recipe(epochs=training, batch_size=20, lr=0.1, lr_per_step=True, weight_decay=5e-4, clip=5.0)
    trained = partial(train_own, UNet(), data=images, recipe=recipe, progress=False)
    iou, *others = [trained(genotype).test.score for genotype in genotypes]
    background = float((images.test.targets == 0).float().mean()) / 3  # the other two classes have 0 each
    print(f"mean IoU: {iou:.3f} found, {min(others):.3f} to {max(others):.3f} of {random} random networks,")
    print(f"{background:.3f} where everything is called background")
    return {"found": iou, "background": background, "best random": max(others)}


if __name__ == "__main__":
    main()
