"""Choices among operations and inputs in networks of any shape."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from archgrad import ArchgradError, Choice, Genotype, InputChoice, Mixture, Supernet


def seeded(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def softmaxed(supernet: Supernet, seed: int = 0) -> Mixture:
    """Different weights at every site."""
    generator = torch.Generator().manual_seed(seed)
    return Mixture(
        {
            name: torch.randn(n, *supernet.alphas[name].shape, generator=generator, dtype=torch.float64).softmax(-1)
            for name, n in supernet.sites.items()
        }
    )


def settles(network: nn.Module, x: object, count: int = 8) -> Supernet:
    """The settled network equals the one-hot supernet, whatever is kept, in training and in evaluation."""
    supernet = Supernet(network.double())
    generator = torch.Generator().manual_seed(0)
    for _ in range(count):
        genotype = supernet.random(generator)
        for training in (True, False):
            supernet.train(training)
            settled = supernet.settle(genotype, inherit=True)
            assert not [m for m in settled.modules() if isinstance(m, Choice | InputChoice)]
            torch.manual_seed(1)
            found = supernet(x, supernet.one_hot(genotype))
            torch.manual_seed(1)
            args, kwargs = (x, {}) if isinstance(x, tuple) else ((), x) if isinstance(x, dict) else ((x,), {})
            torch.testing.assert_close(found, settled(*args, **kwargs), rtol=0, atol=1e-10)
    return supernet


def test_a_choice_is_the_weighted_sum_of_its_candidates() -> None:
    candidates = {"a": nn.Linear(4, 3).double(), "b": nn.Linear(4, 3).double()}
    supernet = Supernet(Choice(candidates, group="g"))
    x, mixture = seeded(5, 4), softmaxed(supernet)
    w = mixture["g"][0, 0]
    expected = w[0] * candidates["a"](x) + w[1] * candidates["b"](x)
    torch.testing.assert_close(supernet(x, mixture), expected, rtol=0, atol=1e-12)


def test_candidates_are_a_dictionary_of_at_least_one() -> None:
    with pytest.raises(ArchgradError, match=r"^choice 'g': candidates must be a dictionary, name → module, got list$"):
        Choice([nn.Identity()], group="g")  # type: ignore[arg-type]
    with pytest.raises(ArchgradError, match=r"^choice 'g' has no candidates: give at least one$"):
        Choice({}, group="g")
    assert list(Choice(nn.ModuleDict({"a": nn.Identity()})).candidates) == ["a"]


def test_inactive_candidates_are_not_computed() -> None:
    class Refuses(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise AssertionError("computed")

    supernet = Supernet(Choice({"skip": nn.Identity(), "bomb": Refuses()}, group="g"))
    x = torch.randn(3)
    assert torch.equal(supernet(x, supernet.one_hot(Genotype.of({"g": [["skip"]]}))), x)
    weights = torch.tensor([[[0.25, 0.75]]])
    only = Mixture({"g": weights}).restricted({"g": torch.tensor([[True, False]])})
    assert torch.equal(supernet(x, only), 0.25 * x)
    with pytest.raises(AssertionError, match="computed"):
        supernet(x, supernet.uniform())


def test_in_a_1d_convolution_network() -> None:
    def block() -> Choice:
        convolutions = {f"conv{k}": nn.Conv1d(6, 6, k, padding=k // 2) for k in (3, 5)}
        return Choice({**convolutions, "skip": nn.Identity(), "pool": nn.AvgPool1d(3, 1, 1)}, group="block")

    network = nn.Sequential(nn.Conv1d(2, 6, 3), block(), nn.BatchNorm1d(6), block(), nn.AdaptiveAvgPool1d(1))
    assert settles(network, seeded(4, 2, 12)).sites == {"block": 2}


class Transformer(nn.Module):
    """Attention among two widths, a feed-forward part among three, per layer; dropout in one of them."""

    def __init__(self, layers: int = 2):
        super().__init__()
        self.attention = nn.ModuleList(
            Choice({f"heads{h}": Attention(8, h) for h in (1, 4)}, group=f"attention{i}") for i in range(layers)
        )
        self.feed = nn.ModuleList(
            Choice(
                {
                    "narrow": nn.Sequential(nn.Linear(8, 4), nn.GELU(), nn.Linear(4, 8)),
                    "wide": nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Dropout(0.5), nn.Linear(32, 8)),
                    "skip": nn.Identity(),
                },
                group="feed",
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(8)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        for attention, feed in zip(self.attention, self.feed, strict=True):
            tokens = self.norm(tokens + attention(tokens, mask=mask))
            tokens = tokens + feed(tokens)
        return tokens.mean(1)


class Attention(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.attention(tokens, tokens, tokens, key_padding_mask=mask, need_weights=False)[0]


def test_in_a_transformer_with_several_inputs() -> None:
    tokens, mask = seeded(3, 5, 8), torch.arange(5).expand(3, -1) > 3
    for x in (tokens, (tokens, mask), {"tokens": tokens, "mask": mask}):
        assert settles(Transformer(), x, count=4).sites == {"attention0": 1, "attention1": 1, "feed": 2}


class Fusion(nn.Module):
    """Two inputs of different kinds, joined by a choice whose candidates take both."""

    def __init__(self) -> None:
        super().__init__()
        self.fuse = Choice({"bilinear": nn.Bilinear(3, 4, 5), "late": Late()}, group="fuse")

    def forward(self, image: Tensor, sound: Tensor) -> Tensor:
        return self.fuse(image, sound)


class Late(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.image, self.sound = nn.Linear(3, 5), nn.Linear(4, 5)

    def forward(self, image: Tensor, sound: Tensor) -> Tensor:
        return self.image(image) + self.sound(sound)


def test_candidates_may_take_several_inputs() -> None:
    image, sound = seeded(2, 3), seeded(2, 4, seed=1)
    settles(Fusion(), (image, sound))
    settles(Fusion(), {"sound": sound, "image": image})


def test_nested_choices_are_settled_from_the_outside_in() -> None:
    inner = Choice({"tanh": nn.Tanh(), "relu": nn.ReLU()}, group="activation")
    bare = Choice({"tanh": nn.Tanh(), "relu": nn.ReLU()}, group="activation")
    outer = Choice({"deep": nn.Sequential(nn.Linear(4, 4), inner), "bare": bare, "skip": nn.Identity()}, group="block")
    supernet = settles(nn.Sequential(outer, nn.Linear(4, 2)), seeded(3, 4), count=12)
    assert supernet.sites == {"block": 1, "activation": 2}
    settled = supernet.settle(Genotype.of({"block": [["bare"]], "activation": [["tanh"]]}), inherit=True)
    assert isinstance(settled[0], nn.Tanh)


def test_several_kept_candidates_are_summed() -> None:
    network = nn.Sequential(Choice({"a": nn.Linear(4, 4), "b": nn.Linear(4, 4), "skip": nn.Identity()}, group="g"))
    supernet, x = Supernet(network.double()), seeded(3, 4)
    genotype = Genotype.of({"g": [["a", "skip"]]})
    settled = supernet.settle(genotype, inherit=True)
    torch.testing.assert_close(settled(x), network[0].candidates["a"](x) + x, rtol=0, atol=1e-12)
    torch.testing.assert_close(settled(x), supernet(x, supernet.one_hot(genotype)), rtol=0, atol=1e-12)


def test_modules_shared_between_candidates_stay_shared() -> None:
    shared = nn.Linear(4, 4)
    one = Choice({"once": shared, "twice": nn.Sequential(shared, shared)}, group="one")
    two = Choice({"once": shared, "skip": nn.Identity()}, group="two")
    supernet = settles(nn.Sequential(one, two), seeded(3, 4))
    settled = supernet.settle(Genotype.of({"one": [["twice"]], "two": [["once"]]}), inherit=True)
    assert len(list(settled.parameters())) == 2
    assert settled[0][0] is settled[0][1] is settled[1] is not shared


def test_a_choice_used_twice_is_one_site() -> None:
    choice = Choice({"a": nn.Linear(4, 4), "skip": nn.Identity()}, group="g")
    assert settles(nn.Sequential(choice, nn.Tanh(), choice), seeded(3, 4)).sites == {"g": 1}


class Reads(nn.Module):
    def __init__(self, select: int):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
        self.read = InputChoice(4, group="read", select=select)
        self.named = InputChoice(["first", "last"], group="named")

    def forward(self, x: Tensor) -> Tensor:
        states = [x]
        for layer in self.layers:
            states.append(layer(states[-1]))
        return self.read(*states) + self.named(states[0], states[-1])


@pytest.mark.parametrize("select", [1, 2, 4])
def test_input_choices_read_some_of_their_inputs(select: int) -> None:
    supernet = settles(Reads(select), seeded(3, 4))
    assert supernet.groups["read"].operations == ("input_0", "input_1", "input_2", "input_3")
    genotype = supernet.random(torch.Generator().manual_seed(3))
    assert len(genotype.choices["read"][0]) == select


def test_an_input_choice_is_the_weighted_sum_of_its_inputs() -> None:
    supernet = Supernet(InputChoice(3, group="g"))
    inputs, mixture = tuple(seeded(2, 2, seed=i) for i in range(3)), softmaxed(supernet)
    expected = sum(w * x for w, x in zip(mixture["g"][0, 0], inputs, strict=True))
    torch.testing.assert_close(supernet(inputs, mixture), expected)


def test_a_choice_without_group_decides_for_itself() -> None:
    network = nn.Sequential(*(Choice({"a": nn.Identity(), "b": nn.Tanh()}) for _ in range(2)))
    assert Supernet(network).sites == {"0": 1, "1": 1}
    nested = nn.ModuleDict({"body": nn.Sequential(Choice({"a": nn.Identity()}))})
    assert Supernet(nested).sites == {"body/0": 1}
    assert Supernet(Choice({"a": nn.Identity()})).sites == {"choice": 1}


def test_errors_name_the_choice() -> None:
    choice = Choice({"a": nn.Identity()}, group="g")
    with pytest.raises(ArchgradError, match="the choice 'g' was called outside its supernet"):
        choice(torch.zeros(1))
    with pytest.raises(ArchgradError, match=r"choice 'g': candidate 'a' must be a torch\.nn\.Module, got builtin"):
        Choice({"a": torch.relu}, group="g")
    for name in ("", "conv.3", "half", "keys"):
        with pytest.raises(ArchgradError, match=f"choice 'g': candidate: '{name}' cannot be a name here"):
            Choice({name: nn.Identity()}, group="g")
    with pytest.raises(ArchgradError, match="has no candidates"):
        Choice({}, group="g")
    shapes = Supernet(Choice({"a": nn.Identity(), "b": nn.Linear(4, 3)}, group="g"))
    with pytest.raises(ArchgradError, match=r"candidate 'b' returned shape \(2, 3\), the ones before it \(2, 4\)"):
        shapes(torch.zeros(2, 4), shapes.uniform())
    tuples = Supernet(Choice({"lstm": nn.LSTM(4, 4)}, group="g"))
    with pytest.raises(ArchgradError, match="candidate 'lstm' returned tuple"):
        tuples(torch.zeros(2, 3, 4), tuples.uniform())
    nothing = shapes.one_hot(Genotype.of({"g": [[]]}))
    with pytest.raises(ArchgradError, match="'g': the mixture computes none of its candidates"):
        shapes(torch.zeros(2, 4), nothing)
    with pytest.raises(ArchgradError, match="'g': at least one candidate must be kept"):
        shapes.settle(Genotype.of({"g": [[]]}))
    inputs = Supernet(InputChoice(2, group="i"))
    with pytest.raises(ArchgradError, match="input choice 'i': expected 2 inputs, got 1"):
        inputs(torch.zeros(1), inputs.uniform())
    with pytest.raises(ArchgradError, match="input choice 'i': the mixture reads none"):
        inputs((torch.zeros(1), torch.zeros(1)), inputs.one_hot(Genotype.of({"i": [[]]})))
    with pytest.raises(ArchgradError, match="input choice 'i': at least one input must be kept"):
        inputs.settle(Genotype.of({"i": [[]]}))
