from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archgrad import Supernet, data, spaces
from archgrad.context import Clock, Context
from archgrad.engine import Cell, Standard
from archgrad.errors import ArchgradError
from archgrad.genotype import Edge, Group
from archgrad.method import Method
from archgrad.modifiers import PartialChannels
from archgrad.modifiers.low_rank import LowRank, LowRankConv
from archgrad.search import Search, search
from archgrad.spaces.darts import OPERATIONS
from archgrad.spaces.nasbench201 import OneOutput

X, Y = torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(0)).double(), torch.tensor([0, 1, 2, 3])


def images() -> data.Dataset:
    """32 tiny images."""
    g = torch.Generator().manual_seed(0)
    return data.from_tensors(
        torch.randn(32, 3, 6, 6, generator=g), torch.arange(32) % 2, *(torch.zeros(2, 3, 6, 6), torch.tensor([0, 1]))
    )


CONVS = {
    "dense": {"out_channels": 6, "kernel_size": 3, "padding": 1, "bias": False},
    "pointwise": {"out_channels": 6, "kernel_size": 1},
    "depthwise": {"out_channels": 4, "kernel_size": 5, "padding": 4, "dilation": 2, "groups": 4, "bias": False},
    "grouped": {"out_channels": 8, "kernel_size": 3, "stride": 2, "groups": 2},
    "reflected": {"out_channels": 5, "kernel_size": 3, "padding": 1, "padding_mode": "reflect"},
}


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def tiny(channels: int, executor: str) -> Supernet:
    """One cell of three edges with the candidates of DARTS."""
    edges = tuple(Edge(source, target, OPERATIONS) for source, target in ((0, 1), (0, 2), (1, 2)))
    cell = Cell(Group("cell", edges), 1, [2], [1, 2, 2], channels, Standard(), executor)
    stem = nn.Conv2d(3, channels, 3, padding=1, bias=False)
    return Supernet(nn.Sequential(stem, OneOutput(cell), nn.AdaptiveAvgPool2d(1), nn.Flatten()))


def net(space: str = "tiny", channels: int = 8, executor: str = "plain") -> Supernet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if space == "tiny":
            return tiny(channels, executor).double()
        return spaces.get(space, channels=channels, cells=1).supernet(executor=executor).double()


def prepared(modifier: LowRank, **options: object) -> Supernet:
    supernet = net(**options)
    modifier.prepare(supernet, {})
    return supernet.double()


def adapters(supernet: nn.Module) -> list[LowRankConv]:
    return [module for module in supernet.modules() if isinstance(module, LowRankConv)]


@torch.no_grad()
def train_adapters(supernet: nn.Module) -> None:
    for conv in adapters(supernet):
        conv.up.normal_()


def at(epoch: int, epochs: int = 4) -> Context:
    return Context(clock=Clock(epoch, epochs))


