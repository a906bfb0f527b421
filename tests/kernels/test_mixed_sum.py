"""mixed_sum and its parts against the literal composition of convolution, batch_norm and sum."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from archgrad.errors import ArchgradError
from archgrad.kernels import BatchStatistics, Term, mixed_sum, pointwise_bn_relu, shared_bn, update_running_statistics

CHANNELS = 6


def maps(*shape: int, seed: int = 0) -> Tensor:
    x = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return x.contiguous(memory_format=torch.channels_last) if len(shape) == 4 else x


def norm(affine: bool = False, training: bool = True, track: bool = True, momentum: float | None = 0.1):
    bn = nn.BatchNorm2d(CHANNELS, affine=affine, track_running_stats=track, momentum=momentum).double()
    for i, tensor in enumerate([*bn.parameters(), *(b for b in bn.buffers() if b.is_floating_point())]):
        tensor.data.copy_(torch.rand(CHANNELS, generator=torch.Generator().manual_seed(i)) + 0.5)
    return bn.train(training)


def literal(terms: list[Term], weights: Tensor | None) -> Tensor:
    total = torch.zeros(())
    for k, (z, weight, bn, _) in enumerate(terms):
        y = z if weight is None else F.conv2d(z, weight.flatten(1)[:, :, None, None])
        y = y if bn is None else bn(y)
        total = total + (y if weights is None else weights[k] * y)
    return total


def every_kind(size: tuple[int, int, int] = (4, 8, 4), training: bool = True) -> tuple[list[Term], list[Tensor]]:
    """Terms with and without W and BN, different C_in, a shared z, and all tensors that need gradients."""
    images, height, width = size
    z = [maps(images, c, height, width, seed=c).requires_grad_() for c in (CHANNELS, 3, CHANNELS + 1)]
    W = [maps(CHANNELS, x.shape[1], seed=9).requires_grad_() for x in z]
    norms = [norm(), norm(affine=True), norm(track=False), norm(affine=True, momentum=None)]
    terms = [
        Term(z[0]),
        Term(z[0], None, norms[0]),
        Term(z[0], W[0], norms[1], shared=True),
        Term(z[1], W[1][:, :, None, None], norms[2]),
        Term(z[2], W[2]),
        Term(z[0], None, norms[3]),
    ]
    for bn in norms:
        bn.train(training)
    return terms, [*z, *W, *(p for bn in norms for p in bn.parameters())]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("size", [(4, 8, 4), (1, 3, 5), (2, 1, 1)])
@pytest.mark.parametrize("order", [1, -1])
def test_equals_the_literal_composition(training: bool, size: tuple[int, int, int], order: int) -> None:
    terms, leaves = every_kind(size, training)
    terms = terms[::order]
    weights = maps(len(terms), seed=5).requires_grad_()
    leaves = [*leaves, weights]
    ours, statistics = mixed_sum(terms, weights)
    theirs = literal(terms, weights)
    g = maps(*ours.shape, seed=3)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    # (2, 1, 1) has two values per channel only: batch statistics amplify rounding, so compare relative to the largest
    for a, b in zip(torch.autograd.grad(ours, leaves, g), torch.autograd.grad(theirs, leaves, g), strict=True):
        assert (a - b).abs().max() <= 1e-10 * max(1.0, b.abs().max().item())
    assert len(statistics) == (4 if training else 1)  # the BN that does not track has nothing but the batch


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_gradcheck(relu: bool, training: bool, affine: bool) -> None:
    z, W, w = maps(3, 4, 4, 2), maps(CHANNELS, 4), maps(2)
    bn = norm(affine, training)

    def function(z: Tensor, W: Tensor, w: Tensor, *parameters: Tensor) -> Tensor:
        if relu:
            return pointwise_bn_relu(z, W, bn)[0]
        return mixed_sum([Term(z, W, bn), Term(z, W)], w)[0]

    inputs = [t.requires_grad_() for t in (z, W, w)]
    assert torch.autograd.gradcheck(function, (*inputs, *bn.parameters()))


@pytest.mark.parametrize("weight_gradient", [True, False])
@pytest.mark.parametrize("with_norm", [True, False])
def test_pointwise_bn_relu_equals_torch(weight_gradient: bool, with_norm: bool) -> None:
    z, W = maps(4, 5, 4, 4).requires_grad_(), maps(CHANNELS, 5).requires_grad_(weight_gradient)
    bn = norm(affine=True) if with_norm else None
    leaves = [z, *([W] if weight_gradient else []), *([] if bn is None else bn.parameters())]
    ours, _ = pointwise_bn_relu(z, W, bn)
    theirs = literal([Term(z, W, bn)], None).relu()
    g = maps(*ours.shape, seed=2)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    for a, b in zip(torch.autograd.grad(ours, leaves, g), torch.autograd.grad(theirs, leaves, g), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("wanted", range(3))
@pytest.mark.parametrize("shared", [True, False])
def test_any_single_gradient_is_the_same(wanted: int, shared: bool) -> None:
    values = [maps(4, 5, 4, 4), maps(CHANNELS, 5), maps(1)]
    leaves = [v.clone().requires_grad_(i == wanted) for i, v in enumerate(values)]
    z, W, w = leaves
    ours, theirs = mixed_sum([Term(z, W, norm(), shared)], w)[0], literal([Term(z, W, norm())], w)
    g = maps(*ours.shape, seed=2)
    a, b = (torch.autograd.grad(y, leaves[wanted], g)[0] for y in (ours, theirs))
    torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("mean", [1, 30, 100])
def test_large_mean_keeps_float32_precise(mean: float) -> None:
    """Where rounding of y itself costs more than 1e-4 (of z·W summed up), torch's own float32 must be worse."""
    z, W, g = maps(16, 16, 16, 16) + mean, maps(CHANNELS, 16).abs(), maps(16, CHANNELS, 16, 16, seed=4)

    def results(function, dtype: torch.dtype) -> list[Tensor]:
        leaves = [t.to(dtype).requires_grad_() for t in (z, W, torch.ones(1))]
        out = function([Term(leaves[0], leaves[1], norm().to(dtype))], leaves[2])
        return [out, *torch.autograd.grad(out, leaves, g.to(dtype))]

    exact = results(literal, torch.float64)
    ours = results(lambda terms, w: mixed_sum(terms, w)[0], torch.float32)
    for a, b, right in zip(ours, results(literal, torch.float32), exact, strict=True):
        error, torchs = ((x - right).abs().max() / right.abs().max() for x in (a, b))
        assert error <= max(1e-4, torchs / 2)


