"""Each proxy against its formula, by hand or by autograd."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from archgrad import proxies, spaces
from archgrad.engine import forced
from archgrad.errors import ArchgradError

Batch = tuple[Tensor, Tensor]


def gradients(network: nn.Module, batch: Batch, create_graph: bool = False) -> list[Tensor]:
    weights = [p for p in network.parameters() if p.dim() > 1]
    return list(torch.autograd.grad(F.cross_entropy(network(batch[0]), batch[1]), weights, create_graph=create_graph))


def weights(network: nn.Module) -> list[Tensor]:
    return [p for p in network.parameters() if p.dim() > 1]


def test_synflow_of_a_linear_network_is_depth_times_the_product_of_the_weights() -> None:
    torch.manual_seed(0)
    layers = [nn.Linear(a, b, bias=False) for a, b in itertools.pairwise((6, 5, 4, 3))]
    network = nn.Sequential(nn.Flatten(), *layers)
    product = torch.ones(6, dtype=torch.double)
    for layer in layers:
        product = layer.weight.detach().double().abs() @ product
    found = proxies.get("synflow").measure(network, (torch.randn(4, 6), torch.zeros(4, dtype=torch.long)))
    assert found.value == pytest.approx(3 * product.sum().item(), rel=1e-12)
    assert list(found.layers.values()) == pytest.approx([product.sum().item()] * 3, rel=1e-12)


def test_synflow_needs_neither_images_nor_batch_norm(cell: Callable[..., nn.Module], batch: Batch) -> None:
    network = cell("333333")
    value = proxies.get("synflow")(network, batch)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight)
    assert proxies.get("synflow")(network, (batch[0] * 7 + 1, batch[1])) == value


def test_snip_plain_gradient_and_weight_norm(perceptron: nn.Module, points: Batch) -> None:
    g, w = gradients(perceptron, points), weights(perceptron)
    expected = {
        "snip": sum((a * b).abs().sum() for a, b in zip(g, w, strict=True)),
        "plain": sum((a * b).sum() for a, b in zip(g, w, strict=True)),
        "grad_norm": sum(a.norm() for a in g),
        "l2_norm": sum(a.norm() for a in w),
    }
    for name, value in expected.items():
        assert proxies.get(name)(perceptron, points) == pytest.approx(value.item(), rel=1e-12)


def test_weights_before_batch_norm_are_orthogonal_to_their_gradient(
    cell: Callable[..., nn.Module], batch: Batch
) -> None:
    layers = proxies.get("plain").layers(cell("300300").double(), batch)
    first = next(value for name, value in layers.items() if "operations" in name)
    assert abs(first) < 1e-6 * proxies.get("snip")(cell("300300").double(), batch)


def test_grasp_against_the_explicit_hessian(perceptron: nn.Sequential, points: Batch) -> None:
    shapes = [w.shape for w in weights(perceptron)]
    flat = torch.cat([w.detach().flatten() for w in weights(perceptron)])

    def loss(vector: Tensor) -> Tensor:
        first, second = (part.view(s) for part, s in zip(vector.split([84, 35]), shapes, strict=True))
        hidden = torch.relu(points[0].flatten(1) @ first.T + perceptron[1].bias)
        return F.cross_entropy(hidden @ second.T + perceptron[3].bias, points[1])

    hessian = torch.autograd.functional.hessian(loss, flat)
    gradient = torch.autograd.functional.jacobian(loss, flat)
    found = proxies.get("grasp").measure(perceptron, points)
    per_weight = -flat * (hessian @ gradient)
    assert found.value == pytest.approx(float(per_weight.sum()), rel=1e-9)
    assert list(found.layers.values()) == pytest.approx([float(p.sum()) for p in per_weight.split([84, 35])], rel=1e-9)


def test_grasp_by_double_backward_through_cells(cell: Callable[..., nn.Module], batch: Batch) -> None:
    network = cell("134223").double().train()
    images, labels = batch[0].double(), batch[1]
    with forced("plain"):
        g = gradients(network, (images, labels), create_graph=True)
    hg = torch.autograd.grad(sum((a**2).sum() for a in g) / 2, weights(network))
    expected = -sum((h * w).sum().item() for h, w in zip(hg, weights(network), strict=True))
    assert proxies.get("grasp")(cell("134223").double(), (images, labels)) == pytest.approx(expected, rel=1e-8)


def test_fisher_against_gradients_of_the_activations(cell: Callable[..., nn.Module], batch: Batch) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)
    ).double()
    images = batch[0].double()
    a = network[0](images)
    b = network[4](network[3](network[2](network[1](a))))
    g_a, g_b = torch.autograd.grad(F.cross_entropy(b, batch[1]), [a, b])
    expected = [
        0.5 * float(sum((a[:, c] * g_a[:, c]).sum((1, 2)).square().mean() for c in range(4))),
        0.5 * float(sum((b[:, c] * g_b[:, c]).square().mean() for c in range(5))),
    ]
    assert list(proxies.get("fisher").layers(network, batch).values()) == pytest.approx(expected, rel=1e-10)


def explicit_jacobians(network: nn.Module, images: Tensor) -> Tensor:
    """Σ_k of d logit_nk / d image_n by one backward pass per logit; without BN images do not touch each other."""
    rows = []
    for image in images:
        whole = torch.autograd.functional.jacobian(lambda x: network(x[None])[0], image)
        rows.append(whole.sum(0).flatten())
    return torch.stack(rows)


def test_jacobian_covariance_against_explicit_jacobians(perceptron: nn.Module, points: Batch) -> None:
    corr = np.corrcoef(explicit_jacobians(perceptron, points[0]).detach().numpy())
    v = np.linalg.eigvalsh(corr) + 1e-5
    assert proxies.get("jacob_cov")(perceptron, points) == pytest.approx(-np.sum(np.log(v) + 1 / v), rel=1e-5)


def test_equal_jacobians_are_the_worst() -> None:
    linear = nn.Sequential(nn.Flatten(), nn.Linear(12, 5))
    images = torch.randn(4, 3, 2, 2)
    expected = -(np.log(4 + 1e-5) + 1 / (4 + 1e-5) + 3 * (np.log(1e-5) + 1e5))
    assert proxies.get("jacob_cov")(linear, (images, torch.zeros(4, dtype=torch.long))) == pytest.approx(expected, 1e-3)


def test_epe_nas_against_explicit_jacobians(perceptron: nn.Module, points: Batch) -> None:
    images, labels = points[0], torch.tensor([0, 0, 0, 1, 1, 2])
    rows = explicit_jacobians(perceptron, images).detach().numpy()
    e = [np.log(np.abs(np.corrcoef(rows[part])) + 1e-5).sum() for part in (slice(0, 3), slice(3, 5))] + [
        np.log(1 + 1e-5)
    ]
    assert proxies.get("epe_nas")(perceptron, (images, labels)) == pytest.approx(np.abs(e).sum(), rel=1e-6)
    scaled = np.array(e) / [3, 2, 1]
    expected = np.abs(scaled[:, None] - scaled).sum() / 3
    assert proxies.get("epe_nas", many=4)(perceptron, (images, labels)) == pytest.approx(expected, rel=1e-6)


def test_nwot_counts_relus_in_the_same_state(perceptron: nn.Sequential, points: Batch) -> None:
    code = (perceptron[1](points[0].flatten(1)) > 0).numpy()
    kernel = np.array([[(a == b).sum() for b in code] for a in code], dtype=float)
    sign, expected = np.linalg.slogdet(kernel)
    assert proxies.get("nwot")(perceptron, points) == pytest.approx(expected if sign > 0 else -np.inf, rel=1e-9)


def test_nwot_sees_modules_and_functions_and_sums_kernels(cell: Callable[..., nn.Module], batch: Batch) -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.relu = nn.Linear(12, 40), nn.Linear(40, 30), nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            return F.relu(self.b(self.relu(self.a(x.flatten(1)))))

    torch.manual_seed(0)
    network, images = Two(), torch.randn(5, 3, 2, 2)
    first = network.a(images.flatten(1)) > 0
    second = network.b(torch.relu(network.a(images.flatten(1)))) > 0
    code = torch.cat([first, second], 1)
    kernel = (code[:, None] == code).sum(2).double()
    found = proxies.get("nwot").measure(network, (images, torch.zeros(5, dtype=torch.long)))
    assert found.value == pytest.approx(float(torch.logdet(kernel)), rel=1e-9)
    alone = (second[:, None] == second).sum(2).double()
    assert found.layers["relu_1"] == pytest.approx(float(torch.logdet(alone)), rel=1e-9)
    digits = "333333"  # one ReLU per convolution and the last one, whatever an executor would share
    assert len(proxies.get("nwot").layers(cell(digits), batch)) == 3 * 6 + 2 * 2 + 1


def test_zen_against_its_formula(batch: Batch) -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5)
    )
    found = proxies.get("zen").measure(network, batch)
    torch.manual_seed(5)
    for p in network.parameters():
        nn.init.normal_(p)
    assert proxies.get("zen").measure(network, batch) == found  # the network's own weights do not matter
    from archgrad.randomness import generator

    draw = generator(0, "zen")
    weight = torch.randn(6, 3, 3, 3, generator=draw)
    torch.randn(5, 6, generator=draw)
    x, noise = (torch.randn(batch[0].shape, generator=draw) for _ in range(2))

    def features(images: Tensor) -> tuple[Tensor, Tensor]:
        z = F.conv2d(images, weight)
        variance = z.transpose(0, 1).flatten(1).var(1, correction=0)
        return torch.relu(F.batch_norm(z, None, None, training=True)), variance

    a, variance = features(x)
    b, _ = features(x + 0.01 * noise)
    assert found.layers["1"] == pytest.approx(0.5 * float(variance.mean().log()), rel=1e-5)
    assert found.layers[""] == pytest.approx(float((a - b).flatten(1).norm(dim=1).mean().log()), rel=1e-4)


def test_zen_grows_by_the_logarithm_of_a_scale(cell: Callable[..., nn.Module], batch: Batch) -> None:
    a, b = (proxies.get("zen", seed=seed)(cell("333333", cells=2), batch) for seed in (0, 1))
    assert a != b
    assert a > proxies.get("zen")(cell("222222", cells=2), batch)


@pytest.mark.parametrize("digits", ["333133", "120430", "000000", "444444"])
def test_parameters_and_flops_are_those_of_the_formula(digits: str, cell: Callable[..., nn.Module]) -> None:
    space = spaces.get("nasbench201")
    batch = torch.randn(2, 3, 32, 32), torch.tensor([0, 1])
    cost = replace(space, channels=16, cells=2).cost(space.parse(digits), unreached=False)
    network = cell(digits, channels=16, cells=2)
    assert proxies.get("params")(network, batch) == cost.parameters
    assert proxies.get("flops")(network, batch) == cost.flops


def test_flops_of_grouped_strided_and_transposed_convolutions() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2, padding=1, groups=3),
        nn.ConvTranspose2d(6, 2, 2, stride=2),
        nn.Flatten(),
        nn.Linear(128, 3),
    )
    found = proxies.get("flops").layers(network, (torch.ones(2, 3, 8, 8), torch.tensor([0, 1])))

    assert list(found.values()) == [6 * 9 * 16, 6 * 2 * 4 * 16, 129 * 3]


PUBLISHED = {  # zero-cost-nas; NASLib for EPE-NAS and NWOT; Zen-NAS with the draws of ours
    "333333": {
        "synflow": 2.1100037330175e32,
        "fisher": 14.170410021512,
        "jacob_cov": -825.58727555838,
        "grad_norm": 24.707253041235,
        "snip": 32.010075586961,
        "grasp": -4.305001194581,
        "plain": -0.051307219026796,
        "l2_norm": 205.45754975625,
        "epe_nas": 60.79962598464174,
        "nwot": 88.00121426224811,
        "nwot twice": 96.29903180587787,
        "zen": 99.47403135677618,
    },
    "333133": {
        "synflow": 1.161974097446e32,
        "fisher": 24.105446375523,
        "jacob_cov": -673.03216415806,
        "grad_norm": 27.074939785073,
        "snip": 35.581758279495,
        "grasp": -555.60475119415,
        "plain": 0.15482026586583,
        "l2_norm": 174.16870084506,
        "epe_nas": 79.74605071594443,
        "nwot": 87.42538884551712,
        "nwot twice": 95.71387755211285,
        "zen": 106.9581847736757,
    },
    "043210": {
        "synflow": 17813470.700809,
        "fisher": 44.232730338615,
        "jacob_cov": -9.8599188117319,
        "grad_norm": 32.820809914585,
        "snip": 37.910771618606,
        "grasp": 194.9494684418,
        "plain": 0.051450037913056,
        "l2_norm": 80.45514604636,
        "epe_nas": 84.55415505852423,
        "nwot": 76.48006054347384,
        "nwot twice": 84.55314032924892,
        "zen": 8.8616347062352,
    },
    "030203": {
        "synflow": 2.7116086731155e21,
        "fisher": 36.467842484903,
        "jacob_cov": -83.777886152778,
        "grad_norm": 33.26510195957,
        "snip": 39.472683469144,
        "grasp": -10.947024117055,
        "plain": -0.21115246166169,
        "l2_norm": 111.68745932321,
        "epe_nas": 48.33443139116552,
        "nwot": 80.4601440398961,
        "nwot twice": 88.6969429353543,
        "zen": 39.08644494147899,
    },
    "141414": {
        "synflow": 722480228222.29,
        "fisher": 660.7456198675,
        "jacob_cov": -165217.64650276,
        "grad_norm": 244.62607042612,
        "snip": 246.78914720501,
        "grasp": 83991.28107371,
        "plain": 1.2435289101159,
        "l2_norm": 18.121887394897,
        "epe_nas": 27.9238965630679,
        "nwot": -np.inf,
        "nwot twice": -np.inf,
        "zen": 39.134989172432576,
    },
}
AS_RELEASED = {
    "synflow": proxies.SynFlow(keep_residual_norm=True),
    "fisher": proxies.Fisher(per_weight=True),
    "nwot twice": proxies.NWOT(twice=True),
    "zen": proxies.Zen(norm="l1", variance="running"),
}


@pytest.mark.parametrize("digits", PUBLISHED)
def test_values_are_those_of_the_published_programs(
    digits: str, published: Callable[..., nn.Module], published_images: Callable[..., Batch]
) -> None:
    """Of eight images, or of twelve in three classes."""
    twelve = {name: published_images(12, classes=3) for name in ("epe_nas", "nwot", "nwot twice", "zen")}
    found = {
        name: (AS_RELEASED[name] if name in AS_RELEASED else proxies.get(name))(
            published(digits, unreached=name != "zen"), twelve.get(name, published_images())
        )
        for name in PUBLISHED[digits]
    }
    assert found == pytest.approx(PUBLISHED[digits], rel=1e-9)


def test_options_for_published_values_are_not_the_defaults(
    published: Callable[..., nn.Module], published_images: Callable[..., Batch]
) -> None:
    network, batch = published("043210"), published_images()
    assert proxies.get("synflow")(network, batch) == pytest.approx(2022860243.23, rel=1e-9)
    assert proxies.get("fisher")(network, batch) == pytest.approx(4.26312316263, rel=1e-9)
    reached = published("043210", unreached=False)
    assert proxies.get("l2_norm")(reached, batch) == pytest.approx(49.2310625238, rel=1e-9)
    assert proxies.get("nwot")(reached, published_images(12)) == pytest.approx(75.66249924523397, rel=1e-9)
    assert proxies.get("zen")(reached, published_images(12)) == pytest.approx(16.08575975205864, rel=1e-9)


def test_synflow_counts_the_biases_of_the_cells(published: Callable[..., nn.Module], batch: Batch) -> None:
    """R = Σ f_{|θ|}(1) grows by what biases add, and does not depend on the sign of any."""
    plain, drawn, other = (
        proxies.SynFlow(**options)(published("333333"), batch)
        for options in ({}, {"biases": True}, {"biases": True, "seed": 1})
    )
    assert plain < drawn != other > plain
    network = published("333333", bias=True)
    own = proxies.SynFlow(biases=True)(network, batch)
    assert own == proxies.SynFlow()(network, batch), "biases that are there stay"
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            module.bias.data.neg_()
    assert own == proxies.SynFlow()(network, batch)


def test_zen_refuses_what_it_cannot_read(batch: Batch) -> None:
    untracked = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2, track_running_stats=False))
    with pytest.raises(ArchgradError, match="needs networks whose BN tracks its statistics"):
        proxies.Zen(variance="running")(untracked, batch)
    with pytest.raises(ArchgradError, match="norm must be 'l1' or 'l2', got 'l3'"):
        proxies.get("zen", norm="l3")
