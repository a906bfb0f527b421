"""The relaxation of DARTS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from archgrad.components import Alphas, Context, Relaxation
from archgrad.errors import require_positive
from archgrad.mixture import Mixture


@dataclass(frozen=True)
class Softmax(Relaxation):
    """w_{e,o} = exp(α_{e,o}/τ) / Σ_{o'} exp(α_{e,o'}/τ) over the candidates that an edge has.

    *Source:* DARTS, arXiv 1806.09055, equation 2 (τ = 1).
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        require_positive("Softmax", temperature=self.temperature)

    def __call__(self, alphas: Alphas, sites: Mapping[str, int], context: Context | None = None) -> Mixture:
        masks = context.masks if context else {}

        def relax(group: str, alpha: Tensor) -> Tensor:
            logits = alpha / self.temperature
            if group in masks:
                logits = logits.masked_fill(~masks[group].to(alpha.device, non_blocking=True), -torch.inf)
            return logits.softmax(-1).expand(sites[group], -1, -1)

        mixture = Mixture({group: relax(group, alpha) for group, alpha in alphas.items()})
        return mixture.restricted({group: mask for group, mask in masks.items() if not bool(mask.all())})
