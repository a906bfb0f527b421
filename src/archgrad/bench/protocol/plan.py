"""What a campaign will take, before anything runs: units, hours from timed probe steps, storage."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch

from archgrad.bench.protocol.campaign import Campaign
from archgrad.bench.protocol.suite import Benchmark
from archgrad.bench.protocol.unit import Record, Trial, Unit
from archgrad.data import Batches, Dataset, from_tensors
from archgrad.discretise import Strongest
from archgrad.distributed import World
from archgrad.errors import ArchgradError
from archgrad.method import Method
from archgrad.randomness import generator, isolated
from archgrad.search import Search
from archgrad.step_cost import StepCost, step_cost

PROBE = 16  # images of 32×32 pixels of a probe step on a processor; that of small ones is mostly their operators' calls
STEPS, CELLS = 3, 3  # of a probe of what a method's step takes in proportion
FIXED = 60_000  # bytes of a run's settings, metrics and results


@dataclass
class Estimate:
    """What is to be done. Hours are of one worker; NaN where nothing was timed."""

    searches: int
    trainings: int
    done: int
    device: str
    hours: dict[str, float] = field(default_factory=dict)
    """Benchmark → hours of all its units."""
    by_method: dict[str, float] = field(default_factory=dict)
    """Method → hours of its searches."""
    training_hours: float = 0.0
    largest_step: int = 0
    """Bytes that the largest search step takes beside its weights."""
    storage: int = 0
    """Bytes once everything is complete."""
    working: int = 0
    """Bytes of the checkpoints of one running unit."""

    @property
    def total(self) -> float:
        """Hours of all units."""
        return sum(self.hours.values())


def plan(campaign: Campaign, probe: bool = True, device: str | None = None) -> Estimate:
    """Count units and storage, and estimate hours from one timed step per benchmark and kind.

    A search step of a benchmark is that of `step_cost`, first order; what a step of each method takes in proportion is
    timed on a small network. Evaluations, downloads and starting up are left out.
    """
    records = campaign.store.records()
    everything = [
        _Planned(trial, setting, _is_complete(unit, records)) for trial, setting, unit in campaign.planned(records)
    ]
    searches = sum(not each.setting for each in everything)
    found = Estimate(
        searches,
        len(everything) - searches,
        sum(each.complete for each in everything),
        str(World.start(device).device),
    )
    left = [each for each in everything if not each.complete]
    timed = _estimate(campaign, found, device, left) if probe else {}
    for name in campaign.benchmarks:
        benchmark = campaign.suite.benchmark(name)
        weights = timed[name].weights if probe else _weights(benchmark)
        settled = 4 * benchmark.space.parameters(benchmark.space.random(generator(0, "plan")))
        here = [each for each in everything if each.trial.benchmark == name]
        trained = sum(bool(each.setting) for each in here)
        kept = {"results": 0, "weights": settled, "checkpoints": 5 * settled}[campaign.keep]
        found.storage += len(here) * FIXED + trained * kept
        if campaign.keep == "checkpoints":
            found.storage += (len(here) - trained) * 4 * weights
        found.working = max(found.working, 4 * weights)  # two checkpoints of weights and their momentum
    return found


class _Planned(NamedTuple):
    trial: Trial
    setting: str
    complete: bool


def _is_complete(unit: Unit | None, records: Mapping[str, Record]) -> bool:
    return unit is not None and "problem" not in records.get(unit.id, {"problem": "none yet"})


def _estimate(campaign: Campaign, found: Estimate, device: str | None, left: Sequence[_Planned]) -> dict[str, StepCost]:
    """Add hours and memory to an estimate; returns the timed search step of every benchmark."""
    timed: dict[str, StepCost] = {}
    world, suite = World.start(device), campaign.suite
    halves = suite.data.search(), suite.data.training()
    ratios = _ratios(campaign, device)
    size = halves[0].image_size or (32, 32)
    for name in campaign.benchmarks:
        benchmark = suite.benchmark(name)
        methods = {method: suite.method(method, benchmark, entry) for method, entry in campaign.methods.items()}
        largest = max(method.batch_size for method in methods.values())
        batch = min(largest, _probe(size)) if world.device.type == "cpu" else largest
        timed[name] = step = step_cost(benchmark.space, batch_size=batch, image_size=size, device=device)
        found.largest_step = max(found.largest_step, round(step.peak * largest / batch))
        images = round(len(halves[0].train) * suite.train_fraction)
        here = [each for each in left if each.trial.benchmark == name]
        hours = 0.0
        for who in (each.trial.method for each in here if not each.setting):
            steps = methods[who].epochs * (images // methods[who].batch_size)
            took = steps * step.seconds * methods[who].batch_size / batch * ratios[who] / 3600
            found.by_method[who] = found.by_method.get(who, 0.0) + took
            hours += took
        if trained := [suite.setting(each.setting).recipe for each in here if each.setting]:
            largest = max(setting.recipe.batch_size for setting in suite.settings)
            second = _training_second(benchmark, halves[1], world, largest)
            took = sum(recipe.epochs for recipe in trained) * len(halves[1].train) * second / 3600
            found.training_hours += took
            hours += took
        found.hours[name] = hours
    return timed


def _probe(image_size: tuple[int, int]) -> int:
    return max(1, PROBE * 32**2 // (image_size[0] * image_size[1]))


def _training_second(benchmark: Benchmark, dataset: Dataset, world: World, largest: int) -> float:
    """Seconds per image of a training step on that many images at most, of a genotype drawn at random."""
    genotype = benchmark.space.random(generator(0, "plan"))
    with isolated(0, "plan"):
        network = benchmark.space.network(genotype, **benchmark.space.fitting(dataset))
    network = network.to(world.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    batch = min(largest, _probe(dataset.image_size or (32, 32))) if world.device.type == "cpu" else largest
    x = torch.randn(batch, *dataset.shape, generator=generator(0, "images")).to(world.device)
    chosen = dataset.train.take(torch.arange(batch) % len(dataset.train))
    _, y = next(Batches(chosen, batch, device=world.device).epoch())
    took = 0.0
    for _ in range(2):  # the first call of every kernel takes longer
        started = time.perf_counter()
        dataset.task.mean_loss(network(x), y).backward()  # type: ignore[no-untyped-call]
        if world.device.type == "cuda":
            torch.cuda.synchronize(world.device)
        took = time.perf_counter() - started
    return took / batch


def _ratios(campaign: Campaign, device: str | None) -> dict[str, float]:
    """Method → what its step takes in proportion to a first-order one, on few cells of the deepest benchmark."""
    benchmarks = map(campaign.suite.benchmark, campaign.benchmarks)
    benchmark = max(benchmarks, key=lambda each: each.space.fields.get("cells") or 0)
    size = campaign.suite.data.search().image_size or (32, 32)
    count, draw = 2 * STEPS * _probe(size), generator(0, "plan")
    x = torch.randint(256, (count, 3, *size), generator=draw, dtype=torch.uint8)  # attacks need pixels
    dataset = from_tensors(x, torch.arange(count) % 2, x[:4], torch.arange(4) % 2, name="probe")
    space = benchmark.space
    if cells := space.fields.get("cells"):
        space = replace(space, cells=min(cells, CELLS))
    plain = _steps(space, Method(), dataset, device)
    found = {}
    for name, entry in campaign.methods.items():
        method = campaign.suite.method(name, benchmark, entry)
        try:
            found[name] = _steps(space, method, dataset, device) / plain if method.epochs else 0.0
        except ArchgradError:
            found[name] = 1.0  # a method that needs another space than the probe's
    return found


def _steps(space: Any, method: Method, dataset: Dataset, device: str | None) -> float:
    """Seconds of a step of the probe: the median of those after the first, which takes longer.

    The epoch is the last of two: in the first, what rises over a search has not begun.
    """
    short = replace(
        method, epochs=2, batch_size=len(dataset.train) // (2 * STEPS), discretisation=Strongest(), schedules=()
    )
    with torch.random.fork_rng():
        world = World.start(device)
        probe = Search(lambda *_: space.supernet(**space.fitting(dataset)), short, dataset, world, 0, 0.5, space=space)
        probe.begin()
        probe.epoch = 1
        probe.start_epoch()
        times = []
        for batch in probe.batches.epoch(1):
            started = time.perf_counter()
            probe.train_step(batch)
            probe.step += 1
            if world.device.type == "cuda":
                torch.cuda.synchronize(world.device)
            times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def _weights(benchmark: Benchmark) -> int:
    """Bytes of the weights of the supernet, without building it in memory."""
    with torch.device("meta"):
        supernet = benchmark.space.supernet()
    return 4 * sum(parameter.numel() for parameter in supernet.parameters())
