"""Messages: one line of bounded length, whatever they repeat."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import archgrad
from archgrad import Choice, data
from archgrad.errors import ECHO, LONGEST, ArchgradError, no_room, out_of_memory, reason, require_whole, shown, unknown


@given(st.text(max_size=3000))
def test_a_message_is_one_line_that_a_person_can_read(text: str):
    message = str(ArchgradError(f"x: cannot take {text} here"))
    assert len(message) <= LONGEST
    assert message.isprintable()
    assert str(ArchgradError(message)) == message
    assert str(pickle.loads(pickle.dumps(ArchgradError(message)))) == message


def test_the_ends_of_a_long_message_stay():
    message = str(ArchgradError(f"space: cannot take {'ab ' * 10**6}: give the name of one"))
    assert message.startswith("space: cannot take ab ab")
    assert message.endswith(": give the name of one")


@pytest.mark.parametrize(
    "value",
    [
        "x" * 10**6, b"x" * 10**6, [1] * 10**6, {n: n for n in range(10**5)}, 10**3000, torch.rand(300, 300),
        np.zeros((9, 9)), (torch.rand(2, 3), torch.rand(2)), object(), lambda: 0, archgrad.search, torch.nn.ReLU(),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_values_are_repeated_in_a_few_words(value: object):
    assert len(shown(value)) <= ECHO
    message = str(ArchgradError(f"cannot take {value!r}")) if not isinstance(value, int) else shown(value)
    assert "\n" not in message
    assert not re.search("0x[0-9a-f]{6}", shown(value) + message)


def test_shapes_stand_for_tensors():
    assert shown(torch.rand(300, 2)) == "Tensor of shape [300, 2]"
    assert shown((torch.rand(2, 3), np.zeros(2))) == "(Tensor of shape [2, 3], ndarray of shape [2])"
    assert shown("darts") == "'darts'"


def test_a_long_name_is_unknown_at_once():
    assert len(str(unknown("space", "x" * 10**7, ["darts"]))) < 200


def test_whole_numbers_have_bounds():
    require_whole("it", 1, 5, size=np.int64(5))
    for value in (0, 6, 10**30, 2.0, True, None, "3"):
        with pytest.raises(ArchgradError, match="it: size must be a whole number, from 1 to 5, got "):
            require_whole("it", 1, 5, size=value)


def test_full_memory_is_not_the_fault_of_what_was_tried():
    full = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\n more")
    assert out_of_memory(full)
    assert out_of_memory(MemoryError())
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert out_of_memory(caught.value)
    assert no_room(caught.value) == f"out of memory (asked for {4 * 2**60} bytes)"
    assert no_room(full) == "out of memory (asked for 20.00 GiB)"
    assert no_room(MemoryError()) == "out of memory"
    assert out_of_memory(RuntimeError("could not create a primitive"))
    assert not out_of_memory(RuntimeError("could not create a primitive descriptor for a convolution"))
    with pytest.raises(torch.OutOfMemoryError):
        reason(full)
    assert reason(ValueError("first\nsecond")) == "first"
    assert reason(ValueError()) == "ValueError"


def test_a_network_without_room_does_not_count_as_unfit():
    class Huge(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = Choice({"a": torch.nn.Conv2d(1, 2, 3), "b": torch.nn.Conv2d(1, 2, 3)}, group="g")

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.body(x).new_empty(2**60)

    with pytest.raises(RuntimeError, match="memory"):
        archgrad.search(Huge(), data="digits", progress=False)


def test_tensors_are_no_data():
    pair = torch.rand(600, 1, 8, 8), torch.zeros(600, dtype=torch.long)
    with pytest.raises(ArchgradError, match=r"^data must be a name, a path or a Dataset, got tuple") as caught:
        archgrad.search("nasbench201", "darts", pair)
    assert "from_tensors" in str(caught.value)
    with pytest.raises(ArchgradError, match="method must be a Method or the name of one, got Tensor of shape"):
        archgrad.search("nasbench201", pair[0])
    assert data.load(data.load("digits")).name == "digits"
