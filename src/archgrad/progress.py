"""How far a computation is: a bar on terminals, and elsewhere a line at the start, one a minute, and one at the end.

The lines are logged, at the level INFO of the logger ``archgrad.progress``; where there is a bar it stands for them on
the console.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from archgrad.figures.numbers import duration

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress

LOGGER = logging.getLogger(__name__)
T = TypeVar("T")
REFRESH = 1.0  # seconds between two readings of the measurements, each of which waits for the device
EVERY = 60.0  # seconds between two lines


class Progress:
    """The progress of one run, over epochs with `steps` steps each; a context manager.

    `written(name, value)`: a measurement for people. `unit`: what a step is called. `done`: the steps that were done
    before. `show=False` makes every call do nothing; whether there is a bar depends on the console, standard error.
    """

    def __init__(
        self,
        title: str,
        epochs: int,
        steps: int,
        show: bool = True,
        console: Console | None = None,
        written: Callable[[str, float], str] = lambda name, value: f"{value:.3f}",
        unit: str = "steps",
        done: int = 0,
    ) -> None:
        self._title, self._epochs, self._steps, self._written = title, epochs, steps, written
        self._unit, self._show, self._first, self._done = unit, show, done, done
        self._began = self._said = time.monotonic()
        self._bar: RichProgress | None = None
        if show and (console is not None or sys.stderr.isatty()):
            self._bar = _bar(epochs, console)
        self._next_reading, self._values = self._began + (0.0 if self._bar is not None else EVERY), ""
        if self._bar is not None:
            self._task = self._bar.add_task(title, total=epochs * steps, epoch=0, values="")

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.start()
        length = (
            f"{self._epochs:,} epochs of {self._steps:,} {self._unit}" if self._epochs != 1 else self._of(self._steps)
        )
        ahead = f", {self._of(self._first)} of them done" if self._first else ""
        self._line(f"{length}{ahead}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        whole = error is None and self._done >= self._epochs * self._steps
        end = "done" if whole else f"ended after {self._of(self._done)}"
        self._line(f"{end} in {duration(time.monotonic() - self._began)}{self._values if error is None else ''}")

    def at(self, epoch: int, step: int, means: Callable[[], Mapping[str, float]] | None = None) -> None:
        """Show that `step` steps of this epoch are done; `means` is called now and then for the numbers to show."""
        if not self._show:
            return
        now, self._done = time.monotonic(), epoch * self._steps + step
        last = self._done >= self._epochs * self._steps
        if means is not None and (now >= self._next_reading or last):
            values = ", ".join(f"{name} {self._written(name, value)}" for name, value in means().items())
            self._values = f": {values}" if values else ""
            self._next_reading = now + (REFRESH if self._bar is not None else EVERY)
        if self._bar is not None:
            values = self._values.removeprefix(": ")
            self._bar.update(self._task, completed=self._done, epoch=epoch + 1, values=values)
        if now - self._said >= EVERY:
            self._said = now
            left = (now - self._began) / max(1, self._done - self._first) * (self._epochs * self._steps - self._done)
            where = f"epoch {epoch + 1:,} of {self._epochs:,}, " if self._epochs != 1 else ""
            self._line(f"{where}{step:,} of {self._of(self._steps)}{self._values}, about {duration(left)} left")

    def _of(self, count: int) -> str:
        return f"{count:,} {self._unit}"

    def _line(self, text: str) -> None:
        if self._show:
            LOGGER.info("%s: %s", self._title, text, extra={"on_bar": self._bar is not None})


def followed(items: Sequence[T], title: str, unit: str = "steps", show: bool = True) -> Iterator[T]:
    """The items one by one, with the progress of what is done with them."""
    with Progress(title, 1, len(items), show and bool(items), unit=unit) as bar:
        for number, item in enumerate(items, start=1):
            yield item
            bar.at(0, number)


def _bar(epochs: int, console: Console | None) -> RichProgress | None:
    """The bar, if there is a terminal."""
    from rich.console import Console as RichConsole
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    console = console or RichConsole(file=sys.stderr)
    if not console.is_terminal:
        return None
    return RichProgress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("epoch {task.fields[epoch]}/" + str(epochs)),
        MofNCompleteColumn(),
        TextColumn("{task.fields[values]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        transient=False,
    )
