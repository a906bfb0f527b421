"""The relaxation of GDAS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from archgrad.components import Alphas, Context, Relaxation
from archgrad.mixture import Mixture
from archgrad.relaxation.gumbel_softmax import soft_samples
from archgrad.relaxation.support import Per, check_per, check_temperature, hardened, mixture_of
from archgrad.schedules.anneal import Anneal


@dataclass(frozen=True)
class StraightThroughGumbel(Relaxation):
    """h = onehot(argmax((log softmax α + g)/τ)), with the gradient of the soft sample; only the sampled operation runs.

    *Source:* GDAS, arXiv 1910.04465, equations 4 to 6; τ falls linearly from 10 to 0.1 over the epochs of this run.
    *Differs:* published code counted 250 epochs whatever the run's length, so that longer runs reached negative τ.
    """

    temperature: float | Anneal = Anneal(10.0, 0.1)
    per: Per = "step"

    def __post_init__(self) -> None:
        check_temperature("StraightThroughGumbel", self.temperature)
        check_per("StraightThroughGumbel", self.per)

    def __call__(self, alphas: Alphas, sites: Mapping[str, int], context: Context | None = None) -> Mixture:
        soft = soft_samples(alphas, sites, self.temperature, self.per, context)
        return hardened(mixture_of(soft, sites, context or Context()))
