"""Jacobian covariance: how differently the network reacts to different images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from archgrad.proxies.layers import correlation
from archgrad.proxies.proxy import Proxy
from archgrad.proxies.specimen import Specimen


@dataclass(frozen=True)
class JacobianCovariance(Proxy):
    """−Σ_i (log(σ_i + k) + 1/(σ_i + k)), σ the eigenvalues of the correlation matrix of the images' Jacobians.

    An image's Jacobian is the gradient of the sum of all logits by that image; k = 1e-5. Constant Jacobians count as
    equal. The score belongs to no layer.

    >>> import torch
    >>> from torch import nn
    >>> network = nn.Sequential(nn.Linear(4, 4, bias=False), nn.ReLU())
    >>> _ = nn.init.eye_(network[0].weight)
    >>> images = torch.tensor([[1.0, 1, -1, -1], [1, -1, 1, -1]])  # which are active are the Jacobians: uncorrelated
    >>> round(JacobianCovariance()(network, (images, torch.tensor([0, 1]))), 4)  # σ = 1, twice
    -2.0

    *Source:* Mellor et al., Neural Architecture Search without Training, arXiv 2006.04647v1.
    """

    k: float = 1e-5

    def examine(self, specimen: Specimen) -> float:
        """The whole network's score."""
        if not specimen.jacobians.rows.isfinite().all():
            return math.nan
        eigenvalues = torch.linalg.eigvalsh(correlation(specimen.jacobians.rows)) + self.k
        return -float((eigenvalues.log() + 1 / eigenvalues).sum())
