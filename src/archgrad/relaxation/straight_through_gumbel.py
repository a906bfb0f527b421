"""The relaxation of GDAS."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from archgrad.anneal import Anneal
from archgrad.relaxation.samples import soft_sample
from archgrad.roles import Now, Per, Relaxation
from archgrad.roles.relaxation import require_per, require_temperature


@dataclass(frozen=True)
class StraightThroughGumbel(Relaxation):
    """h = onehot(argmax((log softmax α + g)/τ)), with the gradient of the soft sample; only the sampled operation runs.

    *Source:* GDAS, arXiv 1910.04465, equations 4 to 6; τ falls linearly from 10 to 0.1 over the epochs of this run.
    *Differs:* published code counted 250 epochs whatever the run's length, so that longer runs reached negative τ.
    """

    hard = True

    temperature: float | Anneal = Anneal(10.0, 0.1)
    per: Per = "step"

    def __post_init__(self) -> None:
        require_temperature("StraightThroughGumbel", self.temperature)
        require_per("StraightThroughGumbel", self.per)

    def weights(self, alpha: Float[Tensor, "edges ops"], now: Now) -> Float[Tensor, "draws edges ops"]:
        return soft_sample(alpha, self.temperature, self.per, now)
