"""Jacobian covariance: how differently the network reacts to different images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from archgrad.proxies.layers import correlation
from archgrad.proxies.shared import JacobianProxy


@dataclass(frozen=True)
class JacobianCovariance(JacobianProxy):
    """−Σ_i (log(σ_i + k) + 1/(σ_i + k)), σ the eigenvalues of the correlation matrix of the images' Jacobians.

    An image's Jacobian is the gradient of the sum of all logits by that image; k = 1e-5. Constant Jacobians count as
    equal. There are no layers: the whole is the contribution of the network, "".

    *Source:* Mellor et al., Neural Architecture Search without Training, arXiv 2006.04647v1.
    """

    k: float = 1e-5

    def score(self, rows: Tensor, classes: int, labels: Tensor) -> float:
        """The whole network's score."""
        eigenvalues = torch.linalg.eigvalsh(correlation(rows)) + self.k
        return -float((eigenvalues.log() + 1 / eigenvalues).sum())
