"""The formulas of parameters and FLOPs against built modules and torch's own FLOP counter."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from archgrad.errors import ArchgradError
from archgrad.operations import OPERATIONS, Spec, build
from archgrad.operations.cost import Complexity, half, linear, operation, total


def counted(module: nn.Module, *shape: int) -> Complexity:
    """Trainable parameters, and multiply-accumulates as torch counts them (it says 2 FLOPs for each).

    On the meta device, where pooling is torch's own: on a CPU it is computed by a convolution.
    """
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        module.eval().to("meta")(torch.empty(shape, device="meta"))
    return Complexity(sum(p.numel() for p in module.parameters()), counter.get_total_flops() // 2)


@pytest.mark.parametrize("size", [8, 7, 1])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_costs_what_its_formula_says(name: str, stride: int, size: int) -> None:
    for channels in (6, 5):
        module = build(name, Spec(channels, stride))
        for shape in ((size, size), (size, 11)):
            assert operation(name, channels, stride, shape) == counted(module, 1, channels, *shape)


@pytest.mark.parametrize("size", [8, 7, 1])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_keeps_channels_and_shrinks_the_map_rounding_up(name: str, stride: int, size: int) -> None:
    for shape in ((size, size), (size, 11)):
        out = shape if stride == 1 else half(shape)
        assert build(name, Spec(6, stride))(torch.randn(2, 6, *shape)).shape == (2, 6, *out)


def test_a_linear_layer_counts_its_bias() -> None:
    assert linear(64, 10) == Complexity(650, 650)
    assert sum(p.numel() for p in nn.Linear(64, 10).parameters()) == 650


def test_total_is_the_sum() -> None:
    assert total(Complexity(1, 2), Complexity(3, 4)) == Complexity(1, 2).plus(Complexity(3, 4)) == Complexity(4, 6)
    assert total() == Complexity(0, 0)


def test_an_operation_without_formula_is_refused() -> None:
    with pytest.raises(ArchgradError, match=r"operation without a cost formula 'conv_9x9'"):
        operation("conv_9x9", 4, 1, (8, 8))
