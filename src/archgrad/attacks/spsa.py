"""SPSA: an attack that sees nothing of a network but its logits."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from archgrad.attacks.attack import Attack
from archgrad.attacks.victim import Images, Labels, Victim
from archgrad.errors import require_positive


@dataclass(frozen=True)
class SPSA(Attack):
    """Adam on the margin of the right class, along gradients estimated from differences of random directions.

    g = mean over ``samples``/2 directions v ∈ {−1, 1}^d of [m(x + δv) − m(x − δv)] / 2δ · v, in pixel units, with
    δ = ``delta``. Every step costs ``samples`` forward passes per image. A gradient that is masked deceives PGD but
    not SPSA: if SPSA finds more than PGD does, the network is less robust than it looks.

    *Source:* Uesato et al., arXiv 1802.05666: δ = 0.01, Adam with rate 0.01, 100 steps, up to 8,192 samples.
    *Differs:* our own, since the libraries that offer it pin old packages (torchattacks) or need TensorFlow
    (cleverhans); 64 samples by default.
    """

    steps: int = 100
    samples: int = 64
    delta: float = 0.01
    lr: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("SPSA", steps=self.steps, samples=self.samples, delta=self.delta, lr=self.lr)

    def perturb(self, victim: Victim, x: Images, y: Labels, generator: torch.Generator) -> Images:
        ball, found, step = victim.ball(x, self.epsilon), x, torch.zeros_like(x)
        adam = torch.optim.Adam([step], lr=self.lr, maximize=True)
        for _ in range(self.steps):
            step.zero_().grad = self._estimate(victim, found, y, generator)
            adam.step()  # from zero: what Adam leaves is its step, in pixel units
            found = ball.project(victim.moved(found, step))
        return found

    def _estimate(self, victim: Victim, x: Images, y: Labels, generator: torch.Generator) -> Tensor:
        """The gradient of the margin of a wrong class, per unit of pixels."""
        total = torch.zeros_like(x)
        pairs = max(1, self.samples // 2)
        for _ in range(pairs):
            coin = torch.randint(2, x.shape, generator=generator, device=generator.device)
            direction = (2 * coin - 1).to(x)
            ends = torch.cat([victim.moved(x, sign * self.delta * direction) for sign in (1, -1)])
            up, down = victim.margin(ends, torch.cat([y, y])).chunk(2)
            slope = ((up - down) / (2 * self.delta)).to(x)
            total += slope.view(-1, *[1] * (x.dim() - 1)) * direction
        return total / pairs
