"""The weighted sum of normalised candidates, and its parts, without keeping what backward can do without.

Legend: z is a term's map as rows of pixels, y = W z its pointwise convolution, ŷ = (y − mean)·deviation its
normalisation, g the gradient of the sum, P the number of pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from archgrad.errors import ArchgradError
from archgrad.kernels.rows import as_maps, as_rows, column_moments, column_products


class Term(NamedTuple):
    """One summand BN(W z) of :func:`mixed_sum`; without ``weight`` it is BN(z), without ``norm`` W z, without both z.

    ``weight`` is the weight of a 1×1 convolution, ``[out, in]`` or ``[out, in, 1, 1]``. ``shared`` says that z is kept
    for backward by others anyway (such as a ReLU whose result feeds many terms): then y is computed again, not kept.
    """

    z: Float[Tensor, "images channels_in height width"]
    weight: Tensor | None = None
    norm: nn.BatchNorm2d | None = None
    shared: bool = False


class BatchStatistics(NamedTuple):
    """What one BN saw in one batch: mean and biased variance of ``values`` values per channel."""

    norm: nn.BatchNorm2d
    mean: Float[Tensor, " channels"]
    variance: Float[Tensor, " channels"]
    values: int


def mixed_sum(
    terms: Sequence[Term], weights: Float[Tensor, " terms"] | None = None
) -> tuple[Float[Tensor, "images channels height width"], list[BatchStatistics]]:
    """The sum of all terms, each times its mixture weight (1 without ``weights``).

    s = Σₖ wₖ · BNₖ(Wₖ zₖ)

    Differentiable once, with respect to the weights, z, W and the parameters of each BN; equal to convolution,
    ``F.batch_norm`` and sum up to rounding. At most one map per term is kept for backward: z where W needs a
    gradient (then y is computed again), y otherwise; z that several terms share is kept once. BN outputs and scaled
    outputs are never stored.

    A BN in training mode (or without running statistics) uses the batch's statistics and returns them: hand all of
    a step to :func:`update_running_statistics` once. A BN in evaluation mode uses its running statistics.

    Errors: :class:`ArchgradError` under autocast and in less than float32 (a sum of many terms and batch statistics
    need it), and where a BN has only one value per channel.
    """
    if not terms:
        raise ArchgradError("mixed_sum: no terms; a node without candidates has no shape, so leave it out")
    if weights is not None and weights.shape != (len(terms),):
        raise ArchgradError(f"mixed_sum: {len(terms)} terms need as many weights, got shape {list(weights.shape)}")
    statistics: list[BatchStatistics] = []
    return _sum(terms, weights, False, statistics), statistics


def pointwise_bn_relu(
    z: Float[Tensor, "images channels_in height width"], weight: Tensor | None, norm: nn.BatchNorm2d | None
) -> tuple[Float[Tensor, "images channels height width"], list[BatchStatistics]]:
    """relu(BN(W z)): the first half of a separable convolution, with the saving and the errors of :func:`mixed_sum`."""
    statistics: list[BatchStatistics] = []
    return _sum([Term(z, weight, norm)], None, True, statistics), statistics


def shared_bn(
    z: Float[Tensor, "images channels height width"], norms: Sequence[nn.BatchNorm2d]
) -> tuple[Float[Tensor, "images channels height width"], list[BatchStatistics]]:
    """BN(z) computed once for several BNs that agree: same batch, same ``eps``, no parameters.

    So do the BNs behind the pools of all edges that leave one state. The statistics are returned for each of them.
    Only the result is kept for backward, which :func:`mixed_sum` keeps anyway. Differentiable once.
    """
    first = norms[0]
    if any(norm.affine or norm.eps != first.eps or not uses_batch(norm) for norm in norms):
        raise ArchgradError("shared_bn: BNs must have no parameters, the same eps, and use the batch's statistics")
    _check(z)
    count = _count(z, first)
    result, mean, variance = _Standardise.apply(z, first.eps)
    return result, [BatchStatistics(norm, mean, variance, count) for norm in norms]


@torch.no_grad()
def update_running_statistics(statistics: Sequence[BatchStatistics]) -> None:
    """What :class:`torch.nn.BatchNorm2d` does to its running statistics in a training step, for many BNs at once.

    running ← (1 − momentum)·running + momentum·batch, with the unbiased variance; without a momentum the average over
    all batches. BNs in evaluation mode or without running statistics stay as they are.
    """
    alike: dict[tuple[float | None, int], list[BatchStatistics]] = {}
    for seen in statistics:
        if seen.norm.training and seen.norm.running_mean is not None:
            alike.setdefault((seen.norm.momentum, seen.values), []).append(seen)
    for (momentum, values), group in alike.items():
        batches = [s.norm.num_batches_tracked for s in group if s.norm.num_batches_tracked is not None]
        torch._foreach_add_(batches, 1)
        for running, batch, bias in (
            ([s.norm.running_mean for s in group if s.norm.running_mean is not None], [s.mean for s in group], 1.0),
            (
                [s.norm.running_var for s in group if s.norm.running_var is not None],
                [s.variance for s in group],
                values / (values - 1),
            ),
        ):
            if momentum is not None:
                torch._foreach_mul_(running, 1 - momentum)
                torch._foreach_add_(running, batch, alpha=bias * momentum)
            else:
                step = torch._foreach_mul(batch, bias)
                torch._foreach_sub_(step, running)
                torch._foreach_div_(step, batches)
                torch._foreach_add_(running, step)


def uses_batch(norm: nn.BatchNorm2d) -> bool:
    """Whether a BN normalises by the statistics of the batch, not by its running ones."""
    return norm.training or norm.running_mean is None


def require_once() -> None:
    """Refuse a backward pass that is to be differentiated again.

    torch's ``once_differentiable`` notices it only where a whole graph is worked off: `torch.autograd.grad` with inputs
    would leave its error node out, and return second derivatives without what passes here.
    """
    if torch.is_grad_enabled():
        raise ArchgradError(
            "the fused executor differentiates once: for second derivatives build the graph inside "
            "`with archgrad.engine.forced('plain'):`, or with executor='plain'"
        )


def _check(z: Tensor) -> None:
    if z.dtype not in (torch.float32, torch.float64) or torch.is_autocast_enabled(z.device.type):
        raise ArchgradError(
            "mixed_sum: needs float32 or float64 outside autocast; below that use the plain or the batched executor"
        )


def _count(z: Tensor, norm: nn.BatchNorm2d | None) -> int:
    count = z.shape[0] * z.shape[2] * z.shape[3]
    if norm is not None and count < 2 and uses_batch(norm):
        raise ArchgradError("mixed_sum: batch statistics need more than one value per channel; use a larger batch")
    return count


def _sum(
    terms: Sequence[Term], weights: Tensor | None, relu: bool, statistics: list[BatchStatistics]
) -> Float[Tensor, "images channels height width"]:
    tensors: list[Tensor | None] = []
    for z, weight, norm, _ in terms:
        _check(z)
        _count(z, norm)
        tensors += [z, None if weight is None else weight.flatten(1)]
        tensors += [None, None] if norm is None else [norm.weight, norm.bias]
    result: Tensor = _MixedSum.apply(terms, relu, statistics, weights, *tensors)
    return result


class _MixedSum(torch.autograd.Function):
    """Terms are worked off one after the other, so that a map is still in cache for all that is done to it."""

    @staticmethod
    def forward(
        ctx: Any,
        terms: Sequence[Term],
        relu: bool,
        statistics: list[BatchStatistics],
        weights: Tensor | None,
        *tensors: Tensor | None,
    ) -> Tensor:
        total: Tensor | None = None
        shift: Tensor | None = None  # of all terms but the first, whose own is added on the way
        mixture = [None] * len(terms) if weights is None else weights.unbind()
        saved: list[Tensor | None] = []
        keep_z = []
        for k, (_, _, norm, shared) in enumerate(terms):
            z, weight, gamma, beta = tensors[4 * k : 4 * k + 4]
            assert z is not None
            y = as_rows(z) if weight is None else as_rows(z) @ weight.t()
            mean, deviation = (None, None) if norm is None else _moments(y, norm, statistics)
            scale = _scale(y, deviation, gamma, mixture[k])
            if mean is not None:
                shift = _shifted(shift, beta, mean, scale, mixture[k])
            if total is None:
                total, shift = y * scale if shift is None else torch.addcmul(shift, y, scale), None
            else:
                total.addcmul_(y, scale)
            keep_z.append(weight is not None and (shared or ctx.needs_input_grad[4 + 4 * k + 1]))
            constant = norm is None and weight is None and not (relu or ctx.needs_input_grad[3])
            kept = None if constant else z if keep_z[-1] or weight is None else as_maps(y, z)
            saved += [kept, mean, deviation]
        assert total is not None
        assert tensors[0] is not None
        if shift is not None:
            total.add_(shift)
        out = as_maps(total.relu_() if relu else total, tensors[0])
        ctx.batch = [term.norm is not None and uses_batch(term.norm) for term in terms]
        ctx.keep_z = keep_z
        ctx.relu = relu
        small = [t for k in range(len(terms)) for t in tensors[4 * k + 1 : 4 * k + 4]]
        # where the weights train, the convolution behind a ReLU keeps its input anyway; elsewhere the sign is cheap
        ctx.save_for_backward(weights, out if relu and any(keep_z) else None, *saved, *small)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        require_once()
        weights, out, *rest = ctx.saved_tensors
        terms = len(ctx.batch)
        maps, small = rest[: 3 * terms], rest[3 * terms :]
        g = as_rows(grad).contiguous()
        needs = ctx.needs_input_grad
        mixture = [None] * terms if weights is None else weights.unbind()
        products: list[Tensor] = []
        grads: list[Tensor | None] = []
        sums: Any  # Σ g of a term with a BN
        q: Any  # its Σ g ŷ
        for k in range(terms):
            saved, mean, deviation = maps[3 * k : 3 * k + 3]
            weight, gamma, beta = small[3 * k : 3 * k + 3]
            needs_z, needs_weight, needs_gamma, needs_beta = needs[4 + 4 * k : 8 + 4 * k]
            rows = g if saved is None else as_rows(saved)  # only a term whose gradient is w·g keeps no map
            y = rows @ weight.t() if ctx.keep_z[k] else rows
            w = mixture[k]
            if ctx.relu:
                before = _normalised(y, mean, deviation, gamma, beta) if out is None else as_rows(out)
                g = torch.ops.aten.threshold_backward(g, before, 0)
            sums, q = (None, None) if mean is None else column_products(g, y, mean, deviation)
            if needs[3]:
                products.append(_product(g, y, gamma, beta, sums, q))
            d_z = d_weight = None
            if needs_z or needs_weight:
                scale = _scale(g, deviation, gamma, w)
                d_y = _through_batch(g, y, mean, deviation, scale, sums, q) if ctx.batch[k] else g * scale
                if needs_weight:
                    d_weight = d_y.t() @ rows
                if needs_z:
                    d_z = as_maps(d_y if weight is None else d_y @ weight, grad)
            grads += [d_z, d_weight, _times(q, w) if needs_gamma else None, _times(sums, w) if needs_beta else None]
        d_weights = torch.stack(products) if needs[3] else None
        return (None, None, None, d_weights, *grads)


def _moments(y: Tensor, norm: nn.BatchNorm2d, statistics: list[BatchStatistics]) -> tuple[Tensor, Tensor]:
    """The mean that a BN subtracts and the reciprocal deviation that it multiplies by, and a note of a batch's own."""
    if uses_batch(norm):
        mean, variance = column_moments(y)
        statistics.append(BatchStatistics(norm, mean, variance, y.shape[0]))
    else:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        mean, variance = norm.running_mean, norm.running_var
    return mean, (variance + norm.eps).rsqrt_()


