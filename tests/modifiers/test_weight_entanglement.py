from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from archgrad import Supernet, data, spaces
from archgrad.context import Context
from archgrad.engine import Cell, Standard
from archgrad.errors import ArchgradError
from archgrad.genotype import Edge, Group
from archgrad.method import Method
from archgrad.mixture import Mixture
from archgrad.modifiers import DropPath, EdgeNormalisation, PartialChannels
from archgrad.modifiers.low_rank import LowRank, LowRankConv
from archgrad.modifiers.weight_entanglement import Sliced, WeightEntanglement
from archgrad.relaxation import StraightThroughGumbel
from archgrad.roles import Modifier
from archgrad.search import search
from archgrad.spaces.darts import OPERATIONS
from archgrad.spaces.nasbench201 import OneOutput

X, Y = torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(0)).double(), torch.tensor([0, 1, 2, 3])


def images() -> data.Dataset:
    """32 tiny images."""
    g = torch.Generator().manual_seed(0)
    return data.from_tensors(
        torch.randn(32, 3, 6, 6, generator=g), torch.arange(32) % 2, *(torch.zeros(2, 3, 6, 6), torch.tensor([0, 1]))
    )


def tiny(channels: int, executor: str) -> Supernet:
    """One cell of three edges with the candidates of DARTS."""
    edges = tuple(Edge(source, target, OPERATIONS) for source, target in ((0, 1), (0, 2), (1, 2)))
    cell = Cell(Group("cell", edges), 1, [2], [1, 2, 2], channels, Standard(), executor)
    stem = nn.Conv2d(3, channels, 3, padding=1, bias=False)
    return Supernet(nn.Sequential(stem, OneOutput(cell), nn.AdaptiveAvgPool2d(1), nn.Flatten()))


def net(space: str = "tiny", *modifiers: Modifier, executor: str = "plain") -> Supernet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if space == "tiny":
            supernet = tiny(4, executor)
        else:
            supernet = spaces.get(space, channels=4, cells=1).supernet(executor=executor)
        for modifier in modifiers:
            modifier.prepare(supernet, {})
        return supernet.double()


def cell_of(supernet: Supernet) -> Cell:
    return next(module for module in supernet.network.modules() if isinstance(module, Cell))


def edge(supernet: Supernet, weights: dict[str, float], active: dict[str, bool] | None = None) -> Tensor:
    """What a cell's first edge brings to the next state, with these weights."""
    cell = cell_of(supernet)
    group, x = cell.group, torch.randn(3, 4, 6, 6, generator=torch.Generator().manual_seed(1)).double()
    row = torch.zeros(1, len(group.edges), len(group.operations)).double()
    open_ = torch.zeros_like(row, dtype=torch.bool)
    for name, weight in weights.items():
        row[0, 0, group.operations.index(name)] = weight
        open_[0, 0, group.operations.index(name)] = (active or {}).get(name, True)
    sites = supernet.sites[group.name]
    mixture = Mixture({group.name: row.expand(sites, -1, -1)}, {group.name: open_.expand(sites, -1, -1)})
    with supernet._bind(mixture):
        cell.outputs = (1,)
        (found,) = cell(x)
    return found


class Convolutions(TorchDispatchMode):
    """Counts convolutions that are executed."""

    count = 0

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        self.count += function is torch.ops.aten.convolution.default
        return function(*arguments, **(options or {}))


def bn(x: Tensor) -> Tensor:
    return F.batch_norm(x, None, None, training=True)


def test_slices_share_storage() -> None:
    """They have no weights of their own, are the centre of the largest kernel, and its gradient is the sum."""
    for space, small, large, count in (
        ("tiny", "sep_conv_3x3", "sep_conv_5x5", 2),
        ("tiny", "dil_conv_3x3", "dil_conv_5x5", 1),
        ("nasbench201", "nor_conv_1x1", "nor_conv_3x3", 1),
    ):
        plain, supernet = net(space), net(space, WeightEntanglement())
        operations = cell_of(supernet).operations[0]
        assert {id(p) for p in operations[small].parameters()} <= {id(p) for p in operations[large].parameters()}
        slices = [m for m in operations[small].modules() if isinstance(m, Sliced)]
        assert len(slices) == count
        for part in slices:
            whole = part.whole.weight
            assert part.weight.untyped_storage().data_ptr() == whole.untyped_storage().data_ptr()
            assert torch.equal(part.weight, whole[:, :, 1:-1, 1:-1])
        numbers = [sum(p.numel() for p in s.network.parameters()) for s in (supernet, plain)]
        saved = sum(
            p.numel()
            for cell in plain.network.modules()
            if isinstance(cell, Cell)
            for candidates in cell.operations
            for name, operation in candidates.items()
            if name in ("sep_conv_3x3", "dil_conv_3x3", "nor_conv_1x1")
            for p in operation.parameters()
        )
        assert numbers[0] == numbers[1] - saved


