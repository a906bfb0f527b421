"""Program for test_train: train in child processes that are killed at random moments until one comes to its end.

Arguments: run directory, seed of the moments, mean seconds between kills (0: never). Prints the number of kills.
Children are forked from a process that has imported everything, so that a start costs next to nothing.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
import warnings

import torch
from torch import nn

from archgrad import data
from archgrad.operations.drop_path import DropPath
from archgrad.randomness import isolated
from archgrad.recipes import Recipe
from archgrad.train import train

RECIPE = Recipe(epochs=6, batch_size=32, lr=0.05, nesterov=True, weight_decay=1e-3, clip=5, drop_path=0.3, cutout=8)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.block = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), DropPath())
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(8, 10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        return self.head((x + self.block(x)).mean((2, 3)))


def run(directory: str, dataset: data.Dataset) -> None:
    with isolated(0, "weights"):
        net = Net()
    train(
        net, dataset, recipe=RECIPE, seed=3, out=directory, validation=0.25, device="cpu", test_every=2,
        checkpoint_seconds=0.02, progress=False,
    )  # fmt: skip


def main(directory: str, seed: int, mean_seconds: float) -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("error")
    dataset = data.load("digits")
    moments = random.Random(seed)
    kills = 0
    while True:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                run(directory, dataset)
                code = 0
            finally:
                os._exit(code)
        killer = None
        if mean_seconds:
            killer = threading.Timer(moments.uniform(0, 2 * mean_seconds), os.kill, (child, signal.SIGKILL))
            killer.start()
        _, status = os.waitpid(child, 0)
        if killer is not None:
            killer.cancel()
        if not os.WIFSIGNALED(status):
            print(kills)
            sys.exit(os.waitstatus_to_exitcode(status))
        kills += 1
        mean_seconds *= 1.05  # a slow machine must come to an end, too
        time.sleep(0.01)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