def _scale(y: Tensor, deviation: Tensor | None, gamma: Tensor | None, w: Tensor | None) -> Tensor:
    """What a term multiplies each column of y by."""
    if deviation is None:
        return y.new_ones(y.shape[1]) if w is None else w.expand(y.shape[1])
    return _times(deviation if gamma is None else deviation * gamma, w)


def _times(values: Tensor, w: Tensor | None) -> Tensor:
    return values if w is None else values * w


def _shifted(shift: Tensor | None, beta: Tensor | None, mean: Tensor, scale: Tensor, w: Tensor | None) -> Tensor:
    """``shift``, which may be changed in place, with what a normalised term adds to each column: w β − mean·scale."""
    if beta is not None:
        beta = _times(beta, w)
        shift = beta.clone() if shift is None else shift.add_(beta)
    return -mean * scale if shift is None else shift.addcmul_(mean, scale, value=-1)


def _normalised(
    y: Tensor, mean: Tensor | None, deviation: Tensor | None, gamma: Tensor | None, beta: Tensor | None
) -> Tensor:
    """What a term computed, without its mixture weight; y itself where it has no BN."""
    if mean is None:
        return y
    scale = _scale(y, deviation, gamma, None)
    shift = -mean * scale if beta is None else torch.addcmul(beta, mean, scale, value=-1)
    return torch.addcmul(shift, y, scale)


