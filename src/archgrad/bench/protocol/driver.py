"""The driver: which unit is computed next, what has been computed, and what went wrong."""

from __future__ import annotations

import hashlib
import heapq
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from archgrad.bench.protocol.campaign import Campaign
from archgrad.bench.protocol.store import TWINS, Driver, Record
from archgrad.bench.protocol.unit import Unit, completed, lowest_loss, training_seed
from archgrad.bench.protocol.workers import Job, Outcome, Workers
from archgrad.errors import ArchgradError

POLL = 2.0  # seconds between two looks at what other drivers have done
LINES = 30  # problems that are printed; all of them are recorded


@dataclass
class Tally:
    """How a run went."""

    computed: int = 0
    copied: int = 0
    """Trainings of the same genotype in the same way, of which one was computed."""
    problems: dict[str, str] = field(default_factory=dict)
    """Unit → one line."""
    blocked: int = 0
    """Trainings whose search failed."""


def run(
    campaign: Campaign,
    executor: Workers,
    *,
    device: str | None = None,
    deaths: int = 3,
    retry: bool = True,
    progress: bool = True,
    say: Callable[[str], None] | None = None,
) -> Tally:
    """Compute all units of a campaign that nobody has computed or is computing.

    A unit whose process dies is started again up to ``deaths`` times; one that fails is passed over, with one line.
    ``retry``: try units again that failed in an earlier run.
    """
    campaign.save()
    say = say or (lambda text: print(f"archgrad: {text}", file=sys.stderr))
    with Driver(campaign.store) as driver, _Meter(campaign, progress) as meter:
        return _Run(campaign, executor, driver, device, deaths, retry, meter, say).go()


class _Run:
    def __init__(
        self,
        campaign: Campaign,
        executor: Workers,
        driver: Driver,
        device: str | None,
        deaths: int,
        retry: bool,
        meter: _Meter,
        say: Callable[[str], None],
    ):
        self.campaign, self.executor, self.driver, self.device = campaign, executor, driver, device
        self.deaths, self.retry, self.meter, self.say = deaths, retry, meter, say
        self.tally = Tally()
        self.ready: list[tuple[int, Unit]] = []
        self.order: dict[Unit, int] = {}
        self.waiting: dict[str, list[Unit]] = {}
        self.missing: dict[Unit, int] = {}
        self.elsewhere: deque[Unit] = deque()
        self.flying: set[Unit] = set()
        self.twins: dict[tuple[str, ...], Record] = {}
        self.learned = 0
        self.busy: dict[tuple[str, ...], list[Unit]] = {}
        self.died: dict[Unit, int] = {}
        self.done: dict[str, Record] = {}

    def go(self) -> Tally:
        records = self.campaign.store.records()
        self._learn(records)
        for number, unit in enumerate(self.campaign.units()):
            self.order[unit] = number
            record = records.get(unit.id)
            if record is not None and "problem" not in record:
                self._note(unit, record)
            elif record is not None and not self.retry:
                self._give_up(unit, record["problem"], known=True)
            elif not (needed := [search for search in unit.needs if search not in self.done]):
                self._queue(unit)
            else:
                self.missing[unit] = len(needed)
                for search in needed:
                    self.waiting.setdefault(search, []).append(unit)
        self.meter.start(len(self.done))
        while self.ready or self.flying or self.elsewhere:
            while self.ready and len(self.flying) < self.executor.capacity:
                self._start(heapq.heappop(self.ready)[1])
            self.meter.show(len(self.flying), len(self.tally.problems))
            if self.flying or self.elsewhere:
                for outcome in self.executor.wait(POLL if self.elsewhere else 30.0):
                    self._finish(outcome)
            if self.elsewhere and not self.ready:
                self._look_around()
        self.tally.blocked = sum(1 for unit in self.missing if self.missing[unit] > 0)
        return self.tally

    def _queue(self, *units: Unit) -> None:
        for unit in units:
            heapq.heappush(self.ready, (self.order[unit], unit))

    def _start(self, unit: Unit) -> None:
        """Claim a unit and hand it to the executor; or take its result from where it already is."""
        try:
            genotype = self._genotype(unit)
            key = _key(unit, genotype)
            if unit.setting and key in self.busy:
                self.busy[key].append(unit)
                return
            if not self.driver.claim(unit.id):
                self.elsewhere.append(unit)
                return
            if unit.setting and not self.driver.claim(_twin(key)):  # another driver computes the same for another unit
                self.driver.release(unit.id)
                self.elsewhere.append(unit)
                return
            record = completed(self.campaign.directory / unit.id)
            if record is None and self._others():
                records = self.campaign.store.records()
                self._learn(records)
                record = records.get(unit.id)
                record = None if record is None or "problem" in record else record
            if record is None and unit.setting and key in self.twins:
                twin = self.twins[key]
                record = {**twin, "unit": unit.id, **unit._asdict(), "same_as": twin.get("same_as", twin["unit"])}
                self.tally.copied += 1
            if record is not None:
                self._keep(unit, record)
                return
            self.executor.submit(Job(self.campaign.directory, unit, genotype, self.device))
        except ArchgradError as error:
            self._give_up(unit, str(error))
            return
        self.flying.add(unit)
        if unit.setting:
            self.busy[key] = []

    def _finish(self, outcome: Outcome) -> None:
        unit = outcome.unit
        self.flying.discard(unit)
        if unit.setting:
            self._queue(*self.busy.pop(_key(unit, self._genotype(unit)), []))
        if outcome.record is not None:
            self.tally.computed += 1
            self._keep(unit, outcome.record)
        elif outcome.died and self.died.get(unit, 0) < self.deaths:
            self.died[unit] = self.died.get(unit, 0) + 1
            self._release(unit)
            self._queue(unit)
        else:
            self._give_up(unit, outcome.problem)

    def _keep(self, unit: Unit, record: Record) -> None:
        """Record a complete unit for good, and let go of it."""
        try:
            self.driver.record({key: value for key, value in record.items() if key != "extra"})
        except ArchgradError as error:  # the unit's own directory has the record: nothing is lost
            self._say(unit, str(error))
        self._release(unit)
        self._note(unit, record)
        self.meter.advance()

    def _note(self, unit: Unit, record: Record) -> None:
        """Let what waited for a unit go on."""
        self.done[unit.id] = record
        if unit.setting:
            self.twins[_key(unit, record["genotype"])] = record
            return
        for dependent in self.waiting.pop(unit.id, []):
            self.missing[dependent] -= 1
            if not self.missing[dependent]:
                del self.missing[dependent]
                self._queue(dependent)

    def _give_up(self, unit: Unit, problem: str, known: bool = False) -> None:
        problem = " ".join(problem.split())
        self.tally.problems[unit.id] = problem
        if known:
            return
        self._say(unit, problem)
        try:
            self.driver.record({"unit": unit.id, **unit._asdict(), "problem": problem, "finished": time.time()})
            self._release(unit)
        except (ArchgradError, OSError):
            return  # the disk is full; the next run tries the unit again

    def _release(self, unit: Unit) -> None:
        self.driver.release(unit.id)
        if unit.setting:
            self.driver.release(_twin(_key(unit, self._genotype(unit))))

    def _learn(self, records: dict[str, Record]) -> None:
        """Remember all trainings that have been computed, of whatever unit, for others that are the same."""
        if len(records) > self.learned:
            self.learned = len(records)
            for record in records.values():
                if "problem" not in record and record["setting"]:
                    self.twins.setdefault(_key(unit_of(record), record["genotype"]), record)

    def _say(self, unit: Unit, problem: str) -> None:
        self.tally.problems.setdefault(unit.id, problem)
        if len(self.tally.problems) <= LINES:
            self.say(f"{unit.id}: {problem}")
        elif len(self.tally.problems) == LINES + 1:
            self.say("further problems are not shown: archgrad bench status lists them")

    def _genotype(self, unit: Unit) -> str:
        """What a training trains: that of its search, or of the search with the lowest validation loss."""
        if not unit.setting:
            return ""
        return str(lowest_loss([self.done[search] for search in unit.needs])["genotype"])

    def _look_around(self) -> None:
        """See what other drivers have done; take over what dead ones left."""
        records = self.campaign.store.records()
        for _ in range(len(self.elsewhere)):
            unit = self.elsewhere.popleft()
            record = records.get(unit.id)
            if record is not None and "problem" not in record:
                self._note(unit, record)
                self.meter.advance()
            elif self.driver.claim(unit.id):
                self.driver.release(unit.id)
                self._queue(unit)
            else:
                self.elsewhere.append(unit)

    def _others(self) -> bool:
        return sum(1 for _ in (self.campaign.directory / "drivers").glob("*.json")) > 1


