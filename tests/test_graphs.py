"""Passes that are launched from recordings; what a GPU records is here a pass that is called again as it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import archgrad
from archgrad import ArchgradError, data, methods, spaces
from archgrad.distributed import World
from archgrad.graphs import Graphs, Pass, Passed
from archgrad.method import Method
from archgrad.search import Search


class Recorder:
    """Calls a pass on the tensors that it was recorded with, and overwrites what it returned before."""

    def __init__(self) -> None:
        self.recorded = self.launched = 0

    def __call__(self, compute: Pass) -> Pass:
        self.recorded += 1
        kept: list[Passed] = []

        def launch() -> Passed:
            self.launched += 1
            found = compute()
            if not kept:
                kept.append(found)
            for mine, new in zip(flat(kept[0]), flat(found), strict=True):
                mine.copy_(new)
            return kept[0]

        return launch


def flat(found: Passed) -> list[Tensor]:
    return [found.loss, *([] if found.outputs is None else [found.outputs]), *found.gradients]


def searched(method: Method, make: Callable[[], Graphs | None]) -> list[Tensor]:
    """Alphas and all else of a supernet after some steps in two epochs."""
    torch.manual_seed(0)
    images = data.load("digits")
    images = replace(images, train=images.train.take(torch.arange(64)))
    space = spaces.get("nasbench201", channels=4, cells=1)
    method = replace(method, epochs=2, batch_size=8)
    loop = Search(lambda *_: space.supernet(**space.fitting(images)), method, images, World.start("cpu"), 0, 0.5)
    loop.bilevel.graphs = make()
    loop.fit(progress=False, checkpoint_seconds=1e9)
    return [t.detach().clone() for t in loop.supernet.state_dict().values()]


@pytest.mark.parametrize("name", ["darts", "drnas", "a2m", "lambda_darts", "darts_minus", "attention_darts", "gdas"])
def test_a_search_from_recordings_finds_the_same_bits(name: str) -> None:
    """Whatever a pass reads is new in every step, and nothing that it returned before changes."""
    recorder, method = Recorder(), methods.get(name, "nasbench201")
    for before, after in zip(
        searched(method, lambda: None),
        searched(method, lambda: Graphs(World.start("cpu"), recorder)),
        strict=True,
    ):
        assert torch.equal(before, after)
    if name == "gdas":  # another path in nearly every step
        assert recorder.launched < 8
    else:
        assert recorder.launched > recorder.recorded > 1


def test_recordings_are_refused_by_name_where_they_cannot_be() -> None:
    with pytest.raises(ArchgradError, match=r"graphs: only a GPU of NVIDIA .* on cpu"):
        archgrad.search(graphs=True, device="cpu", epochs=1, progress=False)
    net = spaces.get("nasbench201", channels=4, cells=1).supernet()
    for module in net.network.modules():
        if type(module).__name__ == "Cell":
            module.narrow(2, random=True)
    with pytest.raises(ArchgradError, match=r"graphs: PartialChannels\(random=True\)"):
        Graphs(World.start("cpu"), Recorder()).require_recordable(net)
    net = spaces.get("nasbench201", channels=4, cells=1).supernet(checkpoint_cells=True)
    with pytest.raises(ArchgradError, match="graphs: checkpoint_cells"):
        Graphs(World.start("cpu"), Recorder()).require_recordable(net)
