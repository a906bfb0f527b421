"""EPE-NAS: Jacobian correlations within and between classes."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from archgrad.proxies.layers import correlation
from archgrad.proxies.proxy import Proxy
from archgrad.proxies.specimen import Specimen


@dataclass(frozen=True)
class EPENAS(Proxy):
    """Σ_c |e_c| with e_c = Σ_ij log(|corr_ij| + k) over the Jacobians of the images of class c; k = 1e-5.

    Beyond ``many`` classes e_c is divided by the number of images of c, and the score is the mean over the classes of
    Σ_c' |e_c − e_c'|. A class with one image in the batch hardly counts, so the batch should hold several of each.
    The score belongs to no layer.

    >>> import torch
    >>> from torch import nn
    >>> network = nn.Sequential(nn.Linear(4, 4, bias=False), nn.ReLU())
    >>> _ = nn.init.eye_(network[0].weight)
    >>> images = torch.tensor([[1.0, 1, -1, -1], [1, -1, 1, -1]])  # which are active are the Jacobians: uncorrelated
    >>> round(EPENAS()(network, (images, torch.tensor([0, 0]))), 4)  # −2 log k
    23.0258

    *Source:* Lopes et al., EPE-NAS, arXiv 2102.08099, and its published code (the paper divides by a norm instead).
    """

    k: float = 1e-5
    many: int = 100

    def examine(self, specimen: Specimen) -> float:
        """The whole network's score."""
        rows, classes = specimen.jacobians
        many = classes > self.many
        scores = []
        for label in torch.unique(specimen.labels):
            part = rows[specimen.labels == label]
            score = (correlation(part).abs() + self.k).log().sum()
            scores.append(score / len(part) if many else score)
        e = torch.stack(scores)
        return float((e[:, None] - e).abs().sum() / len(e)) if many else float(e.abs().sum())
