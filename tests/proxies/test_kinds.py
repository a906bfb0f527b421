"""Every proxy on every kind of network: what its definition says, or a refusal that names the reason; never silence."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from archgrad import ArchgradError, proxies

NAMES = list(proxies.PROXIES)
GRADIENT_FREE = {"nwot", "zen", "l2_norm", "params", "flops"}
OF_INPUTS = {"croze", "croze_official", "croze_flat", "synflow", "jacob_cov", "epe_nas", "zen", "robust_ensemble"}
OF_RELUS = {"nwot", "robust_ensemble"}
OF_ANYTHING = {"params", "jacob_cov", "epe_nas"}
"""What does not look at convolutions or linear layers."""


def convolutions(
    activation: Callable[..., nn.Module] = nn.ReLU,
    norm: Callable[[int], nn.Module] | None = nn.BatchNorm2d,
    wrap: Callable[[nn.Module], nn.Module] = lambda layer: layer,
    **options: bool,
) -> nn.Sequential:
    torch.manual_seed(0)
    norms = [norm(6), norm(6)] if norm else [nn.Identity(), nn.Identity()]
    return nn.Sequential(
        wrap(nn.Conv2d(3, 6, 3, 2, 1, bias=norm is None)), norms[0], activation(**options),
        wrap(nn.Conv2d(6, 6, 3, 2, 1, bias=norm is None)), norms[1], activation(**options),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), wrap(nn.Linear(6, 5)),
    )  # fmt: skip


class Attention(nn.Module):
    """Patches, self-attention, a head."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.patches, self.block, self.head = nn.Conv2d(3, 8, 4, 4), block, nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        mixed = (
            self.block(tokens, tokens, tokens)[0]
            if isinstance(self.block, nn.MultiheadAttention)
            else self.block(tokens)
        )
        return self.head((tokens + mixed).mean(1))


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.hidden, self.head = nn.Embedding(11, 8), nn.Linear(8, 8), nn.Linear(8, 5)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.hidden(self.embedding(tokens)).relu().mean(1))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.GRU(48, 7, batch_first=True), nn.Linear(7, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x.flatten(2).transpose(1, 2).reshape(len(x), -1, 48))[0][:, -1])


