"""The relaxation of FairDARTS."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from archgrad.roles import Now, Relaxation


@dataclass(frozen=True)
class Sigmoid(Relaxation):
    """w_{e,o} = 1/(1 + exp(−α_{e,o})): candidates do not compete.

    *Source:* FairDARTS, arXiv 1911.12126, section 3.2.
    """

    def weights(self, alpha: Float[Tensor, "edges ops"], now: Now) -> Float[Tensor, "edges ops"]:
        return alpha.sigmoid()
