"""What a network answers to one input, for people and for other programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Prediction:
    """The answer to one input, as the task reads it.

    `answer`: the name of a class or token, the names of all labels that are given, numbers, or a tensor `[height,
    width]` of class numbers. `text`: the answer in a few words. `probabilities`: by name, the likeliest first; empty
    where the task has none.

    >>> print(Prediction("cat", "cat", {"cat": 0.9, "dog": 0.1}))
    cat (90.0%)
    """

    answer: Any
    text: str
    probabilities: Mapping[str, float] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The answer in a few words."""
        return self.text

    @property
    def probability(self) -> float | None:
        """That of the answer, where it is one name."""
        return self.probabilities.get(self.answer) if isinstance(self.answer, str) else None

    def record(self, top: int | None = None) -> dict[str, Any]:
        """As plain data, with the ``top`` likeliest probabilities."""
        answer = self.answer.tolist() if isinstance(self.answer, Tensor) else self.answer
        shown = dict(list(self.probabilities.items())[:top])
        return {"answer": list(answer) if isinstance(answer, tuple) else answer, "probabilities": shown}

    def __str__(self) -> str:
        return self.text if self.probability is None else f"{self.text} ({self.probability:.1%})"


def by_name(names: tuple[str, ...], probabilities: Tensor) -> dict[str, float]:
    """One probability per name, the likeliest first."""
    order = probabilities.argsort(descending=True, stable=True).tolist()
    return {names[number]: float(probabilities[number]) for number in order}
