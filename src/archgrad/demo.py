"""The demo: a network of one's own, searched, compared with random ones, asked and exported.

``python -m archgrad.demo`` runs the commands that a user would type, and shows them. The network is written as a user
writes one, and ``--space archgrad.demo:SignalNet`` names it on the command line.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from jaxtyping import Float
from torch import Tensor, nn

from archgrad.choice import Choice

CHANNELS = 16


def convolution(kernel: int, dilation: int = 1) -> nn.Module:
    """A convolution that keeps length and channels, normalised."""
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv1d(CHANNELS, CHANNELS, kernel, padding=padding, dilation=dilation, bias=False),
        nn.BatchNorm1d(CHANNELS),
        nn.ReLU(),
    )


def candidates() -> Mapping[str, nn.Module]:
    """What every choice chooses from."""
    return {
        "skip": nn.Identity(),
        "pool": nn.AvgPool1d(3, stride=1, padding=1),
        "conv1": convolution(1),
        "conv3": convolution(3),
        "conv7": convolution(7),
        "dilated": convolution(3, dilation=4),
    }


class SignalNet(nn.Module):
    """Signals ``[n, 1, length]`` to one of ten classes: a stem that halves them, six free choices, and a mean."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv1d(1, CHANNELS, 3, stride=2, padding=1, bias=False), nn.BatchNorm1d(CHANNELS), nn.ReLU()
        )
        self.body = nn.Sequential(*(Choice(candidates()) for _ in range(6)))
        self.head = nn.Linear(CHANNELS, 10)

    def forward(self, x: Float[Tensor, "n 1 length"]) -> Float[Tensor, "n 10"]:
        logits: Tensor = self.head(self.body(self.stem(x)).mean(2))
        return logits


SPACE = "archgrad.demo:SignalNet"
SEARCHES = 3
SEARCH = "--method darts --epochs 5 --batch_size 64 --alpha_lr 0.03 --weight_lr 0.1 --diagnose 0"
TRAIN = "--random 10 --epochs 6 --batch_size 128 --validation 0.1"


def run(out: Path, seed: int = 0) -> list[str]:
    """Search from several seeds, train what was found and random networks; returns the directories of the searches."""
    runs = [str(out / f"search-{number}") for number in range(SEARCHES)]
    for number, place in enumerate(runs):
        own = ("--seed", str(seed * SEARCHES + number), "--out", place)
        command("search", "--space", SPACE, "--data", "signals", *SEARCH.split(), *own)
    command("train", *runs, "--space", SPACE, *TRAIN.split(), "--seed", str(seed))
    return runs


def command(*arguments: str) -> None:
    """Show a command and run it, in this process."""
    from archgrad.cli import main as archgrad  # the program may itself be asked for this module

    print(f"\n$ archgrad {shlex.join(arguments)}", flush=True)
    archgrad([*arguments])


def main(arguments: Sequence[str] | None = None) -> None:
    """The whole demo."""
    from archgrad.comparison import best_of

    parser = argparse.ArgumentParser("archgrad.demo", description="Search a small network and use what was found.")
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="directory of the runs")
    parser.add_argument("--seed", type=int, default=0, help="everything random follows from it")
    given = parser.parse_args(arguments)
    best = best_of(run(given.out, given.seed))
    command("evaluate", best, "--show", "5", "--space", SPACE)
    command("export", best, "--space", SPACE)
    print(
        f"\nOpen {Path(best, 'report.html').resolve()} in a browser. What one would type next:\n"
        f"  archgrad predict {best} signal.npy --space {SPACE}    # a signal of yours, an array [1, 64]\n"
        f"  archgrad search --space MODULE:NETWORK --data FOLDER          # a network and images of yours\n"
        f"  archgrad list methods                                         # other ways to search"
    )


if __name__ == "__main__":
    main()