def kept(terms: list[Term], weights: Tensor) -> float:
    """How many maps the sum keeps for backward, shared storage counted once."""
    storages: dict[int, int] = {}

    def pack(t: Tensor) -> Tensor:
        storages[t.untyped_storage().data_ptr()] = t.numel()
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        out, _ = mixed_sum(terms, weights)
    return round(sum(storages.values()) / out.numel(), 1)


def test_one_map_per_term_is_kept() -> None:
    z = [maps(8, CHANNELS, 16, 16, seed=i).requires_grad_() for i in range(3)]
    W = [maps(CHANNELS, CHANNELS, seed=i) for i in range(3)]
    terms = [Term(x, w, norm()) for x, w in zip(z, W, strict=True)]
    alphas = maps(4).requires_grad_()
    assert kept([*terms, Term(z[0])], alphas) == 4  # three y and the identity's z
    assert kept([*(t._replace(shared=True) for t in terms), Term(z[0])], alphas) == 3  # three z
    for w in W:
        w.requires_grad_()
    assert kept([*terms, Term(z[0])], alphas.detach()) == 3  # three z
    assert kept([Term(z[0]), Term(z[1])], alphas.detach()[:2]) == 0  # the gradients are w·g


@pytest.mark.parametrize("momentum", [0.1, None])
def test_running_statistics_equal_those_of_batch_norm(momentum: float | None) -> None:
    ours, theirs = [norm(momentum=momentum) for _ in range(3)], [norm(momentum=momentum) for _ in range(3)]
    for step in range(3):
        statistics: list[BatchStatistics] = []
        for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            z = maps(3, CHANNELS, 4, 4, seed=10 * step + i) * (i + 1)
            statistics += mixed_sum([Term(z, None, a)])[1]
            b(z)
        update_running_statistics(statistics)
    for a, b in zip(ours, theirs, strict=True):
        for x, y in zip(a.buffers(), b.buffers(), strict=True):
            torch.testing.assert_close(x, y, rtol=1e-12, atol=1e-12)


def test_evaluation_mode_leaves_running_statistics_alone() -> None:
    bn = norm(training=False)
    before = [b.clone() for b in bn.buffers()]
    out, statistics = mixed_sum([Term(maps(2, CHANNELS, 4, 4), None, bn)])
    update_running_statistics(statistics)
    assert not statistics
    assert all(torch.equal(a, b) for a, b in zip(before, bn.buffers(), strict=True))
    torch.testing.assert_close(out, bn(maps(2, CHANNELS, 4, 4)))


def test_shared_bn_stands_for_each_of_its_norms() -> None:
    z = maps(3, CHANNELS, 4, 4).requires_grad_()
    norms, reference = [norm(), norm()], norm()
    ours, statistics = shared_bn(z, norms)
    theirs = reference(z)
    update_running_statistics(statistics)
    g = maps(*z.shape, seed=2)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    a, b = (torch.autograd.grad(y, z, g)[0] for y in (ours, theirs))
    torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
    for bn in norms:
        torch.testing.assert_close(bn.running_var, reference.running_var, rtol=1e-12, atol=1e-12)


def test_repeats_are_bit_identical() -> None:
    terms, leaves = every_kind()
    results = []
    for _ in range(2):
        out, _ = mixed_sum(terms, maps(len(terms)))
        results.append([out, *torch.autograd.grad(out.square().sum(), leaves)])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_mistakes_are_named() -> None:
    z = maps(2, CHANNELS, 4, 4)
    with pytest.raises(ArchgradError, match="no terms"):
        mixed_sum([])
    with pytest.raises(ArchgradError, match="1 terms need as many weights"):
        mixed_sum([Term(z)], maps(2))
    with pytest.raises(ArchgradError, match="float32"):
        mixed_sum([Term(z.half())])
    with torch.autocast("cpu"), pytest.raises(ArchgradError, match="autocast"):
        mixed_sum([Term(z)])
    with pytest.raises(ArchgradError, match="larger batch"):
        mixed_sum([Term(maps(1, CHANNELS, 1, 1), None, norm())])
    with pytest.raises(ArchgradError, match="no parameters"):
        shared_bn(z, [norm(affine=True)])
