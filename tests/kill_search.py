"""Program for test_search: search in child processes that are killed at random moments until one comes to its end.

Arguments: directory, method, number of kills. Writes DIRECTORY/whole, a run that nothing disturbed, and as many
DIRECTORY/killed-N as the kills are enough for. Children are forked from a process that has imported everything, so that
a start costs next to nothing.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
import warnings
from dataclasses import dataclass, replace

import torch
from torch import nn

from archgrad import Choice, InputChoice, data, methods
from archgrad.context import Context
from archgrad.discretise import BestOfRandom
from archgrad.randomness import isolated
from archgrad.roles import Schedule
from archgrad.search import search
from archgrad.state import State


class Net(nn.Module):
    """Batch statistics, dropout, a shared group and an input choice: all that a checkpoint must not forget."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 6, 3, 2, padding=1, bias=False), nn.BatchNorm2d(6))
        self.blocks = nn.ModuleList(
            Choice(
                {
                    "conv": nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU()),
                    "point": nn.Sequential(nn.Conv2d(6, 6, 1), nn.Dropout(0.2)),
                    "skip": nn.Identity(),
                },
                group="block",
            )
            for _ in range(2)
        )
        self.inputs = InputChoice(3)
        self.head = nn.Linear(6, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        states = [self.stem(x)]
        for block in self.blocks:
            states.append(block(states[-1]))
        return self.head(self.inputs(*states).mean((2, 3)))


@dataclass(frozen=True)
class PruneLater(Schedule):
    """Forbids the first candidate once it has seen two epochs: needs its memory and changes the masks."""

    def epoch_end(self, state: State, context: Context) -> None:
        context.memory["seen"] = context.memory.get("seen", 0) + 1
        if context.memory["seen"] == 2:
            state.masks["block"] = state.masks["block"].clone()
            state.masks["block"][:, 0] = False


def run(directory: str, method: str, dataset: data.Dataset) -> None:
    chosen = replace(methods.get(method), epochs=4, batch_size=16)
    if method == "random_search":
        chosen = replace(chosen, discretisation=BestOfRandom(6))
    else:
        chosen = replace(chosen, schedules=(PruneLater(),))
    with isolated(0, "weights"):
        net = Net()
    search(net, chosen, dataset, seed=3, out=directory, device="cpu", checkpoint_seconds=0.01, progress=False)


def attempt(directory: str, method: str, dataset: data.Dataset, kill_after: float | None = None) -> bool:
    """Search in a child process that is killed after some seconds; whether it was."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            run(directory, method, dataset)
            code = 0
        finally:
            os._exit(code)
    killer = None
    if kill_after is not None:
        killer = threading.Timer(kill_after, os.kill, (child, signal.SIGKILL))
        killer.start()
    _, status = os.waitpid(child, 0)
    if killer is not None:
        killer.cancel()
    if os.WIFSIGNALED(status):
        return True
    if status:
        sys.exit(os.waitstatus_to_exitcode(status))
    return False


def main(directory: str, method: str, kills: int) -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("error")
    digits = data.load("digits")
    few = digits.train.take(torch.arange(192))
    dataset = data.from_tensors(few.inputs, few.targets, classes=10, augmentation=digits.augmentation)
    started = time.monotonic()
    attempt(f"{directory}/whole", method, dataset)
    seconds = time.monotonic() - started
    moments = random.Random(method)
    number = 0
    while kills > 0:
        number += 1
        while attempt(f"{directory}/killed-{number}", method, dataset, moments.uniform(0, seconds)):
            kills -= 1


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
