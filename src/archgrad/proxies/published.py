"""What published programs have in their networks and papers do not mention."""

from __future__ import annotations

import math

import torch
from torch import nn

from archgrad.proxies.layers import weighted
from archgrad.randomness import generator
from archgrad.spaces.nasbench201 import OneOutput


@torch.no_grad()
def add_biases(network: nn.Module, seed: int) -> None:
    """Give the convolutions in cells of NAS-Bench-201 the biases that they lack, drawn as torch initialises them.

    U(−1/√fan_in, 1/√fan_in). The program of the common zero-cost proxies, on which that of CRoZe is built, writes
    ``bias=not affine`` where it means that a BN follows without parameters of its own.
    """
    draw = generator(seed, "biases")
    for cell in network.modules():
        if isinstance(cell, OneOutput):
            for layer in weighted(cell).values():
                if layer.bias is None:
                    bound = 1 / math.sqrt(layer.weight[0].numel())
                    drawn = torch.empty(len(layer.weight)).uniform_(-bound, bound, generator=draw)
                    layer.bias = nn.Parameter(drawn.to(layer.weight))
