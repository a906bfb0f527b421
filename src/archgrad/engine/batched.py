"""The executor of few kernels: candidates that do the same with other parameters become one grouped operator.

Plain autograd operators only, so that second derivatives, autocast, ``torch.compile`` and CUDA graphs work.
A *block* is the maps of several candidates side by side, ``[images, candidates·channels, height, width]``.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from archgrad.engine.graph import Flow, Graph
from archgrad.errors import ArchgradError
from archgrad.kernels import BatchStatistics, grouped_pointwise, update_running_statistics
from archgrad.kernels.mixed_sum import uses_batch
from archgrad.operations.declaration import Hidden, Shared, Step, declaration, is_convolution

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
Map = tuple[tuple[Step, ...], float | None]
RELU = Shared(F.relu)


class Branch(NamedTuple):
    """A candidate between two states: its place in the mixture, the steps it shares, its own steps, its tail."""

    source: int
    target: int
    place: int
    shared: tuple[Step, ...]
    own: tuple[Step, ...]
    weight: Tensor | None
    norm: nn.BatchNorm2d | None

    @property
    def direct(self) -> bool:
        """Whether only the mixture weight is its own, so that one map serves all such branches of a state."""
        alone = self.norm is None or (not self.norm.affine and uses_batch(self.norm))
        return len(self.own) == 0 and self.weight is None and alone

    @property
    def map(self) -> Map:
        """What direct branches of a state have in common whose maps are the same."""
        return self.shared, None if self.norm is None else self.norm.eps

    @property
    def tail(self) -> Hashable:
        """What tails have in common that are computed at once."""
        return None if self.weight is None else self.weight.shape, _kind(self.norm)

    @property
    def kernels(self) -> list[tuple[Hashable, Tensor]]:
        """The weights of its convolutions, each with what makes it stackable with others."""
        found: list[tuple[Hashable, Tensor]] = []
        for level, step in enumerate(self.own):
            conv = step.conv if isinstance(step, Hidden) else step
            if is_convolution(conv):
                found.append(((level, _signature(step)), conv.weight))
        if self.weight is not None:
            found.append((self.tail, self.weight[:, :, None, None]))
        return found


class Bundle(NamedTuple):
    """Branches of one node that do the same, and their block before the next step."""

    branches: list[Branch]
    block: Tensor


class Seen(NamedTuple):
    """The batch statistics of a block: for each of its maps the BNs that share them."""

    norms: Sequence[Sequence[nn.BatchNorm2d]]
    mean: Tensor
    deviation: Tensor
    values: int


def batched(graph: Graph, inputs: Sequence[Tensor]) -> dict[int, Tensor]:
    """state_j = Σ_k w_k · BN_k(W_k z_k), all k of the same shapes at once."""
    work = _Pass(graph, inputs[0])
    states = {number: x.contiguous(memory_format=work.layout) for number, x in enumerate(inputs)}
    for state in sorted({*states, *graph.group.incoming}):
        if state in graph.group.incoming:
            total = work.node(state)
            states[state] = graph.completed(state, graph.empty(states, state) if total is None else total, states)
        work.leave(state, graph.taken(states[state]))
    work.track()
    return states


class _Pass:
    """One forward pass of a cell."""

    def __init__(self, graph: Graph, like: Tensor):
        self.layout = layout_of(like)
        branches = [_branch(graph, flow) for flow in graph.flows]
        self.maps: dict[Hashable, Tensor] = {}
        self.arrived: dict[int, list[Tensor]] = {}
        self.seen: list[Seen] = []
        self.leaving = _grouped([b for b in branches if b.direct], lambda b: b.source)
        self.ending = _grouped([b for b in branches if not b.direct], lambda b: b.target)
        self.weights = graph.picked([b.place for b in branches])
        self.kernels = self._stacked()

    def _stacked(self) -> dict[Hashable, Tensor]:
        """(target, what the convolutions have in common) → their weights, from one stack for the whole cell."""
        stacks: dict[Hashable, dict[Hashable, list[Tensor]]] = {}
        for target, branches in self.ending.items():
            for alike in _grouped(branches, _alike).values():
                for b in alike:
                    for key, weight in b.kernels:
                        stacks.setdefault(key, {}).setdefault(target, []).append(weight)
        found: dict[Hashable, Tensor] = {}
        for key, nodes in stacks.items():
            stack = torch.cat([weight for weights in nodes.values() for weight in weights])
            stack = stack.contiguous(memory_format=self.layout)
            sizes = [len(weights) * len(weights[0]) for weights in nodes.values()]
            found |= {(target, key): part for target, part in zip(nodes, torch.split(stack, sizes), strict=True)}
        return found

    def map(self, state: int, shared: tuple[Step, ...]) -> Tensor:
        """A state after steps that branches share."""
        if (state, shared) not in self.maps:
            self.maps[state, shared] = _apply(shared[-1], self.map(state, shared[:-1]))
        return self.maps[state, shared]

    # Branches with nothing of their own: source by source, for all targets at once

    def leave(self, state: int, x: Tensor) -> None:
        """Compute what direct branches read from a finished state, and send every target its share of it."""
        self.maps[state, ()] = x
        direct = self.leaving.get(state, [])
        found: dict[Map, Tensor] = {b.map: self.map(state, b.shared) for b in direct}
        normed = _grouped([b for b in direct if b.norm is not None], lambda b: b.map)
        for keys in _grouped(normed, lambda key: (self.map(state, key[0]).shape, key[1])).values():
            norms = [[b.norm for b in normed[key] if b.norm is not None] for key in keys]
            block = self._normalise(_joined([found[key] for key in keys]), norms)
            found |= dict(zip(keys, block.chunk(len(keys), 1), strict=True))
        for branches in _grouped(direct, lambda b: found[b.map].shape).values():
            self._send(branches, {b.map: found[b.map] for b in branches})

    def _send(self, branches: list[Branch], maps: dict[Map, Tensor]) -> None:
        """To every target t Σ_m w_tm · map_m, as one matrix product."""
        x, mixture = next(iter(maps.values())), _grouped(branches, lambda b: (b.target, b.map))
        targets = list(dict.fromkeys(b.target for b in branches))
        zero = torch.zeros_like(self.weights[branches[0].place]) if len(mixture) < len(targets) * len(maps) else None
        entries = []
        for target in targets:
            for key in maps:
                alike = [self.weights[b.place] for b in mixture.get((target, key), [])]
                entries.append(_sum(alike) if alike else zero)
        matrix = torch.stack([entry for entry in entries if entry is not None]).view(len(targets), -1)
        rows = torch.stack([_in_memory(each, self.layout).flatten() for each in maps.values()])
        product = (matrix.to(rows.dtype) @ rows).view(-1, *_in_memory(x, self.layout).shape)
        for target, part in zip(targets, product.unbind(), strict=True):
            whole = part.permute(0, 3, 1, 2) if self.layout == torch.channels_last else part
            self.arrived.setdefault(target, []).append(whole)

    # All others: target by target, step by step

    def node(self, target: int) -> Tensor | None:
        """Everything that flows into a state; None for nothing."""
        total = self.arrived.pop(target, [])
        bundles = self._bundles(self.ending.get(target, []))
        for level in range(max((len(bundle.branches[0].own) for bundle in bundles), default=0)):
            going = [number for number, bundle in enumerate(bundles) if level < len(bundle.branches[0].own)]
            for numbers in _grouped(going, partial(_next, bundles, level)).values():
                block = self._step(level, [bundles[n] for n in numbers])
                counts = [len(bundles[n].branches) for n in numbers]
                blocks = torch.split(block, [block.shape[1] // sum(counts) * count for count in counts], 1)
                for n, part in zip(numbers, blocks, strict=True):
                    bundles[n] = Bundle(bundles[n].branches, part)
        total += [self._tail(alike) for alike in _grouped(bundles, lambda bundle: bundle.branches[0].tail).values()]
        return _sum(total) if total else None

    def _bundles(self, branches: list[Branch]) -> list[Bundle]:
        """Branches that do the same on maps of one size, and what they read side by side."""
        blocks: dict[Hashable, Tensor] = {}
        bundles = []
        for alike in _grouped(branches, lambda b: (_alike(b), self.map(b.source, b.shared).shape)).values():
            key = alike[0].shared, tuple(b.source for b in alike)
            if key not in blocks:
                blocks[key] = _joined([self.map(b.source, b.shared) for b in alike])
            bundles.append(Bundle(alike, blocks[key]))
        return bundles

    def _step(self, level: int, bundles: list[Bundle]) -> Tensor:
        """The blocks of all bundles, side by side, after their next step."""
        branches = [b for bundle in bundles for b in bundle.branches]
        steps = [b.own[level] for b in branches]
        block, first = _joined([bundle.block for bundle in bundles]), steps[0]
        if is_convolution(first):
            return self._convolve(block, branches, (level, _signature(first)), first)
        if isinstance(first, Hidden):
            block = self._convolve(block, branches, (level, _signature(first)), first.conv)
            return F.relu(self._normalise(block, [[step.norm] for step in steps if isinstance(step, Hidden)]))
        if first == RELU:
            return F.relu(block)
        maps = block.chunk(len(steps), 1)
        return _joined([_apply(step, x) for step, x in zip(steps, maps, strict=True)])

    def _convolve(self, block: Tensor, branches: list[Branch], key: Hashable, like: nn.Conv2d | None) -> Tensor:
        weight = self.kernels[branches[0].target, key]
        mine = [dict(b.kernels)[key] for b in branches]
        if len(weight) != sum(map(len, mine)):  # maps of several sizes meet here
            weight = torch.cat(mine)
        if like is None:
            return _pointwise(block, weight, len(branches))
        groups = len(branches) * like.groups
        return F.conv2d(block, weight, None, like.stride, like.padding, like.dilation, groups)

    def _tail(self, bundles: list[Bundle]) -> Tensor:
        """Σ_k w_k · norm_k(W_k z_k)."""
        branches = [b for bundle in bundles for b in bundle.branches]
        block = _joined([bundle.block for bundle in bundles])
        if branches[0].weight is not None:
            block = self._convolve(block, branches, branches[0].tail, None)
        mixture = torch.stack([self.weights[b.place] for b in branches])
        norms = [[b.norm] for b in branches if b.norm is not None]
        if norms:
            block = self._normalise(block, norms, mixture)
        stacked = block.reshape(block.shape[0], len(branches), -1, *block.shape[2:])
        if not norms:
            stacked = stacked * mixture.to(block.dtype)[:, None, None, None]
        return stacked.sum(1) if len(branches) > 1 else stacked.squeeze(1)

    # Normalisation

    def _normalise(
        self, block: Tensor, norms: Sequence[Sequence[nn.BatchNorm2d]], mixture: Tensor | None = None
    ) -> Tensor:
        """w·BN of every map of a block; the BNs of one map agree."""
        leaders = [alike[0] for alike in norms]
        first = leaders[0]
        weight = bias = None
        if first.affine:
            weight = _joined([norm.weight for norm in leaders], 0)
            bias = _joined([norm.bias for norm in leaders], 0)
        if mixture is not None:
            # materialised: BN returns wrong gradients for an expanded weight, which flattening one row would leave
            wide = mixture.repeat_interleave(first.num_features)
            wide = wide.to(torch.float64 if block.dtype == torch.float64 else torch.float32)
            weight = wide if weight is None else weight * wide
            bias = None if bias is None else bias * wide
        if not uses_batch(first):
            mean = _joined([norm.running_mean for norm in leaders if norm.running_mean is not None], 0)
            variance = _joined([norm.running_var for norm in leaders if norm.running_var is not None], 0)
            return F.batch_norm(block, mean, variance, weight, bias, False, 0.0, first.eps)
        values = block.numel() // block.shape[1]
        if values < 2:
            raise ArchgradError("batch statistics need more than one value per channel; use a larger batch")
        result, mean, deviation = torch.native_batch_norm(block, weight, bias, None, None, True, 0.0, first.eps)
        self.seen.append(Seen(norms, mean.detach(), deviation.detach(), values))
        return result

    def track(self) -> None:
        """Move the running statistics as every BN alone would have."""
        statistics: list[BatchStatistics] = []
        tracking = [s for s in self.seen if any(_tracks(norm) for alike in s.norms for norm in alike)]
        for seen in _grouped(tracking, lambda s: s.norms[0][0].eps).values():
            variances = _joined([s.deviation for s in seen], 0).pow(-2) - seen[0].norms[0][0].eps
            for s, variance in zip(seen, torch.split(variances, [len(s.deviation) for s in seen]), strict=True):
                parts = zip(s.norms, s.mean.chunk(len(s.norms)), variance.chunk(len(s.norms)), strict=True)
                statistics += [BatchStatistics(norm, m, v, s.values) for norms, m, v in parts for norm in norms]
        update_running_statistics(statistics)


def _branch(graph: Graph, flow: Flow) -> Branch:
    edge, declared = graph.group.edges[flow.edge], declaration(flow.operation)
    steps = declared.prefix
    count = next((n for n, step in enumerate(steps) if not isinstance(step, Shared)), len(steps))
    return Branch(edge.source, edge.target, flow.place, steps[:count], steps[count:], declared.weight, declared.norm)


def _apply(step: Step, x: Tensor) -> Tensor:
    """The step of one branch alone; spelt out, since ``torch.compile`` cannot call a named tuple."""
    result: Tensor = step.function(x, *step.arguments) if isinstance(step, Shared) else step(x)
    return result


def _alike(b: Branch) -> Hashable:
    """What branches have in common that do the same."""
    return b.shared, tuple([_signature(step) for step in b.own]), b.tail


def _next(bundles: Sequence[Bundle], level: int, number: int) -> Hashable:
    """What bundles have in common whose next steps are computed at once."""
    return _signature(bundles[number].branches[0].own[level]), bundles[number].block.shape[2:]


def _signature(step: Step) -> Hashable:
    """What steps have in common that are computed at once."""
    if is_convolution(step):
        return step.weight.shape, step.stride, step.padding, step.dilation, step.groups
    if isinstance(step, Hidden):
        return step.conv.weight.shape, _kind(step.norm)
    return "relu" if step == RELU else id(step)


def _kind(norm: nn.BatchNorm2d | None) -> Hashable:
    return None if norm is None else (norm.eps, norm.affine, uses_batch(norm))


def _tracks(norm: nn.BatchNorm2d) -> bool:
    return norm.training and norm.running_mean is not None


def _sum(tensors: Sequence[Tensor]) -> Tensor:
    return sum(tensors[1:], tensors[0])


def _joined(tensors: Sequence[Tensor], axis: int = 1) -> Tensor:
    return tensors[0] if len(tensors) == 1 else torch.cat(list(tensors), axis)


def _grouped(items: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    groups: dict[K, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def layout_of(x: Tensor) -> torch.memory_format:
    """In which order the numbers of a map lie; all maps of a cell keep that of its first input."""
    last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return torch.channels_last if last else torch.contiguous_format


def _in_memory(x: Tensor, layout: torch.memory_format) -> Tensor:
    return x.permute(0, 2, 3, 1) if layout == torch.channels_last else x


def _pointwise(block: Tensor, weight: Tensor, groups: int) -> Tensor:
    if groups > 1 and block.device.type == "cuda":
        return grouped_pointwise(block, weight, groups)
    return F.conv2d(block, weight, groups=groups)
