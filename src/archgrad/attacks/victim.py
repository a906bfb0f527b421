"""The model that an attack meets, with all that belongs to the model: how it sees pixels, and what its task is.

Images are given as the network sees them, normalised per channel; radii and steps are in pixel units, where images lie
in [0, 1]. The two never meet outside `Victim`, so no attack can clamp in the wrong space.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from archgrad.data import Dataset, Normalisation
from archgrad.derivatives import derivatives
from archgrad.devices import placed
from archgrad.engine.statistics import unmoved
from archgrad.errors import ArchgradError
from archgrad.randomness import isolated
from archgrad.tasks import Classification, Task, widened
from archgrad.tasks.task import Loss

Images = Float[Tensor, "n ..."]
Labels = Int[Tensor, " n"]
Norm = Literal["linf", "l2"]
Bounds = tuple[float, float] | None


@dataclass(frozen=True, eq=False)
class Ball:
    """The images within an L∞ distance of given ones, from ``low`` to ``high`` as the network sees them.

    An image that is not quite inside the bounds of pixels, by rounding say, may stay where it is but is never moved
    further out.
    """

    low: Images
    high: Images

    def project(self, x: Images) -> Images:
        """The nearest images of the ball."""
        return x.clamp(self.low, self.high)

    def random(self, generator: torch.Generator) -> Images:
        """Images drawn uniformly from the ball."""
        shape, device = self.low.shape, generator.device
        share = torch.rand(shape, generator=generator, dtype=self.low.dtype, device=device)
        return self.project(torch.lerp(self.low, self.high, placed(share, self.low.device)))


@dataclass(frozen=True, eq=False)
class Victim:
    """A network under attack. It keeps its mode: one in training mode is attacked with the statistics of the batch.

    ``normalisation``: how pixels become what the network sees; None where they are seen as they are. ``bounds``: the
    range of pixels; None for inputs of any size. ``task``: what the network does, whose loss is raised by attacks that
    follow a gradient: the sum over the images, so that a gradient in an image does not depend on how many there are.
    ``loss``: what is raised in its place.
    """

    network: nn.Module
    normalisation: Normalisation | None = None
    bounds: Bounds = (0.0, 1.0)
    task: Task = field(default_factory=Classification)
    loss: Loss | None = None

    @classmethod
    def of(cls, network: nn.Module, dataset: Dataset) -> Victim:
        """A network that sees the inputs of a dataset; those that are not images have any size."""
        bounds = (0.0, 1.0) if dataset.image_size else None
        return cls(network, dataset.train.normalisation, bounds, dataset.task)

    def inputs(self, x: Any) -> Images:
        """The inputs cut from any graph; those that cannot change by a small amount, such as tokens, are refused."""
        if isinstance(x, Tensor) and x.is_floating_point():
            return x.detach()
        found = f"{x.dtype} tensors" if isinstance(x, Tensor) else "several tensors"
        raise ArchgradError(f"attack: {self.task} cannot be attacked with inputs of {found}, only with real numbers")

    def gradient(self, x: Images, y: Labels) -> Images:
        """∇_x ℓ(f(x), y)."""
        at = x.detach().requires_grad_()
        with torch.enable_grad():
            outputs = self._outputs(at)
            value = self.loss(outputs, y) if self.loss else self.task.summed_loss(outputs, y)[0]
        return derivatives(value, [at])[0]

    @torch.no_grad()
    def margin(self, x: Images, y: Labels) -> Float[Tensor, " n"]:
        """By how much the strongest wrong class exceeds the right one, in logits: above 0 the answer is wrong."""
        if not isinstance(self.task, Classification):
            raise ArchgradError(
                f"attack: {self.task} has no one right class per input, which is compared with the others"
            )
        logits = widened(self._outputs(x))
        right = logits.gather(1, y[:, None])[:, 0]
        return logits.scatter(1, y[:, None], -torch.inf).amax(1) - right

    @torch.no_grad()
    def correct(self, x: Images, y: Labels) -> Float[Tensor, " n"] | Bool[Tensor, " n"]:
        """Which answers are right, or which share of each."""
        return self.task.correct(self._outputs(x), y)

    def moved(self, x: Images, by: Tensor | float) -> Images:
        """The images moved ``by`` so many units of pixels."""
        return x + by * (1 / self.scale(x)[1])

    def ball(self, x: Images, epsilon: float) -> Ball:
        """All images within the radius ``epsilon``, in pixel units, of the given ones."""
        low, high = self.moved(x, -epsilon), self.moved(x, epsilon)
        if self.bounds is not None:
            mean, std = self.scale(x)
            darkest, brightest = ((bound - mean) * (1 / std) for bound in self.bounds)
            low = torch.maximum(low, torch.minimum(x, darkest))
            high = torch.minimum(high, torch.maximum(x, brightest))
        return Ball(low, high)

    def distance(self, found: Images, x: Images, norm: Norm) -> Float[Tensor, " n"]:
        """How far images are from each other, in pixel units."""
        difference = ((found - x) * self.scale(x)[1]).flatten(1)
        return difference.norm(dim=1) if norm == "l2" else difference.abs().amax(1)

    def scale(self, x: Images) -> tuple[Tensor, Tensor]:
        """Mean and deviation in shapes that fit the images: one number per channel; one for other inputs."""
        mean, std = (self.normalisation.mean, self.normalisation.std) if self.normalisation else ((), ())
        return _per_channel(mean or (0.0,), x), _per_channel(std or (1.0,), x)

    @contextmanager
    def untouched(self, generator: torch.Generator, evaluating: bool = False) -> Iterator[None]:
        """What happens inside leaves no trace: on buffers, gradients, the mode, and torch's own random numbers.

        Inside, no weight requires a gradient, and random numbers (dropout) follow from the generator. ``evaluating``:
        in evaluation mode inside.
        """
        modes = [(module, module.training) for module in self.network.modules()]
        weights = [weight for weight in self.network.parameters() if weight.requires_grad]
        seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
        try:
            with isolated(seed, "attack"), unmoved(self.network):
                for weight in weights:
                    weight.requires_grad_(False)
                if evaluating:
                    self.network.eval()
                yield
        finally:
            for weight in weights:
                weight.requires_grad_()
            for module, mode in modes:
                module.training = mode

    def _outputs(self, x: Images) -> Any:
        """Of a network in training mode that returns (outputs, auxiliary outputs), the outputs."""
        output = self.network(x)
        return output[0] if isinstance(output, tuple) else output


def chosen(mask: Tensor, these: Images, others: Images) -> Images:
    """For each image, the one of ``these`` where the mask says so, else the one of ``others``."""
    return torch.where(mask.view(-1, *[1] * (these.dim() - 1)), these, others)


def _per_channel(values: Sequence[float], x: Tensor) -> Tensor:
    count = x.shape[1] if x.dim() == 4 else 1
    if len(values) not in (1, count):
        raise ArchgradError(f"attack: {len(values)} means or deviations for images of {count} channels")
    return placed(torch.tensor(values, dtype=x.dtype), x.device).view(-1, *[1] * max(0, x.dim() - 2))
