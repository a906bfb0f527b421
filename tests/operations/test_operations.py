"""What each candidate operation computes, stated in other words."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archgrad.errors import ArchgradError
from archgrad.operations import OPERATIONS, DropPath, FactorizedReduce, Pool, Spec, Zero, build
from archgrad.operations.convolution import strided


def maps(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_skip_is_the_identity_at_stride_1() -> None:
    x = maps(2, 4, 5, 5)
    assert build("skip_connect", Spec(4))(x) is x


def test_none_is_zero_of_the_strided_shape() -> None:
    x = maps(2, 4, 5, 7)
    assert torch.equal(Zero(2)(x), torch.zeros(2, 4, 3, 4, dtype=torch.float64))
    assert Zero(1)(x).shape == x.shape


def test_the_average_counts_real_pixels_only() -> None:
    ones = torch.ones(1, 2, 5, 5)
    assert torch.equal(Pool("avg", 2, 1)(ones), ones)
    x = maps(1, 1, 4, 4)
    torch.testing.assert_close(Pool("avg", 1, 1)(x)[0, 0, 0, 0], x[0, 0, :2, :2].mean())


def test_maximum_pooling_ignores_the_border() -> None:
    x = -1 - maps(1, 1, 4, 4).abs()
    pooled = Pool("max", 1, 2)(x)
    assert pooled[0, 0, 0, 0] == x[0, 0, :2, :2].max()
    assert pooled[0, 0, 1, 1] == x[0, 0, 1:, 1:].max()


def test_pools_of_the_supernet_are_normalised_without_parameters() -> None:
    pool = build("avg_pool_3x3", Spec(3, pool_norm=True))
    out = pool(10 + 5 * maps(8, 3, 6, 6).float())
    torch.testing.assert_close(out.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.var((0, 2, 3), correction=0), torch.ones(3), atol=1e-3, rtol=0)
    assert not list(pool.parameters())


@pytest.mark.parametrize("size", [6, 7])
def test_factorized_reduce_reads_two_of_four_pixels(size: int) -> None:
    reduce = FactorizedReduce(4, 6).double().eval()
    x = maps(2, 4, size, size)
    wide = F.pad(F.relu(x), (0, size % 2, 0, size % 2))
    even = torch.einsum("oi,nihw->nohw", reduce.even.weight[..., 0, 0], wide[..., ::2, ::2])
    odd = torch.einsum("oi,nihw->nohw", reduce.odd.weight[..., 0, 0], wide[..., 1::2, 1::2])
    torch.testing.assert_close(reduce(x), torch.cat([even, odd], 1) / (1 + reduce.norm.eps) ** 0.5)


def test_factorized_reduce_splits_an_odd_number_of_channels() -> None:
    assert FactorizedReduce(4, 5)(torch.randn(2, 4, 8, 8)).shape == (2, 5, 4, 4)


@pytest.mark.parametrize(("name", "reach"), [("sep_conv_3x3", 2), ("sep_conv_5x5", 4), ("sep_conv_7x7", 6),
                                             ("dil_conv_3x3", 2), ("dil_conv_5x5", 4), ("nor_conv_1x1", 0),
                                             ("nor_conv_3x3", 1), ("conv_7x1_1x7", 3)])  # fmt: skip
def test_receptive_field(name: str, reach: int) -> None:
    torch.manual_seed(0)
    operation = build(name, Spec(2)).double().eval()
    for weight in operation.parameters():
        weight.data.abs_()  # so that no ReLU hides a pixel
    x = maps(1, 2, 17, 17).abs().requires_grad_()
    (gradient,) = torch.autograd.grad(operation(x)[..., 8, 8].sum(), x)
    rows, columns = gradient.abs().sum((0, 1)).nonzero(as_tuple=True)
    assert (rows.min(), rows.max()) == (columns.min(), columns.max()) == (8 - reach, 8 + reach)


@pytest.mark.parametrize("name", [n for n in OPERATIONS if "conv" in n])
def test_affine_and_track_reach_the_normalisation(name: str) -> None:
    norms = [m for m in build(name, Spec(4, affine=False, track=False)).modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    assert all(n.weight is None and n.running_mean is None for n in norms)


def test_drop_path_keeps_the_mean_and_zeroes_whole_images() -> None:
    drop = DropPath()
    drop.rate = 0.3
    torch.manual_seed(0)
    out = drop(torch.ones(20_000, 2, 1, 1))
    assert out.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert torch.equal(out[:, 0], out[:, 1])
    assert out.mean().item() == pytest.approx(1, abs=0.02)


def test_drop_path_does_nothing_in_evaluation_or_at_rate_zero() -> None:
    x = maps(3, 2)
    drop = DropPath()
    assert drop(x) is x
    drop.rate = 0.9
    assert drop.eval()(x) is x


def test_a_misspelt_operation_names_the_close_one() -> None:
    with pytest.raises(ArchgradError, match=r"unknown operation 'sep_conv3x3': did you mean 'sep_conv_3x3'"):
        build("sep_conv3x3", Spec(4))


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_strided_pointwise_convolution_is_torchs(stride: int) -> None:
    torch.manual_seed(0)
    x, conv = torch.randn(2, 4, 7, 8, dtype=torch.float64, requires_grad=True), nn.Conv2d(4, 2, 1, stride, bias=False)
    conv.double()
    direction = torch.randn_like(conv(x))
    theirs = torch.autograd.grad((conv(x) * direction).sum(), [x, conv.weight])
    torch.testing.assert_close(strided(conv, x), conv(x))
    ours = torch.autograd.grad((strided(conv, x) * direction).sum(), [x, conv.weight])
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


def test_maps_of_few_channels_are_halved_without_harm_to_memory() -> None:
    """The strided convolution of torch itself ends this program on AVX2 processors."""
    program = """
import torch
from archgrad.operations import FactorizedReduce
torch.manual_seed(0)
module = FactorizedReduce(4, 4)
for _ in range(100):
    x = torch.randn(16, 4, 8, 8).contiguous(memory_format=torch.channels_last)
    module(x).sum().backward()
    kept = [torch.empty(size) for size in range(1, 300, 3)]
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
