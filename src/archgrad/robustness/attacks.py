"""FGSM and PGD: sign steps up the loss inside a ball of images; and what every attack has in common.

Images are given as the network sees them, normalised by ``mean`` and ``std`` per channel; radii and steps are in pixel
units, where images lie in [0, 1]. The two never meet outside `Ball`, so no attack can clamp in the wrong space.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from archgrad.derivatives import derivatives
from archgrad.engine.checkpoint import as_now
from archgrad.errors import ArchgradError, require_positive
from archgrad.evaluation import widened
from archgrad.randomness import isolated

Images = Float[Tensor, "n ..."]
Labels = Int[Tensor, "n"]
Loss = Callable[[Any, Tensor], Tensor]
Norm = Literal["linf", "l2"]
Bounds = tuple[float, float] | None


@dataclass(frozen=True, eq=False)
class Ball:
    """The images within an L∞ distance of the given ones that are images: from ``low`` to ``high``, as the network
    sees them. ``unit``: what one unit of pixels is there, 1/std.

    An image that is not quite inside ``bounds``, by rounding say, may stay where it is but is never moved further out.
    """

    low: Images
    high: Images
    unit: Tensor

    @classmethod
    def around(
        cls,
        x: Images,
        epsilon: float,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        bounds: Bounds = (0.0, 1.0),
    ) -> Ball:
        """The ball of radius ``epsilon`` (pixel units) around normalised images, within the ``bounds`` of pixels."""
        centre, unit = channels(x, mean, 0.0), 1 / channels(x, std, 1.0)
        low, high = x - epsilon * unit, x + epsilon * unit
        if bounds is not None:
            darkest, brightest = ((bound - centre) * unit for bound in bounds)
            low = torch.maximum(low, torch.minimum(x, darkest))
            high = torch.minimum(high, torch.maximum(x, brightest))
        return cls(low, high, unit)

    def project(self, x: Images) -> Images:
        """The nearest images of the ball."""
        return x.clamp(self.low, self.high)

    def random(self, generator: torch.Generator) -> Images:
        """Images drawn uniformly from the ball."""
        shape, device = self.low.shape, generator.device
        share = torch.rand(shape, generator=generator, dtype=self.low.dtype, device=device).to(self.low.device)
        return self.project(torch.lerp(self.low, self.high, share))


@dataclass(frozen=True)
class Attack(ABC):
    """An attack and its settings; ``epsilon``: the radius in pixel units, in the attack's ``norm``."""

    epsilon: float = 8 / 255
    norm: ClassVar[Norm] = "linf"

    def __post_init__(self) -> None:
        _require_radius(type(self).__name__, self.epsilon)

    @property
    def label(self) -> str:
        """How tables call it."""
        return type(self).__name__.lower()

    @abstractmethod
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
        """The images as the attack leaves them, within its radius; the network and torch's random numbers stay as
        they are. ``loss``: what is raised, where the attack follows a gradient (cross-entropy).
        """


@dataclass(frozen=True)
class FGSM(Attack):
    """One step of the length of the radius.

    *Source:* Goodfellow, Shlens, Szegedy, arXiv 1412.6572.
    """

    def __call__(self, network: nn.Module, x: Images, y: Labels, **options: Any) -> Images:
        return fgsm(network, x, y, epsilon=self.epsilon, **options)


@dataclass(frozen=True)
class PGD(Attack):
    """Steps of length ``step`` (a quarter of the radius by default), each followed by a projection; see `pgd`.

    *Source:* Madry et al., arXiv 1706.06083: radius 8/255, steps of 2/255, 7 in training and 20 in tests.
    """

    step: float | None = None
    steps: int = 20
    restarts: int = 1
    random_start: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_steps(self.step, self.steps, self.restarts, self.random_start)

    @property
    def label(self) -> str:
        """How tables call it."""
        return f"pgd-{self.steps}" + (f"x{self.restarts}" if self.restarts > 1 else "")

    def __call__(self, network: nn.Module, x: Images, y: Labels, **options: Any) -> Images:
        settings = {name: getattr(self, name) for name in ("epsilon", "step", "steps", "restarts", "random_start")}
        return pgd(network, x, y, **settings, **options)


def fgsm(
    network: nn.Module,
    x: Images,
    y: Labels,
    *,
    epsilon: float = 8 / 255,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    bounds: Bounds = (0.0, 1.0),
    loss: Loss | None = None,
    generator: torch.Generator | None = None,
) -> Images:
    """One step up the loss, x + ε sign ∇_x CE(f(x), y), within the range of pixels; the options are those of `pgd`.

    *Source:* Goodfellow, Shlens, Szegedy, arXiv 1412.6572.
    """
    settings: dict[str, Any] = {"mean": mean, "std": std, "bounds": bounds, "loss": loss, "generator": generator}
    return pgd(network, x, y, epsilon=epsilon, step=epsilon, steps=1, random_start=False, **settings)


