"""The best of what a trained supernet proposes, by a proxy."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from archgrad import proxies
from archgrad.context import Alphas, Context
from archgrad.data import Batches
from archgrad.errors import ArchgradError, require_positive
from archgrad.formulas.settling import settle, strongest
from archgrad.genotype import Genotype
from archgrad.roles import Discretisation, Score


@dataclass(frozen=True)
class Ranked(Discretisation):
    """The highest by ``proxy`` of ``candidates`` genotypes: the strongest one, and others drawn from the alphas.

    One is drawn by adding Gumbel noise to alphas / ``temperature`` and taking the strongest: on every edge a candidate
    has its softmax probability; which edges stay is drawn with them. Each is settled with the supernet's weights, and
    scored on ``images`` validation images without augmentation.

    *Source:* CRoZe, arXiv 2306.05031, which ranks candidates of a space; here of a supernet that has been trained.
    """

    proxy: str = "croze"
    candidates: int = 32
    images: int = 8
    temperature: float = 1.0

    def __post_init__(self) -> None:
        require_positive("Ranked", candidates=self.candidates, images=self.images, temperature=self.temperature)

    @property
    def evaluates(self) -> bool:
        """The proxy needs images."""
        return True

    def __call__(self, alphas: Alphas, context: Context, score: Score | None = None) -> Genotype:
        supernet = self.supernet(context)
        batches = getattr(score, "validation", None)
        if not isinstance(batches, Batches):
            raise ArchgradError("Ranked needs the validation images of a search")
        # The same images in every process, whichever slice of the batches it has.
        subset = batches.subset
        order = torch.randperm(len(subset), generator=context.generator("images"))[: self.images]
        chosen = subset.take(order.to(subset.targets.device))
        batch = next(Batches(chosen, self.images, device=batches.device).epoch())
        proxy = proxies.get(self.proxy)
        drawn = dict.fromkeys(self.drawn(alphas, context))

        def value(genotype: Genotype) -> float:
            settled = supernet.settle(genotype, inherit=True)
            found = proxy(settled, batch, normalisation=subset.normalisation)
            return -math.inf if math.isnan(found) else found

        return max(drawn, key=value)

    def drawn(self, alphas: Alphas, context: Context) -> list[Genotype]:
        """The candidates: the strongest first."""
        supernet, generator = self.supernet(context), context.generator("candidates")
        masks = {**supernet.masks, **context.masks}
        found = [strongest(supernet, alphas, context)]
        for _ in range(self.candidates - 1):
            choices = {}
            for name, group in supernet.groups.items():
                logits = alphas[name].detach().cpu().double() / self.temperature
                uniform = torch.rand(logits.shape, generator=generator, dtype=torch.float64).clamp_min(1e-300)
                noisy = (logits - (-uniform.log()).log()).masked_fill(~masks[name], -torch.inf)
                choices[name] = settle(group, noisy)
            found.append(Genotype.of(choices, supernet.space_name))
        return found
