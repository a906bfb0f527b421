"""Language modelling: the next token at every place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from archgrad.tasks.classes import Classes
from archgrad.tasks.prediction import Prediction
from archgrad.tasks.task import widened

if TYPE_CHECKING:
    from torchmetrics import Metric


@dataclass(frozen=True, eq=False)
class NextToken(Classes):
    """The token that follows: outputs `[batch, …, vocabulary]`, targets `[batch, …]`, usually one per place.

    `classes`: size of the vocabulary, or the tokens. `ignored`: the target of places that do not count, such as
    padding. Metrics: `perplexity`, the exponential of the mean cross-entropy over all places that count; `accuracy`,
    the share of places whose likeliest token is right.

    >>> NextToken(1000).higher_is_better
    False
    """

    ignored: int = -100

    correctness = "accuracy"
    shares = ("accuracy",)

    @property
    def _ignored(self) -> int | None:
        return self.ignored

    def _mean(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return super()._mean(outputs.flatten(0, -2), targets.flatten())

    def _sums(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return super()._sums(outputs.flatten(0, -2), targets.flatten())

    def _names(self) -> dict[str, bool]:
        return {"perplexity": False, "accuracy": True}

    def _metrics(self) -> dict[str, Metric]:
        from torchmetrics.classification import MulticlassAccuracy
        from torchmetrics.text import Perplexity

        assert self.outputs is not None
        return {
            "perplexity": Perplexity(ignore_index=self.ignored),
            "accuracy": MulticlassAccuracy(
                self.outputs, average="micro", ignore_index=self.ignored, validate_args=False
            ),
        }

    def measured(self, name: str, outputs: Any, targets: Any) -> tuple[Any, Any]:
        """All places in one row."""
        rows, row = widened(outputs).flatten(0, -2), targets.flatten()
        return (rows[None], row[None]) if name == "perplexity" else (rows, row)

    def answer(self, outputs: Tensor) -> Tensor:
        """The likeliest token of every place."""
        return outputs.argmax(-1)

    def predictions(self, outputs: Tensor) -> list[Prediction]:
        """The likeliest token after the last place of each input, and the probability of every token."""
        return super().predictions(outputs.flatten(1, -2)[:, -1] if outputs.ndim > 2 else outputs)

    def _axes(self) -> Sequence[int]:
        return (1, 2)

    def _expected(self, targets: Tensor) -> tuple[int, ...] | None:
        return None if self.outputs is None else (*targets.shape, self.outputs)

    def _need(self, shape: list[int]) -> str:
        return f"needs {shape}, an output per token of the vocabulary"