def pgd(
    network: nn.Module,
    x: Images,
    y: Labels,
    *,
    epsilon: float = 8 / 255,
    step: float | None = None,
    steps: int = 20,
    restarts: int = 1,
    random_start: bool = True,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    bounds: Bounds = (0.0, 1.0),
    loss: Loss | None = None,
    generator: torch.Generator | None = None,
) -> Images:
    """Repeated steps, x ← Π(x + step · sign ∇_x CE(f(x), y)); Π projects onto the ball of images within ε.

    ``epsilon``, ``step``: in pixel units; the step is ε/4 by default. ``x``: images as the network sees them, which
    are (pixels − ``mean``) / ``std``, pixels as they are by default. ``bounds`` of the pixels; None for inputs of any
    size. ``random_start``: from a point drawn uniformly from the ball. ``restarts``: of several such runs, the result
    with the largest margin of a wrong class, for each image.
    ``generator``: where the random numbers come from; without one they are the same in every call.

    The network keeps its mode: one in training mode is attacked with the statistics of the batch. Its weights, buffers
    and gradients, and torch's own random numbers, are left as they were.

    *Source:* Madry et al., arXiv 1706.06083, section 2.1. *Differs:* the start is drawn from the ball, whose corners
    the published code's clipping prefers.
    """
    _require_radius("pgd", epsilon)
    _require_steps(step, steps, restarts, random_start)
    generator = generator or torch.Generator().manual_seed(0)
    x, loss = x.detach(), loss or _cross_entropy
    ball = Ball.around(x, epsilon, mean, std, bounds)
    length = (epsilon / 4 if step is None else step) * ball.unit
    best, largest = x, torch.full((len(x),), -torch.inf, device=x.device)
    with untouched(network, generator):
        for _ in range(restarts):
            found = ball.random(generator) if random_start else x
            for _ in range(steps):
                found = ball.project(found + length * input_gradient(network, found, y, loss).sign())
            if restarts == 1:
                return found
            size = margin(network, found, y).to(largest)
            better = size > largest
            best, largest = torch.where(expanded(better, x), found, best), torch.maximum(size, largest)
    return best


def input_gradient(network: nn.Module, x: Images, y: Labels, loss: Loss) -> Images:
    """∇_x loss(f(x), y)."""
    at = x.detach().requires_grad_()
    with torch.enable_grad():
        value = loss(_logits(network(at)), y)
    return derivatives(value, [at])[0]


@torch.no_grad()
def margin(network: nn.Module, x: Images, y: Labels) -> Float[Tensor, " n"]:
    """By how much the strongest wrong class exceeds the right one, in logits: above 0 the image is misclassified."""
    logits = widened(_logits(network(x)))
    right = logits.gather(1, y[:, None])[:, 0]
    return logits.scatter(1, y[:, None], -torch.inf).amax(1) - right


@contextmanager
def untouched(network: nn.Module, generator: torch.Generator, evaluating: bool = False) -> Iterator[None]:
    """What happens inside leaves no trace: on buffers, gradients, the mode, and torch's own random numbers.

    Inside, no weight requires a gradient, and random numbers (dropout) follow from the generator. ``evaluating``: in
    evaluation mode inside.
    """
    modes = [(module, module.training) for module in network.modules()]
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    try:
        with isolated(seed, "attack"), as_now(network):
            for weight in weights:
                weight.requires_grad_(False)
            if evaluating:
                network.eval()
            yield
    finally:
        for weight in weights:
            weight.requires_grad_()
        for module, mode in modes:
            module.training = mode


def channels(x: Tensor, values: Sequence[float] | None, default: float) -> Tensor:
    """One number per channel of images, in a shape that fits them; one number for all inputs that are not images."""
    given = [default] if not values else list(values)
    count = x.shape[1] if x.dim() == 4 else 1
    if len(given) not in (1, count):
        raise ArchgradError(f"attack: {len(given)} means or deviations for images of {count} channels")
    return torch.tensor(given, dtype=x.dtype, device=x.device).view(-1, *[1] * max(0, x.dim() - 2))


def expanded(mask: Tensor, x: Tensor) -> Tensor:
    """One truth value per image, in a shape that fits the images."""
    return mask.view(-1, *[1] * (x.dim() - 1))


def _cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(widened(logits), y, reduction="sum")


def _logits(output: Any) -> Any:
    """Of a network in training mode that returns (logits, auxiliary logits), the logits."""
    return output[0] if isinstance(output, tuple) else output


def _require_radius(owner: str, epsilon: float) -> None:
    if not epsilon >= 0:
        raise ArchgradError(f"{owner}: epsilon must not be negative, got {epsilon!r}")


def _require_steps(step: float | None, steps: int, restarts: int, random_start: bool) -> None:
    require_positive("pgd", steps=steps, restarts=restarts)
    if step is not None and not step >= 0:
        raise ArchgradError(f"pgd: step must not be negative, got {step!r}")
    if restarts > 1 and not random_start:
        raise ArchgradError("pgd: restarts without a random start are all the same: use random_start=True")
