"""What a GPU makes of a search: right numbers, the time of steps, kernels, synchronisations, memory.

    python benchmarks/gpu.py --json gpu.json                      # one NVIDIA GPU, some minutes
    python benchmarks/gpu.py --device cpu --small --json dry.json   # the same program where there is none

Everything is measured against ``plain`` in the same process, rounds alternating. The parts:

* ``exact``: loss and gradients of every executor against float64 on the CPU, with TF32 off;
* ``step``: a first-order step of DARTS (batch 64 and 256) and NAS-Bench-201 (64) in float32 and bf16, eager and as CUDA
  graphs of its two passes: seconds, the most memory, and in an eager step the kernels and the synchronisations;
* ``compiled``: steps of ``batched`` by ``torch.compile(mode="reduce-overhead")``, NAS-Bench-201 first; on a CPU by its
  backend ``aot_eager``, which captures the same graphs and compiles no code;
* ``pointwise``: a grouped 1×1 convolution as torch has it, against a batch of matrix products, in both layouts;
* ``search``: seconds of a whole short search with and without ``graphs``.

What cannot be done is a row with its reason. After ``--seconds`` nothing new is begun, and what is being compiled is
given up; parts left out are rows as well.
This program has been tried on CPUs only so far.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from step import KernelCount, Step
from torch import Tensor

import archgrad
from archgrad import spaces
from archgrad.kernels import grouped_pointwise
from archgrad.supernet import Supernet

EXECUTORS = ("plain", "loop", "batched")
STEPS = {
    "step": (("darts", 64), ("darts", 256), ("nasbench201", 64)),
    "compiled": (("nasbench201", 64), ("darts", 64)),
}
WAYS = {
    "step": [(executor, mode) for mode in ("eager", "graphs") for executor in ("plain", "batched")],
    "compiled": [("plain", "eager"), ("batched", "compiled")],  # at the end, since compiling takes minutes
}
PARTS = ("exact", "step", "pointwise", "search", "compiled")
Row = dict[str, Any]


class Timed:
    """Runs steps on a device, in some precision and mode."""

    def __init__(
        self, space: str, executor: str, batch: int, size: int, precision: str, mode: str, device: str, **build: int
    ):
        self.inner = Step(space, executor, batch, size, False, device, **build)
        self.device, self.precision, self.mode = device, precision, mode
        if mode == "compiled":
            how = {"mode": "reduce-overhead"} if device == "cuda" else {"backend": "aot_eager"}
            self.inner.net.compile(**how)  # type: ignore[arg-type]
        self.launches: list[Callable[[], None]] = []
        if mode == "graphs":
            if device != "cuda":
                raise RuntimeError("CUDA graphs need a GPU")
            self.launches = [_recorded(half) for half in (self._alpha, self._weight)]

    def autocast(self) -> Any:
        return torch.autocast(self.device, torch.bfloat16) if self.precision == "bf16" else nullcontext()

    def _alpha(self) -> None:
        with self.autocast():
            self.inner.alpha()

    def _weight(self) -> None:
        with self.autocast():
            self.inner.weight()

    def __call__(self) -> None:
        for half in self.launches or (self._alpha, self._weight):
            half()


def _recorded(half: Callable[[], None]) -> Callable[[], None]:
    """The same as one CUDA graph, after the runs on the side that torch asks for."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            half()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        half()
    return graph.replay


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Give up what takes longer, as compiling may: a TimeoutError in its midst."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"given up after {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.01))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def wait(device: str) -> None:
    """Until the device has done all that was asked."""
    if device == "cuda":
        torch.cuda.synchronize()


def seconds_of(steps: dict[str, Callable[[], None]], rounds: int, device: str) -> dict[str, float]:
    """The median of each, in alternating rounds."""
    found: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            wait(device)
            start = time.perf_counter()
            step()
            wait(device)
            found[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in found.items()}


def synchronisations(step: Callable[[], None], device: str) -> int | None:
    """How often a step waits for the device, as torch itself notices; None where there is nothing to wait for."""
    if device != "cuda":
        return None
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            step()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(warning.message) for warning in told)


