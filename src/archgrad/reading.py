"""How people read what a task measures: plain data that a run records, so that a report needs no dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self


@dataclass(frozen=True)
class Reading:
    """The metrics of a task as people read them; without arguments those of a classification.

    `primary`: the metric that counts. `running`: the one that is averaged in every step of an epoch; None where there
    is none. `shares`: the metrics that are read in percent. `labels`: their names for people, where these are others.
    """

    task: str = "Classification"
    primary: str = "accuracy"
    higher_is_better: bool = True
    running: str | None = "accuracy"
    shares: tuple[str, ...] = ("accuracy",)
    labels: Mapping[str, str] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(self), "shares": list(self.shares), "labels": dict(self.labels)}

    @classmethod
    def of(cls, record: Any) -> Self:
        """From what was recorded; a classification where that is missing or damaged."""
        try:
            return cls(**{**record, "shares": tuple(record["shares"]), "labels": dict(record["labels"])})
        except (KeyError, TypeError, ValueError):
            return cls()

    @property
    def measures(self) -> tuple[str, ...]:
        """What the records of a run are about: the loss, the primary metric, the running one."""
        return tuple(dict.fromkeys(["loss", self.primary, *([self.running] if self.running else [])]))

    def merit(self, value: float) -> float:
        """A value of the primary metric such that more is better: negated where less is."""
        return value if self.higher_is_better else -value

    def label(self, name: str) -> str:
        """The name of a metric for people."""
        return self.labels.get(name, name.replace("_", " "))

    def written(self, name: str, value: float) -> str:
        """The value of a metric for people: `93.21%` where it is a share, else four digits."""
        return f"{value:.2%}" if name in self.shares else f"{value:.4g}"
