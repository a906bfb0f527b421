"""How far the cells of a supernet agree on the direction in which their mixture should move."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from archgrad.errors import ArchgradError

Kind = Literal["corr", "signcorr"]
KINDS = ("corr", "signcorr")


def alignment(g: Float[Tensor, "sites d"], kind: Kind = "corr") -> Float[Tensor, ""]:
    """The mean over pairs of sites of how far their gradients agree, in [−1, 1].

    ``corr``: Λ = w Σ_{i<j} u_i·u_j with u = g/‖g‖ and w = 2/(L(L−1)); ``signcorr``: w Σ_{i<j} g_i·g_j / (|g_i|·|g_j|).
    A site whose gradient vanishes agrees with nobody (0); a single site agrees with itself (1).

    *Source:* Λ-DARTS, arXiv 2210.07998, section 4.
    """
    require_gradients(g, kind)
    sites = len(g)
    if sites == 1:
        return torch.ones((), dtype=g.dtype, device=g.device)
    units, size = _units(g), g.abs()
    pairs = units @ units.T if kind == "corr" else (g @ g.T) * inverse(size @ size.T)
    return (pairs.sum() - pairs.diagonal().sum()) / (sites * (sites - 1))


def alignment_gradient(g: Float[Tensor, "sites d"], kind: Kind = "corr") -> Float[Tensor, "sites d"]:
    """δ_l = ∂Λ/∂g_l in closed form: orthogonal to g_l, zero for one site and for vanishing gradients.

    ``corr``: δ_l = (w/‖g_l‖)(I − u_l u_lᵀ) Σ_j u_j.
    ``signcorr``: δ_l = w Σ_{j≠l} (1 − r_lj sign g_l ∘ sign g_j) ∘ g_j / m_lj with m_lj = |g_l|·|g_j| and
    r_lj = g_l·g_j / m_lj.
    """
    require_gradients(g, kind)
    sites = len(g)
    if sites == 1:
        return torch.zeros_like(g)
    weight = 2 / (sites * (sites - 1))
    if kind == "corr":
        units = _units(g)
        total = units.sum(0)
        across = total - units * (units @ total)[:, None]
        return weight * across * inverse(g.norm(dim=1))[:, None]
    size = g.abs()
    inverses = inverse(size @ size.T).fill_diagonal_(0)
    ratio = (g @ g.T) * inverses
    return weight * (inverses @ g - g.sign() * ((ratio * inverses) @ size))


def _units(g: Tensor) -> Tensor:
    return g * inverse(g.norm(dim=1))[:, None]


def inverse(x: Tensor) -> Tensor:
    """1/x, and 0 where x vanishes; finite gradients there too."""
    positive = x > 0
    return torch.where(positive, 1 / torch.where(positive, x, torch.ones_like(x)), torch.zeros_like(x))


def require_gradients(g: Tensor, kind: str) -> None:
    """Refuse what is no list of gradients, and unknown kinds."""
    if g.dim() != 2 or not len(g):
        raise ArchgradError(f"alignment: expected gradients of shape [sites, d], got {list(g.shape)}")
    if kind not in KINDS:
        raise ArchgradError(f"alignment: kind must be 'corr' or 'signcorr', got {kind!r}")