@contextmanager
def without_tf32() -> Iterator[None]:
    """Products in full single precision."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def numbers(net: Supernet, device: str, dtype: torch.dtype) -> list[Tensor]:
    """Loss and gradients on fixed images."""
    net = net.to(device, dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(1)).to(device, dtype)
    x = x.contiguous(memory_format=torch.channels_last)
    mixture = net.uniform().leaf()
    loss = F.cross_entropy(net(x, mixture), torch.arange(4, device=device))
    found = torch.autograd.grad(loss, [*mixture.values(), *net.weights()], allow_unused=True)
    return [t.detach().cpu().double() for t in (loss, *found) if t is not None]


def exact(device: str, small: bool) -> Iterator[Row]:
    """How far every executor is from float64, relative to the largest number of each tensor."""
    sizes = {"channels": 4, "cells": 3 if small else 8}
    for name, build in (("darts", sizes), ("nasbench201", {"channels": 4, "cells": 1})):

        def made(executor: str, name: str = name, build: dict[str, int] = build) -> Supernet:
            torch.manual_seed(0)
            return spaces.get(name, **build).supernet(executor=executor)

        truth = numbers(made("plain"), "cpu", torch.float64)
        scale = max(float(t.abs().max()) for t in truth[1:])
        for executor in EXECUTORS:
            with without_tf32():
                found = numbers(made(executor), device, torch.float32)
            errors = [
                float((a - b).abs().max()) / max(float(b.abs().max()), 0.1 * scale)
                for a, b in zip(found, truth, strict=True)
            ]
            right = max(errors) < 1e-3
            yield {"part": "exact", "space": name, "executor": executor, "error": max(errors), "right": right}


def steps(part: str, device: str, small: bool, rounds: int, until: float) -> Iterator[Row]:
    """Steps of each space, batch and precision, in the modes of a part; ``until``: of `time.perf_counter`."""
    for space, batch in STEPS[part][: 1 if small and part == "compiled" else None]:
        build = {"channels": 4, "cells": 3 if space == "darts" else 1} if small else {}
        batch, size = (batch // 32, 8) if small else (batch, 32)
        for precision in ("float32",) if small and part == "compiled" else ("float32", "bf16"):
            about = {"part": part, "space": space, "batch": batch, "precision": precision}
            ready: dict[str, Timed] = {}
            for executor, mode in WAYS[part]:
                try:
                    with limited(until - time.perf_counter()):
                        step = Timed(space, executor, batch, size, precision, mode, device, **build)
                        step()
                        wait(device)
                    ready[f"{executor} {mode}"] = step
                except Exception as error:  # the reason is the row
                    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
                    yield {**about, "executor": executor, "mode": mode, "reason": reason}
            found = seconds_of(dict(ready), rounds, device)
            for key, step in ready.items():
                executor, mode = key.split()
                row: Row = {**about, "executor": executor, "mode": mode, "seconds": found[key]}
                row["ratio_to_plain"] = found["plain eager"] / found[key] if "plain eager" in found else None
                if device == "cuda":
                    torch.cuda.reset_peak_memory_stats()
                    step()
                    row["peak_bytes"] = torch.cuda.max_memory_allocated()
                if mode == "eager":
                    with KernelCount() as count:
                        step()
                    row |= {"kernels": count.kernels, "synchronisations": synchronisations(step, device)}
                yield row


def pointwise(device: str, small: bool, rounds: int) -> Iterator[Row]:
    """Fourteen candidates of 16 channels side by side."""
    images, groups, width, size = (2 if small else 64), 14, 16, 32
    for dtype in (torch.float32, torch.bfloat16):
        for layout in (torch.contiguous_format, torch.channels_last):
            x = torch.randn(images, groups * width, size, size, device=device, dtype=dtype)
            x = x.contiguous(memory_format=layout).requires_grad_()
            weight = torch.randn(groups * width, width, 1, 1, device=device, dtype=dtype, requires_grad=True)

            def both(product: Callable[[], Tensor], x: Tensor = x, weight: Tensor = weight) -> None:
                torch.autograd.grad(product().sum(), (x, weight))

            ways: dict[str, Callable[[], None]] = {
                "convolution": lambda x=x, w=weight: both(lambda: F.conv2d(x, w, groups=groups), x, w),
                "products": lambda x=x, w=weight: both(lambda: grouped_pointwise(x, w, groups), x, w),
            }
            for way in ways.values():
                way()
            found = seconds_of(ways, rounds, device)
            yield {
                "part": "pointwise",
                "dtype": str(dtype).removeprefix("torch."),
                "layout": str(layout).removeprefix("torch."),
                "ratio": found["convolution"] / found["products"],
            }


def searches(device: str, small: bool) -> Iterator[Row]:
    """A whole search on the embedded digits."""
    size = {"channels": 4, "cells": 1} if small else {"channels": 16, "cells": 5}
    for graphs in (False, True):
        start = time.perf_counter()
        row: Row = {"part": "search", "space": "nasbench201", "graphs": graphs}
        try:
            archgrad.search(
                spaces.get("nasbench201", **size), "darts", "digits", epochs=1 if small else 3, diagnose=0,
                batch_size=256 if small else 64, device=device, graphs=graphs, progress=False,
            )  # fmt: skip
        except archgrad.ArchgradError as error:
            yield {**row, "reason": str(error)}
            continue
        wait(device)
        yield {**row, "seconds": time.perf_counter() - start}


def until_late(rows: Iterator[Row], part: str, until: float) -> Iterator[Row]:
    """The rows of a part; instead of those that it is too late for, one that says so."""
    while time.perf_counter() < until:
        try:
            yield next(rows)
        except StopIteration:
            return
    yield {"part": part, "reason": "left out: it was too late"}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny networks and batches, to try the program itself")
    parser.add_argument("--part", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=480, help="begin nothing new after so many")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there")
    chosen = parser.parse_args(arguments)
    if chosen.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("gpu.py: no CUDA device here; try the program with --device cpu --small")
    start = time.perf_counter()
    common = chosen.device, chosen.small, chosen.rounds
    parts = {
        "exact": exact(chosen.device, chosen.small),
        "step": steps("step", *common, start + chosen.seconds),
        "pointwise": pointwise(*common),
        "search": searches(chosen.device, chosen.small),
        "compiled": steps("compiled", *common, start + chosen.seconds),
    }
    name = torch.cuda.get_device_name() if chosen.device == "cuda" else "cpu"
    rows: list[Row] = [{"part": "machine", "device": name, "torch": torch.__version__}]
    for part in chosen.part:
        for row in until_late(parts[part], part, start + chosen.seconds):
            rows.append(row)
            print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
            if chosen.json:
                chosen.json.write_text(json.dumps(rows, indent=1))
    if not all(row["right"] for row in rows if row["part"] == "exact" and "right" in row):
        raise SystemExit("an executor is further from float64 than single precision")


if __name__ == "__main__":
    main()
