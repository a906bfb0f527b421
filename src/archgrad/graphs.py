"""CUDA graphs of a step's passes: recorded once, and then launched as a whole, thousands of kernels in one call.

What is recorded is a pass of the supernet, forward and backward, from a batch and a mixture to loss and gradients.
Seeds, relaxations, clipping and the optimisers, which are few kernels, stay outside: what they work out on the host
changes from step to step, and would be the same for ever in a recording.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from archgrad.derivatives import derivatives
from archgrad.distributed import World
from archgrad.engine.candidates import cells_of
from archgrad.engine.executor import is_forced
from archgrad.errors import ArchgradError
from archgrad.mixture import Mixture
from archgrad.objective import Objective
from archgrad.supernet import Supernet


class Passed(NamedTuple):
    """What a pass leaves: the loss, the outputs of the network if they are one tensor, the gradients."""

    loss: Tensor
    outputs: Tensor | None
    gradients: list[Tensor]


Pass = Callable[[], Passed]
MOST = 4
"""Recordings that are kept; each holds the memory of its maps."""


class Recording(NamedTuple):
    """A pass on tensors of its own, which get the values of a step before it is launched."""

    launch: Pass
    reads: list[Tensor]


class Graphs:
    """Launches passes that it has recorded; one is recorded when it occurs for the second time in an epoch.

    Another active pattern is another pass. A method that samples a new one in every step gains nothing, and computes as
    without recordings. ``record`` turns a pass into one that launches what was recorded of it.
    """

    def __init__(self, world: World, record: Callable[[Pass], Pass] | None = None):
        if record is None and world.device.type != "cuda":
            raise ArchgradError(
                f"graphs: only a GPU of NVIDIA can record CUDA graphs, and the run is on {world.device}"
            )
        if world.size > 1:
            raise ArchgradError(f"graphs: passes of {world.size} processes wait for each other and cannot be recorded")
        self.record = _recorder() if record is None else record
        self.epoch = -1
        self.seen: set[Hashable] = set()
        self.recordings: dict[Hashable, Recording] = {}

    def require_recordable(self, supernet: Supernet) -> None:
        """Refuse what asks the host inside a pass: for random channels, or for the state of random numbers."""
        if any(cell.random_channels for cell in cells_of(supernet.network)):
            raise ArchgradError(
                "graphs: PartialChannels(random=True) draws channels in every pass: leave one of both out"
            )
        if any(cell.checkpoint for cell in cells_of(supernet.network)):
            raise ArchgradError("graphs: checkpoint_cells replays random numbers in every pass: leave one of both out")

    def __call__(
        self, objective: Objective, mixture: Mixture, tensors: Sequence[Tensor], inputs: Any, precise: bool
    ) -> list[Tensor] | None:
        """The gradients of a loss by the tensors; None where it has to be computed as ever."""
        x, y = objective.batch[0] if inputs is None else inputs, objective.batch[1]
        reads = [x, y, *mixture.tensors, *mixture.extras.values()]
        if is_forced() or not all(isinstance(t, Tensor) and t.grad_fn is None for t in reads):
            return None
        if objective.context.clock.epoch != self.epoch:  # modules may compute differently in another epoch
            self.epoch, self.seen, self.recordings = objective.context.clock.epoch, set(), {}
        key = _key(objective, mixture, tensors, reads, precise)
        if key not in self.seen:
            self.seen.add(key)
            return None
        if key not in self.recordings:
            if len(self.recordings) == MOST:
                del self.recordings[next(iter(self.recordings))]
            self.recordings[key] = self._recorded(objective, mixture, tensors, reads, precise)
        found = self.recordings[key]
        for mine, given in zip(found.reads, reads, strict=True):
            mine.detach().copy_(given)
        objective.seed()
        loss, outputs, gradients = found.launch()
        objective.note(loss.clone(), None if outputs is None else outputs.clone())
        return _copies(gradients)

    def _recorded(
        self, objective: Objective, mixture: Mixture, tensors: Sequence[Tensor], reads: Sequence[Tensor], precise: bool
    ) -> Recording:
        mine = [t.detach().clone().requires_grad_(t.requires_grad) for t in reads]
        x, y, *rest = mine
        names = [*mixture.weights, *mixture.edges, *mixture.extras]
        counts = len(mixture.weights), len(mixture.edges), len(mixture.extras)
        parts = [dict(some) for some in _divided(list(zip(names, rest, strict=True)), counts)]
        copy = replace(mixture, weights=parts[0], edges=parts[1], extras=parts[2])
        place = {id(theirs): ours for theirs, ours in zip(reads, mine, strict=True)}
        by = [place.get(id(tensor), tensor) for tensor in tensors]
        recorded, moves = replace(objective, batch=(x, y)), objective.moves_statistics

        def compute() -> Passed:
            loss, outputs = recorded.computed(copy, precise=precise, moves=moves)
            gradients = derivatives(loss, by)
            return Passed(loss.detach(), outputs.detach() if isinstance(outputs, Tensor) else None, gradients)

        return Recording(self.record(compute), mine)


def _key(
    objective: Objective, mixture: Mixture, tensors: Sequence[Tensor], reads: Sequence[Tensor], precise: bool
) -> Hashable:
    """All that makes another pass of it, but for the values it reads."""
    active = tuple((name, mask.shape, mask.numpy().tobytes()) for name, mask in sorted(mixture.active.items()))
    shapes = tuple((t.shape, t.dtype, t.requires_grad) for t in reads)
    places = {id(t): number for number, t in enumerate(reads)}
    by = tuple(places.get(id(tensor), id(tensor)) for tensor in tensors)
    supernet = objective.supernet
    return id(supernet), supernet.training, objective.moves_statistics, precise, mixture.constants, active, shapes, by


def _divided(items: list[Any], counts: Sequence[int]) -> list[list[Any]]:
    ends = [sum(counts[: number + 1]) for number in range(len(counts))]
    return [items[end - count : end] for end, count in zip(ends, counts, strict=True)]


def _copies(tensors: Sequence[Tensor]) -> list[Tensor]:
    """What the next launch does not overwrite, in few kernels."""
    with torch.no_grad():
        return list(torch._foreach_mul(list(tensors), 1.0)) if tensors else []


def _recorder() -> Callable[[Pass], Pass]:
    pool = torch.cuda.graph_pool_handle()  # one for all, since no two passes are in progress at once

    def record(compute: Pass) -> Pass:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool):
            found = compute()

        def launch() -> Passed:
            graph.replay()
            return found

        return launch

    return record
