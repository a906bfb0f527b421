"""When to stop, before skip connections take over."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from archgrad.context import Context
from archgrad.diagnostics import dominant_eigenvalue
from archgrad.engine.candidates import candidates
from archgrad.errors import ArchgradError, require_positive, require_whole
from archgrad.formulas.settling import strongest
from archgrad.genotype import skips
from archgrad.roles import Schedule
from archgrad.state import State
from archgrad.supernet import Supernet


@dataclass(frozen=True)
class EarlyStop(Schedule):
    """Ends the search at the end of the first epoch in which one of the given rules holds.

    ``skips``: the strongest genotype has at least so many skip connections in the cell ``normal`` (where there is no
    such group: in any). ``stable``: the order of the alphas of operations that have weights has been the same on every
    edge for so many epochs. ``eigenvalue``: the largest eigenvalue λ of the Hessian of the validation loss in the
    alphas has grown by more than this factor. It is computed in the first of every ``every`` epochs on one fixed batch,
    and λ̄(i) / λ̄(i − ``back``) is compared, where λ̄(i) is the mean over ``window`` eigenvalues around the i-th. The
    alphas then go back to those after the epoch of λ(i − back). The last epoch stops nothing.

    No rule holds in the first ``start`` epochs, when ranks follow from the random start, and alphas do not go back to
    any of them.

    *Source:* DARTS+, arXiv 1909.06035, section 3 (2 skip connections, or 10 stable epochs); DARTS-ES of R-DARTS, arXiv
    1909.09656, by its published program: 1.3, windows of 5 and 4 back, every second epoch, from epoch 10 on. The text
    of its section 4.3 is ``eigenvalue=4 / 3, every=1, back=5``. *Differs:* the program takes another validation batch
    every time, and adds the decay of the alphas, 1e-3, to λ. DARTS+ names no ``start``.
    """

    skips: int | None = None
    stable: int | None = None
    eigenvalue: float | None = None
    every: int = 2
    window: int = 5
    back: int = 4
    start: int = 10

    def __post_init__(self) -> None:
        rules = {"skips": self.skips, "stable": self.stable, "eigenvalue": self.eigenvalue}
        given = {name: value for name, value in rules.items() if value is not None}
        if not given:
            raise ArchgradError(f"EarlyStop: give at least one rule of {', '.join(rules)}")
        require_positive("EarlyStop", **given)
        require_whole("EarlyStop", 1, every=self.every, window=self.window, back=self.back)
        if self.start < 0:
            raise ArchgradError(f"EarlyStop: start must be 0 or more epochs, got {self.start}")

    def epoch_end(self, state: State, context: Context) -> None:
        alphas = {name: alpha.detach() for name, alpha in state.supernet.alphas.items()}
        ended = context.clock.epoch + 1
        reasons = []
        if self.skips is not None:
            found = most_skips(alphas, context)
            if found >= self.skips:
                reasons.append(f"{found} skip connections in a cell after epoch {ended}")
        if self.stable is not None:
            epochs = _epochs_unchanged(rankings(state.supernet, alphas), context.memory)
            if epochs >= self.stable:
                reasons.append(f"the ranking of operations has not changed for {epochs} epochs")
        before: dict[str, Tensor] | None = None
        if self.eigenvalue is not None and context.clock.epoch % self.every == 0 and ended < context.clock.epochs:
            growth, before = self._sharpened(state, alphas, context.memory)
            if before is not None:
                reasons.append(
                    f"the dominant eigenvalue has grown by a factor of {growth:.3g} in {self.back * self.every} epochs"
                )
        if ended < self.start or not reasons or state.stop is not None:
            return
        state.stop = reasons[0]
        if before is not None:
            with torch.no_grad():
                for name, alpha in state.supernet.alphas.items():
                    alpha.copy_(before[name])

    def _sharpened(
        self, state: State, alphas: dict[str, Tensor], memory: dict[str, Any]
    ) -> tuple[float, dict[str, Tensor] | None]:
        """λ̄(i) / λ̄(i − back), and the alphas to go back to if the rule holds."""
        around = self.window // 2
        eigenvalues: list[float] = memory.setdefault("eigenvalues", [])
        eigenvalues.append(dominant_eigenvalue(state.observe(), alphas))
        kept = [*memory.get("alphas", []), {name: alpha.cpu().clone() for name, alpha in alphas.items()}]
        memory["alphas"] = kept[-(self.back + around + 1) :]
        earlier = len(eigenvalues) - 1 - around - self.back
        if earlier < 0 or self.every * earlier < self.start:
            return 1.0, None
        old, new = (
            statistics.fmean(eigenvalues[max(0, i - around) : i + around + 1]) for i in (earlier, earlier + self.back)
        )
        growth = new / old if old > 0 else 1.0
        return growth, memory["alphas"][0] if growth > (self.eigenvalue or math.inf) else None


def most_skips(alphas: dict[str, Tensor], context: Context) -> int:
    """Skip connections of the strongest genotype, in ``normal`` or else in the group that has most."""
    assert context.supernet is not None
    choices = strongest(context.supernet, alphas, context).choices
    return max(skips(kept) for name, kept in choices.items() if name == "normal" or "normal" not in choices)


def rankings(supernet: Supernet, alphas: dict[str, Tensor]) -> dict[str, list[list[int]]]:
    """Group → per edge the columns of operations that have weights there, the largest alpha first."""
    learnable = {
        (candidate.group.name, candidate.edge, candidate.name)
        for candidate in candidates(supernet.network)
        if next(candidate.module.parameters(), None) is not None
    }
    found = {}
    for name, group in supernet.groups.items():
        rows = alphas[name].detach().cpu().tolist()
        found[name] = [
            sorted(
                (o for o, operation in enumerate(group.operations) if (name, edge, operation) in learnable),
                key=lambda o: -row[o],
            )
            for edge, row in enumerate(rows)
        ]
    return found


def _epochs_unchanged(found: dict[str, list[list[int]]], memory: dict[str, Any]) -> int:
    memory["unchanged"] = memory.get("unchanged", 0) + 1 if memory.get("rankings") == found else 0
    memory["rankings"] = found
    unchanged: int = memory["unchanged"]
    return unchanged
