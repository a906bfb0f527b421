"""SPSA: an attack that sees nothing of a network but its logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from archgrad.errors import require_positive
from archgrad.robustness.attacks import Attack, Ball, Bounds, Images, Labels, Loss, margin, untouched


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

    def __call__(
        self,
        network: nn.Module,
        x: Images,
        y: Labels,
        *,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        bounds: Bounds = (0.0, 1.0),
        loss: Loss | None = None,
        generator: torch.Generator | None = None,
    ) -> Images:
        generator = generator or torch.Generator().manual_seed(0)
        ball = Ball.around(x.detach(), self.epsilon, mean, std, bounds)
        found = x.detach()
        first, second = torch.zeros_like(found), torch.zeros_like(found)
        with untouched(network, generator):
            for number in range(1, self.steps + 1):
                g = self._estimate(network, found, y, ball, generator)
                first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g**2
                slope = (second / (1 - 0.999**number)).sqrt() + 1e-8
                found = ball.project(found + self.lr * ball.unit * first / (1 - 0.9**number) / slope)
        return found

    def _estimate(self, network: nn.Module, x: Images, y: Labels, ball: Ball, generator: torch.Generator) -> Tensor:
        """The gradient of the margin of a wrong class, per unit of pixels."""
        total = torch.zeros_like(x)
        pairs = max(1, self.samples // 2)
        for _ in range(pairs):
            coin = torch.randint(2, x.shape, generator=generator, device=generator.device)
            direction = (2 * coin - 1).to(x)
            shift = self.delta * ball.unit * direction
            up, down = margin(network, torch.cat([x + shift, x - shift]), torch.cat([y, y])).chunk(2)
            slope = ((up - down) / (2 * self.delta)).to(x)
            total += slope.view(-1, *[1] * (x.dim() - 1)) * direction
        return total / pairs
