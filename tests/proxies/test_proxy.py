"""What holds for every proxy: it reads the network and nothing else, and leaves everything as it was."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from archgrad import Choice, Supernet, proxies
from archgrad.data import Normalisation
from archgrad.errors import ArchgradError
from archgrad.genotype import Genotype
from archgrad.spaces import Darts

Batch = tuple[Tensor, Tensor]
NAMES = list(proxies.PROXIES)


def test_the_names_that_other_programs_rely_on_exist() -> None:
    wanted = "croze croze_official synflow snip grasp fisher grad_norm jacob_cov nwot epe_nas zen l2_norm plain params"
    assert {*wanted.split(), "flops", "croze_flat"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_network_mode_statistics_gradients_and_random_state_stay(
    name: str, cell: Callable[..., nn.Module], batch: Batch
) -> None:
    network = cell("132340").eval()
    network(batch[0]).sum().backward()
    network.stem[0].weight.requires_grad_(False)
    before = copy.deepcopy(network.state_dict())
    grads = {key: None if p.grad is None else p.grad.clone() for key, p in network.named_parameters()}
    modes = [module.training for module in network.modules()]
    images = batch[0].clone()
    state = torch.get_rng_state()
    first = proxies.get(name)(network, batch)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    for key, parameter in network.named_parameters():
        assert (parameter.grad is None) == (grads[key] is None)
        assert parameter.grad is None or torch.equal(parameter.grad, grads[key])
        assert parameter.requires_grad == (key != "stem.0.weight")
    assert [module.training for module in network.modules()] == modes
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    assert torch.equal(batch[0], images)
    assert not batch[0].requires_grad
    torch.manual_seed(99)
    with torch.no_grad():
        assert proxies.get(name)(network, batch) == first  # the same whatever the random state and the gradient mode
    assert isinstance(first, float)
    assert math.isfinite(first)


@pytest.mark.parametrize("name", NAMES)
def test_a_path_of_a_supernet_scores_like_the_settled_network(name: str, batch: Batch) -> None:
    from archgrad import spaces

    space = spaces.get("nasbench201")
    supernet = replace(space, channels=4, cells=1).supernet(affine=True)
    genotype = space.parse("331204")
    settled = supernet.settle(genotype, inherit=True)
    assert proxies.get(name)(supernet, batch, genotype) == proxies.get(name)(settled, batch)


@pytest.mark.parametrize("name", NAMES)
def test_works_on_darts_networks_and_on_ones_own(name: str, batch: Batch) -> None:
    space = Darts()
    torch.manual_seed(0)
    auxiliary = replace(space, channels=4, cells=3).network(
        space.random(torch.Generator().manual_seed(0)), auxiliary=False, classes=10
    )
    assert math.isfinite(proxies.get(name)(auxiliary, (batch[0], batch[1])))
    own = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Dropout(0.3), nn.Flatten(), nn.Linear(4 * 14 * 14, 10))
    assert proxies.get(name)(own, batch) == proxies.get(name)(own, batch)  # dropout is the same every time


def test_a_supernet_of_ones_own_is_scored_by_path(batch: Batch) -> None:
    torch.manual_seed(0)
    choice = Choice(
        {"conv": nn.Conv2d(3, 4, 3), "pool": nn.Sequential(nn.Conv2d(3, 4, 1), nn.AvgPool2d(3, 1))}, "block"
    )
    supernet = Supernet(nn.Sequential(choice, nn.ReLU(), nn.Flatten(), nn.Linear(4 * 14 * 14, 10)))
    a, b = (proxies.get("params")(supernet, batch, Genotype.of({"block": [[name]]})) for name in ("conv", "pool"))
    assert (a, b) == (112 + 7850, 16 + 7850)


@pytest.mark.parametrize("name", NAMES)
def test_lower_precision_is_widened_and_double_stays_close(
    name: str, cell: Callable[..., nn.Module], batch: Batch
) -> None:
    network = cell("213100")
    half = copy.deepcopy(network).to(torch.bfloat16)
    rounded = copy.deepcopy(half).float()
    assert proxies.get(name)(half, batch) == proxies.get(name)(rounded, batch)
    if name not in ("plain", "grasp", "jacob_cov", "epe_nas"):  # sums that cancel, logarithms of what may be near 0
        single, double = proxies.get(name)(network, batch), proxies.get(name)(copy.deepcopy(network).double(), batch)
        assert single == pytest.approx(double, rel=2e-2)


@pytest.mark.parametrize("name", NAMES)
def test_a_network_that_passes_nothing_on_is_no_error(name: str, cell: Callable[..., nn.Module], batch: Batch) -> None:
    value = proxies.get(name)(cell("000000"), batch)
    assert not math.isnan(value)
    assert value <= proxies.get(name)(cell("333333"), batch) or name in ("plain", "grasp")


ADDITIVE = [name for name in NAMES if name not in ("nwot",)]


@pytest.mark.parametrize("name", ADDITIVE)
def test_the_contributions_of_the_layers_add_up(name: str, cell: Callable[..., nn.Module], batch: Batch) -> None:
    found = proxies.get(name).measure(cell("213433"), batch)
    assert sum(found.layers.values()) == pytest.approx(found.value, rel=1e-9, abs=1e-12)
    assert dict(found.layers) == proxies.get(name).layers(cell("213433"), batch)


@pytest.mark.parametrize(
    "name", ["croze", "croze_official", "croze_flat", "synflow", "snip", "grasp", "fisher", "grad_norm"]
)
def test_operations_that_do_not_reach_the_output_contribute_nothing(
    name: str, cell: Callable[..., nn.Module], batch: Batch
) -> None:
    from archgrad import spaces

    space = spaces.get("nasbench201")
    torch.manual_seed(0)
    network = replace(space, channels=4, cells=1).network(
        space.parse("300030"), unreached=True
    )  # 0→1 and 1→3: all reach
    torch.manual_seed(0)
    lost = replace(space, channels=4, cells=1).network(space.parse("300300"), unreached=True)  # 0→1 leads nowhere
    reached = proxies.get(name).layers(network, batch)
    layers = proxies.get(name).layers(lost, batch)
    first = [key for key in layers if "cell.operations.0." in key]
    assert len(first) == 3
    assert all(layers[key] == 0 for key in first)
    assert all(reached[key] != 0 for key in first)


def test_proxies_that_share_a_pass_give_what_each_gives_alone(cell: Callable[..., nn.Module], batch: Batch) -> None:
    network = cell("143240")
    chosen = {name: proxies.get(name) for name in NAMES}
    together = proxies.measure(chosen, network, batch)
    assert list(together) == NAMES
    for name, proxy in chosen.items():
        alone = proxy.measure(network, batch)
        assert (together[name].value, dict(together[name].layers)) == (alone.value, dict(alone.layers))


class Counted(nn.Linear):
    """A network that counts how often it is called, its copies included."""

    calls: ClassVar[list[int]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.calls.append(len(x))
        return super().forward(x)


@pytest.mark.parametrize(
    ("names", "passes"),
    [("snip,grad_norm,plain", 1), ("jacob_cov,epe_nas", 1), ("croze_official,released_flat", 3), ("snip,jacob_cov", 2)],
)
def test_proxies_that_are_measured_together_share_their_passes(names: str, passes: int) -> None:
    Counted.calls.clear()
    batch = torch.rand(4, 3), torch.tensor([0, 0, 1, 1])
    flat = proxies.FlatCRoZe(inplace_head=True, biases=True)
    chosen = {name: flat if name == "released_flat" else proxies.get(name) for name in names.split(",")}
    proxies.measure(chosen, Counted(3, 2), batch)
    assert len(Counted.calls) == passes


def test_what_looks_at_no_labels_scores_with_any(cell: Callable[..., nn.Module], batch: Batch) -> None:
    real = batch[0], torch.rand(8, 2)
    for name in ("synflow", "nwot", "jacob_cov", "zen", "l2_norm", "params", "flops"):
        assert proxies.get(name)(cell("123431"), real) == proxies.get(name)(cell("123431"), batch)
    with pytest.raises(ArchgradError, match="one class number per image"):
        proxies.get("epe_nas")(cell("123431"), real)


def test_mistakes_are_told_in_one_line(cell: Callable[..., nn.Module], batch: Batch) -> None:
    network = cell("111111")
    with pytest.raises(ArchgradError, match="did you mean 'synflow'"):
        proxies.get("synflo")
    with pytest.raises(ArchgradError, match="gama"):
        proxies.get("croze", gama=1)
    with pytest.raises(ArchgradError, match="pair of tensors"):
        proxies.get("snip")(network, batch[0])
    with pytest.raises(ArchgradError, match="one class number per image"):
        proxies.get("snip")(network, (batch[0], batch[1][:3]))
    with pytest.raises(ArchgradError, match="labels must lie in 0 … 9"):
        proxies.get("snip")(network, (batch[0], batch[1] + 9))
    with pytest.raises(ArchgradError, match="genotype names a path of a supernet"):
        proxies.get("snip")(network, batch, Genotype.of({"cell": [["none"]] * 6}))
    from archgrad import spaces

    with pytest.raises(ArchgradError, match="give the genotype"):
        proxies.get("snip")(spaces.get("nasbench201", channels=4, cells=1).supernet(), batch)
    with pytest.raises(ArchgradError, match="normalised with 2 numbers, but have 3 channels"):
        proxies.get("croze")(network, batch, normalisation=Normalisation((0.5, 0.5), (1.0, 1.0)))
    assert proxies.parse("snip, nwot,snip") == ["snip", "nwot"]
    assert proxies.parse("all") == NAMES
