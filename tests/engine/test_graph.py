"""What a graph says of weights and channels."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from archgrad.channels import shuffled
from archgrad.engine.graph import Graph
from archgrad.genotype import Edge, Group

GROUP = Group("cell", (Edge(0, 1, ("skip_connect",)),))


@given(st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1)))))
def test_picked_weights_are_those_of_their_places(case: tuple[int, set[int]]) -> None:
    count, places = case
    weights = torch.arange(float(count), requires_grad=True)
    found = Graph(GROUP, [1], [], weights).picked(sorted(places, reverse=True))
    assert {place: weight.item() for place, weight in found.items()} == {place: float(place) for place in places}
    if places:
        (grad,) = torch.autograd.grad(sum((1 + place) * weight for place, weight in found.items()), weights)
        assert grad.tolist() == [1.0 + place if place in places else 0.0 for place in range(count)]


@given(st.integers(1, 20), st.integers(1, 8), st.booleans())
def test_shuffled_channels_take_turns(channels: int, groups: int, last: bool) -> None:
    width = -(-channels // groups)
    order = [start + offset for offset in range(width) for start in range(0, channels, width)]
    x = torch.arange(float(channels))[None, :, None, None].expand(2, -1, 3, 2)
    x = x.contiguous(memory_format=torch.channels_last) if last else x
    assert shuffled(x, groups)[0, :, 0, 0].tolist() == [float(place) for place in order if place < channels]
