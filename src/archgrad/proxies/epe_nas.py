"""EPE-NAS: Jacobian correlations within and between classes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from archgrad.proxies.layers import correlation
from archgrad.proxies.shared import JacobianProxy


@dataclass(frozen=True)
class EPENAS(JacobianProxy):
    """Σ_c |e_c| with e_c = Σ_ij log(|corr_ij| + k) over the Jacobians of the images of class c; k = 1e-5.

    Beyond ``many`` classes e_c is divided by the number of images of c, and the score is the mean over the classes of
    Σ_c' |e_c − e_c'|. A class with one image in the batch hardly counts, so the batch should hold several of each.
    There are no layers: the whole is the contribution of the network, "".

    *Source:* Lopes et al., EPE-NAS, arXiv 2102.08099, and its published code (the paper divides by a norm instead).
    """

    k: float = 1e-5
    many: int = 100

    def score(self, rows: Tensor, classes: int, labels: Tensor) -> float:
        """The whole network's score."""
        many = classes > self.many
        scores = []
        for label in torch.unique(labels):
            part = rows[labels == label]
            score = (correlation(part).abs() + self.k).log().sum()
            scores.append(score / len(part) if many else score)
        e = torch.stack(scores)
        return float((e[:, None] - e).abs().sum() / len(e)) if many else float(e.abs().sum())