def test_the_mixture_is_the_formula() -> None:
    """s·BN(conv(relu(x); Σ (w/s)·K)), by hand."""
    supernet = net("nasbench201", WeightEntanglement())
    kernel = cell_of(supernet).operations[0]["nor_conv_3x3"][1].weight
    x = torch.randn(3, 4, 6, 6, generator=torch.Generator().manual_seed(1)).double()
    small, large = 0.3, 0.5
    mixed = large / 0.8 * kernel
    mixed = mixed + F.pad(small / 0.8 * kernel[:, :, 1:2, 1:2], (1, 1, 1, 1))
    expected = 0.8 * bn(F.conv2d(x.relu(), mixed, padding=1))
    found = edge(supernet, {"nor_conv_1x1": small, "nor_conv_3x3": large})
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_separable_convolutions_mix_the_kernels_of_each_place() -> None:
    supernet = net("tiny", WeightEntanglement())
    operation = cell_of(supernet).operations[0]["sep_conv_5x5"]
    inner = torch.zeros(5, 5).double()
    inner[1:-1, 1:-1] = 1
    mask = (0.2 + 0.6 * inner) / 0.8
    x = torch.randn(3, 4, 6, 6, generator=torch.Generator().manual_seed(1)).double()
    for depth, point in ((1, 2), (5, 6)):
        x = F.conv2d(x.relu(), operation[depth].weight * mask, padding=2, groups=4)
        x = bn(F.conv2d(x, operation[point].weight))
    found = edge(supernet, {"sep_conv_3x3": 0.6, "sep_conv_5x5": 0.2})
    torch.testing.assert_close(found, 0.8 * x, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(("space", "family"), [("tiny", "sep_conv"), ("tiny", "dil_conv"), ("nasbench201", "nor")])
def test_the_scale_matters_although_a_norm_follows(space: str, family: str) -> None:
    """Known error: weights (.1, .1) and (.4, .4) gave the same output; now it is four times as large."""
    supernet = net(space, WeightEntanglement())
    names = [name for name in cell_of(supernet).group.operations if name.startswith(family)]
    assert len(names) == 2
    little, much = (edge(supernet, dict.fromkeys(names, weight)) for weight in (0.1, 0.4))
    torch.testing.assert_close(much, 4 * little)
    assert little.abs().max() > 0


@pytest.mark.parametrize(("space", "names"), [("tiny", ("sep_conv_3x3", "sep_conv_5x5")),
                                              ("tiny", ("dil_conv_3x3", "dil_conv_5x5")),
                                              ("nasbench201", ("nor_conv_1x1", "nor_conv_3x3"))])  # fmt: skip
def test_one_hot_mixtures_are_the_slice_alone(space: str, names: tuple[str, str]) -> None:
    """Whether the other candidate is computed or not; and the slice is the convolution with the cut kernel."""
    supernet = net(space, WeightEntanglement())
    operations = cell_of(supernet).operations[0]
    x = torch.randn(3, 4, 6, 6, generator=torch.Generator().manual_seed(1)).double()
    for name, other in (names, names[::-1]):
        alone = edge(supernet, {name: 1.0})
        torch.testing.assert_close(alone, operations[name](x))
        torch.testing.assert_close(edge(supernet, {name: 1.0, other: 0.0}), alone)
        torch.testing.assert_close(edge(supernet, {name: 0.3, other: 7.0}, {other: False}), 0.3 * alone)
    reference = net(space)
    plain = cell_of(reference).operations[0][names[0]]
    for part, copy in zip(operations[names[0]], plain, strict=True):
        if isinstance(part, Sliced | nn.Conv2d):
            copy.weight.data = part.weight.data.clone()
    torch.testing.assert_close(plain(x), operations[names[0]](x))


def test_a_family_without_weight_is_silent_and_has_a_gradient() -> None:
    supernet = net("nasbench201", WeightEntanglement())
    supernet.alphas["cell"].requires_grad_(False)
    mixture = supernet.uniform().with_weights({"cell": torch.zeros_like(supernet.uniform()["cell"])}).leaf()
    supernet(X, mixture).sum().backward()
    assert torch.isfinite(mixture["cell"].grad).all()
    silent = edge(supernet, {"nor_conv_1x1": 0.0, "nor_conv_3x3": 0.0})
    assert torch.equal(silent, torch.zeros_like(silent))


@pytest.mark.parametrize("executor", ["plain", "loop", "batched"])
def test_gradients_equal_autograd_and_executors_agree(executor: str) -> None:
    """In all weights and alphas, differences included; the running statistics too."""
    reference, supernet = net("tiny", WeightEntanglement()), net("tiny", WeightEntanglement(), executor=executor)
    one, other = (Method().objective((X, Y), Context(s)) for s in (reference, supernet))
    expected = torch.autograd.grad(one(reference.alphas), [*one.weights, *reference.alphas.values()], allow_unused=True)
    mixture = other.mix(supernet.alphas)
    weights = other.weight_gradient(mixture.leaf())
    alphas = other.gradient(supernet.alphas)
    for found, reference_gradient in zip([*weights, *alphas.values()], expected, strict=True):
        wanted = torch.zeros_like(found) if reference_gradient is None else reference_gradient
        torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-9)
    for name, value in reference.state_dict().items():
        torch.testing.assert_close(supernet.state_dict()[name], value)
    column = reference.groups["cell"].operations.index("sep_conv_3x3")
    step, values = 1e-5, []
    for sign in (1, -1):
        moved = {name: alpha.detach().clone() for name, alpha in supernet.alphas.items()}
        moved["cell"][2, column] += sign * step
        values.append(other(moved))
    torch.testing.assert_close((values[0] - values[1]) / (2 * step), alphas["cell"][2, column], rtol=1e-4, atol=1e-8)


