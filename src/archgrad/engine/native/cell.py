"""A cell, or a part of one, as a single autograd function over the kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from archgrad.engine.native.library import library
from archgrad.engine.native.memory import memory
from archgrad.engine.native.plan import Memory, Plan
from archgrad.engine.native.tables import D_WEIGHTS, FIELDS, IMAGES, THREADS, WEIGHTS, Places
from archgrad.errors import ArchgradError
from archgrad.kernels.mixed_sum import require_once, uses_batch

_VIEW = FIELDS["view"]
NORM = np.array([_VIEW.index(n) for n in ("norm", "track", "gamma", "beta", "running_mean", "running_var", "batches")])
NUMBERS = np.array([_VIEW.index(name) for name in ("eps", "momentum")])
D_NORM = np.array([_VIEW.index(name) for name in ("d_gamma", "d_beta")])
NONE, BATCH, RUNNING = 0, 1, 2


class Parts(NamedTuple):
    """How the tensors that the function gets are divided up: so many of each kind, in this order."""

    given: int
    external: int
    weights: int

    def of(self, tensors: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any], Sequence[Any], Sequence[Any]]:
        """Given states, maps from outside, weights of convolutions, parameters of BNs."""
        a, b = self.given, self.given + self.external
        return tensors[:a], tensors[a:b], tensors[b : b + self.weights], tensors[b + self.weights :]


def compute(
    plan: Plan,
    mixture: Tensor | None,
    given: Sequence[Tensor],
    external: Sequence[Tensor],
    weights: Sequence[Tensor],
    norms: Sequence[nn.BatchNorm2d],
    factors: Tensor | None,
    again: bool = False,
) -> tuple[Tensor, ...]:
    """The targets of a plan; running statistics move as in torch. All maps are channels_last and float32.

    ``factors``: one row per flow with a factor per image. ``again``: what convolutions and pools return is not kept but
    computed once more in backward.
    """
    parameters = [p for norm in norms if norm.affine for p in (norm.weight, norm.bias)]
    if plan.values < 2 and any(uses_batch(norm) for norm in norms):
        raise ArchgradError("batch statistics need more than one value per channel; use a larger batch")
    parts = Parts(len(given), len(external), len(weights))
    tensors = *given, *external, *weights, *parameters
    states: tuple[Tensor, ...] = _Function.apply(plan, parts, norms, again, factors, mixture, *tensors)
    return states


class _Function(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        plan: Plan,
        parts: Parts,
        norms: Sequence[nn.BatchNorm2d],
        again: bool,
        factors: Tensor | None,
        mixture: Tensor | None,
        *tensors: Tensor,
    ) -> tuple[Tensor, ...]:
        given, external, weights, _ = parts.of(tensors)
        images = len(given[0])
        states = [_empty(images, size) for size in plan.sizes]
        vectors, computed = memory(plan.vectors.floats), memory(plan.computed.floats)
        table = _filled(plan, images, factors, mixture, given, weights, states)
        _point(table, plan.vectors, vectors)
        _point(table, plan.computed, computed)
        table[plan.external] = _addresses(external)
        moved = _fill_norms(table, plan.norms, norms)
        library().archgrad_forward(table.ctypes.data)
        if moved:
            torch.autograd.graph.increment_version(moved)
        ctx.plan, ctx.parts, ctx.modes = plan, parts, [(_mode(norm), norm.affine) for norm in norms]
        ctx.norm_fields = table[plan.norms[:, None] + NORM[:2]], table[plan.norms[:, None] + NUMBERS]
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(factors, mixture, vectors, None if again else computed, *given, *weights, *states)
        return tuple(states)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        require_once()
        plan, parts = ctx.plan, ctx.parts
        factors, mixture, vectors, computed, *tensors = ctx.saved_tensors
        given, weights = tensors[: parts.given], tensors[parts.given : parts.given + parts.weights]
        states = tensors[parts.given + parts.weights :]
        images = len(given[0])
        table = _filled(plan, images, factors, mixture, given, weights, states)
        table[plan.norms[:, None] + NORM[:2]], table[plan.norms[:, None] + NUMBERS] = ctx.norm_fields
        _point(table, plan.vectors, vectors)
        again = computed is None
        computed = memory(plan.computed.floats) if again else computed
        _point(table, plan.computed, computed)
        if again:
            library().archgrad_forward_again(table.ctypes.data)
        needs = parts.of(ctx.needs_input_grad[6:])
        d_mixture = torch.zeros_like(mixture) if ctx.needs_input_grad[5] else None
        table[D_WEIGHTS] = 0 if d_mixture is None else d_mixture.data_ptr()
        d_given = [torch.empty_like(x) if needed else None for x, needed in zip(given, needs[0], strict=True)]
        table[plan.given[1]] = _addresses(d_given)
        d_states = [_empty(images, size) for size in plan.sizes]
        table[plan.targets[1]] = _addresses(d_states)
        arriving = [None if g is None else g.contiguous(memory_format=torch.channels_last) for g in grads]
        table[plan.targets[2]] = _addresses(arriving)
        d_weights = [torch.empty_like(w) if needed else None for w, needed in zip(weights, needs[2], strict=True)]
        table[plan.slot_gradients] = _addresses(d_weights)
        d_parameters = _norm_gradients(table, plan, ctx.modes, needs[3])
        hidden = memory(plan.hidden.floats)
        trained = any(needs[2]) or any(needs[3])
        asked = np.array([*needs[0], True]) | trained  # the last one: of what starts at a target
        table[plan.hidden.places] = np.where(asked[plan.hidden_origins], hidden.data_ptr() + plan.hidden.offsets, 0)
        library().archgrad_backward(table.ctypes.data)
        d_external = [d_states[number] if needed else None for number, needed in zip(plan.added, needs[1], strict=True)]
        return (None, None, None, None, None, d_mixture, *d_given, *d_external, *d_weights, *d_parameters)


def _filled(
    plan: Plan,
    images: int,
    factors: Tensor | None,
    mixture: Tensor | None,
    given: Sequence[Tensor],
    weights: Sequence[Tensor],
    states: Sequence[Tensor],
) -> Places:
    """The tables with all that both passes need."""
    table = plan.template.copy()
    table[IMAGES], table[THREADS] = images, torch.get_num_threads()
    table[WEIGHTS] = 0 if mixture is None else mixture.data_ptr()
    if factors is not None:
        table[plan.factors] = factors.data_ptr() + 4 * images * np.arange(len(factors))
    table[plan.given[0]] = _addresses(given)
    table[plan.targets[0]] = _addresses(states)
    table[plan.slot_places] = _addresses(weights)
    for number in plan.spatial:
        slot, weight = plan.slots[number], weights[number]
        if not weight.is_contiguous():  # channels_last
            table[slot.steps], table[slot.steps + 1] = 1, slot.channels_in
    return table


def _point(table: Places, what: Memory, there: Tensor) -> None:
    """Write the addresses in a piece of memory."""
    table[what.places] = there.data_ptr() + what.offsets


def _fill_norms(table: Places, rows: Places, norms: Sequence[nn.BatchNorm2d]) -> list[Tensor]:
    """Write what views need of their BNs; returned are the tensors that the pass will change."""
    fields: list[list[int]] = []
    numbers: list[tuple[float, float]] = []
    moved: list[Tensor] = []
    for norm in norms:
        buffers = norm._buffers
        mean, variance, batches = buffers["running_mean"], buffers["running_var"], buffers["num_batches_tracked"]
        track = norm.training and mean is not None
        if track:
            moved += [t for t in (mean, variance, batches) if t is not None]
        mode = BATCH if track or mean is None else RUNNING
        fields.append([mode, int(track), *_addresses([norm.weight, norm.bias, mean, variance, batches])])
        numbers.append((norm.eps, -1.0 if norm.momentum is None else norm.momentum))
    if fields:
        table[rows[:, None] + NORM] = fields
        table.view(np.float64)[rows[:, None] + NUMBERS] = numbers
    return moved


def _norm_gradients(
    table: Places, plan: Plan, modes: Sequence[tuple[int, bool]], needs: Sequence[bool]
) -> list[Tensor | None]:
    """Room for the gradients of the parameters of BNs."""
    found: list[Tensor | None] = []
    for row, (_, affine), channels in zip(plan.norms, modes, plan.norm_channels, strict=True):
        if affine:
            mine = [torch.empty(channels) if needed else None for needed in needs[len(found) : len(found) + 2]]
            table[row + D_NORM] = _addresses(mine)
            found += mine
    return found


def _addresses(tensors: Sequence[Tensor | None]) -> list[int]:
    return [0 if t is None else t.data_ptr() for t in tensors]


def _empty(images: int, size: tuple[int, int, int]) -> Tensor:
    return torch.empty((images, *size), memory_format=torch.channels_last)


def _mode(norm: nn.BatchNorm2d) -> int:
    return BATCH if uses_batch(norm) else RUNNING
