"""When to stop, before skip connections take over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from archgrad.context import Context
from archgrad.diagnostics import dominant_eigenvalue
from archgrad.engine.candidates import candidates
from archgrad.errors import ArchgradError, require_positive
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
    edge for so many epochs. ``eigenvalue``: λ̄(i − k) / λ̄(i) is below it, for the largest eigenvalue λ of the Hessian of
    the validation loss in the alphas, after every epoch on one fixed batch; λ̄(i) is the mean over the k epochs around
    i, k = ``window``. The alphas then go back to those after epoch i − k.

    No rule holds in the first ``start`` epochs, when ranks follow from the random start.

    *Source:* DARTS+, arXiv 1909.06035, section 3 (2 skip connections, or 10 stable epochs); DARTS-ES in R-DARTS, arXiv
    1909.09656, section 4.3 (0.75, k = 5). *Differs:* neither paper names ``start``; the code of the second has 10.
    """

    skips: int | None = None
    stable: int | None = None
    eigenvalue: float | None = None
    window: int = 5
    start: int = 10

    def __post_init__(self) -> None:
        rules = {"skips": self.skips, "stable": self.stable, "eigenvalue": self.eigenvalue}
        given = {name: value for name, value in rules.items() if value is not None}
        if not given:
            raise ArchgradError(f"EarlyStop: give at least one rule of {', '.join(rules)}")
        require_positive("EarlyStop", window=self.window, **given)
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
        back: dict[str, Tensor] | None = None
        if self.eigenvalue is not None:
            back, ratio = self._flatness(state, alphas, context.memory)
            if back is not None:
                reasons.append(f"the dominant eigenvalue has grown by 1/{ratio:.3g} in {self.window} epochs")
        if ended < self.start or not reasons or state.stop is not None:
            return
        state.stop = reasons[0]
        if back is not None:
            with torch.no_grad():
                for name, alpha in state.supernet.alphas.items():
                    alpha.copy_(back[name])

    def _flatness(
        self, state: State, alphas: dict[str, Tensor], memory: dict[str, Any]
    ) -> tuple[dict[str, Tensor] | None, float]:
        """The alphas to go back to if the rule holds, and λ̄(i − k) / λ̄(i)."""
        k, around = self.window, self.window // 2
        memory.setdefault("eigenvalues", []).append(dominant_eigenvalue(state.observe(), alphas))
        memory.setdefault("alphas", []).append({name: alpha.cpu().clone() for name, alpha in alphas.items()})
        eigenvalues: list[float] = memory["eigenvalues"][-(k + 2 * around + 1) :]
        memory["eigenvalues"] = eigenvalues
        memory["alphas"] = memory["alphas"][-(k + around + 1) :]
        if len(eigenvalues) < k + 2 * around + 1:
            return None, 1.0
        before, now = _mean(eigenvalues[: 2 * around + 1]), _mean(eigenvalues[k:])
        ratio = before / now if now > 0 else 1.0
        return (memory["alphas"][0] if ratio < (self.eigenvalue or 0) else None), ratio


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


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
