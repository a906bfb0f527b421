"""The early stopping of single operations of OLES."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from archgrad.context import Context
from archgrad.errors import ArchgradError, require_positive
from archgrad.roles import Schedule
from archgrad.schedules.support import operations
from archgrad.state import State, Step


@dataclass(frozen=True)
class OperationFreeze(Schedule):
    """An operation whose gradients on training and validation data no longer agree is frozen.

    Per operation (of one edge of one site) the score is the mean over ``window`` steps of cos(∇ℓ_train, ∇ℓ_val) of its
    weights, both at the mixture of the step; steps in which it was not computed do not count. At the end of a window,
    operations below ``threshold`` are frozen for the rest of the run. Sums stay on the device and are read once per
    window; every step costs one weight gradient on the validation batch. The last operation of a network that has no
    other weights is never frozen.

    *Source:* OLES (operation-level early stopping), window of 20 steps, threshold 0.4. *Differs:* the validation
    gradient is taken after the weight step. One published library divided sums of 21 values by 20.
    """

    window: int = 20
    threshold: float = 0.4

    def __post_init__(self) -> None:
        require_positive("OperationFreeze", window=self.window)
        if not -1 <= self.threshold <= 1:
            raise ArchgradError(f"OperationFreeze: the threshold must be a cosine, got {self.threshold}")

    def epoch_start(self, state: State, context: Context) -> None:
        state.rest(context.memory.get("frozen", ()))

    def step_end(self, state: State, step: Step, context: Context) -> None:
        memory, found = context.memory, operations(state.supernet)
        if memory.get("operations") != list(found):  # the first step, or the first of a rebuilt supernet
            thawed = set(memory.get("frozen", ()))
            state.wake(thawed)
            memory.clear()
            memory |= {"operations": list(found), "frozen": [], "steps": 0, "sums": None}
            if thawed:
                return  # the gradients of this step are not those of all weights
        if step.gradients:
            cosines = self._cosines(state, step, found)
            memory["sums"] = cosines if memory["sums"] is None else memory["sums"].to(cosines) + cosines
        memory["steps"] += 1
        if memory["steps"] == self.window:
            if memory["sums"] is not None:
                self._freeze(state, memory, found)
            memory |= {"steps": 0, "sums": None}

    def _cosines(self, state: State, step: Step, found: dict[str, list[str]]) -> Tensor:
        """Per operation the cosine, and 1 if there is one, ``[operations, 2]``."""
        with torch.no_grad():
            mixture = step.train.mix(dict(state.supernet.alphas.items()))
        others = step.validation.observer().weight_gradient(mixture)
        place = {name: number for number, names in enumerate(found.values()) for name in names}
        trained = [n for n, w in state.supernet.network.named_parameters() if w.requires_grad]
        triples = [(place[n], a, b) for n, a, b in zip(trained, step.gradients, others, strict=True) if n in place]
        sums = step.gradients[0].new_zeros(len(found), 3)
        if triples:
            products = [torch.stack([(a * b).sum(), (a * a).sum(), (b * b).sum()]) for _, a, b in triples]
            rows = torch.tensor([row for row, _, _ in triples]).to(sums.device, non_blocking=True)
            sums = sums.index_add(0, rows, torch.stack(products))
        size = (sums[:, 1] * sums[:, 2]).sqrt()
        there = size > 0
        return torch.stack([torch.where(there, sums[:, 0] / size.where(there, 1), 0), there.to(sums)], 1)

    def _freeze(self, state: State, memory: dict[str, object], found: dict[str, list[str]]) -> None:
        sums: Tensor = memory["sums"]  # type: ignore[assignment]
        scores = {name: total / count for name, (total, count) in zip(found, sums.tolist(), strict=True) if count}
        low = [name for name, score in scores.items() if score < self.threshold]
        names = [n for n, w in state.supernet.network.named_parameters() if w.requires_grad]
        if low and not set(names) - {n for operation in low for n in found[operation]}:
            low.remove(max(low, key=lambda operation: scores[operation]))
        frozen = {name for operation in low for name in found[operation]}
        state.rest(frozen)
        memory["frozen"] = sorted(frozen | set(memory["frozen"]))  # type: ignore[call-overload]
        memory["scores"] = scores
