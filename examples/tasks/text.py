"""Text: whether a review is kind, where "not" turns the word that follows it.

    python examples/tasks/text.py

Sentences are generated here, and words become numbers. The network has an embedding and chooses what is done with it:
nothing, convolutions over several words, or attention. Counting words, the usual first attempt, cannot see what a
"not" belongs to; it is the baseline, beside random choices.
"""

from __future__ import annotations

import random as numbers
from dataclasses import replace
from functools import partial

import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

import archgrad
from archgrad import Choice, data, methods
from archgrad.comparison import train_own
from archgrad.method import AlphaOptimiser, WeightOptimiser
from archgrad.recipes import Recipe

KIND = ["good", "great", "lovely", "warm", "clever", "funny", "fresh", "honest", "gentle", "bright"]
UNKIND = ["bad", "dull", "awful", "cold", "stupid", "sad", "stale", "false", "cruel", "dark"]
OTHER = ["the", "a", "film", "plot", "cast", "music", "was", "is", "and", "but", "it", "story", "very", "so", "role"]
WORDS = ["", "not", *KIND, *UNKIND, *OTHER]  # number 0 fills up short sentences
LENGTH, WIDTH = 18, 16


def review(draw: numbers.Random) -> tuple[list[str], int]:
    """A sentence with three judgements, each turned by a "not" half of the time, and whether most are kind."""
    words, kindness = [], 0
    for _ in range(3):
        words += draw.choices(OTHER, k=draw.randint(1, 3))
        kind, turned = draw.random() < 0.5, draw.random() < 0.5
        words += ["not"] * turned + [draw.choice(KIND if kind else UNKIND)]
        kindness += 1 if kind != turned else -1
    return words, int(kindness > 0)


def reviews(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Word numbers ``[count, length]``, and 1 for kind reviews."""
    draw, number = numbers.Random(seed), {word: place for place, word in enumerate(WORDS)}
    pairs = [review(draw) for _ in range(count)]
    rows = [[number[word] for word in words] + [0] * (LENGTH - len(words)) for words, _ in pairs]
    return torch.tensor(rows), torch.tensor([label for _, label in pairs])


class Along(nn.Module):
    """A convolution along the words, or attention among them, of ``[batch, length, width]``."""

    def __init__(self, kernel: int = 0) -> None:
        super().__init__()
        self.attention = None if kernel else nn.MultiheadAttention(WIDTH, 2, batch_first=True)
        self.convolution = nn.Conv1d(WIDTH, WIDTH, kernel, padding=kernel // 2) if kernel else None

    def forward(self, x: Tensor) -> Tensor:
        if self.convolution is not None:
            return self.convolution(x.transpose(1, 2)).transpose(1, 2).relu()
        return self.attention(x, x, x, need_weights=False)[0]


class Net(nn.Module):
    """An embedding, two chosen layers, and the largest value over the words."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(WORDS), WIDTH, padding_idx=0)
        self.layers = nn.Sequential(
            *(
                Choice(
                    {
                        "skip": nn.Identity(),
                        "word": Along(1),
                        "three words": Along(3),
                        "five words": Along(5),
                        "attention": Along(),
                    },
                    f"layer {number}",
                )
                for number in (1, 2)
            )
        )
        self.head = nn.Linear(WIDTH, 2)

    def forward(self, words: Tensor) -> Tensor:
        return self.head(self.layers(self.embedding(words)).mean(1))


def counted(words: Tensor) -> Tensor:
    """How often every word occurs, ``[count, words]``."""
    return nn.functional.one_hot(words, len(WORDS)).sum(1)


def main(epochs: int = 10, training: int = 15, random: int = 3, count: int = 2000) -> dict[str, float]:
    """Search, train what was found and ``random`` others, and say how they compare."""
    (x, y), (test_x, test_y) = reviews(count, seed=0), reviews(1000, seed=1)
    texts = data.from_tensors(x, y, test_x, test_y, classes=("unkind", "kind"), name="reviews")
    torch.manual_seed(0)
    method = replace(
        methods.get("darts"),
        alpha_optimiser=AlphaOptimiser(lr=0.02),
        weight_optimiser=WeightOptimiser(lr=0.1),
        batch_size=50,
    )
    found = archgrad.search(Net(), method, texts, epochs=epochs, diagnose=0, progress=False)
    print(found.genotype)

    generator = torch.Generator().manual_seed(1)
    genotypes = [found.genotype, *(found.supernet.random(generator) for _ in range(random))]
    recipe = Recipe(epochs=training, batch_size=50, lr=0.1, lr_per_step=True, weight_decay=1e-4, clip=5.0)
    trained = partial(train_own, Net(), data=texts, recipe=recipe, progress=False)
    accuracy, *others = [100 * trained(genotype).test.score for genotype in genotypes]
    bag = 100 * LogisticRegression(max_iter=1000).fit(counted(x), y).score(counted(test_x), test_y)
    print(f"accuracy: {accuracy:.1f} % found, {min(others):.1f} to {max(others):.1f} % of {random} random networks,")
    print(f"{bag:.1f} % by counting words")
    return {"found": accuracy, "bag": bag, "best random": max(others)}


if __name__ == "__main__":
    main()