def test_weights_that_are_replaced_for_a_look_ahead_come_back() -> None:
    """Although modules with two names hold them, which `torch.func.functional_call` alone puts back wrongly."""
    supernet = net("tiny", WeightEntanglement())
    before = dict(supernet.network.named_parameters())
    zeros = {name: torch.zeros_like(weight) for name, weight in before.items()}
    ell = Method().objective((X, Y), Context(supernet))
    mixture = ell.mix(supernet.alphas)
    assert torch.equal(ell.loss(mixture, weights=zeros), torch.tensor(4.0).double().log())
    after = dict(supernet.network.named_parameters())
    assert all(after[name] is weight for name, weight in before.items())


def test_fewer_convolutions_are_executed() -> None:
    """An edge of DARTS has 12; a separable family needs 4 and a dilated one 2. Sampled relaxations compute one."""
    counts = {}
    for name, supernet in (("plain", net("tiny")), ("entangled", net("tiny", WeightEntanglement()))):
        with Convolutions() as seen:
            supernet(X, supernet.uniform())
        counts[name] = seen.count
    edges = 3
    assert counts["plain"] - counts["entangled"] == edges * (12 - 6)
    plain, entangled = net("tiny"), net("tiny", WeightEntanglement())
    found = []
    for supernet in (plain, entangled):
        mixture = Method(relaxation=StraightThroughGumbel()).objective((X, Y), Context(supernet)).mix(supernet.alphas)
        with Convolutions() as seen:
            supernet(X, mixture)
        found.append(seen.count)
    assert found[0] == found[1]


@pytest.mark.parametrize("space", ["tiny", "nasbench201"])
def test_settled_networks_work(space: str) -> None:
    supernet = net(space, WeightEntanglement())
    names = {"tiny": ["sep_conv_3x3", "dil_conv_5x5"], "nasbench201": ["nor_conv_1x1"]}[space]
    with torch.no_grad():
        for _ in range(3):
            supernet(X, supernet.uniform())
    genotype = supernet.random(torch.Generator().manual_seed(0))
    choices = {
        group: tuple((names[number % len(names)],) if kept else () for number, kept in enumerate(every))
        for group, every in genotype.choices.items()
    }
    genotype = type(genotype).of(choices)
    supernet.eval()
    settled = supernet.settle(genotype, inherit=True).eval()
    torch.testing.assert_close(settled(X), supernet(X, supernet.one_hot(genotype)))
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    settled.train()
    settled(X).sum().backward()
    torch.optim.SGD([p for p in settled.parameters() if p.grad is not None], 0.1).step()
    assert all(torch.equal(value, before[name]) for name, value in supernet.state_dict().items())
    afresh = supernet.settle(genotype)
    assert torch.isfinite(afresh(X)).all()
    cut = next(m for m in supernet.modules() if isinstance(m, Sliced)).settled()
    assert type(cut) is nn.Conv2d
    assert cut.weight.is_contiguous()


