"""The search step of another library beside archgrad's, in one process.

    python benchmarks/peers.py --peer-path DIR --space darts --batch 16

``DIR`` holds, besides whatever the library needs, a file ``adapter.py`` with one function:

    def step(space: str, channels: int, cells: int, x: Tensor, y: Tensor) -> Callable[[], object]:
        '''A function that makes one first-order step of the peer's supernet of that space on the batch (x, y).'''

The step is the gradient of the cross-entropy in the alphas and then in the weights, each with its own forward pass
and without the optimisers' updates; ``space`` is ``darts`` or ``nasbench201``, ``channels`` and ``cells`` are its size,
x is ``[batch, 3, 32, 32]`` and y ``[batch]`` with ten classes. ``DIR`` is put at the front of ``sys.path``.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from step import Step

from archgrad import spaces
from archgrad.engine import EXECUTORS


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--peer-path", type=Path, required=True, metavar="DIR", help="where adapter.py is")
    parser.add_argument("--space", choices=["darts", "nasbench201"], default="darts")
    parser.add_argument("--executor", choices=["auto", *EXECUTORS], default="auto")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--channels", type=int, help="of the supernet; the published size by default")
    parser.add_argument("--cells", type=int, help="of the supernet; the published size by default")
    parser.add_argument("--size", type=int, default=32, help="height and width of the images")
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args(arguments)
    size = spaces.get(chosen.space).supernet_size._asdict()
    size |= {key: value for key in size if (value := getattr(chosen, key)) is not None}
    sys.path.insert(0, str(chosen.peer_path))
    adapter = importlib.import_module("adapter")
    own = Step(chosen.space, chosen.executor, chosen.batch, chosen.size, sampled=False, device="cpu", **size)
    x = own.x.contiguous(memory_format=torch.contiguous_format)
    steps = {"archgrad": own.step, "peer": adapter.step(chosen.space, size["channels"], size["cells"], x, own.y)}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()  # warm-up
    for _ in range(chosen.rounds):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - start)
    for name, times in seconds.items():
        print(f"{name:>8}: {statistics.median(times):8.3f} s  ({min(times):.3f} to {max(times):.3f})")
    ratios = [peer / mine for mine, peer in zip(seconds["archgrad"], seconds["peer"], strict=True)]
    print(f"archgrad is {statistics.median(ratios):.2f} times as fast (median of the rounds)")


if __name__ == "__main__":
    main()
