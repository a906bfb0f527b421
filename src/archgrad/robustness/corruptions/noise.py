"""Gaussian, shot and impulse noise."""

from __future__ import annotations

import torch
from torch import Tensor

from archgrad.robustness.corruptions.fields import normal, uniform

DEVIATION = (0.04, 0.06, 0.08, 0.09, 0.10)
PHOTONS = (500, 250, 100, 75, 50)
SHARE = (0.01, 0.02, 0.03, 0.05, 0.07)


def gaussian_noise(x: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Independent noise, x + σ N(0, 1)."""
    return x + DEVIATION[severity - 1] * normal(tuple(x.shape), generator, x)


def shot_noise(x: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Poisson(c x) / c: every pixel counts up to c photons."""
    photons = PHOTONS[severity - 1]
    return (torch.poisson(x.cpu().double() * photons, generator) / photons).to(x)


def impulse_noise(x: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """A share of all values becomes 0 or 1, half of them each."""
    hit, salt = (uniform(tuple(x.shape), generator, x, 0, 1) for _ in range(2))
    return torch.where(hit < SHARE[severity - 1], (salt < 0.5).to(x), x)
