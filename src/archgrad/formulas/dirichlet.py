"""The Dirichlet distributions of DrNAS."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def concentrations(alpha: Float[Tensor, ...]) -> Float[Tensor, ...]:
    """elu(α) + 1, above 0 also where it rounds to it.

    *Source:* DrNAS, arXiv 2006.10355, section 3.2.
    """
    return (F.elu(alpha) + 1).clamp_min(torch.finfo(alpha.dtype).eps)
