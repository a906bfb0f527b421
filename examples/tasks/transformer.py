"""Next tokens: a small transformer that chooses attention and feed-forward part of every layer.

    python examples/tasks/transformer.py

Texts are generated here: eight random tokens, and then the same eight again. The first half cannot be foreseen; in
the second half whoever looks eight tokens back knows what comes. The transformer is compared with random choices and
with the best that can be done without looking back.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import archgrad
from archgrad import Choice, data, methods
from archgrad.comparison import train_own
from archgrad.method import AlphaOptimiser, WeightOptimiser
from archgrad.recipes import Recipe
from archgrad.tasks import NextToken

TOKENS, HALF = 10, 8
LENGTH = 2 * HALF - 1
WIDTH = 24


def texts(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Tokens ``[count, length]``, and the ones that follow."""
    half = torch.randint(TOKENS, (count, HALF), generator=torch.Generator().manual_seed(seed))
    whole = torch.cat([half, half], 1)
    return whole[:, :-1], whole[:, 1:]


class Attention(nn.Module):
    """Causal attention: every place looks at itself and the ``reach`` places before it, by so many heads."""

    def __init__(self, heads: int, reach: int = LENGTH) -> None:
        super().__init__()
        self.heads, self.reach = heads, reach
        self.read, self.write = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        q, k, v = self.read(x).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        back = torch.arange(length)[:, None] - torch.arange(length)
        seen = F.scaled_dot_product_attention(q, k, v, ((back >= 0) & (back <= self.reach)).to(x.device))
        return self.write(seen.transpose(1, 2).flatten(2))


class Before(nn.Module):
    """A convolution over a place and the two before it."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(WIDTH, WIDTH, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.convolution(F.pad(x.transpose(1, 2), (2, 0))).transpose(1, 2)


class Gated(nn.Module):
    """A feed-forward part one half of which opens and closes the other, as in SwiGLU."""

    def __init__(self) -> None:
        super().__init__()
        self.read, self.write = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.read(x).chunk(2, -1)
        return self.write(F.silu(gate) * value)


class Nothing(nn.Module):
    """A part that is left out."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


def wide(activation: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(WIDTH, 2 * WIDTH), activation, nn.Linear(2 * WIDTH, WIDTH))


class Layer(nn.Module):
    """x + attention(x), then x + feed-forward(x), with a choice of both."""

    def __init__(self, number: int) -> None:
        super().__init__()
        attentions = {"1 head": Attention(1), "4 heads": Attention(4), "4 heads, near": Attention(4, reach=4)}
        self.attention = Choice({"nothing": Nothing(), "before": Before(), **attentions}, f"attention {number}")
        wides = {"relu": wide(nn.ReLU()), "gelu": wide(nn.GELU()), "gated": Gated()}
        self.forward_part = Choice({"nothing": Nothing(), **wides}, f"feed-forward {number}")
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norms[0](x))
        return x + self.forward_part(self.norms[1](x))


class Transformer(nn.Module):
    """Embeddings of tokens and places, two layers, and a number per token that may follow."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(TOKENS, WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.layers = nn.Sequential(Layer(1), Layer(2))
        self.head = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, TOKENS))

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.layers(self.tokens(tokens) + self.places.weight))


def main(epochs: int = 8, training: int = 12, random: int = 2, count: int = 1500) -> dict[str, float]:
    """Search, train what was found and ``random`` others, and say how they compare."""
    dataset = data.from_tensors(*texts(count, seed=0), *texts(500, seed=1), task=NextToken(TOKENS), name="echoes")
    torch.manual_seed(0)
    method = replace(
        methods.get("darts"),
        alpha_optimiser=AlphaOptimiser(lr=0.02),
        weight_optimiser=WeightOptimiser(lr=0.3, lr_min=0.01, clip=1.0),
        batch_size=50,
    )
    found = archgrad.search(Transformer(), method, dataset, epochs=epochs, diagnose=0, progress=False)
    print(found.genotype)

    generator = torch.Generator().manual_seed(1)
    genotypes = [found.genotype, *(found.supernet.random(generator) for _ in range(random))]
    recipe = Recipe(epochs=training, batch_size=50, lr=0.3, lr_per_step=True, warm_up_epochs=2, clip=1.0)
    trained = partial(train_own, Transformer(), data=dataset, recipe=recipe, progress=False)
    perplexity, *others = [trained(genotype).test.score for genotype in genotypes]
    best = math.exp((HALF - 1) / LENGTH * math.log(TOKENS))  # seven of fifteen places are free draws
    print(f"perplexity: {perplexity:.2f} found, {min(others):.2f} to {max(others):.2f} of {random} random networks,")
    print(f"{best:.2f} at best, {TOKENS} without looking back")
    return {"found": perplexity, "blind": TOKENS, "best": best, "best random": min(others)}


if __name__ == "__main__":
    main()