@pytest.mark.parametrize("kind", CONVS)
def test_full_rank_equals_the_dense_layer(kind: str) -> None:
    """Starts there exactly, and expresses any other dense layer: B·A = ΔW from the singular value decomposition."""
    conv = nn.Conv2d(4, **CONVS[kind]).double()
    target = nn.Conv2d(4, **CONVS[kind]).double()
    x = torch.randn(2, 4, 9, 9).double()
    expected = conv(x)
    adapted = LowRankConv(conv, 1000, alpha=3.0, dropout=0.5)
    torch.testing.assert_close(adapted(x), expected, rtol=1e-12, atol=1e-12)
    with torch.no_grad():
        u, s, v = torch.linalg.svd((target.weight - conv.weight).flatten(1), full_matrices=False)
        adapted.up.copy_(u)
        adapted.down.copy_((s[:, None] * v) / adapted.scale)
        if adapted.bias is not None:
            adapted.bias.copy_(target.bias)
    torch.testing.assert_close(adapted(x), target(x), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(adapted.settled()(x), target(x), rtol=1e-9, atol=1e-9)
    assert type(adapted.settled()) is nn.Conv2d


def test_rank_and_scale_are_those_of_the_paper() -> None:
    """ΔW = (alpha/rank)·B·A has the asked rank and (out + in·k²)·rank parameters; a depthwise one (C + k²)·rank."""
    dense = LowRankConv(nn.Conv2d(6, 8, 3, bias=False), 2, alpha=5.0, dropout=0.0)
    depth = LowRankConv(nn.Conv2d(8, 8, 3, groups=8, bias=False), 2, alpha=5.0, dropout=0.0)
    for conv, parameters in ((dense, (8 + 6 * 9) * 2), (depth, (8 + 9) * 2)):
        assert conv.up.numel() + conv.down.numel() == parameters
        nn.init.normal_(conv.up)
        assert torch.linalg.matrix_rank(conv.change.flatten(1)) == 2
        torch.testing.assert_close(conv.change.flatten(1), 2.5 * conv.up @ conv.down)


def test_dropout_is_really_applied_in_training_only() -> None:
    """Known error: it was stored and never applied. In the mean it changes nothing, and W's part is never dropped."""
    conv = LowRankConv(nn.Conv2d(3, 2, 3, bias=False).double(), 2, 1.0, dropout=0.4)
    nn.init.normal_(conv.up)
    conv.switch(low=True)
    x = torch.randn(1, 3, 4, 4).double()
    whole, base = F.conv2d(x, conv.weight + conv.change), F.conv2d(x, conv.weight)
    drawn = torch.stack([conv(x) for _ in range(4000)])
    assert (drawn - whole).abs().amax() > 1e-3
    error = drawn.std(0) / math.sqrt(len(drawn))
    assert ((drawn.mean(0) - whole).abs() < 5 * error).all()
    torch.manual_seed(7)
    kept = F.dropout(x, 0.4)
    torch.manual_seed(7)
    torch.testing.assert_close(conv(x), base + F.conv2d(kept, conv.change))
    conv.eval()
    assert torch.equal(conv(x), whole)
    conv.train()
    conv.switch(low=False)
    assert torch.equal(conv(x), whole)


def test_the_clock_says_what_is_trained() -> None:
    def phases(modifier: LowRank, epochs: int = 8) -> str:
        return "".join("WL"[modifier.low(Clock(epoch, epochs))] for epoch in range(epochs))

    assert phases(LowRank()) == "WWWWLLLL"
    assert phases(LowRank(warm_up=0)) == "LLLLLLLL"
    assert phases(LowRank(warm_up=3)) == "WWWLLLLL"
    assert phases(LowRank(warm_up=2, toggle=2)) == "WWLLWWLL"
    assert phases(LowRank(warm_up=8)) == "WWWWWWWW"


@pytest.mark.parametrize("space", ["tiny", "nasbench201"])
def test_the_network_starts_at_the_dense_one(space: str) -> None:
    plain, adapted = net(space), prepared(LowRank(2), space=space)
    found = adapters(adapted)
    assert len(found) == sum(isinstance(m, nn.Conv2d) for m in plain.network.modules() if m in _candidates(plain))
    torch.testing.assert_close(adapted(X, adapted.uniform()), plain(X, plain.uniform()), rtol=1e-9, atol=1e-9)
    assert type(next(m for m in adapted.modules() if isinstance(m, nn.Conv2d))) is nn.Conv2d  # the stem


def _candidates(supernet: Supernet) -> set[nn.Module]:
    return {module for name, module in supernet.network.named_modules() if ".operations." in name}


def test_w_rests_while_adapters_are_trained_and_the_other_way_round() -> None:
    """Gradients, with those of the alphas, against autograd; what rests is no weight."""
    modifier = LowRank(2, warm_up=1)
    supernet = prepared(modifier, space="nasbench201")
    train_adapters(supernet)
    for epoch, trained in ((0, "weight"), (1, "up")):
        for parameter in supernet.network.parameters():
            parameter.requires_grad_()
        modifier.epoch_start(supernet, at(epoch))
        for conv in adapters(supernet):
            assert conv.weight.requires_grad == (trained == "weight")
            assert conv.up.requires_grad == conv.down.requires_grad == (trained == "up")
        ell = Method(modifiers=(modifier,)).objective((X, Y), Context(supernet))
        weights = ell.weights
        reference = torch.autograd.grad(ell(supernet.alphas), [*weights, *supernet.alphas.values()], allow_unused=True)
        with torch.no_grad():
            mixture = ell.mix(supernet.alphas)
        for found, expected in zip(ell.weight_gradient(mixture), reference[: len(weights)], strict=True):
            torch.testing.assert_close(found, torch.zeros_like(found) if expected is None else expected)
        torch.testing.assert_close(ell.gradient(supernet.alphas)["cell"], reference[-1])
        assert len(weights) == len(ell.weights)


@pytest.mark.parametrize("executor", ["loop", "batched"])
def test_all_executors_agree(executor: str) -> None:
    one, other = (prepared(LowRank(2), executor=name) for name in ("plain", executor))
    train_adapters(one)
    other.load_state_dict(one.state_dict())
    a, b = (Method().objective((X, Y), Context(s)).weight_gradient(s.uniform()) for s in (one, other))
    for first, second in zip(a, b, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-7, atol=1e-9)
    for name, value in one.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], value)


