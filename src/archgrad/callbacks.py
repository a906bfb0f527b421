"""What a search or a training tells whoever wants to follow it: at its start, after every epoch, and at its end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Started:
    """A run that begins, or goes on.

    ``title``: what it is, as ``search darts``. ``config``: all of its settings as plain data. ``directory``: where it
    writes, None where it writes nothing. ``epochs``, ``steps``: its length. ``history``: the records of the epochs
    that were done before, none unless it goes on.
    """

    title: str
    config: Mapping[str, Any]
    directory: Path | None
    epochs: int
    steps: int
    history: Sequence[Mapping[str, Any]] = ()


@contextmanager
def followed(callbacks: Iterable[Callback], run: Started) -> Iterator[tuple[Callback, ...]]:
    """A context in which callbacks follow a run: they are told of its start, and of its end whatever that is."""
    found = tuple(callbacks)
    with ExitStack() as closing:
        for callback in found:
            closing.callback(callback.on_close)
            callback.on_start(run)
        yield found


class Callback:
    """Follows a run; fill in what is wanted. Everything is called by the main process alone, between two steps.

    What a callback raises ends the run, which its last checkpoint continues: `on_epoch_end` comes after the checkpoint
    of the epoch. It is told plain data, and cannot change the run.
    """

    def on_start(self, run: Started) -> None:
        """Called before the first step, and again when the run is continued."""

    def on_epoch_end(self, record: Mapping[str, Any]) -> None:
        """Called after every epoch with its record, as a line of ``metrics.jsonl``."""

    def on_end(self, result: Mapping[str, Any]) -> None:
        """Called once with the result, as in ``result.json``."""

    def on_close(self) -> None:
        """Called last, however the run ends: also where an error or Ctrl-C ends it."""
