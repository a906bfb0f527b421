"""What searching and training share: epochs of steps, averages, checkpoints, and a look at whether all is finite."""

from __future__ import annotations

import logging
import operator
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from archgrad.callbacks import Callback, Started
from archgrad.callbacks import followed as following
from archgrad.data import Batches
from archgrad.distributed import World
from archgrad.engine.usage import Usage, recorded
from archgrad.errors import ArchgradError, ArchgradWarning
from archgrad.evaluation import load_state
from archgrad.foreign import layout
from archgrad.identity import require_way
from archgrad.optim import Averages
from archgrad.progress import Progress
from archgrad.runs import Run
from archgrad.tasks import Task

LOGGER = logging.getLogger(__name__)
CHECK_EVERY = 100  # steps between two looks at whether the weights are still finite; each waits for the device


class Loop(ABC):
    """A run of ``epochs`` epochs over ``batches``, exactly resumable.

    ``seconds`` counts the time spent in steps since the start of the run. ``parts``
    names the averages that are taken over an epoch.
    """

    title: str
    batches: Batches
    learning_rate: float
    """The first one, which is blamed where something is not finite."""
    length: str
    """The name of the number of epochs among the settings of the run."""

    def __init__(self, epochs: int, world: World, task: Task, parts: Sequence[str] = ("train",)):
        self.epochs, self.world, self.task = epochs, world, task
        self.run: Run | None = None
        """Where the main process writes; None writes nothing."""
        self.usage = Usage()
        self.extends = False
        """Whether the run goes on beyond its former end, which all processes know."""
        self.epoch = self.step = 0
        self.seconds = self.seconds_before = 0.0
        self.callbacks: tuple[Callback, ...] = ()
        """Of the main process, while the run is followed."""
        self.parts = tuple(parts)
        self.averages = {part: Averages() for part in parts}

    @property
    def steps(self) -> int:
        """The steps of an epoch."""
        return len(self.batches)

    # What a run fills in

    @abstractmethod
    def start_epoch(self) -> None:
        """Called before every epoch, resumed ones included."""

    @abstractmethod
    def train_step(self, batch: Any) -> None:
        """One step on a batch; ``epoch`` and ``step`` tell which."""

    @abstractmethod
    def end_epoch(self, record: dict[str, Any]) -> None:
        """Called after every epoch with its averages, to which it adds; the record is then part of the history."""

    @property
    @abstractmethod
    def network(self) -> nn.Module:
        """What is trained."""

    @property
    def stop(self) -> str | None:
        """Why the run ends before its last epoch."""
        return None

    @property
    @abstractmethod
    def history(self) -> list[dict[str, Any]]:
        """One record per epoch."""

    @abstractmethod
    def payload(self) -> dict[str, Any]:
        """What a checkpoint must hold beside the network, the clock, averages and history."""

    @abstractmethod
    def restore(self, payload: Mapping[str, Any]) -> None:
        """Go on from a checkpoint; called before the network's weights are loaded."""

    # Running

    @contextmanager
    def started(
        self,
        out: Path | str | None,
        config: Mapping[str, Any],
        resume: bool,
        inputs: Callable[[], Mapping[str, Any]],
        changed: str,
        *,
        extend: bool = False,
        numbered: bool = False,
    ) -> Iterator[Run | None]:
        """A context that holds the run directory, for the main process alone; without ``out`` nothing is written.

        ``inputs``: what identifies data and network; ``changed``: whether a run goes on with other ones.
        ``extend``: the run in the directory may have fewer epochs. ``numbered``: as `Run.start`.
        """
        require_way(changed)
        if extend and out is None:
            raise ArchgradError(f"{self.title}: extend needs the run directory that is to be extended")

        def begin() -> None:
            if out is None:
                return
            self.run = Run.start(out, config, resume, longer=(self.length,) if extend else (), numbered=numbered)
            try:
                self.run.bind(inputs(), changed == "accept")
            except BaseException:
                self.run.close()
                raise

        self.world.from_main(begin)
        self.extends = self.world.from_main(lambda: bool(self.run and self.run.extension))
        with self.run or nullcontext(), recorded(self.usage):
            yield self.run

    @contextmanager
    def followed(self, callbacks: Sequence[Callback], config: Mapping[str, Any]) -> Iterator[None]:
        """A context in which callbacks are told of the run, whose settings these are."""
        directory = self.run.directory if self.run else None
        started = Started(self.title, dict(config), directory, self.epochs, self.steps, tuple(map(dict, self.history)))
        with following(callbacks if self.world.main else (), started) as self.callbacks:
            yield
        self.callbacks = ()

    def fit(self, progress: bool, checkpoint_seconds: float) -> None:
        """Run the epochs that are left."""
        show, written = progress and self.world.main, self.task.written
        done = self.epoch * self.steps + self.step
        with Progress(self.title, self.epochs, self.steps, show, written=written, done=done) as bar:
            while self.epoch < self.epochs and self.stop is None:
                self.start_epoch()
                started = saved = time.monotonic()
                for batch in self.batches.epoch(self.epoch, self.step):
                    with self._several_values():
                        self.train_step(batch)
                    self.step += 1
                    bar.at(self.epoch, self.step, self.averages["train"].means)
                    if self.step % CHECK_EVERY == 0:
                        self.require_finite()
                    if self.step < self.steps and time.monotonic() - saved >= checkpoint_seconds:
                        self.seconds += time.monotonic() - started
                        started = saved = time.monotonic()
                        self.save()
                self.seconds += time.monotonic() - started
                self._close_epoch()

    def _close_epoch(self) -> None:
        record: dict[str, Any] = {"epoch": self.epoch}
        for part, averages in self.averages.items():
            self.world.average(averages.sums.values())
            record |= {f"{part}_{name}": value for name, value in averages.means().items()}
        self.require_finite()
        self.end_epoch(record)
        if self.run is not None:
            self.run.log(record)
        numbers = ", ".join(f"{name} {value:.4g}" for name, value in record.items() if isinstance(value, float))
        LOGGER.debug("%s: epoch %d: %s", self.title, self.epoch, numbers)
        self.epoch, self.step, self.seconds_before = self.epoch + 1, 0, self.seconds
        self.averages = {part: Averages() for part in self.parts}
        self.save()
        for callback in self.callbacks:
            callback.on_epoch_end(dict(record))

    @contextmanager
    def _several_values(self) -> Iterator[None]:
        """What batch normalisation says of a single value per channel, in words that say where it comes from."""
        try:
            yield
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise ArchgradError(
                f"{self.title}: batch normalisation sees a single value per channel, since maps of 1×1 meet batches of "
                f"{self.batches.global_batch_size}: use a larger batch, or larger images"
            ) from None

    # Finite numbers

    def finite(self) -> bool:
        """Whether averages, weights and buffers are; waits for the device once."""
        sums = [value for averages in self.averages.values() for value in averages.sums.values()]
        tensors: list[Tensor] = [*sums, *self.network.state_dict().values()]
        checks = [tensor.isfinite().all() for tensor in tensors if tensor.is_floating_point()]
        return not checks or bool(torch.stack([check.to(checks[0].device) for check in checks]).all())

    def require_finite(self) -> None:
        """Stop the run, in all processes, where something is not finite."""
        if not self.finite():
            kept = f"; the last good checkpoint is kept in {self.run.directory}" if self.run else ""
            raise ArchgradError(
                f"{self.title}: the loss or a weight is not finite in epoch {self.epoch}, by step {self.step} of "
                f"{self.steps}: {self.remedy()}{kept}"
            )

    def remedy(self) -> str:
        """What may help where something is not finite."""
        return f"try a smaller learning rate than {self.learning_rate:g}, or gradient clipping"

    # Checkpoints

    def save(self) -> None:
        """Save a checkpoint, unless something in it is not finite: what is on disk stays a good one."""
        if self.run is None or (self.step and not self.may_stop_within_epochs) or not self.finite():
            return
        payload = {
            "network": dict(self.network.state_dict()),
            "epoch": self.epoch,
            "step": self.step,
            "seconds": [self.seconds, self.seconds_before],
            "averages": {part: averages.state() for part, averages in self.averages.items()},
            "history": self.history,
            "usage": self.usage.state(),
            "payload": self.payload(),
        }
        self.run.save_checkpoint(payload, self.epoch * self.steps + self.step)
        LOGGER.debug("%s: checkpoint in epoch %d, step %d", self.run.directory, self.epoch, self.step)

    @property
    def may_stop_within_epochs(self) -> bool:
        """Whether a checkpoint in the middle of an epoch holds all; not where averages are still apart."""
        return True

    def _extend(self) -> None:
        """Make the run in the directory the longer one that was asked for, and say what that means."""
        if self.run is not None and self.run.extension:
            (change,) = self.run.extension.values()
            self.run.extended()
            warnings.warn(
                f"{self.run.directory} is extended from {change.old} to {self.epochs} epochs: from epoch {self.epoch} "
                f"on its learning rate and schedules are those of a run of {self.epochs} epochs",
                ArchgradWarning,
                stacklevel=4,
            )

    def resume(self) -> bool:
        """Continue from the newest undamaged checkpoint, if there is one; its history is the one that counts."""
        saved = self.world.from_main(lambda: self.run.load_checkpoint() if self.run else None)
        if saved is None:
            # Processes start from the main one's weights: those of a user's network may differ.
            own = self.world.from_main(lambda: {n: t.cpu() for n, t in self.network.state_dict().items()})
            load_state(self.network, own, "main process")
            return False
        where = f"the checkpoint of {self.run.directory}" if self.run else "the checkpoint"
        with layout.expected(where):
            self._restore(saved)
        self._extend()
        if self.run is not None:
            self.run.truncate_history(0)
            for record in self.history:
                self.run.log(record)
        return True

    def _restore(self, saved: Mapping[str, Any]) -> None:
        self.epoch, self.step = operator.index(saved["epoch"]), operator.index(saved["step"])
        layout.require(self.epoch >= 0 and 0 <= self.step < max(1, self.steps), f"step {self.step} of {self.steps}")
        self.seconds, self.seconds_before = map(float, saved["seconds"])
        self.history[:] = [dict(record) for record in saved["history"]]
        self.usage.restore(saved.get("usage"))
        for part, averages in self.averages.items():
            averages.restore(saved["averages"][part], self.world.device)
        self.restore(saved["payload"])
        load_state(self.network, saved["network"], "checkpoint")
