"""Time of every proxy on NAS-Bench-201 networks, as a ratio to one forward and backward pass of the same network.

    python benchmarks/proxies.py --batch 8 --rounds 5

The pass computes the loss and the gradients of all weights, as a training step does. Rounds of the pass and of all
proxies alternate; the ratio is the median over rounds, whose fastest pass of three is the unit. Official CRoZe and
SynFlow compute in double precision.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F

from archgrad import proxies, spaces

CELLS = "333333,333133,232143,222222,444444"


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def ratios(digits: str, names: Sequence[str], batch: int, channels: int, cells: int, rounds: int) -> dict[str, float]:
    """Proxy → time in passes."""
    torch.manual_seed(0)
    space = spaces.get("nasbench201", channels=channels, cells=cells)
    network = space.network(space.parse(digits))
    data = torch.randn(batch, 3, 32, 32), torch.arange(batch) % 10
    weights = list(network.parameters())

    def step() -> object:
        return torch.autograd.grad(F.cross_entropy(network(data[0]), data[1]), weights)

    chosen = {name: proxies.get(name) for name in names}
    measured: dict[str, list[float]] = {name: [] for name in names}
    for proxy in chosen.values():
        proxy(network, data)  # warm-up
    step()
    for _ in range(rounds):
        for name, proxy in chosen.items():
            unit = min(seconds(step) for _ in range(3))
            measured[name].append(seconds(lambda proxy=proxy: proxy(network, data)) / unit)  # type: ignore[misc]
    return {name: statistics.median(values) for name, values in measured.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cells-digits", default=CELLS, help="cells, as six digits each")
    parser.add_argument("--proxies", default="all")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--cells", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, help="torch's threads; its own choice by default")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    chosen = parser.parse_args(arguments)
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    names, digits = proxies.parse(chosen.proxies), chosen.cells_digits.split(",")
    columns = {d: ratios(d, names, chosen.batch, chosen.channels, chosen.cells, chosen.rounds) for d in digits}
    print(f"time in forward-and-backward passes, batch {chosen.batch}")
    print("proxy".ljust(16), *(d.rjust(8) for d in digits), "largest".rjust(8))
    for name in names:
        row = [columns[d][name] for d in digits]
        print(name.ljust(16), *(f"{value:8.1f}" for value in row), f"{max(row):8.1f}")
    if chosen.json:
        rows = [{"proxy": n, "cell": d, "batch": chosen.batch, "ratio": columns[d][n]} for n in names for d in digits]
        chosen.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
