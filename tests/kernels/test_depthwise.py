"""depthwise_conv and average_pool against torch's own, in values and in gradients of first and second order."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F

from archgrad.errors import ArchgradError
from archgrad.kernels import average_pool, depthwise_conv

GEOMETRIES = list(itertools.product(range(1, 8), (1, 2), (1, 2, 3)))


def maps(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    x = torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(sum(shape)))
    return x.contiguous(memory_format=torch.channels_last).requires_grad_()


def gradients(function, x, weight):
    y = function(x, weight)
    g = torch.cos(torch.arange(y.numel(), dtype=y.dtype)).view(y.shape)
    return y, *torch.autograd.grad(y, (x, weight), g)


@pytest.mark.parametrize(("kernel", "stride", "dilation"), GEOMETRIES)
@pytest.mark.parametrize("size", [(8, 8), (7, 5), (3, 4)])
def test_equals_torch(kernel: int, stride: int, dilation: int, size: tuple[int, int]) -> None:
    for padding in {0, 1, dilation * (kernel // 2), dilation * (kernel - 1) + 1}:
        if min(size) + 2 * padding < dilation * (kernel - 1) + 1:
            continue
        for images, dtype, tolerance in ((1, torch.float64, 1e-12), (3, torch.float32, 1e-4)):
            x, weight = maps(images, 4, *size, dtype=dtype), maps(4, 1, kernel, kernel, dtype=dtype)
            ours = gradients(lambda x, w, p=padding: depthwise_conv(x, w, stride, p, dilation), x, weight)
            theirs = gradients(lambda x, w, p=padding: F.conv2d(x, w, None, stride, p, dilation, 4), x, weight)
            for a, b in zip(ours, theirs, strict=True):
                torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("kernel", "stride", "dilation"), GEOMETRIES)
def test_gradcheck(kernel: int, stride: int, dilation: int) -> None:
    x, weight = maps(1, 2, 5, 3), maps(2, 1, kernel, kernel)
    padding = dilation * (kernel // 2)
    assert torch.autograd.gradcheck(
        lambda x, w: depthwise_conv(x, w, stride, padding, dilation), (x, weight), fast_mode=True
    )


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (1, 2), (2, 1), (2, 2)])
def test_double_backward(stride: int, dilation: int) -> None:
    x, weight = maps(1, 2, 5, 4), maps(2, 1, 3, 3)
    assert torch.autograd.gradgradcheck(lambda x, w: depthwise_conv(x, w, stride, dilation, dilation), (x, weight))
    frozen = weight.detach()
    assert torch.autograd.gradgradcheck(lambda x: depthwise_conv(x, frozen, stride, dilation, dilation) ** 2, (x,))


def test_input_is_kept_only_for_a_weight_gradient() -> None:
    x, weight = maps(2, 4, 8, 8), maps(4, 1, 3, 3)

    def kept(weight: torch.Tensor) -> int:
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):
            depthwise_conv(x, weight, padding=1)
        return sum(sizes)

    assert kept(weight.detach()) == weight.numel()
    assert kept(weight) == weight.numel() + x.numel()


def test_half_precision_and_nchw_fall_back() -> None:
    x, weight = torch.randn(2, 4, 6, 6), torch.randn(4, 1, 3, 3)
    torch.testing.assert_close(depthwise_conv(x, weight, padding=1), F.conv2d(x, weight, padding=1, groups=4))
    x, weight = x.bfloat16(), weight.bfloat16()
    assert torch.equal(depthwise_conv(x, weight, padding=1), F.conv2d(x, weight, padding=1, groups=4))


def test_wrong_weight_is_named() -> None:
    with pytest.raises(ArchgradError, match=r"4 channels need a weight \[4, 1, k, k\]"):
        depthwise_conv(torch.randn(1, 4, 5, 5), torch.randn(4, 4, 3, 3))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(8, 8), (5, 7), (1, 2), (1, 1)])
def test_average_pool_counts_real_pixels_only(stride: int, size: tuple[int, int]) -> None:
    x = maps(2, 3, *size)
    ours, theirs = average_pool(x, stride), F.avg_pool2d(x, 3, stride, 1, count_include_pad=False)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    g = torch.randn_like(theirs)
    a, b = (torch.autograd.grad(y, x, g)[0] for y in (ours, theirs))
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