def test_cells_that_are_narrowed_later_keep_their_adapters() -> None:
    supernet = prepared(LowRank(2), space="nasbench201")
    count = len(adapters(supernet))
    PartialChannels(2).prepare(supernet, {})
    assert len(adapters(supernet)) == count
    assert torch.isfinite(supernet.double()(X, supernet.uniform())).all()


def test_settled_networks_compute_the_same_and_start_afresh_as_dense_ones() -> None:
    supernet = prepared(LowRank(2, dropout=0.5), space="nasbench201")
    train_adapters(supernet)
    for conv in adapters(supernet):
        conv.switch(low=True)
    genotype = supernet.space.parse("|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|nor_conv_3x3~0|none~1|none~2|")
    supernet.eval()
    with torch.no_grad():
        settled = supernet.settle(genotype, inherit=True).eval()
        torch.testing.assert_close(settled(X), supernet(X, supernet.one_hot(genotype)))
    afresh = supernet.settle(genotype)
    for module in afresh.modules():
        if isinstance(module, nn.Conv2d):
            assert module.weight.requires_grad
        if isinstance(module, LowRankConv):
            assert module.change.abs().max() == 0
            assert not module.low


def test_frozen_kernels_stay_and_shared_convolutions_stay_shared() -> None:
    supernet = net("nasbench201")
    cell = supernet.network.stages[0].cell
    shared, frozen = cell.operations[0]["nor_conv_3x3"][1], cell.operations[1]["nor_conv_3x3"][1]
    cell.operations[2]["nor_conv_3x3"][1] = shared
    frozen.weight.requires_grad_(False)
    LowRank(2).prepare(supernet, {})
    assert isinstance(cell.operations[0]["nor_conv_3x3"][1], LowRankConv)
    assert cell.operations[0]["nor_conv_3x3"][1] is cell.operations[2]["nor_conv_3x3"][1]
    assert cell.operations[1]["nor_conv_3x3"][1] is frozen


def test_settings_that_cannot_work_are_refused() -> None:
    for options, message in (
        ({"rank": 0}, "rank must be a number above 0"),
        ({"rank": 1.5}, "rank must be a whole number"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\)"),
        ({"warm_up": -1}, "warm_up must be 0 or more"),
        ({"toggle": 0}, "toggle must be 1 or more"),
    ):
        with pytest.raises(ArchgradError, match=message):
            LowRank(**options)


class StopError(Exception):
    """The search was interrupted."""


def test_a_search_through_warm_up_and_toggles_resumes_exactly(tmp_path, monkeypatch) -> None:
    """Known error: warm-up crashed. Interrupted after each epoch, so that every switch is met on resuming."""
    method = Method("lora", modifiers=(LowRank(2, dropout=0.3, warm_up=1, toggle=1),), batch_size=8)
    options = {"method": method, "data": images(), "epochs": 4, "progress": False}
    kernels: list[dict[str, torch.Tensor]] = []
    end = Search._close_epoch

    def recorded(self: Search) -> None:
        end(self)
        kernels.append({n: p.detach().clone() for n, p in self.supernet.network.named_parameters()})

    monkeypatch.setattr(Search, "_close_epoch", recorded)
    whole = search(spaces.get("nasbench201", channels=4, cells=1), **options)

    def changed(epoch: int, suffix: str) -> bool:
        names = [n for n in kernels[0] if n.endswith(suffix) and n.replace(suffix, ".down") in kernels[0]]
        same = [torch.equal(kernels[epoch - 1][n], kernels[epoch][n]) for n in names]
        assert names
        assert all(same) or not any(same)
        return not all(same)

    assert [changed(epoch, ".weight") for epoch in (1, 2, 3)] == [False, True, False]
    assert [changed(epoch, ".up") for epoch in (1, 2, 3)] == [True, False, True]

    def interrupted(self: Search) -> None:
        end(self)
        raise StopError

    monkeypatch.setattr(Search, "_close_epoch", interrupted)
    for _ in range(4):
        with pytest.raises(StopError):
            search(spaces.get("nasbench201", channels=4, cells=1), out=tmp_path / "run", **options)
    again = search(spaces.get("nasbench201", channels=4, cells=1), out=tmp_path / "run", **options)
    for name, value in whole.supernet.state_dict().items():
        assert torch.equal(again.supernet.state_dict()[name], value), name
