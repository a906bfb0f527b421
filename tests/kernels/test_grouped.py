"""Grouped pointwise convolutions as products, against torch's."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from archgrad import ArchgradError
from archgrad.kernels import grouped_pointwise


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("groups", "width", "out"), [(3, 4, 5), (1, 6, 2), (5, 1, 1)])
def test_equals_the_convolution(groups: int, width: int, out: int, layout: torch.memory_format) -> None:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(2, groups * width, 3, 5, generator=g, dtype=torch.float64).contiguous(memory_format=layout)
    weight = torch.randn(groups * out, width, 1, 1, generator=g, dtype=torch.float64, requires_grad=True)
    x.requires_grad_()
    found, expected = grouped_pointwise(x, weight, groups), F.conv2d(x, weight, groups=groups)
    torch.testing.assert_close(found, expected)
    assert found.is_contiguous(memory_format=layout)
    direction = torch.randn(expected.shape, generator=g, dtype=torch.float64)
    for mine, theirs in zip(*(torch.autograd.grad(y, (x, weight), direction) for y in (found, expected)), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_another_weight_is_refused() -> None:
    with pytest.raises(ArchgradError, match=r"need a weight \[out, 3, 1, 1\], got \[6, 2, 1, 1\]"):
        grouped_pointwise(torch.zeros(1, 6, 2, 2), torch.zeros(6, 2, 1, 1), 2)
