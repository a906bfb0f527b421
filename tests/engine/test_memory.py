"""Peak memory is what is alive at once, each storage once."""

from __future__ import annotations

import torch

from archgrad import spaces
from archgrad.engine.memory import PeakMemory
from archgrad.step_cost import step_cost


def test_views_count_once_and_freed_tensors_no_more() -> None:
    before = torch.zeros(5000)
    with PeakMemory() as memory:
        a = torch.zeros(1000)
        b = a + 1
        assert memory.alive == 8000
        del a
        c = b * 2
        d = c.view(10, 100)
        del c
        assert memory.alive == 8000, "a view keeps its storage alive"
        e = d + 1
        before += 1
    assert memory.peak == 12000
    assert len({t.data_ptr() for t in (b, d, e)}) == 3


def test_backward_is_seen() -> None:
    weight = torch.randn(100, 100, requires_grad=True)
    with PeakMemory() as memory:
        (torch.randn(100, 100) @ weight).relu().sum().backward()
    assert 120_000 < memory.peak <= 170_000  # three maps of 40,000 bytes on the way up; on the way down no more of them


def test_a_step_takes_memory_in_proportion_to_its_batch_and_less_when_fused() -> None:
    space = spaces.get("darts", channels=8, cells=3)
    small, large = (step_cost(space, batch_size=batch, image_size=16, executor="plain").peak for batch in (8, 32))
    assert 3 < large / small < 4.2
    assert step_cost(space, batch_size=32, image_size=16, executor="loop").peak < 0.7 * large
