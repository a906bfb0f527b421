"""Batches follow from seed, epoch and step alone: not from what was drawn before, nor from the number of processes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archgrad.data import Augmentation, Batches, Normalisation, Subset
from archgrad.errors import ArchgradError

COUNT = 53
SUBSET = Subset(
    torch.randint(0, 256, (COUNT, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)),
    torch.arange(COUNT),
    Normalisation((0.4, 0.5, 0.6), (0.2, 0.3, 0.4)),
)
AUGMENTATION = Augmentation(pad=1, flip=True, cutout=3)


def batches(batch_size: int = 8, **options) -> Batches:
    return Batches(SUBSET, batch_size, **{"seed": 1, "augment": AUGMENTATION, "shuffle": True, **options})


@settings(max_examples=30, deadline=None)
@given(
    batch=st.integers(1, 9),
    world=st.integers(1, 4),
    epoch=st.integers(0, 3),
    start=st.integers(0, 2),
    drop=st.booleans(),
)
def test_processes_see_together_what_one_sees(batch: int, world: int, epoch: int, start: int, drop: bool):
    whole = list(batches(batch * world, drop_last=drop).epoch(epoch, start))
    parts = [list(batches(batch, drop_last=drop, rank=r, world=world).epoch(epoch, start)) for r in range(world)]
    for step, (x, y) in enumerate(whole):
        mine = [part[step] for part in parts]
        joined = torch.cat([y for _, y in mine])
        assert torch.equal(joined, y)
        assert torch.equal(torch.cat([x for x, _ in mine]), x)
        if drop:
            assert all(len(y) == batch for _, y in mine)
    assert len(whole) == max(0, len(batches(batch * world, drop_last=drop)) - start)


def test_a_late_start_sees_the_same_batches():
    whole = list(batches().epoch(2))
    for start in range(len(whole) + 1):
        for (x, y), (x_late, y_late) in zip(whole[start:], batches().epoch(2, start), strict=True):
            assert torch.equal(x, x_late)
            assert torch.equal(y, y_late)


def test_the_endless_stream_is_the_epochs_in_a_row():
    loader = batches()
    rows = [y.tolist() for epoch in range(3) for _, y in loader.epoch(epoch)]
    for position in (0, 5, 9):
        stream = loader.stream(position)
        assert [next(stream)[1].tolist() for _ in range(len(rows) - position)] == rows[position:]


def test_every_input_is_seen_once_per_epoch_in_a_new_order():
    first, second = (torch.cat([y for _, y in batches().epoch(epoch)]).tolist() for epoch in (0, 1))
    assert sorted(first) == sorted(second) == list(range(COUNT))
    assert first != second
    assert torch.cat([y for _, y in batches(shuffle=False).epoch(4)]).tolist() == list(range(COUNT))


def test_augmentation_differs_between_epochs_steps_and_seeds():
    one = Subset(SUBSET.inputs[:1].expand(COUNT, -1, -1, -1), SUBSET.targets)

    def images(seed: int, epoch: int) -> torch.Tensor:
        return torch.cat([x for x, _ in Batches(one, 8, seed=seed, augment=AUGMENTATION).epoch(epoch)])

    assert torch.equal(images(0, 0), images(0, 0))
    assert not torch.equal(images(0, 0), images(0, 1))
    assert not torch.equal(images(0, 0), images(1, 0))
    assert not torch.equal(images(0, 0)[:8], images(0, 0)[8:16])


def test_images_arrive_normalised_in_float_channels_last():
    (x, _), *_ = Batches(SUBSET, 16).epoch()
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.4, 0.5, 0.6), (0.2, 0.3, 0.4)))
    torch.testing.assert_close(x, (SUBSET.inputs[:16] / 255 - mean) / std)
    assert x.dtype == torch.float32
    assert x.is_contiguous(memory_format=torch.channels_last)


def test_inputs_that_are_no_images_pass_unchanged():
    x = torch.rand(10, 4, 5, dtype=torch.float64)
    (out, _), *_ = Batches(Subset(x, torch.zeros(10).long()), 10).epoch()
    assert torch.equal(out, x)


def test_the_global_generator_is_left_alone():
    state = torch.get_rng_state()
    list(batches().epoch())
    assert torch.equal(torch.get_rng_state(), state)


def test_a_batch_larger_than_the_set_is_one_line():
    with pytest.raises(ArchgradError, match="batch size 64 is larger than the 53 inputs"):
        batches(16, world=4, drop_last=True)
    with pytest.raises(ArchgradError, match="at least 1"):
        batches(0)
