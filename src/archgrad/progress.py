"""A progress bar on terminals: loss, metrics and the time left; silent anywhere else, so that logs stay readable."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

REFRESH = 1.0  # seconds between two readings of the measurements, each of which waits for the device


class Progress:
    """The bar of one run, over epochs with `steps` steps each; a context manager.

    `written(name, value)`: a measurement for people. `show=False`, or a standard error that is no terminal, makes every
    call do nothing.
    """

    def __init__(
        self,
        title: str,
        epochs: int,
        steps: int,
        show: bool = True,
        console: Console | None = None,
        written: Callable[[str, float], str] = lambda name, value: f"{value:.3f}",
    ) -> None:
        console = console or Console(file=sys.stderr)
        self._steps, self._written = steps, written
        self._next_reading = 0.0
        self._bar: RichProgress | None = None
        if show and console.is_terminal:
            self._bar = RichProgress(
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
            self._task = self._bar.add_task(title, total=epochs * steps, epoch=0, values="")

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def at(self, epoch: int, step: int, means: Callable[[], Mapping[str, float]] | None = None) -> None:
        """Show that `step` steps of this epoch are done; `means` is called now and then for the numbers to show."""
        if self._bar is None:
            return
        self._bar.update(self._task, completed=epoch * self._steps + step, epoch=epoch + 1)
        if means is not None and time.monotonic() >= self._next_reading:
            values = "  ".join(f"{name} {self._written(name, value)}" for name, value in means().items())
            self._bar.update(self._task, values=values)
            self._next_reading = time.monotonic() + REFRESH

    def note(self, text: str) -> None:
        """Print a line above the bar."""
        if self._bar is not None:
            self._bar.console.print(text, highlight=False)
