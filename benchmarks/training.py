"""What a training step of a settled DARTS network costs: archgrad's layout and kernels against plain torch.

* ``nchw``: torch's operators on maps as images come, channels first.
* ``archgrad``: what `archgrad.train` runs, channels last with `depthwise_conv`.

Both are the same network with the same weights, timed in alternating rounds of one process.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext

import torch
import torch.nn.functional as F

from archgrad import spaces
from archgrad.engine.executor import forced

DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=range(2, 6), "
    "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), "
    "('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=range(2, 6))"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--channels", type=int, default=36)
    parser.add_argument("--cells", type=int, default=20)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, help="torch's threads; its own choice by default")
    chosen = parser.parse_args()
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    torch.manual_seed(0)
    space = spaces.get("darts")
    network = space.network(space.parse(DARTS_V2), channels=chosen.channels, cells=chosen.cells)
    images, labels = torch.randn(chosen.batch, 3, 32, 32), torch.randint(10, (chosen.batch,))

    def contender(plain: bool) -> Callable[[], float]:
        layout = torch.contiguous_format if plain else torch.channels_last
        mine = copy.deepcopy(network).to(memory_format=layout)  # type: ignore[call-overload]
        x = images.contiguous(memory_format=layout)

        def step() -> float:
            started = time.perf_counter()
            with forced("plain") if plain else nullcontext():
                F.cross_entropy(mine(x), labels).backward()
            return time.perf_counter() - started

        return step

    steps = {"nchw": contender(True), "archgrad": contender(False)}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(chosen.rounds + 1):
        for name, step in steps.items():
            taken = step()
            if number:  # the first round only warms up
                seconds[name].append(taken)
    base = statistics.median(seconds["nchw"])
    print(f"C={chosen.channels}, {chosen.cells} cells, batch {chosen.batch}, {torch.get_num_threads()} threads")
    for name, taken in seconds.items():
        median = statistics.median(taken)
        print(f"{name:9} {median:.3f} s  × {base / median:.2f}  (from {min(taken):.3f} to {max(taken):.3f})")


if __name__ == "__main__":
    main()