class Own(nn.Module):
    """Weights of its own, and no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(768, 5) / 28)

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.weight


class Wrapped(nn.Module):
    """What a function makes of a network."""

    def __init__(self, function: Callable[[nn.Module, Tensor], object], body: nn.Module | None = None) -> None:
        super().__init__()
        self.body, self.function = body or convolutions(), function

    def forward(self, x: Tensor) -> object:
        return self.function(self.body, x)


def unseen(body: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return body(x)


def seeded(make: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    def made() -> nn.Module:
        torch.manual_seed(0)
        return make()

    return made


KINDS: dict[str, tuple[Callable[[], nn.Module], set[str], str]] = {
    "batch norm": (convolutions, set(), ""),
    "no norm": (lambda: convolutions(norm=None), set(), ""),
    "group norm": (lambda: convolutions(norm=lambda c: nn.GroupNorm(2, c)), set(), ""),
    "instance norm": (lambda: convolutions(norm=nn.InstanceNorm2d), set(), ""),
    "in place": (lambda: convolutions(inplace=True), set(), ""),
    "GELU": (lambda: convolutions(nn.GELU), OF_RELUS, "nwot: .* the network has none"),
    "GELU, no norm": (lambda: convolutions(nn.GELU, None), OF_RELUS, "nwot: .* the network has none"),
    "SiLU in place": (lambda: convolutions(nn.SiLU, inplace=True), OF_RELUS, "the network has none"),
    "Tanh": (lambda: convolutions(nn.Tanh), OF_RELUS, "the network has none"),
    "leaky ReLU": (lambda: convolutions(nn.LeakyReLU), set(), ""),
    "ReLU6": (lambda: convolutions(nn.ReLU6), set(), ""),
    "PReLU": (lambda: convolutions(nn.PReLU), set(), ""),
    "weight_norm": (lambda: convolutions(wrap=parametrizations.weight_norm), set(), ""),
    "older weight_norm": (lambda: convolutions(wrap=nn.utils.weight_norm), set(), ""),
    "spectral_norm": (lambda: convolutions(wrap=parametrizations.spectral_norm), set(), ""),
    "older spectral_norm": (lambda: convolutions(wrap=nn.utils.spectral_norm), set(), ""),
    "dropout": (lambda: nn.Sequential(nn.Dropout(0.3), convolutions()), set(), ""),
    "half precision": (lambda: convolutions().half(), set(), ""),
    "transformer": (seeded(lambda: Attention(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True))), {"zen"},
                    "zen: .* and block.self_attn.in_proj_weight is neither"),
    "attention": (seeded(lambda: Attention(nn.MultiheadAttention(8, 2, batch_first=True))), OF_RELUS | {"zen"},
                  "the network has none|in_proj_weight is neither"),
    "tokens": (seeded(Tokens), OF_INPUTS, "it needs inputs of real numbers, got torch.int64"),
    "recurrent": (seeded(Recurrent), OF_RELUS | {"zen"}, "the network has none|weight_ih_l0 is neither"),
    "own weights": (seeded(Own), {*NAMES} - OF_ANYTHING, "of which the network has none|and the network has none"),
    "no gradients": (lambda: Wrapped(unseen), {*NAMES} - GRADIENT_FREE, "outputs have no gradients by its weights"),
    "a mapping": (lambda: Wrapped(lambda body, x: {"logits": body(x)}), {*NAMES} - {"params", "l2_norm"},
                  "must return a tensor, got dict"),
    "nothing": (lambda: Wrapped(lambda body, x: None), {*NAMES} - {"params", "l2_norm"}, "got NoneType"),
    "weights without a shape": (lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(5)), {*NAMES}, "without a shape yet"),
    "other inputs": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(3, 5)), {*NAMES} - {"params", "l2_norm"},
                     r"cannot take inputs of shape \[\d, 3, 16, 16\]: mat1 and mat2"),
}  # fmt: skip
"""Kind → a network, the proxies that refuse it, and why."""


def batch(kind: str) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor([0, 0, 0, 1, 1, 2, 3, 4])
    if kind == "tokens":
        return torch.randint(0, 11, (8, 6), generator=generator), labels
    return torch.randn(8, 3, 16, 16, generator=generator), labels


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_every_proxy_scores_or_refuses_every_kind_of_network(name: str, kind: str):
    make, refusing, reason = KINDS[kind]
    network, pair = make(), batch(kind)
    if name in refusing:
        with pytest.raises(ArchgradError, match=reason):
            proxies.get(name)(network, pair)
        return
    found = proxies.get(name)(network, pair)
    assert math.isfinite(found)
    assert found == proxies.get(name)(network, pair)


SAME = {
    "in place": ("batch norm", lambda: convolutions(inplace=True), convolutions),
    "in place without norm": (
        "no norm",
        lambda: convolutions(norm=None, inplace=True),
        lambda: convolutions(norm=None),
    ),
    "called by name": (
        "batch norm",
        lambda: Wrapped(lambda body, x: body[2:](body[1](body[0](input=x)))),
        convolutions,
    ),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", SAME)
def test_how_a_network_computes_the_same_makes_no_difference(name: str, kind: str):
    _, one, other = SAME[kind]
    assert proxies.get(name)(one(), batch("")) == pytest.approx(proxies.get(name)(other(), batch("")), rel=1e-6)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("params", "zen")])
@pytest.mark.parametrize(
    "wrap",
    [
        parametrizations.weight_norm, nn.utils.weight_norm, parametrizations.orthogonal,
        lambda layer: nn.utils.parametrize.register_parametrization(layer, "weight", nn.Tanh()),
    ],
    ids=["weight_norm", "older weight_norm", "orthogonal", "own"],
)  # fmt: skip
def test_weights_that_are_computed_count_as_what_they_are(name: str, wrap: Callable[[nn.Module], nn.Module]):
    computed, plain = convolutions(wrap=wrap), convolutions()
    with torch.no_grad():
        for layer, other in zip(computed, plain, strict=True):
            if isinstance(other, nn.Conv2d | nn.Linear):
                other.weight.copy_(layer.weight)
                other.bias is None or other.bias.copy_(layer.bias)
    before, outputs = copy.copy(list(computed.parameters())), computed.eval()(batch("")[0])
    assert proxies.get(name)(computed, batch("")) == pytest.approx(proxies.get(name)(plain, batch("")), rel=1e-5)
    assert torch.equal(computed(batch("")[0]), outputs), "the network itself is as it was"
    assert all(one is two for one, two in zip(before, computed.parameters(), strict=True))
    assert proxies.get("params")(computed, batch("")) == sum(p.numel() for p in computed.parameters())


def test_a_shared_weight_counts_once():
    torch.manual_seed(0)
    one, two = nn.Linear(12, 12, bias=False), nn.Linear(12, 12, bias=False)
    two.weight = one.weight
    network, images = nn.Sequential(one, nn.ReLU(), two), torch.randn(4, 12)
    labels = torch.arange(4)
    loss = F.cross_entropy(network(images), labels)
    (gradient,) = torch.autograd.grad(loss, [one.weight])
    weight = one.weight.detach()
    for name, expected in {
        "snip": (weight * gradient).abs().sum(), "plain": (weight * gradient).sum(),
        "grad_norm": gradient.norm(), "l2_norm": weight.norm(), "params": torch.tensor(144), "flops": torch.tensor(288),
    }.items():  # fmt: skip
        assert proxies.get(name)(network, (images, labels)) == pytest.approx(float(expected), rel=1e-5), name


@pytest.mark.parametrize("length", [4, 64])
def test_grasp_of_attention_is_its_definition(length: int):
    """−w·Hg by differences of gradients; long sequences have an attention without second derivatives on CPUs."""
    torch.manual_seed(0)
    network = Attention(nn.MultiheadAttention(8, 1, batch_first=True)).double()
    side = 4 * math.isqrt(length)
    images, labels = torch.randn(4, 3, side, side, dtype=torch.double), torch.arange(4)
    layers = [module.weight for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]

    def gradients() -> list[Tensor]:
        with nn.attention.sdpa_kernel(nn.attention.SDPBackend.MATH):
            return list(torch.autograd.grad(F.cross_entropy(network(images), labels), layers))

    start, step, along = gradients(), 1e-5, []
    for sign in (1, -1):
        with torch.no_grad():
            for weight, g in zip(layers, start, strict=True):
                weight += sign * step * g
        along.append(gradients())
        with torch.no_grad():
            for weight, g in zip(layers, start, strict=True):
                weight -= sign * step * g
    hg = [(up - down) / (2 * step) for up, down in zip(*along, strict=True)]
    expected = -sum(float((weight.detach() * h).sum()) for weight, h in zip(layers, hg, strict=True))
    assert proxies.get("grasp")(network, (images, labels)) == pytest.approx(expected, rel=1e-5)
    assert math.isfinite(proxies.get("grasp")(network.float(), (images.float(), labels)))


@pytest.mark.parametrize("activation", [nn.LeakyReLU, nn.PReLU, nn.ReLU6, nn.RReLU])
def test_nwot_counts_the_patterns_of_every_relu(activation: Callable[[], nn.Module]):
    torch.manual_seed(0)
    layer, images = nn.Linear(12, 7), torch.randn(6, 12)
    pair = images, torch.arange(6)
    codes = (layer(images) > 0).double()
    kernel = codes @ codes.T + (1 - codes) @ (1 - codes).T
    assert proxies.get("nwot")(nn.Sequential(layer, activation()), pair) == pytest.approx(float(torch.logdet(kernel)))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("params", "flops", "zen")])
def test_no_proxy_makes_a_number_of_nan(name: str):
    network = convolutions(norm=None)
    with torch.no_grad():
        network[0].weight.fill_(math.nan)
    assert math.isnan(proxies.get(name)(network, batch("")))


def test_the_refusal_names_the_proxy():
    with pytest.raises(ArchgradError, match=r"^snip: it looks at convolutions"):
        proxies.measure({"params": proxies.get("params"), "snip": proxies.get("snip")}, Own(), batch(""))
