"""Computing a unit: the search or the training, its record, and what of it stays."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from archgrad import comparison
from archgrad.bench.protocol.campaign import Campaign
from archgrad.bench.protocol.unit import DONE, Record, Unit, completed
from archgrad.bench.statistics.results import thinned
from archgrad.distributed import World
from archgrad.errors import ArchgradError, no_room, out_of_memory
from archgrad.evaluation import WEIGHTS
from archgrad.foreign import code
from archgrad.genotype import Genotype, skips
from archgrad.reading import Reading
from archgrad.runs import CHECKPOINTS, Run, atomic_write
from archgrad.search import search

SIGNS = ("eigenvalue", "discretisation_gap")
SHOWN = 200  # characters of an unexpected error that a status line shows


def execute(campaign: Campaign, unit: Unit, device: str | None = None) -> Record:
    """Compute a unit, or continue it where it was interrupted; one that is complete is only read.

    The record is plain data; it also stands in the unit's directory.
    """
    directory = campaign.directory / unit.id
    record = completed(directory)
    if record is not None:
        return record
    started = time.time()
    compute = _search if unit.kind == "search" else _train
    record = {
        "unit": unit.id,
        **unit._asdict(),
        **compute(campaign, unit, directory, device),
        "host": socket.gethostname(),
        "finished": time.time(),
        "wall": time.time() - started,
    }
    if World.start(device, campaign.mixed_precision).main:
        atomic_write(directory / DONE, json.dumps(record).encode())
        _tidy(directory, campaign.keep)
    return record


def _search(campaign: Campaign, unit: Unit, directory: Path, device: str | None) -> Record:
    suite, benchmark = campaign.suite, campaign.suite.benchmark(unit.benchmark)
    method = suite.method(unit.method, benchmark, campaign.entry(unit.method))
    batch = method.batch_size
    if batch % campaign.processes:
        raise ArchgradError(f"batch size {batch} cannot be shared by {campaign.processes} processes evenly")
    dataset, started = suite.data.search(), time.monotonic()
    result = search(
        benchmark.space,
        method,
        dataset,
        batch_size=batch // campaign.processes,
        seed=unit.seed,
        train_fraction=suite.train_fraction,
        evaluate=campaign.evaluate,
        diagnose=campaign.diagnose,
        **_run_options(campaign, directory, device),
    )
    last: Mapping[str, Any] = result.history[-1] if result.history else {}
    reading = dataset.task.reading
    return {
        "genotype": benchmark.space.format(result.genotype),
        # The epochs' own time, of all attempts; or this attempt's, which includes settling: that can be most of it.
        "seconds": max(float(last.get("seconds", 0.0)), time.monotonic() - started),
        "loss": last.get("evaluation_loss"),
        f"evaluation_{reading.primary}": last.get(f"evaluation_{reading.primary}"),
        "extra": {
            "diagnostics": _diagnostics(result.history, reading),
            "skips": _skips(result.genotype),
        },
    }


def _diagnostics(history: Sequence[Mapping[str, Any]], reading: Reading) -> dict[str, dict[str, list[float]]]:
    """Curves of a search: its metrics, and signs of collapse, of those epochs that measured them."""
    metrics = (f"evaluation_{reading.primary}", f"train_{reading.running or 'loss'}")
    signs = {name for record in history for name in record if "/" in name or name in SIGNS}
    found = {name: thinned([record.get(name) for record in history]) for name in (*metrics, *sorted(signs))}
    return {name: curve for name, curve in found.items() if curve["x"]}


def _train(campaign: Campaign, unit: Unit, directory: Path, device: str | None) -> Record:
    suite, benchmark = campaign.suite, campaign.suite.benchmark(unit.benchmark)
    result = comparison.train_genotype(
        benchmark.space,
        unit.genotype,
        suite.data.training(),
        recipe=suite.setting(unit.setting).recipe,
        seed=unit.seed,
        **_run_options(campaign, directory, device),
    )
    reading = result.test.task.reading
    curves = ("train_loss", *([f"train_{reading.running}"] if reading.running else []))
    return {
        "score": (100 if reading.primary in reading.shares else 1) * result.test.score,
        **({"top5": 100 * result.test.top5} if "top5" in result.test.metrics else {}),
        "task": reading.record(),
        "test_loss": result.test.loss,
        "parameters": result.parameters,
        "flops": Run.open(directory).config.get("flops"),
        "seconds": result.seconds,
        "extra": {"curves": {name: thinned([record[name] for record in result.history]) for name in curves}},
    }


def _run_options(campaign: Campaign, directory: Path, device: str | None) -> dict[str, Any]:
    """Where and how a search or a training of the campaign runs."""
    return {
        "out": directory,
        "device": device,
        "mixed_precision": campaign.mixed_precision,
        "progress": False,
        "checkpoint_seconds": campaign.checkpoint_seconds,
    }


def _skips(genotype: Genotype) -> float:
    """The share of skip connections among the kept operations."""
    kept = genotype.choices.values()
    return sum(map(skips, kept)) / max(1, sum(len(names) for edges in kept for names in edges))


def _tidy(directory: Path, keep: str) -> None:
    """Drop what a complete unit no longer needs."""
    if keep != "checkpoints":
        shutil.rmtree(directory / CHECKPOINTS, ignore_errors=True)
    if keep == "results":
        (directory / WEIGHTS).unlink(missing_ok=True)


def attempt(
    directory: Path | str, unit: Unit, device: str | None = None, trust: bool = False
) -> tuple[Record | None, str]:
    """`execute` as workers want it: the record, or one line on why there is none."""
    try:
        with code.trusting(trust):
            campaign = Campaign.open(directory)
            if campaign.processes > 1:
                return _together(campaign, unit, device), ""
            return execute(campaign, unit, device), ""
    except ArchgradError as error:
        return None, str(error)
    except Exception as error:
        if out_of_memory(error):
            return None, no_room(error)
        if isinstance(error, OSError):
            return None, f"{error.filename or unit.id}: {error.strerror or error}"
        first = (str(error).strip().splitlines() or [""])[0][:SHOWN]
        return None, f"unexpected {type(error).__name__}: {first}"


def _together(campaign: Campaign, unit: Unit, device: str | None) -> Record:
    """Compute a unit by several processes, which torchrun starts and accelerate joins."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node"]
    command += [str(campaign.processes), "-m", "archgrad.bench.protocol.compute"]
    job = json.dumps([str(campaign.directory), unit, device, code.trusted()])
    outcome = subprocess.run(
        [*command, job], capture_output=True, text=True, env={**os.environ, "TORCHELASTIC_ERROR_FILE": os.devnull}
    )
    record = completed(campaign.directory / unit.id)
    if record is None:
        lines = [line for line in outcome.stderr.splitlines() if line.startswith("archgrad: ")]
        reason = lines[0].removeprefix("archgrad: ") if lines else f"its processes ended with {outcome.returncode}"
        raise ArchgradError(reason)
    return record


def _main(job: str) -> None:
    """One of several processes of a unit."""
    directory, unit, device, trust = json.loads(job)
    try:
        with code.trusting(trust):
            execute(Campaign.open(directory), Unit(*unit), device)
    except ArchgradError as error:
        print(f"archgrad: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    _main(sys.argv[1])
