"""A task: the one place that knows a loss, the metrics, and how outputs are read."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor

from archgrad.errors import ArchgradError, reason
from archgrad.nested import leaves
from archgrad.reading import Reading
from archgrad.tasks.prediction import Prediction

if TYPE_CHECKING:
    from torchmetrics import Metric  # takes more than a second to import, which only evaluations need

Loss = Callable[[Any, Any], Tensor]

_NOT_RECORDED = ("loss", "metrics", "primary", "higher_is_better")
SHOWN = 4
"""How many numbers of an output are written out for people."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Task:
    """What a network is trained for. The published tasks are subclasses; this is for one of your own.

    `loss(outputs, targets)`: the mean over a batch. `metrics`: what makes each torchmetrics metric, by name; it is
    updated with outputs and targets. `primary`: the metric that counts when epochs or networks are compared: the first
    one, or `"loss"` where there is none. `higher_is_better`: its direction, where the metric itself does not say.
    `outputs`: how many numbers a network gives per input, or per place of it; None where only the network knows.

    >>> from torchmetrics import MeanAbsoluteError
    >>> task = Task(loss=torch.nn.functional.huber_loss, metrics={"mae": MeanAbsoluteError}, outputs=1)
    >>> task.primary, task.higher_is_better
    ('mae', False)
    """

    loss: Loss | None = None
    metrics: Mapping[str, Callable[[], Metric]] = field(default_factory=dict)
    primary: str = ""
    higher_is_better: bool | None = None
    outputs: int | None = None

    correctness: ClassVar[str | None] = None
    """The metric that is the mean of `correct` over examples; None where single examples are not right or wrong."""
    sized_by_few: ClassVar[bool] = True
    """Whether any few targets say how many outputs there are."""
    shares: ClassVar[tuple[str, ...]] = ()
    """The task's own metrics that people read in percent."""
    titles: ClassVar[Mapping[str, str]] = {}
    """The task's own metrics whose names people write in another way."""

    def __post_init__(self) -> None:
        if self.loss is None and type(self) is Task:
            raise ArchgradError("Task: loss must be given, a function of outputs and targets")
        if self.loss is not None and not callable(self.loss):
            raise ArchgradError(f"{self}: loss must be a function of outputs and targets, got {self.loss!r}")
        for name, factory in self.metrics.items():
            if not callable(factory) or (hasattr(factory, "compute") and not isinstance(factory, type)):
                raise ArchgradError(f"{self}: metric {name!r} must be what makes a metric, such as its class")
            if name in ("loss", "count"):
                raise ArchgradError(f"{self}: a metric cannot be called {name!r}, which every evaluation has")
        names = [*self._names(), *self.metrics]
        primary = self.primary or next(iter(names), "loss")
        if primary not in (*names, "loss"):
            raise ArchgradError(f"{self}: primary must be one of {', '.join([*names, 'loss'])}, got {primary!r}")
        self._set(primary=primary, higher_is_better=self._direction(primary))

    def _set(self, **values: Any) -> None:
        """Fill in fields while the value is made."""
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _direction(self, primary: str) -> bool:
        if primary == "loss":
            return False
        if primary not in self.metrics:
            return self._names()[primary]
        known = self.metrics[primary]().higher_is_better
        direction: bool | None = self.higher_is_better if known is None else known
        if direction is None:
            raise ArchgradError(f"{self}: say higher_is_better, since metric {primary!r} does not")
        return direction

    def __str__(self) -> str:
        return type(self).__name__

    # Loss

    def mean_loss(self, outputs: Any, targets: Any) -> Tensor:
        """The loss that is minimised: the mean over a batch. Half-precision outputs count in single precision."""
        outputs = widened(outputs)
        return self._mean(outputs, targets) if self.loss is None else self.loss(outputs, targets)

    def summed_loss(self, outputs: Any, targets: Any) -> tuple[Tensor, Tensor]:
        """A batch's sum and what it is to be divided by: the sums of both over any batches give the mean over all."""
        outputs = widened(outputs)
        if self.loss is None:
            return self._sums(outputs, targets)
        mean = self.loss(outputs, targets)
        count = torch.full_like(mean, len(leaves(targets)[0]))
        return mean * count, count

    # Metrics and answers

    def make_metrics(self, device: torch.device | str = "cpu") -> dict[str, Metric]:
        """All metrics by name, new and on a device; the task's own count in double precision where there is any."""
        own = {name: metric.to(device) for name, metric in self._metrics().items()}
        if torch.device(device).type != "mps":
            own = {name: metric.set_dtype(torch.float64) for name, metric in own.items()}
        return own | {name: factory().to(device) for name, factory in self.metrics.items()}

    def measured(self, name: str, outputs: Any, targets: Any) -> tuple[Any, Any]:
        """What one metric is updated with."""
        return widened(outputs), targets

    def update(self, metrics: Mapping[str, Metric], outputs: Any, targets: Any) -> None:
        """Count a batch, which may be empty, in metrics of this task."""
        if len(leaves(targets)[0]):
            for name, metric in metrics.items():
                metric.update(*self.measured(name, outputs, targets))

    def computed(self, metrics: Mapping[str, Metric]) -> dict[str, float]:
        """What metrics of this task come to, over the batches of all processes."""
        values = {}
        for name, metric in metrics.items():
            with warnings.catch_warnings():  # torchmetrics warns a process that had only empty batches
                warnings.filterwarnings("ignore", "The ``compute`` method of metric", UserWarning)
                value = metric.compute()
            if not isinstance(value, Tensor) or value.numel() != 1:
                raise ArchgradError(f"{self}: metric {name!r} must come to one number, got {value!r}")
            values[name] = float(value)
        return values

    def answer(self, outputs: Any) -> Any:
        """The network's answers to a batch."""
        return outputs

    def predictions(self, outputs: Any) -> list[Prediction]:
        """The answers to a batch, one by one, as people read them: here the network's numbers for each input."""
        if not isinstance(outputs, Tensor):
            raise ArchgradError(f"{self}: a network with several outputs has no answer of its own; call it instead")
        numbers = (row.item() if row.numel() == 1 else row for row in widened(outputs).detach().cpu())
        return [Prediction(row, _in_words(row)) for row in numbers]

    def correct(self, outputs: Any, targets: Any) -> Tensor:
        """`[batch]`: which examples are answered rightly, or which share of each; refused where that has no meaning."""
        raise ArchgradError(f"{self}: single examples are not right or wrong in this task")

    def running(self, outputs: Any, targets: Any) -> dict[str, Tensor]:
        """Sums over a batch of what is averaged in every step of an epoch, beside the loss."""
        return {self.correctness: self.correct(outputs, targets).sum()} if self.correctness else {}

    def merit(self, value: float) -> float:
        """A value of the primary metric such that more is better: negated where less is."""
        return self.reading.merit(value)

    def written(self, name: str, value: float) -> str:
        """The value of a metric for people: `93.21%` where it is a share, else four digits."""
        return self.reading.written(name, value)

    def label(self, name: str) -> str:
        """The name of a metric for people."""
        return self.reading.label(name)

    @cached_property
    def reading(self) -> Reading:
        """How people read the metrics, as runs record it."""
        assert self.higher_is_better is not None
        given = [name for name, make in self.metrics.items() if _is_share(make())]
        own = [name for name in self._names() if name not in self.metrics]
        return Reading(
            task=str(self),
            primary=self.primary,
            higher_is_better=self.higher_is_better,
            running=self.correctness,
            shares=(*(name for name in self.shares if name not in self.metrics), *given),
            labels={name: self.titles[name] for name in own if name in self.titles},
        )

    def record(self) -> dict[str, Any]:
        """What has to be known to read a network's outputs, as plain data; `tasks.recorded` makes a task of it.

        Functions, such as a loss or metrics of a user's own, are no plain data and stay out.
        """
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in _NOT_RECORDED}
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}
        return {"kind": type(self).__name__, **plain}

    # Data and networks

    def sized(self, targets: Any, where: str) -> Self:
        """The same task with the number of outputs, where it was not given, taken from the targets."""
        return self

    def targets(self, values: Any, where: str) -> Any:
        """Targets in the form that the loss takes; those that do not fit the task are refused."""
        return values

    def require_outputs(self, outputs: Any, targets: Any, where: str) -> None:
        """Refuse what a network gives, where it does not fit the task; `where` names the data."""
        expected = self._expected(targets)
        if expected is None and self.outputs is not None and isinstance(outputs, Tensor):
            expected = (*outputs.shape[:1], self.outputs, *outputs.shape[2:])
        if expected is not None and (not isinstance(outputs, Tensor) or tuple(outputs.shape) != expected):
            found = list(outputs.shape[1:]) if isinstance(outputs, Tensor) else type(outputs).__name__
            raise ArchgradError(
                f"{where} {self._need(list(expected[1:]))}, but the network's output is {found} per input"
            )
        try:
            loss = self.mean_loss(outputs, targets)
        except (RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
            raise ArchgradError(
                f"{where}: the task's loss cannot take the network's outputs: {reason(error)}"
            ) from None
        if not isinstance(loss, Tensor) or loss.ndim or not loss.is_floating_point():
            found = f"shape {list(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
            raise ArchgradError(f"{where}: the task's loss must be one number, the mean over a batch, got {found}")

    def with_label_smoothing(self, amount: float) -> Self:
        """The same task with smoothed labels; 0 changes nothing."""
        if amount:
            raise ArchgradError(f"{self}: label smoothing is for tasks with classes; leave it at 0")
        return self

    # What a published task fills in

    def _mean(self, outputs: Any, targets: Any) -> Tensor:
        raise NotImplementedError

    def _sums(self, outputs: Any, targets: Any) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def _names(self) -> dict[str, bool]:
        """The task's own metrics, the primary one first, and whether higher is better."""
        return {}

    def _metrics(self) -> dict[str, Metric]:
        return {}

    def _expected(self, targets: Any) -> tuple[int, ...] | None:
        """The shape of a network's outputs, where it is known."""
        return None

    def _need(self, shape: list[int]) -> str:
        return f"needs {shape}"


def widened(outputs: Tensor) -> Tensor:
    """Half-precision numbers in single precision, for sums and logarithms; others, and no tensors, as they are."""
    half = isinstance(outputs, Tensor) and outputs.dtype in (torch.bfloat16, torch.float16)
    return outputs.float() if half else outputs


def as_tensor(values: Any, where: str) -> Tensor:
    """A tensor of what a user gives as one: a tensor, an array or a list."""
    try:
        return values.detach() if isinstance(values, Tensor) else torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ArchgradError(f"{where}: must be numbers ({reason(error)})") from None


def named(names: int | Sequence[str], where: str) -> tuple[str, ...]:
    """Names that were given, or numbers up to the given count."""
    found = tuple(map(str, range(names) if isinstance(names, int) else names))
    if not found:
        raise ArchgradError(f"{where} must be a number above 0, or names, got {names!r}")
    return found


def _in_words(value: Any) -> str:
    if not isinstance(value, Tensor):
        return f"{value:.4g}"
    numbers = ", ".join(f"{number:.4g}" for number in value.flatten()[:SHOWN].tolist())
    return numbers if value.numel() <= SHOWN else f"{numbers}, … ({value.numel()} numbers)"


def _is_share(metric: Metric) -> bool:
    return (metric.plot_lower_bound, metric.plot_upper_bound) == (0.0, 1.0)
