"""What an operation is to the kernels: a pool or a chain of convolutions, each behind BN and ReLU."""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch.nn.functional as F
from torch import Tensor, nn

from archgrad.operations.convolution import Chain
from archgrad.operations.declaration import (
    Hidden,
    Shared,
    Step,
    declaration,
    is_batch_norm,
    is_convolution,
    is_depthwise,
    is_pointwise,
)
from archgrad.operations.drop_path import DropPath
from archgrad.operations.identity import FactorizedReduce, halves
from archgrad.operations.pooling import Pool, average_pool, max_pool

POOLS = {max_pool: "max", average_pool: "avg"}
TAPS, STRIDES = 256, 16
"""The kernels' limits: pixels of a filter, and the product of both strides."""


class Geometry(NamedTuple):
    """Where a convolution reads; ``diagonal``: only with the taps on the diagonal of its kernel."""

    rows: int
    columns: int
    row_dilation: int
    column_dilation: int
    top: int
    left: int
    row_stride: int
    column_stride: int
    diagonal: bool = False

    def shrunk(self, height: int, width: int) -> tuple[int, int]:
        """The size of the result; for the diagonal one, whose last taps may lie beyond the edge, rounded up."""
        if self.diagonal:
            return -(-height // self.row_stride), -(-width // self.column_stride)
        rows = height + 2 * self.top - self.row_dilation * (self.rows - 1) - 1
        columns = width + 2 * self.left - self.column_dilation * (self.columns - 1) - 1
        return rows // self.row_stride + 1, columns // self.column_stride + 1


POINTWISE = Geometry(1, 1, 1, 1, 0, 0, 1, 1)
HALVES = Geometry(2, 2, 1, 1, 0, 0, 2, 2, True)


class Block(NamedTuple):
    """Convolutions one behind the other: of each channel, then of all; either may be missing.

    They read relu(BN(map)), or less: ``norm`` and ``relu`` say which of both there are.
    """

    norm: bool
    relu: bool
    depthwise: Geometry | None
    dense: Geometry | None
    channels_in: int
    channels_out: int


class Shape(NamedTuple):
    """All that decides how an operation is computed, but for the parameters; the end is a view like a block's.

    ``drop``: a `DropPath` follows.
    """

    pool: tuple[str, int] | None
    blocks: tuple[Block, ...]
    norm: bool
    relu: bool
    drop: bool = False


class Kind(NamedTuple):
    """What decides how fast an operation is; ``spatial``: the channels of its widest convolution of several pixels.

    Depthwise convolutions are not among those, nor factorised reductions, which read one pixel for each they write.
    """

    pool: bool
    convolves: bool
    depthwise: bool
    spatial: int

    @classmethod
    def of(cls, shape: Shape) -> Kind:
        dense = [(block.dense, block.channels_in) for block in shape.blocks if block.dense is not None]
        several = [width for where, width in dense if not where.diagonal and where.rows * where.columns > 1]
        depthwise = any(block.depthwise is not None for block in shape.blocks)
        return cls(shape.pool is not None, bool(shape.blocks), depthwise, max(several, default=0))


class Recipe(NamedTuple):
    """The shape, and the modules with its parameters in the order in which blocks use them.

    A weight that no module holds (None) is computed anew by ``declare`` in every pass.
    """

    shape: Shape
    kind: Kind
    convolutions: tuple[nn.Conv2d | None, ...]
    norms: tuple[nn.BatchNorm2d, ...]
    drop: DropPath | None = None

    def weights(self, operation: nn.Module) -> Iterator[Tensor]:
        """The weights of this pass."""
        for conv in self.convolutions:
            weight = declaration(operation).weight if conv is None else conv.weight
            assert weight is not None
            yield weight


class _Known:
    """A recipe, and how the operation looked when it was read; compared in every pass, and so without detours."""

    def __init__(self, operation: nn.Module, recipe: Recipe | None):
        self.recipe = recipe
        self.own = type(operation)
        parts = list(operation.modules())
        self.inside = parts[1:]  # the operation itself would be kept alive by what is known of it
        self.kinds = [type(part) for part in self.inside]
        self.hooks = [hooks for part in parts for hooks in _hooks(part)]
        self.children = [part._modules for part in parts if part._modules]
        self.found = [tuple(children.values()) for children in self.children]
        self.convs = [vars(part) for part in self.inside if type(part) is nn.Conv2d]
        self.geometries = list(map(_GEOMETRY, self.convs))

    def still_holds(self, operation: nn.Module) -> bool:
        return (
            type(operation) is self.own
            and not any(self.hooks)
            and list(map(type, self.inside)) == self.kinds
            and [tuple(children.values()) for children in self.children] == self.found
            and list(map(_GEOMETRY, self.convs)) == self.geometries
        )


_GEOMETRY = itemgetter("stride", "padding", "dilation", "groups", "padding_mode")
_STEADY = (Chain.declare, Pool.declare, FactorizedReduce.declare)
"""What declares the same as long as the modules inside are the same."""
_known: WeakKeyDictionary[nn.Module, _Known] = WeakKeyDictionary()


def recipe_of(operation: nn.Module) -> Recipe | None:
    """The recipe of an operation, read again where it may have changed; None if the kernels cannot compute it."""
    known = _known.get(operation)
    if known is not None and known.still_holds(operation):
        return known.recipe
    recipe = _Reader(operation).recipe()
    if _steady(operation):
        _known[operation] = _Known(operation, recipe)
    return recipe


def _steady(operation: nn.Module) -> bool:
    """Whether a recipe stays what it is as long as `_Known` sees no change."""
    composed = type(operation) in (nn.Sequential, nn.Identity) or getattr(type(operation), "declare", None) in _STEADY
    parts = list(operation.modules())
    return (
        composed
        and all(getattr(type(part), "declare", None) in (None, *_STEADY) for part in parts)
        and not any(any(_hooks(part)) for part in parts)
    )


def _hooks(module: nn.Module) -> tuple[dict[Any, Any], ...]:
    return module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks


class _UnknownError(Exception):
    """Something that the kernels cannot compute."""


class _Reader:
    """Reads what an operation declares, step by step."""

    def __init__(self, operation: nn.Module):
        self.operation = operation
        self.pool: tuple[str, int] | None = None
        self.blocks: list[Block] = []
        self.convolutions: list[nn.Conv2d | None] = []
        self.norms: list[nn.BatchNorm2d] = []
        self.norm = self.relu = False  # what the next convolution reads through
        self.depthwise: nn.Conv2d | None = None  # that waits for a pointwise one
        self.drop: DropPath | None = None

    def recipe(self) -> Recipe | None:
        try:
            declared = declaration(self.operation)
            steps, tail = declared.prefix, POINTWISE
            if declared.weight is not None and steps and steps[-1] == Shared(halves):
                steps, tail = steps[:-1], HALVES
            for step in steps:
                self._step(step)
            if declared.weight is not None:
                self._dense(self._holder(declared.weight), tail, *declared.weight.shape)
            self._flush()
            if declared.norm is not None:
                self._norm(declared.norm)
            if self.drop is not None and (declared.weight is not None or declared.norm is not None):
                raise _UnknownError
        except _UnknownError:
            return None
        shape = Shape(self.pool, tuple(self.blocks), self.norm, self.relu, self.drop is not None)
        return Recipe(shape, Kind.of(shape), tuple(self.convolutions), tuple(self.norms), self.drop)

    def _step(self, step: Step) -> None:
        if self.drop is not None:
            raise _UnknownError
        if type(step) is DropPath and not any(_hooks(step)):
            self._flush()
            self.drop = step
        elif isinstance(step, Shared) and step.function in POOLS and not (self.blocks or self.pool or self.relu):
            self.pool = POOLS[step.function], step.arguments[0]
        elif step == Shared(F.relu):
            self._flush()
            self.relu = True
        elif isinstance(step, Hidden):
            self._convolution(step.conv)
            self._norm(step.norm)
            self.relu = True
        elif is_batch_norm(step):
            self._flush()
            self._norm(step)
        elif is_convolution(step):
            self._convolution(step)
        else:
            raise _UnknownError

    def _norm(self, norm: nn.BatchNorm2d) -> None:
        if self.norm or self.relu or not (self.blocks or self.pool):
            raise _UnknownError
        self.norms.append(norm)
        self.norm = True

    def _convolution(self, conv: nn.Conv2d) -> None:
        if conv.groups == 1:  # also a depthwise one, of one channel
            self._dense(conv, geometry(conv), conv.out_channels, conv.in_channels)
        elif is_depthwise(conv):
            self._flush()
            self.depthwise = conv
        else:
            raise _UnknownError

    def _dense(self, conv: nn.Conv2d | None, where: Geometry, channels_out: int, channels_in: int) -> None:
        if where == POINTWISE and self.depthwise is not None:
            self._block(geometry(self.depthwise), where, self.depthwise.in_channels, channels_out)
            self.convolutions += [self.depthwise, conv]
            self.depthwise = None
            return
        self._flush()
        self._block(None, where, channels_in // 2 if where.diagonal else channels_in, channels_out)
        self.convolutions.append(conv)

    def _flush(self) -> None:
        """A depthwise convolution that nothing pointwise follows stands alone."""
        if (conv := self.depthwise) is not None:
            self.depthwise = None
            self._block(geometry(conv), None, conv.in_channels, conv.in_channels)
            self.convolutions.append(conv)

    def _block(self, depthwise: Geometry | None, dense: Geometry | None, channels_in: int, channels_out: int) -> None:
        found = [where for where in (depthwise, dense) if where is not None]
        if self.pool or any(where.rows * where.columns > TAPS for where in found):
            raise _UnknownError
        if any(where.row_stride * where.column_stride > STRIDES for where in found):
            raise _UnknownError
        self.blocks.append(Block(self.norm, self.relu, depthwise, dense, channels_in, channels_out))
        self.norm = self.relu = False

    def _holder(self, weight: Tensor) -> nn.Conv2d | None:
        """The convolution whose weight this is, looked at as a matrix."""
        for module in self.operation.modules():
            if is_pointwise(module) and module.weight.data_ptr() == weight.data_ptr():
                return module
        return None


def geometry(conv: nn.Conv2d) -> Geometry:
    """Where a convolution reads."""
    rows, columns = conv.kernel_size
    top, left = (int(padding) for padding in conv.padding)
    (down, right), (row_stride, column_stride) = conv.dilation, conv.stride
    return Geometry(rows, columns, down, right, top, left, row_stride, column_stride)
