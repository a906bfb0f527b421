"""What one step of a search takes on this machine."""

from __future__ import annotations

import time
from typing import NamedTuple

import torch

from archgrad.context import Alphas, Context
from archgrad.distributed import World
from archgrad.engine.memory import PeakMemory
from archgrad.errors import require_whole
from archgrad.gradient import FirstOrder, Plain
from archgrad.mixture import Mixture
from archgrad.objective import Objective
from archgrad.operations.cost import extent
from archgrad.randomness import generator
from archgrad.relaxation import Softmax
from archgrad.spaces import Space


class StepCost(NamedTuple):
    """Wall time, and the most bytes that tensors took at once beyond the supernet itself."""

    seconds: float
    peak: int
    weights: int
    """Bytes of the supernet's parameters."""


def step_cost(
    space: Space,
    *,
    batch_size: int = 16,
    image_size: int | tuple[int, int] = 32,
    executor: str = "auto",
    device: str | torch.device | None = None,
) -> StepCost:
    """Measure a first-order step, alphas and then weights, of a space's supernet on random images."""
    require_whole("step_cost", 1, batch_size=batch_size)
    world = World.start(device)
    supernet = space.supernet(executor=executor)
    supernet = supernet.to(world.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    draw = generator(0, "step cost")
    x = torch.randn(batch_size, 3, *extent(image_size), generator=draw).to(world.device)
    y = torch.randint(10, (batch_size,), generator=draw).to(world.device)

    def mix(alphas: Alphas) -> Mixture:
        return Softmax()(alphas, supernet.sites)

    def step() -> None:
        alphas = dict(supernet.alphas.items())
        for gradient in (FirstOrder(), Plain()):
            objective = Objective(supernet, mix, (x, y), Context(supernet))
            gradient(objective, alphas, objective.context)

    with torch.random.fork_rng(), PeakMemory() as memory:  # also the first call of every kernel, which takes longer
        step()
    started = time.perf_counter()
    with torch.random.fork_rng():
        step()
        if world.device.type == "cuda":
            torch.cuda.synchronize(world.device)
    weights = sum(p.numel() * p.element_size() for p in supernet.parameters())
    return StepCost(time.perf_counter() - started, memory.peak, weights)
