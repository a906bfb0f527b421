"""A training step of a settled DARTS network: archgrad on channels_last maps against plain torch operators on NCHW.

    python benchmarks/settled.py --batch 32 --rounds 3

Both are the same network (DARTS_V2, drop-path rate 0.1) and compute loss and gradients of all weights; their rounds
alternate.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import nn

from archgrad.engine import forced
from archgrad.operations import DropPath
from archgrad.spaces import Darts

DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=range(2, 6), "
    "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=range(2, 6))"
)


def training_step(fast: bool, batch: int, channels: int, cells: int) -> Callable[[], None]:
    """Loss and gradients of the network on one batch of random images."""
    torch.manual_seed(0)
    space = Darts(channels=channels, cells=cells)
    net: nn.Module = space.network(space.parse(DARTS_V2))
    for module in net.modules():
        if isinstance(module, DropPath):
            module.rate = 0.1
    x, y = torch.randn(batch, 3, 32, 32), torch.randint(10, (batch,))
    if fast:
        net, x = net.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)  # type: ignore[call-overload]
    weights = list(net.parameters())

    def step() -> None:
        with nullcontext() if fast else forced("plain"):
            torch.autograd.grad(F.cross_entropy(net(x), y), weights)

    return step


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--channels", type=int, default=36)
    parser.add_argument("--cells", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, help="torch's threads; its own choice by default")
    chosen = parser.parse_args(arguments)
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    steps = {fast: training_step(fast, chosen.batch, chosen.channels, chosen.cells) for fast in (False, True)}
    seconds: dict[bool, list[float]] = {fast: [] for fast in steps}
    for step in steps.values():
        step()  # warm-up
    for _ in range(chosen.rounds):
        for fast, step in steps.items():
            start = time.perf_counter()
            step()
            seconds[fast].append(time.perf_counter() - start)
    for fast, times in seconds.items():
        name = "archgrad, channels_last" if fast else "plain torch, NCHW"
        print(f"{name:>24}: {statistics.median(times):.3f} s  ({min(times):.3f} to {max(times):.3f})")
    ratio = statistics.median(a / b for a, b in zip(seconds[False], seconds[True], strict=True))
    print(f"{ratio:.2f} times as fast (median of the rounds)")


if __name__ == "__main__":
    main()
