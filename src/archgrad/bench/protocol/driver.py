"""The driver: which unit is computed next, what has been computed, and what went wrong."""

from __future__ import annotations

import heapq
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from archgrad.bench.protocol.campaign import Campaign
from archgrad.bench.protocol.store import Driver
from archgrad.bench.protocol.unit import Record, Trial, Unit, completed
from archgrad.bench.protocol.workers import Job, Outcome, Workers
from archgrad.errors import ArchgradError
from archgrad.figures.numbers import duration
from archgrad.foreign import code

LOGGER = logging.getLogger(__name__)
POLL = 2.0  # seconds between two looks at what other drivers have done
LINES = 30  # problems that are printed; all of them are recorded


@dataclass
class Tally:
    """How a run went."""

    computed: int = 0
    shared: int = 0
    """Trainings that another trial wanted as well, since its search found the same genotype."""
    problems: dict[str, str] = field(default_factory=dict)
    """Unit → one line."""
    blocked: int = 0
    """Trainings whose search failed."""


def run(
    campaign: Campaign,
    workers: Workers,
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
    say = say or LOGGER.warning
    with Driver(campaign.store) as driver, _Meter(campaign, progress) as meter:
        return _Run(campaign, workers, driver, device, deaths, retry, meter, say).go()


class _Run:
    def __init__(
        self,
        campaign: Campaign,
        workers: Workers,
        driver: Driver,
        device: str | None,
        deaths: int,
        retry: bool,
        meter: _Meter,
        say: Callable[[str], None],
    ):
        self.campaign, self.workers, self.driver, self.device = campaign, workers, driver, device
        self.deaths, self.retry, self.meter, self.say = deaths, retry, meter, say
        self.tally = Tally()
        self.records = campaign.store.records()
        self.trials: dict[str, tuple[int, Trial]] = {}
        """Search → the trial that it belongs to, and its number."""
        self.order: dict[Unit, tuple[int, int]] = {}
        """Unit → the number of the trial that wanted it first, and its place within that trial."""
        self.ready: list[tuple[tuple[int, int], Unit]] = []
        self.elsewhere: deque[Unit] = deque()
        self.flying: set[Unit] = set()
        self.died: Counter[Unit] = Counter()
        self.done: dict[str, Record] = {}

    def go(self) -> Tally:
        for number, trial in enumerate(self.campaign.trials()):
            self.trials |= {search.id: (number, trial) for search in trial.searches}
            self._want(number, 0, trial.searches)
        self.meter.start()
        while self.ready or self.flying or self.elsewhere:
            while self.ready and len(self.flying) < self.workers.capacity:
                self._start(heapq.heappop(self.ready)[1])
            self.meter.show(len(self.flying), len(self.tally.problems))
            if self.flying or self.elsewhere:
                for outcome in self.workers.wait(POLL if self.elsewhere else 30.0):
                    self._finish(outcome)
            if self.elsewhere and not self.ready:
                self._look_around()
        left = sum(trial.chosen(self.done) is None for trial in self.campaign.trials())
        self.tally.blocked = left * len(self.campaign.settings)
        return self.tally

    def _want(self, number: int, place: int, units: Sequence[Unit]) -> None:
        """See to it that the units of a trial are computed, once for all trials."""
        for unit in units:
            place += 1
            if unit in self.order:
                self.tally.shared += 1
                self.meter.advance()
                continue
            self.order[unit] = number, place
            record = self.records.get(unit.id)
            if record is not None and "problem" not in record:
                self._note(unit, record)
            elif record is not None and not self.retry:
                self.tally.problems[unit.id] = record["problem"]
            else:
                self._queue(unit)

    def _queue(self, unit: Unit) -> None:
        heapq.heappush(self.ready, (self.order[unit], unit))

    def _start(self, unit: Unit) -> None:
        """Claim a unit and hand it to the workers, unless it is complete by now."""
        try:
            if not self.driver.claim(unit.id):
                self.elsewhere.append(unit)
                return
            record = completed(self.campaign.directory / unit.id)
            if record is not None:
                self._keep(unit, record)
                return
            self.workers.submit(Job(self.campaign.directory, unit, self.device, code.trusted()))
        except ArchgradError as error:
            self._give_up(unit, str(error))
            return
        self.flying.add(unit)

    def _finish(self, outcome: Outcome) -> None:
        unit = outcome.unit
        self.flying.discard(unit)
        if outcome.record is not None:
            self.tally.computed += 1
            self._keep(unit, outcome.record)
        elif outcome.died and self.died[unit] < self.deaths:
            self.died[unit] += 1
            self.driver.release(unit.id)
            self._queue(unit)
        else:
            self._give_up(unit, outcome.problem)

    def _keep(self, unit: Unit, record: Record) -> None:
        """Record a complete unit for good, and let go of it."""
        try:
            self.driver.record({key: value for key, value in record.items() if key != "extra"})
        except ArchgradError as error:  # the unit's own directory has the record: nothing is lost
            self._say(unit, str(error))
        self.driver.release(unit.id, complete=True)
        self._note(unit, record)

    def _note(self, unit: Unit, record: Record) -> None:
        """A unit is complete: its trial may go on."""
        self.done[unit.id] = record
        self.meter.advance()
        if unit.kind == "search":
            number, trial = self.trials[unit.id]
            if (chosen := trial.chosen(self.done)) is not None:
                self._want(number, len(trial.seeds), trial.trainings(chosen, self.campaign.settings))

    def _give_up(self, unit: Unit, problem: str) -> None:
        problem = " ".join(problem.split())
        self._say(unit, problem)
        with suppress(ArchgradError):  # a full disk: the next run tries the unit again
            self.driver.record({"unit": unit.id, **unit._asdict(), "problem": problem, "finished": time.time()})
        self.driver.release(unit.id)

    def _say(self, unit: Unit, problem: str) -> None:
        self.tally.problems[unit.id] = problem
        if len(self.tally.problems) <= LINES:
            self.say(f"{unit.id}: {problem}")
        elif len(self.tally.problems) == LINES + 1:
            self.say("further problems are not shown: archgrad bench status lists them")

    def _look_around(self) -> None:
        """See what other drivers have done, and try again to get what they have not: they may be dead."""
        self.records = self.campaign.store.records()
        for _ in range(len(self.elsewhere)):
            unit = self.elsewhere.popleft()
            record = self.records.get(unit.id)
            if record is not None and "problem" not in record:
                self._note(unit, record)
            else:
                self._queue(unit)


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

    def start(self) -> None:
        """From here on time is measured; what was done before took none."""
        self.first = self.done
        if self.wanted and self.bar.disable:
            LOGGER.info("%s units, %s of them done", f"{self.total:,}", f"{self.done:,}")

    def advance(self) -> None:
        self.done += 1
        self.bar.advance(self.task)

    def show(self, running: int, problems: int) -> None:
        self.bar.update(self.task, description=f"units ({running} running, {problems} failed)")
        now = time.monotonic()
        if self.wanted and self.bar.disable and now - self.last > self.EVERY and self.done > self.first:
            self.last = now
            left = (now - self.began) / (self.done - self.first) * (self.total - self.done)
            LOGGER.info(
                "%s of %s units, %s running, %s failed, about %s left",
                *(f"{count:,}" for count in (self.done, self.total, running, problems)),
                duration(left),
            )