def _key(unit: Unit, genotype: str) -> tuple[str, ...]:
    """Trainings of the same key have the same result."""
    return (unit.benchmark, genotype, unit.setting, str(training_seed(unit)))


def _twin(key: tuple[str, ...]) -> str:
    """The claim of a training as such, whichever unit it is for."""
    return f"{TWINS}/{hashlib.sha256(repr(key).encode()).hexdigest()[:24]}"


class _Meter:
    """Progress on terminals, and a line now and then elsewhere."""

    EVERY = 60.0

    def __init__(self, campaign: Campaign, wanted: bool):
        self.total, self.wanted = len(campaign), wanted
        console = Console(stderr=True)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
            disable=not (wanted and console.is_terminal),
        )
        self.task = self.bar.add_task("units", total=self.total)
        self.done, self.first, self.began, self.last = 0, 0, time.monotonic(), time.monotonic()

    def __enter__(self) -> _Meter:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def start(self, done: int) -> None:
        self.done = self.first = done
        self.bar.update(self.task, completed=done)

    def advance(self) -> None:
        self.done += 1
        self.bar.advance(self.task)

    def show(self, running: int, problems: int) -> None:
        self.bar.update(self.task, description=f"units ({running} running, {problems} failed)")
        now = time.monotonic()
        if self.wanted and self.bar.disable and now - self.last > self.EVERY and self.done > self.first:
            self.last = now
            left = (now - self.began) / (self.done - self.first) * (self.total - self.done)
            print(
                f"archgrad: {self.done:,} of {self.total:,} units, {running} running, {problems} failed, "
                f"about {left / 3600:.1f} h left",
                file=sys.stderr,
            )


def unit_of(record: Record) -> Unit:
    """The unit of a record."""
    return Unit(
        record["benchmark"], record["method"], record["seed"], record["setting"], tuple(record.get("among", ()))
    )
