"""What a search step costs with each executor, against two baselines measured in the same process.

    python benchmarks/step.py --space darts --batch 16 --phase step --rounds 5 --json FILE

Every round times all executors one after the other, so that whatever else the machine does hits all of them; shown are
medians over rounds, and the median of the ratios within a round. The baselines:

* ``plain_nchw``: what published code does. The loop over edges and operations on contiguous maps; in the alpha step and
  in the weight step one ``loss.backward()``, which computes the gradients of alphas and weights both times.
* ``plain``: the same loop on channels_last maps; the alpha step computes no gradient of a weight, and vice versa.

A phase is ``forward`` (with what backward needs), ``alpha`` or ``weight`` (forward and gradient), or ``step`` (alpha
and weight). The optimisers' updates, the same for all, are left out.

Saved bytes are those of all distinct storages that autograd keeps at the end of a forward pass, besides parameters,
buffers and the batch (for ``step`` the larger of its two passes). Kernels are the dispatched operators that neither
only make a view nor only allocate.

The limit is the time of the arithmetic alone: that of the phase's convolutions, counted on the plain executor, at the
speed of a product of large matrices that is measured in the same run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from archgrad import spaces
from archgrad.engine import EXECUTORS
from archgrad.mixture import Mixture
from archgrad.objective import frozen
from archgrad.randomness import generator
from archgrad.supernet import Supernet

PHASES = ("forward", "alpha", "weight", "step")
BASELINE = "plain_nchw"
COUNTED = 16
"""Images of the passes in which bytes and kernels are counted, which do not depend on it; counting keeps all maps."""


@dataclass
class Row:
    """One line of the table; ``spread`` is the range of the seconds over rounds, relative to their median."""

    space: str
    executor: str
    batch: int
    phase: str
    seconds: float
    spread: float
    ratio_to_plain_nchw: float
    ratio_to_plain_cl: float
    saved_bytes_per_image: int
    saved_ratio: float
    kernels: int
    ratio_to_limit: float


class Step:
    """The two halves of a first-order step of one supernet on one batch."""

    def __init__(
        self,
        space: str,
        executor: str,
        batch: int,
        size: int,
        sampled: bool,
        device: str,
        checkpoint: bool = False,
        **build: int,
    ):
        g = generator(0, "benchmark")
        torch.manual_seed(0)
        self.published = executor == BASELINE
        self.net: Supernet = spaces.get(space, **build).supernet(
            executor="plain" if self.published else executor, checkpoint_cells=checkpoint
        )
        self.x = torch.randn(batch, 3, size, size, generator=g)
        self.y = torch.randint(10, (batch,), generator=g)
        self.active = self.net.one_hot(self.net.random(g)).active if sampled else {}
        if not self.published:
            self.net = self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            self.x = self.x.contiguous(memory_format=torch.channels_last)
        self.net, self.x, self.y = self.net.to(device), self.x.to(device), self.y.to(device)

    def mixture(self) -> Mixture:
        sites = self.net.sites
        weights = {g: torch.softmax(a, -1).expand(sites[g], -1, -1) for g, a in self.net.alphas.items()}
        return Mixture(weights, self.active)

    def loss(self) -> Tensor:
        return F.cross_entropy(self.net(self.x, self.mixture()), self.y)

    def forward(self) -> None:
        self.loss()

    def alpha(self) -> None:
        if self.published:
            self.net.zero_grad()
            self.loss().backward()
            return
        with frozen(self.net):
            torch.autograd.grad(self.loss(), list(self.net.alphas.values()), allow_unused=True)

    def weight(self) -> None:
        if self.published:
            self.net.zero_grad()
            self.loss().backward()
            return
        weights = self.net.weights()
        self.net.alphas.requires_grad_(False)
        torch.autograd.grad(self.loss(), weights, allow_unused=True)
        self.net.alphas.requires_grad_(True)

    def step(self) -> None:
        self.alpha()
        self.weight()

    def run(self, phase: str) -> None:
        """One pass of that phase, to its end."""
        getattr(self, phase)()
        if self.x.is_cuda:
            torch.cuda.synchronize()

    def saved_bytes(self, phase: str) -> int:
        """Bytes that autograd keeps from forward to backward."""
        if phase == "step":
            return max(self.saved_bytes("alpha"), self.saved_bytes("weight"))
        own = {t.untyped_storage().data_ptr() for t in (self.x, self.y, *self.net.parameters(), *self.net.buffers())}
        kept: dict[int, Tensor] = {}

        def keep(tensor: Tensor) -> Tensor:
            address = tensor.untyped_storage().data_ptr()
            if address not in own:
                kept[address] = tensor  # holding it keeps its address from being used again
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            self.run(phase)
        return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())

    def operations(self, phase: str) -> int:
        """Floating-point operations of matrix products and convolutions, from those of a forward pass.

        A gradient costs as much as the pass, for inputs and for weights each. (torch's counter takes the gradients of
        grouped convolutions for those of dense ones.)
        """
        with FlopCounterMode(display=False) as count, torch.no_grad():
            self.forward()
        return {"forward": 1, "alpha": 2, "weight": 3, "step": 5}[phase] * count.get_total_flops()

    def kernels(self, phase: str) -> int:
        """Dispatched operators that compute something."""
        with KernelCount() as count:
            self.run(phase)
        return count.kernels


class KernelCount(TorchDispatchMode):
    """Counts operators but views and allocations."""

    kernels = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        self.kernels += not (func.is_view or name in ("detach", "_unsafe_view") or "empty" in name)
        return func(*args, **kwargs or {})


def peak(clock: Callable[[], float], device: str, size: int = 1536) -> float:
    """Floating-point operations per second of a product of large matrices."""
    a, b = torch.randn(2, size, size, device=device)
    seconds = []
    for _ in range(4):
        start = clock()
        (a @ b)[0, 0].item()
        seconds.append(clock() - start)
    return 2 * size**3 / min(seconds[1:])


def measure(
    make: Callable[[str, int], Step],
    executors: Sequence[str],
    space: str,
    batch: int,
    phase: str,
    rounds: int,
    clock: str,
) -> list[Row]:
    """The rows of one space, batch and phase."""
    now = time.perf_counter if clock == "wall" else time.process_time
    few = min(batch, COUNTED)
    limit = make("plain", few).operations(phase) * batch / few / peak(now, str(make("plain", few).x.device))
    steps = {executor: make(executor, batch) for executor in executors}
    seconds: dict[str, list[float]] = {executor: [] for executor in executors}
    saved, kernels = {}, {}
    for executor, step in steps.items():
        counted = make(executor, few)
        saved[executor], kernels[executor] = counted.saved_bytes(phase), counted.kernels(phase)
        step.run(phase)  # warm-up
    for _ in range(rounds):
        for executor, step in steps.items():
            start = now()
            step.run(phase)
            seconds[executor].append(now() - start)

    def ratio(executor: str, baseline: str) -> float:
        if baseline not in seconds:
            return float("nan")
        return statistics.median(b / a for a, b in zip(seconds[executor], seconds[baseline], strict=True))

    return [
        Row(
            space,
            executor,
            batch,
            phase,
            median := statistics.median(times),
            (max(times) - min(times)) / median,
            ratio(executor, BASELINE),
            ratio(executor, "plain"),
            saved[executor] // few,
            saved[executor] / saved[BASELINE] if BASELINE in saved else float("nan"),
            kernels[executor],
            median / limit,
        )
        for executor, times in seconds.items()
    ]


def known(row: Row) -> dict[str, Any]:
    """The row for JSON: null for a ratio to a baseline that was not asked for."""
    return {key: None if value != value else value for key, value in asdict(row).items()}


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    lines = [
        "| space | batch | phase | executor | seconds | spread | × plain NCHW | × plain cl "
        "| saved MB/image | saved ratio | kernels | × limit |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        lines.append(
            f"| {r.space} | {r.batch} | {r.phase} | {r.executor} | {r.seconds:.3f} | ±{50 * r.spread:.0f} % | "
            f"{r.ratio_to_plain_nchw:.2f} | {r.ratio_to_plain_cl:.2f} | {r.saved_bytes_per_image / 1e6:.1f} | "
            f"{r.saved_ratio:.2f} | {r.kernels} | {r.ratio_to_limit:.1f} |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", nargs="+", choices=sorted(spaces.SPACES), default=["darts", "nasbench201"])
    parser.add_argument("--executor", nargs="+", choices=[BASELINE, *EXECUTORS], default=[BASELINE, *EXECUTORS])
    parser.add_argument("--batch", nargs="+", type=int, default=[16, 64])
    parser.add_argument("--phase", nargs="+", choices=PHASES, default=list(PHASES))
    parser.add_argument(
        "--mixture", choices=["full", "sampled"], default="full", help="sampled: one operation per edge"
    )
    parser.add_argument("--checkpoint_cells", action="store_true", help="all but plain_nchw compute cells again")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, help="torch's threads; its own choice by default")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="cpu: also on a machine in use")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--channels", type=int, help="of the supernet; the published size by default")
    parser.add_argument("--cells", type=int, help="of the supernet; the published size by default")
    parser.add_argument("--image_size", type=int, default=32, help="height and width of the images")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table there")
    chosen = parser.parse_args(arguments)
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    build = {key: value for key in ("channels", "cells") if (value := getattr(chosen, key)) is not None}
    rows: list[Row] = []
    for space in chosen.space:
        for batch in chosen.batch:

            def make(executor: str, batch: int, space: str = space) -> Step:
                sampled = chosen.mixture == "sampled"
                again = chosen.checkpoint_cells and executor != BASELINE
                return Step(space, executor, batch, chosen.image_size, sampled, chosen.device, again, **build)

            for phase in chosen.phase:
                rows += measure(make, chosen.executor, space, batch, phase, chosen.rounds, chosen.clock)
                print(table(rows[-len(chosen.executor) :]), flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps([known(row) for row in rows], indent=1))
    if chosen.markdown:
        title = (
            f"torch {torch.__version__}, {chosen.device}, {torch.get_num_threads()} threads, {chosen.clock} clock, "
            f"{chosen.mixture} mixture, {chosen.rounds} rounds"
        )
        chosen.markdown.write_text(f"{title}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
