"""The relaxation of GDAS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from archgrad.anneal import Anneal
from archgrad.context import Alphas, Context
from archgrad.errors import ArchgradError
from archgrad.mixture import Mixture
from archgrad.relaxation.samples import soft_sample
from archgrad.roles import Now, Per, Relaxation
from archgrad.roles.relaxation import require_per, require_temperature


@dataclass(frozen=True)
class StraightThroughGumbel(Relaxation):
    """h = onehot(argmax((log softmax α + g)/τ)), with the gradient of the soft sample; only the sampled operation runs.

    ``unselected``: what an operation that was not sampled adds to its edge. ``"none"``: nothing, so that its weight has
    a gradient through the sampled one only; ``"constant"``: its weight, which is 0, as a number, so that its gradient
    is the sum of the gradient of the edge's output, whatever the operation would have computed.

    *Source:* GDAS, arXiv 1910.04465, equations 4 to 6; τ falls linearly from 10 to 0.1 over the epochs of this run.
    *Differs:* by default from the program of NAS-Bench-201, from which the benchmark's accuracies of GDAS come: that is
    ``"constant"``, and has had the paper's gradient beside it, as ``gdas_v1``, since March 2022. Published code counted
    250 epochs whatever the run's length, so that longer runs reached negative τ.
    """

    hard = True

    temperature: float | Anneal = Anneal(10.0, 0.1)
    per: Per = "step"
    unselected: Literal["none", "constant"] = "none"

    def __post_init__(self) -> None:
        require_temperature("StraightThroughGumbel", self.temperature)
        require_per("StraightThroughGumbel", self.per)
        if self.unselected not in ("none", "constant"):
            raise ArchgradError(
                f"StraightThroughGumbel: unselected must be 'none' or 'constant', got {self.unselected!r}"
            )

    def __call__(self, alphas: Alphas, sites: Mapping[str, int], context: Context | None = None) -> Mixture:
        return replace(super().__call__(alphas, sites, context), constants=self.unselected == "constant")

    def weights(self, alpha: Float[Tensor, "edges ops"], now: Now) -> Float[Tensor, "draws edges ops"]:
        return soft_sample(alpha, self.temperature, self.per, now)
