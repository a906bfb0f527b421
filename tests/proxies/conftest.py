"""Networks small enough to be worked out by hand, networks that published programs were run on, and the real data.

The latter are written down number by number, in double precision, so that a published program can be given the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from archgrad import spaces
from archgrad.engine.graph import reached
from archgrad.proxies.layers import weighted
from archgrad.spaces.nasbench201 import GROUP, OneOutput

SPACE = spaces.get("nasbench201")
PUBLISHED = replace(SPACE, channels=4, cells=5)


@pytest.fixture
def cell() -> Callable[..., nn.Module]:
    """Makes the network of six digits, small unless told otherwise."""

    def make(digits: str, seed: int = 0, **size: int) -> nn.Module:
        torch.manual_seed(seed)
        return replace(SPACE, **{"channels": 4, "cells": 1, **size}).network(SPACE.parse(digits))

    return make


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    """Eight small images, some of the same class."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(8, 3, 16, 16, generator=generator), torch.tensor([0, 0, 0, 1, 1, 2, 3, 4])


@pytest.fixture
def perceptron() -> nn.Sequential:
    """Two linear layers with a ReLU between, in double precision."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 7), nn.ReLU(), nn.Linear(7, 5)).double()


@pytest.fixture
def points() -> tuple[Tensor, Tensor]:
    """A batch for it."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(6, 3, 2, 2, generator=generator, dtype=torch.double), torch.tensor([0, 1, 2, 3, 4, 0])


@pytest.fixture
def data(real_data: Callable[[str], Path]) -> Path:
    """The directory of real data."""
    return real_data("robustness").parent


@pytest.fixture
def published() -> Callable[..., nn.Module]:
    """Makes the network of six digits that published programs were run on."""
    return published_network


@pytest.fixture
def published_images() -> Callable[..., tuple[Tensor, Tensor]]:
    """Makes the batch that they were run on."""
    return published_batch


@pytest.fixture
def filled() -> Callable[[nn.Module], nn.Module]:
    """Fills any network as those are filled."""
    return fill


def published_network(digits: str, unreached: bool = True, bias: bool = False) -> nn.Module:
    """The network of six digits, filled; ``bias``: with biases 0.1 · cos(channel + place + edge) in the cells."""
    genotype = PUBLISHED.parse(digits)
    net, full = (PUBLISHED.network(genotype, unreached=all_of_them).double() for all_of_them in (unreached, True))
    fill(full)
    orders = [_edges(digits, unreached), _edges(digits, True)]
    names = dict(full.state_dict())

    def in_full(key: str) -> str:
        parts = key.split(".")
        if "operations" in parts:
            at = parts.index("operations") + 1
            parts[at] = str(orders[1].index(orders[0][int(parts[at])]))
        return ".".join(parts)

    net.load_state_dict({key: names[in_full(key)] for key in net.state_dict()})
    for place, cell in enumerate(net.stages):
        if bias and isinstance(cell, OneOutput):
            for name, layer in weighted(cell).items():
                edge = orders[0][int(name.split(".")[2])]
                angle = torch.arange(len(layer.weight), dtype=torch.float64) + place + edge
                layer.bias = nn.Parameter(0.1 * angle.cos())
    return net


@torch.no_grad()
def fill(net: nn.Module) -> nn.Module:
    """Parameter number k of more than one dimension is sin(0.7 i + k) / √fan_in; BN 1 and 0; other biases 0."""
    for k, (name, parameter) in enumerate(net.named_parameters()):
        if parameter.dim() > 1:
            angle = 0.7 * torch.arange(parameter.numel(), dtype=torch.float64) + k
            parameter.copy_(angle.sin().view_as(parameter) / math.sqrt(parameter[0].numel()))
        else:
            parameter.fill_(1.0 if name.endswith("weight") else 0.0)
    return net


def published_batch(count: int = 8, classes: int = 10) -> tuple[Tensor, Tensor]:
    """Images sin(0.3 i) of 8×8 pixels, and labels in turn; of ``classes`` classes."""
    images = (0.3 * torch.arange(count * 3 * 8 * 8, dtype=torch.float64)).sin().view(count, 3, 8, 8)
    return images, torch.arange(count) % 10 % classes


def _edges(digits: str, everything: bool) -> list[int]:
    kept = PUBLISHED.check(PUBLISHED.parse(digits)).choices[GROUP]
    return [edge for edge, _ in reached(PUBLISHED.groups[GROUP], kept, 1, [3], everything=everything)]