def test_it_meets_other_modifiers_in_any_order() -> None:
    """Adapters, drop-path, partial channels: the loss is finite, and families stay families."""
    for first, second in itertools.permutations((LowRank(2), DropPath()), 2):
        for modifiers in ((first, second, WeightEntanglement()), (WeightEntanglement(), first, second)):
            chosen = (PartialChannels(2), *modifiers, EdgeNormalisation())
            supernet = net("tiny", *chosen)
            with Convolutions() as seen:
                loss = Method(modifiers=chosen).objective((X, Y), Context(supernet))(supernet.alphas)
            assert torch.isfinite(loss)
            assert seen.count == 3 * 6 + 1 + 2 * 2  # families, the stem, skip connections that halve the map
            slices = [m for m in supernet.modules() if isinstance(m, Sliced)]
            assert slices
            assert all(isinstance(part.whole, LowRankConv) for part in slices)


def test_adapters_of_slices_are_slices_of_adapters() -> None:
    """The kernel of a family with adapters is that of W + (alpha/rank)·B·A, and dropout reaches it."""
    supernet = net("nasbench201", WeightEntanglement(), LowRank(2, dropout=0.5))
    conv = cell_of(supernet).operations[0]["nor_conv_3x3"][1]
    with torch.no_grad():
        conv.up.normal_()
    kernel = conv.weight + conv.change
    x = torch.randn(3, 4, 6, 6, generator=torch.Generator().manual_seed(1)).double()
    inner = torch.zeros(3, 3).double()
    inner[1, 1] = 1
    expected = 0.8 * bn(F.conv2d(x.relu(), kernel * (0.5 + 0.3 * inner) / 0.8, padding=1))
    weights = {"nor_conv_1x1": 0.3, "nor_conv_3x3": 0.5}
    torch.testing.assert_close(edge(supernet, weights), expected)
    conv.switch(low=True)
    assert not torch.allclose(edge(supernet, weights), expected)


def test_a_family_of_three_and_one_without_its_largest() -> None:
    """Kernels of 3, 5 and 7 pixels; with the largest closed, the other two are mixed within 5 pixels."""
    names = ("sep_conv_3x3", "sep_conv_5x5", "sep_conv_7x7")
    cell = Cell(Group("cell", (Edge(0, 1, names),)), 1, [1], [1], 4, Standard(), "plain")
    supernet = Supernet(nn.Sequential(cell).double())
    WeightEntanglement().prepare(supernet, {})
    whole = cell.operations[0]["sep_conv_7x7"][1].weight
    for name, size in zip(names[:2], (3, 5), strict=True):
        part = cell.operations[0][name][1].weight
        assert part.shape[-2:] == (size, size)
        assert part.untyped_storage().data_ptr() == whole.untyped_storage().data_ptr()
    x = torch.randn(2, 4, 6, 6).double()

    def out(weights: list[float], active: list[bool]) -> Tensor:
        mixture = Mixture({"cell": torch.tensor([[weights]]).double()}, {"cell": torch.tensor([[active]])})
        return supernet(x, mixture)[0]

    closed = out([0.3, 0.5, 9.0], [True, True, False])
    torch.testing.assert_close(closed, out([0.3, 0.5, 0.0], [True, True, True]))
    torch.testing.assert_close(out([0.0, 0.0, 2.0], [True] * 3), 2 * cell.operations[0]["sep_conv_7x7"](x))


def test_what_cannot_work_is_refused() -> None:
    supernet = net("nasbench201", WeightEntanglement())
    PartialChannels(2).prepare(supernet, {})
    with pytest.raises(ArchgradError, match="were built anew"):
        supernet.double()(X, supernet.uniform())
    cell = Cell(Group("cell", (Edge(0, 1, ("sep_conv_3x3", "dil_conv_5x5")),)), 1, [1], [1], 4, Standard())
    with pytest.raises(ArchgradError, match="no edge of this network has two candidates"):
        WeightEntanglement().prepare(Supernet(nn.Sequential(cell)), {})


def test_a_search_with_it_resumes_exactly(tmp_path) -> None:
    method = Method("entangled", modifiers=(WeightEntanglement(),), batch_size=8)
    space, options = spaces.get("nasbench201", channels=4, cells=1), {"data": images(), "progress": False}
    whole = search(space, method, epochs=2, **options)
    search(
        spaces.get("nasbench201", channels=4, cells=1),
        method,
        epochs=2,
        out=tmp_path / "run",
        checkpoint_seconds=0.0,
        **options,
    )
    again = search(space, method, epochs=2, out=tmp_path / "run", **options)
    for name, value in whole.supernet.state_dict().items():
        assert torch.equal(again.supernet.state_dict()[name], value), name