def _product(
    g: Tensor, y: Tensor, gamma: Tensor | None, beta: Tensor | None, sums: Tensor | None, q: Tensor | None
) -> Tensor:
    """The gradient of a mixture weight: the inner product of g with the term. With a BN, sums = Σ g and q = Σ g ŷ."""
    if sums is None or q is None:
        return torch.dot(g.flatten(), y.flatten())
    product = q.sum() if gamma is None else torch.dot(q, gamma)
    return product if beta is None else product + torch.dot(sums, beta)


def _through_batch(
    g: Tensor, y: Tensor, mean: Tensor, deviation: Tensor, scale: Tensor, sums: Tensor, q: Tensor
) -> Tensor:
    """The gradient of y where mean and deviation are the batch's: scale·(g − Σg/P − ŷ q/P) with q = Σ g ŷ."""
    share = scale / -g.shape[0]
    slope = (share * deviation).mul_(q)
    d_y = torch.addcmul((share * sums).addcmul_(slope, mean, value=-1), y, slope)
    return d_y.addcmul_(g, scale)


class _Standardise(torch.autograd.Function):
    """(z − mean)·deviation, from whose result alone the gradient follows."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        rows = as_rows(z)
        mean, variance = column_moments(rows)
        deviation = (variance + eps).rsqrt_()
        result = as_maps(torch.addcmul(-mean * deviation, rows, deviation), z)
        ctx.save_for_backward(result, deviation)
        ctx.mark_non_differentiable(mean, variance)
        ctx.set_materialize_grads(False)
        return result, mean, variance

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, *_: Tensor | None) -> tuple[Tensor | None, None]:
        if grad is None:
            return None, None
        require_once()
        result, deviation = ctx.saved_tensors
        g, y = as_rows(grad).contiguous(), as_rows(result)
        sums, products = column_products(g, y, torch.zeros_like(deviation), torch.ones_like(deviation))
        scale = deviation / -g.shape[0]
        d_z = torch.addcmul(scale * sums, y, scale * products)
        d_z.addcmul_(g, deviation)
        return as_maps(d_z, grad), None
