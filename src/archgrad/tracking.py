"""Experiment trackers (TensorBoard, Weights & Biases, MLflow, Trackio) as callbacks, through accelerate's trackers.

All of them write on this machine: Weights & Biases offline unless ``WANDB_MODE`` says otherwise, MLflow and Trackio
where their own environment variables say, TensorBoard into the directory of the run.
"""

from __future__ import annotations

import importlib
import io
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from archgrad.callbacks import Callback, Started
from archgrad.errors import ArchgradError, unknown
from archgrad.foreign import plain
from archgrad.runs import atomic_write

LOGGER = logging.getLogger(__name__)
PROJECT = "archgrad"
FILE = "tracking.json"
"""In the run directory: under which name or number each tracker knows the run, and how many epochs it was told."""
LONGEST = 250
"""Characters of a setting that is told; MLflow takes 250 in its older versions."""


@contextmanager
def _quiet() -> Iterator[None]:
    """A context in which what a tracker prints is logged: standard output is for results."""
    said = io.StringIO()
    try:
        with redirect_stdout(said):
            yield
    finally:
        for line in filter(None, map(str.strip, said.getvalue().splitlines())):
            LOGGER.debug("%s", line)


class Tracker(Callback):
    """Tells one tracker the settings, the numbers of every epoch, and those of the result, each once.

    A run that goes on is the same run there, and is told the epochs that the tracker missed.
    """

    def __init__(self, kind: str) -> None:
        if kind not in TRACKERS:
            raise unknown("tracker", kind, TRACKERS)
        package = TRACKERS[kind][0]
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise ArchgradError(f"track: {kind} cannot be imported ({error}): pip install 'archgrad[track]'") from None
        self.kind = kind

    def on_start(self, run: Started) -> None:
        if run.directory is None:
            raise ArchgradError(f"track: {self.kind} needs the directory of the run: give out")
        self.file, self.told, self.ended = run.directory / FILE, -1, False
        known = self._known().get(self.kind, {})
        with _quiet():
            self.tracker = TRACKERS[self.kind][1](run.directory, known.get("id"))
            getattr(self.tracker, "start", lambda: None)()  # older versions of accelerate start by themselves
        self.id = _identity(self.kind, self.tracker, run.directory)
        if known:
            self.told, self.ended = int(known["told"]), bool(known["ended"])
        else:
            with _quiet():
                self.tracker.store_init_configuration(_settings(run.config))
        self._remember()
        for record in run.history:
            self.on_epoch_end(record)

    def on_epoch_end(self, record: Mapping[str, Any]) -> None:
        epoch = int(record["epoch"])
        if epoch <= self.told:
            return
        with _quiet():
            self.tracker.log(numbers(record), step=epoch)
        self.told, self.ended = epoch, False
        self._remember()

    def on_end(self, result: Mapping[str, Any]) -> None:
        if not self.ended:
            found = {f"result/{name}": value for name, value in numbers(result).items()}
            with _quiet():
                self.tracker.log(found, step=max(0, self.told))
            self.ended = True
            self._remember()

    def on_close(self) -> None:
        if hasattr(self, "tracker"):
            with _quiet():
                self.tracker.finish()

    def _known(self) -> dict[str, Any]:
        return plain.read_json_object(self.file) if self.file.is_file() else {}

    def _remember(self) -> None:
        known = {**self._known(), self.kind: {"id": self.id, "told": self.told, "ended": self.ended}}
        atomic_write(self.file, (json.dumps(known, indent=2) + "\n").encode())


def callbacks(given: Iterable[Callback], track: str | None) -> tuple[Callback, ...]:
    """The callbacks of a run: those given, and the tracker that is named."""
    found = tuple(given)
    for one in found:
        if not isinstance(one, Callback):
            raise ArchgradError(f"callbacks must be archgrad.Callback objects, got {type(one).__name__}")
    return found if track is None else (*found, Tracker(track))


def numbers(record: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The numbers of a record, those within mappings as ``outer/inner``."""
    found: dict[str, float] = {}
    for name, value in record.items():
        if isinstance(value, Mapping):
            found |= numbers(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and not isinstance(value, bool) and f"{prefix}{name}" != "epoch":
            found[f"{prefix}{name}"] = value
    return found


def _settings(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings in one level, as trackers take them: numbers, truths and short texts."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            found |= _settings(value, f"{prefix}{name}/")
        elif isinstance(value, bool | int | float):
            found[f"{prefix}{name}"] = value
        elif value is not None and len(str(value)) <= LONGEST:
            found[f"{prefix}{name}"] = str(value)
    return found


def _name(directory: Path) -> str:
    """What a run is called: a training within a search has the search's name in front."""
    parts = directory.resolve().parts
    return "-".join(parts[-3:]) if parts[-2:-1] == ("train",) else directory.resolve().name


def _tensorboard(directory: Path, known: str | None) -> Any:
    from accelerate.tracking import TensorBoardTracker

    return TensorBoardTracker("tensorboard", directory)


def _wandb(directory: Path, known: str | None) -> Any:
    from accelerate.tracking import WandBTracker

    mode = os.environ.get("WANDB_MODE", "offline")
    return WandBTracker(PROJECT, name=_name(directory), id=known, resume="allow", mode=mode)


def _mlflow(directory: Path, known: str | None) -> Any:
    from accelerate.tracking import MLflowTracker

    return MLflowTracker(PROJECT, run_id=known, run_name=_name(directory))


def _trackio(directory: Path, known: str | None) -> Any:
    from accelerate.tracking import TrackioTracker

    return TrackioTracker(PROJECT, name=known or _name(directory), resume="allow")


def _identity(kind: str, tracker: Any, directory: Path) -> str:
    """Under which name or number the tracker finds the run again."""
    match kind:
        case "wandb":
            return str(tracker.run.id)
        case "mlflow":
            return str(tracker.active_run.info.run_id)
        case "trackio":
            return str(tracker.run.name)
    return _name(directory)


TRACKERS: dict[str, tuple[str, Callable[[Path, str | None], Any]]] = {
    "tensorboard": ("tensorboard", _tensorboard),
    "wandb": ("wandb", _wandb),
    "mlflow": ("mlflow", _mlflow),
    "trackio": ("trackio", _trackio),
}
"""Trackers by name: the package that each needs, and accelerate's tracker."""
