"""The early stopping of single operations of OLES."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from archgrad.context import Context
from archgrad.errors import ArchgradError, require_positive
from archgrad.roles import Schedule
from archgrad.schedules.support import operations
from archgrad.state import SearchStep, State


@dataclass(frozen=True)
class OperationFreeze(Schedule):
    """An operation whose gradients on training and validation data no longer agree is frozen.

    Per operation (of one edge of one site) a step scores how much its two gradients agree, both at the mixture of the
    step and that of the training loss as it was applied (clipped), and at the end of every window operations whose mean
    score is below ``threshold`` are frozen for the rest of the run. Steps in which an operation was not computed do not
    count.

    ``score="released"``: the mean over its weight tensors of the mean of cos(∇ℓ_val + ∇ℓ_train, ∇ℓ_train) along their
    first dimension; ``window`` + 1 steps, of which the sum is divided by ``window``. ``score="paper"``:
    cos(∇ℓ_val, ∇ℓ_train) of all its weights as one vector, the mean over ``window`` steps.

    Sums stay on the device and are read once per window; every step costs one weight gradient on the validation batch.
    The last operation of a network that has no other weights is never frozen.

    *Source:* OLES (operation-level early stopping), window of 20 steps, threshold 0.4, and its program. There the
    validation loss is differentiated on top of the training gradient, which is not cleared before: gradients that have
    nothing to do with each other then score 0.7 and not 0, and 0.4 is a threshold for that. With ``"paper"`` it freezes
    nearly every operation of a DARTS supernet after the first window. *Differs:* the program takes the next validation
    batch, not that of the step; with the PyTorch of its time what was frozen still moved by momentum and decay.
    """

    window: int = 20
    threshold: float = 0.4
    score: Literal["released", "paper"] = "released"

    def __post_init__(self) -> None:
        require_positive("OperationFreeze", window=self.window)
        if self.score not in ("released", "paper"):
            raise ArchgradError(f"OperationFreeze: score must be 'released' or 'paper', got {self.score!r}")
        if not -1 <= self.threshold <= 1:
            raise ArchgradError(f"OperationFreeze: the threshold must be a cosine, got {self.threshold}")

    def epoch_start(self, state: State, context: Context) -> None:
        state.rest(context.memory.get("frozen", ()))

    def step_end(self, state: State, step: SearchStep, context: Context) -> None:
        memory, found = context.memory, operations(state.supernet)
        if memory.get("operations") != list(found):  # the first step, or the first of a rebuilt supernet
            thawed = set(memory.get("frozen", ()))
            state.wake(thawed)
            memory.clear()
            memory |= {"operations": list(found), "frozen": [], "steps": 0, "sums": None}
            if thawed:
                return  # the gradients of this step are not those of all weights
        if step.gradients:
            scores = self.scores(state, step, found)
            memory["sums"] = scores if memory["sums"] is None else memory["sums"].to(scores) + scores
        memory["steps"] += 1
        if memory["steps"] == self.window + (self.score == "released"):
            if memory["sums"] is not None:
                self._freeze(state, memory, found)
            memory |= {"steps": 0, "sums": None}

    def scores(self, state: State, step: SearchStep, found: dict[str, list[str]]) -> Tensor:
        """Per operation the score of the step, and 1 if it has one, ``[operations, 2]``."""
        with torch.no_grad():
            mixture = step.train.mix(dict(state.supernet.alphas.items()))
        validation = step.validation.observer().weight_gradient(mixture)
        place = {name: number for number, names in enumerate(found.values()) for name in names}
        trained = [n for n, w in state.supernet.network.named_parameters() if w.requires_grad]
        triples = zip(trained, step.gradients, validation, strict=True)
        pairs: list[list[tuple[Tensor, Tensor]]] = [[] for _ in found]
        for name, train, other in triples:
            if name in place:
                pairs[place[name]].append((train, other))
        rule = released if self.score == "released" else flattened
        nothing = step.gradients[0].new_zeros(2)
        return torch.stack([rule(mine) if mine else nothing for mine in pairs])

    def _freeze(self, state: State, memory: dict[str, object], found: dict[str, list[str]]) -> None:
        sums: Tensor = memory["sums"]  # type: ignore[assignment]
        factor = 1 + 1 / self.window if self.score == "released" else 1.0
        scores = {
            name: factor * total / count for name, (total, count) in zip(found, sums.tolist(), strict=True) if count
        }
        low = [name for name, score in scores.items() if score < self.threshold]
        names = [n for n, w in state.supernet.network.named_parameters() if w.requires_grad]
        if low and not set(names) - {n for operation in low for n in found[operation]}:
            low.remove(max(low, key=lambda operation: scores[operation]))
        frozen = {name for operation in low for name in found[operation]}
        state.rest(frozen)
        memory["frozen"] = sorted(frozen | set(memory["frozen"]))  # type: ignore[call-overload]
        memory["scores"] = scores


def released(pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """From (training, validation) gradients of an operation the score of its program, and 1; 0 and 0 without any."""
    cosines = [F.cosine_similarity(train + validation, train, dim=0).mean() for train, validation in pairs]
    there = torch.stack([train.any() for train, _ in pairs]).any().to(cosines[0])
    return torch.stack([torch.stack(cosines).mean() * there, there])


def flattened(pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """The cosine of the two gradients as vectors, and 1; 0 and 0 where one is 0."""
    products = torch.stack([torch.stack([(a * b).sum(), (a * a).sum(), (b * b).sum()]) for a, b in pairs]).sum(0)
    size = (products[1] * products[2]).sqrt()
    there = size > 0
    return torch.stack([torch.where(there, products[0] / size.where(there, 1), 0), there.to(size)])
