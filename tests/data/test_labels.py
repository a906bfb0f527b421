"""Labels of every kind become classes in one place, the same for folders, Parquet files and arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archgrad import data
from archgrad.data.labels import Labelling, is_unlabelled
from archgrad.errors import ArchgradError
from archgrad.tasks import Classification

CONTAINERS = {
    "list": list, "tuple": tuple, "array": np.array, "column": lambda y: np.array(y)[:, None], "series": pd.Series,
    "category": lambda y: pd.Series(y, dtype="category"), "objects": lambda y: np.array(y, dtype=object),
}  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(
    values=st.one_of(
        st.lists(st.integers(0, 2**62), min_size=2, max_size=6, unique=True),
        st.lists(st.text("abcÄß xyz", min_size=1, max_size=6), min_size=2, max_size=6, unique=True),
        st.just([False, True]),
    ),
    draw=st.data(),
    container=st.sampled_from(sorted(CONTAINERS)),
)
def test_classes_are_the_different_labels_in_order(values: list[Any], draw: st.DataObject, container: str):
    labels = draw.draw(st.permutations(values * 3))
    labelling = Labelling.of(CONTAINERS[container](labels), "y")
    ordered = sorted(values)
    assert labelling.names == tuple(map(str, ordered))
    numbers = labelling.numbers(CONTAINERS[container](labels), "y").tolist()
    assert [ordered[number] for number in numbers] == labels


@pytest.mark.parametrize(
    ("labels", "names", "numbers"),
    [
        ([0, 10**6, 0], ("0", "1000000"), [0, 1, 0]),
        ([1, 2, 3, 1], ("1", "2", "3"), [0, 1, 2, 0]),
        (["10", "9", "10"], ("9", "10"), [1, 0, 1]),
        ([b"b", b"a"], ("a", "b"), [1, 0]),
        (torch.tensor([[3], [7]], dtype=torch.uint8), ("3", "7"), [0, 1]),
        (np.array([3, 7], dtype=np.uint64), ("3", "7"), [0, 1]),
        ([True, False], ("False", "True"), [1, 0]),
    ],
)
def test_sparse_and_shifted_labels(labels: Any, names: tuple[str, ...], numbers: list[int]):
    labelling = Labelling.of(labels, "y")
    assert labelling.names == names
    assert labelling.numbers(labels, "y").tolist() == numbers


def test_declared_classes_keep_their_numbers():
    labelling = Labelling.of([0, 2], "y", ["a", "b", "c"])
    assert (labelling.names, labelling.numbers([2, 0], "y").tolist()) == (("a", "b", "c"), [2, 0])
    assert Labelling.of(["c", "a"], "y", ["a", "b", "c"]).numbers(["c", "a"], "y").tolist() == [2, 0]
    with pytest.raises(ArchgradError, match=r"^y: label 3 is not one of the 3 classes \(a, b, c\)$"):
        labelling.numbers([3], "y")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0.0, 1.0], "labels must be integers or names, got float64: .* task=Regression"),
        ([-1, 1, 1, -1], "label -1 stands for no class: write two classes as 0 and 1"),
        ([0, 1, -1], "label -1 stands for no class"),
        ([0, 1, -7], "labels must be 0 or more, got -7"),
        ([0, None, 1], "label None stands for no class"),
        (["a", None], "label None stands for no class"),
        (["a", 1], "labels are of several kinds: numbers, text"),
        (list(range(30)), "30 different labels for 30 inputs are no classes"),
        ([f"a caption {n}" for n in range(30)], "30 different labels for 30 inputs are no classes"),
        ([5, 5], "must tell at least two classes apart, all are 5"),
        ([], "must tell at least two classes apart, there are none"),
        (np.eye(3), "must be one label per input, .* for one-hot labels give their argmax"),
        ([[0], [1, 2]], "must be integers or names, got list"),
        ([2**70, 1], "labels are too large numbers"),
        (np.array([2**64 - 1], dtype=np.uint64), "label 18446744073709551615 is too large a number"),
        (np.array(["2020-01-01"], dtype="datetime64[D]"), "must be integers or names, got datetime64"),
        (7, r"must be one label per input, shape \[n\], got shape \[\]"),
    ],
)
def test_what_is_no_label_is_refused(labels: Any, message: str):
    with pytest.raises(ArchgradError, match=rf"^y: {message}|^y: labels {message}"):
        Labelling.of(labels, "y")


@pytest.mark.parametrize(("labels", "unlabelled"), [([-1, -1], True), ([None, float("nan")], True), ([0, -1], False)])
def test_parts_without_labels(labels: list[Any], unlabelled: bool):
    assert is_unlabelled(labels, "y") == unlabelled


X = np.random.default_rng(0).random((40, 3))


def test_own_tensors_with_labels_of_every_kind():
    names = np.array(["owl", "cat"])[np.arange(40) % 2]
    dataset = data.from_tensors(X, names, X[:4], np.array(["cat", "owl", "owl", "cat"]))
    assert dataset.task.class_names == ("cat", "owl")
    assert dataset.test.targets.tolist() == [0, 1, 1, 0]
    assert data.from_tensors(X, names == "owl").task.class_names == ("False", "True")
    assert data.from_tensors(X, 1 + np.arange(40) % 4, task=Classification(label_smoothing=0.1)).classes == 4
    with pytest.raises(ArchgradError, match=r"test_y: label 'dog' is not one of the 2 classes \(cat, owl\)"):
        data.from_tensors(X, names, X[:1], np.array(["dog"]))


def test_a_test_part_without_labels_is_replaced_by_a_held_out_one():
    dataset = data.from_tensors(X, np.arange(40) % 2, X[:10], np.full(10, -1))
    assert (len(dataset.train), len(dataset.test)) == (32, 8)


class Listed(list):
    """Examples whose labels are listed, as torchvision's datasets list them."""

    def __init__(self, labels: list[Any], classes: list[str] | None = None) -> None:
        super().__init__((torch.ones(2), label) for label in labels)
        self.targets = labels
        if classes:
            self.classes = classes


@pytest.mark.parametrize("labels", [["owl", "cat"] * 10, [7, 3] * 10, [2, 1] * 10])
def test_own_datasets_with_labels_of_every_kind(labels: list[Any]):
    dataset = data.from_dataset(Listed(labels))
    assert dataset.task.class_names == tuple(sorted(set(map(str, labels))))
    for _, y in data.Batches(dataset.train, 4, workers=0).epoch():
        assert y.dtype == torch.long
        assert set(y.tolist()) <= {0, 1}
    (_, y), *_ = data.Batches(dataset.train, 16, workers=0).epoch()
    assert torch.equal(y, dataset.train.strata)
    assert data.from_dataset(Listed([0, 1] * 5, ["cat", "owl"])).task.class_names == ("cat", "owl")
