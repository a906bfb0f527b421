"""A run on the terminal while it goes on: how far it is, its curves, and what is ahead."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from archgrad.console import printable, reads_json, sparkline
from archgrad.errors import ArchgradError
from archgrad.figures.numbers import duration
from archgrad.follow.history import Curve, History, curves
from archgrad.follow.listing import progress
from archgrad.foreign import files
from archgrad.rundir import is_run
from archgrad.summary import Summary, found, number

if TYPE_CHECKING:
    from archgrad.follow.strongest import Lead

GRACE = 2.0
"""Seconds after the end in which another training of the same search may begin."""

LINE = 2.0
"""Seconds between two lines where there is no terminal."""

EDGES = 12
"""Edges whose strongest operations are shown."""


class Watched:
    """The run that is watched: that in the directory or, once it has ended, the training within it that is running."""

    def __init__(self, directory: Path | str):
        self.top = Path(directory)
        shown = printable(str(directory))
        if not files.is_directory(self.top) or not any(self._runs()):
            raise ArchgradError(f"watch: {shown} is not a run directory")
        self.histories: dict[Path, History] = {}
        self._over_at = 0.0  # a run that has ended before anybody looked is over at once
        self.look()

    def _runs(self) -> Iterator[Summary]:
        """The run itself, and the trainings within it."""
        if is_run([path.name for path in self.top.iterdir()]):
            yield from (run for place in found(self.top, trainings=True) if (run := Summary.read(place)).state)

    def look(self) -> None:
        """See what is there now."""
        every = list(self._runs()) if files.is_directory(self.top) else []
        if not every:
            raise ArchgradError(f"watch: {printable(str(self.top))} is gone")
        self.run = next((run for run in every if not run.ended), every[0])
        self.history = self.histories.setdefault(self.run.directory, History(self.run.directory))
        self.history.update()
        if not self.run.ended:
            self._over_at = time.monotonic() + GRACE

    @property
    def over(self) -> bool:
        """Whether all has ended, and for long enough that nothing more is to be expected."""
        return self.run.ended and time.monotonic() >= self._over_at

    @property
    def name(self) -> str:
        """What is watched."""
        return printable(str(self.run.directory))

    @property
    def about(self) -> str:
        """What kind of run it is."""
        run = self.run
        seed = None if run.seed is None else f"seed {run.seed}"
        return ", ".join(part for part in (run.kind, run.method, run.space, Path(run.data).name, seed) if part)

    @property
    def curves(self) -> list[Curve]:
        """Of the run."""
        return curves(self.run, self.history.records)

    @property
    def progress(self) -> str:
        """How far it is, and how long the rest will take if it goes on like this."""
        run = self.run
        told = f"{progress(run)} {run.unit}, {duration(run.seconds)}"
        if run.ended or not run.planned or not run.done or run.seconds is None or run.done >= run.planned:
            return told
        return f"{told}, about {duration(run.seconds / run.done * (run.planned - run.done))} left"

    def require_success(self) -> None:
        """Refuse a run that has ended otherwise than it should, so that a script notices."""
        run = self.run
        why = {
            "failed": f"has failed after {progress(run)} {run.unit}: {run.problem}",
            "stopped": f"has stopped after {progress(run)} {run.unit}: the command that began it continues it",
            "damaged": f"is damaged: {run.problem}",
        }
        if run.state in why:
            raise ArchgradError(f"{self.name} {why[run.state]}")


def watch(directory: Path | str, *, interval: float = 1.0, console: Console | None = None) -> Summary:
    """Show a run until it ends: on a terminal a picture that changes, elsewhere a line now and then.

    ``interval``: seconds between two looks. Works for searches, trainings and searches by proxies; once a search has
    ended, the trainings within it are watched. Returns the run as it is at the end. Raises ArchgradError if it has
    failed or stopped, or is none.
    """
    watched, console = Watched(directory), console or Console(quiet=reads_json())
    shown: _Picture | _Lines = _Picture(console) if console.is_terminal else _Lines(console)
    with suppress(KeyboardInterrupt), shown:
        shown.update(watched)
        while not watched.over:
            time.sleep(interval)
            watched.look()
            shown.update(watched)
    if watched.run.ended:
        watched.require_success()
        _say(console, f"{watched.name} has finished: {_result(watched.run)}")
    return watched.run


def _say(console: Console, text: str) -> None:
    console.print(Text(printable(text)), soft_wrap=True)


def _result(run: Summary) -> str:
    told = [f"{run.score.label} {run.score}"] if run.score else []
    return ", ".join(
        [*told, f"{progress(run)} {run.unit}", duration(run.seconds), *([run.problem] if run.problem else [])]
    )


class _Lines:
    """A line at the start, and one whenever something was recorded, but not more often than people read."""

    def __init__(self, console: Console):
        self.console = console
        self._told: tuple[Path, int] | None = None
        self._next = 0.0

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, watched: Watched) -> None:
        """Say what is new."""
        here = (watched.run.directory, len(watched.history.records))
        if self._told is None or self._told[0] != here[0]:
            self._say(f"{watched.name}: {watched.about}")
        elif here == self._told or time.monotonic() < self._next:
            return
        self._told, self._next = here, time.monotonic() + LINE
        values = [
            f"{curve.label} {curve.written(curve.last)}" for curve in watched.curves[:3] if curve.last is not None
        ]
        self._say(", ".join([watched.progress, *values]))

    def _say(self, text: str) -> None:
        _say(self.console, text)


class _Picture:
    """Progress, curves and the strongest operations, drawn anew in their place."""

    def __init__(self, console: Console):
        self._live = Live(console=console, auto_refresh=False)
        self._leads: tuple[object, list[RenderableType]] = (None, [])

    def __enter__(self) -> _Picture:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def update(self, watched: Watched) -> None:
        """Draw what is there."""
        run = watched.run
        title = Text.assemble(
            (watched.name, "bold"), "  ", (run.state, COLOURS.get(run.state, "")), f"  {watched.about}"
        )
        bar = ProgressBar(total=run.planned or max(run.done, 1), completed=run.done)
        parts: list[RenderableType] = [title, bar, Text(watched.progress), *_drawn(watched.curves)]
        self._live.update(Group(*parts, *self._strongest(watched)), refresh=True)

    def _strongest(self, watched: Watched) -> list[RenderableType]:
        """Of a search; looked up only when there is a new epoch."""
        now = (watched.run.directory, watched.run.state, len(watched.history.records))
        if watched.run.kind == "proxy search":
            return _best(watched.history.records)
        if watched.run.kind == "search" and self._leads[0] != now:
            from archgrad.follow.strongest import strongest

            self._leads = (now, _ahead(strongest(watched.run.directory)))
        return self._leads[1] if watched.run.kind == "search" else []


COLOURS = {"running": "blue", "finished": "green", "stopped": "yellow", "failed": "red", "damaged": "red"}


def _drawn(found: list[Curve]) -> list[RenderableType]:
    """Every curve as a line of blocks."""
    table = Table.grid(padding=(0, 2))
    for curve in found:
        last = "" if curve.last is None else curve.written(curve.last)
        table.add_row(Text(printable(curve.label)), Text(sparkline(curve.values), style="cyan"), Text(last))
    return [Text(), table] if found else []


def _ahead(leads: list[Lead]) -> list[RenderableType]:
    """The two strongest candidates of every edge."""
    if not leads:
        return []
    table = Table("edge", "strongest", "share", "next", "share", box=None, pad_edge=False, header_style="bold")
    for lead in leads[:EDGES]:
        pairs = [part for name, share in lead.candidates[:2] for part in (printable(name), f"{share:.1%}")]
        table.add_row(*map(Text, [printable(f"{lead.group} {lead.edge}"), *pairs]))
    more = [Text(f"and {len(leads) - EDGES} more edges")] if len(leads) > EDGES else []
    return [Text(), table, *more]


def _best(records: list[dict[str, Any]]) -> list[RenderableType]:
    """The architecture with the highest first score so far."""
    scored = [record for record in records if isinstance(record.get("scores"), dict) and record["scores"]]
    name = next(iter(scored[0]["scores"]), "") if scored else ""
    known = [(value, record) for record in scored if (value := number(record["scores"].get(name))) is not None]
    if not known:
        return []
    value, record = max(known, key=lambda pair: pair[0])
    return [Text(), Text(printable(f"best by {name}: {value:.5g}  {record.get('genotype', '')}"))]
