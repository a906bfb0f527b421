"""Folders as people have them: parts are never classes, classes never parts, and what is hidden is never read."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from archgrad import data
from archgrad.data.splits import TEST, TRAIN, VALIDATION, role
from archgrad.errors import ArchgradError, ArchgradWarning

SPELLINGS = {
    TRAIN: ("train", "Train", "TRAINING", "Training", "seg_train", "train_set", "trainset", "TrainData", "cats_train",
            "imgs_train", "train2017", "01_train", "train-images", "trn", "trainval"),
    VALIDATION: ("val", "VAL", "Valid", "validation", "seg_val", "dev", "devel", "Development", "val2017", "validate"),
    TEST: ("test", "Test", "Testing", "TESTING", "seg_test", "test_set", "testset", "TestData", "evaluation", "test1"),
}  # fmt: skip

JUNK = (".ipynb_checkpoints", "__MACOSX", ".git", "@eaDir", ".Trash-1000")
FILES = ("._0.png", ".DS_Store", "Thumbs.db", "desktop.ini", ".hidden.jpg")

number = itertools.count()


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was said on loading."""
    said: list[str] = []
    monkeypatch.setattr(sys.modules["archgrad.data.load"], "note", said.append)
    return said


def fill(folder: Path, count: int = 3) -> list[Path]:
    """Pictures of which no two are alike."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{next(number):06d}.png" for _ in range(count)]
    for path in paths:
        value = int(path.stem)
        Image.fromarray(np.array([[[value % 256, value // 256, 7]]], dtype=np.uint8)).save(path)
    return paths


def values(subset: data.Subset) -> set[int]:
    """The numbers that the pictures of a subset carry."""
    return {int(x[0]) + 256 * int(x[1]) for x in subset.inputs.flatten(1)}


def numbers_of(paths: list[Path]) -> set[int]:
    return {int(path.stem) for path in paths}


@pytest.mark.parametrize(("part", "name"), [(part, name) for part, names in SPELLINGS.items() for name in names])
def test_spellings_of_parts(part: str, name: str):
    assert role(name) == part


@pytest.mark.parametrize("name", ["cat", "valley", "train_and_test", "protest", "bullet", "latest", "0", "évaluer"])
def test_names_of_no_part(name: str):
    assert role(name) is None


@settings(max_examples=40, deadline=None)
@given(
    train=st.sampled_from(SPELLINGS[TRAIN]),
    test=st.sampled_from(SPELLINGS[TEST] + SPELLINGS[VALIDATION]),
    classes=st.lists(st.sampled_from(["cat", "Dog", "train", "test", "val", "n01", "été", "7"]), min_size=2, max_size=4,
                     unique=True),
    wrapped=st.lists(st.sampled_from(["archive", "data", "train_test_split"]), max_size=2),
    doubled=st.booleans(),
    nested=st.booleans(),
    junk=st.sampled_from(JUNK),
    file=st.sampled_from(FILES),
)  # fmt: skip
def test_parts_and_classes_in_any_spelling(
    tmp_path_factory: pytest.TempPathFactory,
    train: str, test: str, classes: list[str], wrapped: list[str], doubled: bool, nested: bool, junk: str, file: str,
):  # fmt: skip
    root = tmp_path_factory.mktemp("set")
    expected: dict[str, set[int]] = {}
    for part in (train, test):
        base = root.joinpath(*wrapped, part, *([part] if doubled else []))
        paths = [path for name in classes for path in fill(base / name / ("deeper" if nested else ""))]
        expected[part] = numbers_of(paths)
        for place in (base, base / classes[0], base / junk / "cat"):
            fill(place / junk, 1)
            (place / file).write_bytes(b"none of the pictures")
    fill(root / junk, 2)
    dataset = data.load(root)
    assert dataset.task.class_names == tuple(sorted(classes))
    assert values(dataset.train) == expected[train]
    assert values(dataset.test) == expected[test]
    assert torch.bincount(dataset.test.targets).tolist() == [3] * len(classes)


@pytest.mark.parametrize(
    ("folders", "classes", "sizes"),
    [
        (["train", "plane", "bus"], ("bus", "plane", "train"), (7, 2)),  # a class, since nothing lies in parts
        (["test/2019", "test/2020", "sick/x", "well/y"], ("sick", "test", "well"), (10, 2)),
        (["Train/train", "Train/bus", "test/train", "test/bus"], ("bus", "train"), (6, 6)),
        (["seg_train/seg_train/a", "seg_train/seg_train/b", "seg_test/seg_test/a", "seg_test/seg_test/b", "seg_pred"],
         ("a", "b"), (6, 6)),
        (["train/a", "train/b", "val/a", "val/b", "test/a", "test/b"], ("a", "b"), (6, 6)),
        (["train/a", "train/b", "test"], ("a", "b"), (5, 1)),  # a test part without classes is of no use
        (["bottle/train/good", "bottle/test/bad", "cup/train/good", "cup/test/bad"], ("bottle", "cup"), (6, 6)),
        (["train/a", "train/b", "train_small/a", "train_small/b", "val/a", "val/b"], ("a", "b"), (6, 6)),
        (["train/a", "train/b", "test/a"], ("a", "b"), (6, 3)),  # a class without test images
    ],
)  # fmt: skip
def test_what_folders_mean(tmp_path: Path, folders: list[str], classes: tuple[str, ...], sizes: tuple[int, int]):
    for folder in folders:
        fill(tmp_path / folder)
    dataset = data.load(tmp_path)
    assert dataset.task.class_names == classes
    assert (len(dataset.train), len(dataset.test)) == sizes
    assert not values(dataset.train) & values(dataset.test)


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (["train", "test"], "train holds images and no class folders"),
        (["val/a", "val/b", "test/a", "test/b"], "no training part among test, val"),
        (["train/a", "train/b", "extra/a"], "train may be the training part, or a class like extra: give .*/train"),
        (["train_1/a", "train_1/b", "train_2/a", "train_2/b"], "train_1, train_2 could each be its train part"),
        (["train/a", "train/b", "test/a", "test/c"], "class folder 'c' is in test and has no images in train"),
        (["bottle/train/x", "bottle/test/x", "cup"], "bottle has a training part of its own, and cup has none"),
        (["only"], "one sub-folder of images per class, found 1"),
    ],
)
def test_what_cannot_be_told_is_refused(tmp_path: Path, folders: list[str], message: str):
    for folder in folders:
        fill(tmp_path / folder)
    with pytest.raises(ArchgradError, match=message):
        data.load(tmp_path)


def test_what_was_understood_is_said(tmp_path: Path, quiet: list[str]):
    for folder in ("Training/cat", "Training/dog", "Testing/cat", "Testing/dog", "notes"):
        fill(tmp_path / folder, 2)
    (tmp_path / "Training" / "owl").mkdir()
    fill(tmp_path / "Training", 1)
    about = data.load(tmp_path).about
    assert quiet == [about]
    for part in (
        "3 classes (cat, dog, owl)", "4 training images in Training", "4 test images in Testing",
        "not read: notes", "no images of owl in Training", "outside the class folders are not read: 1",
    ):  # fmt: skip
        assert part in about
    assert "held out of Training" in data.load(tmp_path / "Training").about
    data.load(tmp_path, quiet=True)
    assert len(quiet) == 2


def test_an_empty_folder_is_a_class_and_one_of_other_files_is_none(tmp_path: Path):
    fill(tmp_path / "a")
    fill(tmp_path / "b")
    (tmp_path / "c").mkdir()
    dataset = data.load(tmp_path)
    assert dataset.classes == 3
    (tmp_path / "c" / "scan.npy").touch()
    with pytest.raises(ArchgradError, match=r"c: no images \(looked for"):
        data.load(tmp_path)


def test_links_are_followed_and_do_not_lead_in_circles(tmp_path: Path):
    elsewhere = fill(tmp_path / "elsewhere" / "a")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a").symlink_to(tmp_path / "elsewhere" / "a")
    fill(tmp_path / "set" / "b")
    (tmp_path / "set" / "b" / "again").symlink_to(tmp_path / "set")
    dataset = data.load(tmp_path / "set")
    assert len(dataset.train) + len(dataset.test) == 6
    assert numbers_of(elsewhere) < values(dataset.train) | values(dataset.test)


@pytest.mark.parametrize("parts", [("train/a", "test/b"), ("a", "b")])
def test_identical_images_on_both_sides_are_named(tmp_path: Path, parts: tuple[str, str]):
    for folder in ("train/a", "train/b", "test/a", "test/b") if len(parts[0]) > 1 else ("a", "b"):
        fill(tmp_path / folder, 5)
    first = sorted((tmp_path / parts[0]).iterdir())
    for path in first:  # every image twice, so that a held-out part has some
        (tmp_path / parts[1] / f"copy_{path.name}").write_bytes(path.read_bytes())
    with pytest.warns(ArchgradWarning, match=rf"both the training and the test part \(.*{first[0].name[:3]}.* = .*png"):
        data.load(tmp_path)


def test_unreadable_images_are_named_or_skipped_with_a_count(tmp_path: Path):
    good = [fill(tmp_path / name, 6) for name in ("a", "b")]
    bad = [tmp_path / "a" / "torn.png", tmp_path / "b" / "empty.jpg"]
    bad[0].write_bytes(good[0][0].read_bytes()[:40])
    bad[1].touch()
    with pytest.raises(ArchgradError, match=r"(torn\.png|empty\.jpg): not a readable image"):
        data.load(tmp_path)
    for memory in (2**30, 0):
        dataset = data.load(tmp_path, unreadable="skip", memory=memory)
        assert len(dataset.train) + len(dataset.test) == 12
        assert "left out as unreadable: " in dataset.about
    with pytest.raises(ArchgradError, match="unknown way with unreadable images 'ignore'"):
        data.load(tmp_path, unreadable="ignore")


@settings(max_examples=25, deadline=None)
@given(counts=st.lists(st.integers(2, 9), min_size=2, max_size=5), limit=st.integers(1, 40))
def test_a_limit_is_balanced_and_always_the_same(counts: list[int], limit: int):
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    whole = data.Subset(torch.arange(len(labels)).float()[:, None], labels)
    part = data.limited(whole, limit)
    assert len(part) == min(limit, len(whole))
    found = torch.bincount(part.targets, minlength=len(counts))
    for a, b in itertools.permutations(range(len(counts)), 2):  # nobody has two more than a class with some left
        assert found[a] - found[b] <= 1 or found[b] == counts[b]
    assert torch.equal(part.inputs, data.limited(whole, limit).inputs)


def test_a_limit_holds_for_every_kind_of_data(tmp_path: Path, real_data: Callable[[str], Path]):
    assert len(data.load("digits", limit=20).train) == 20
    dataset = data.load(real_data("images/cifar10"), limit=50)
    assert torch.bincount(dataset.train.targets).tolist() == [5] * 10
    assert len(dataset.test) == 2000
    with pytest.raises(ArchgradError, match="limit must be a whole number, 1 or more"):
        data.load("digits", limit=0)


def test_balanced_class_weights():
    labels = torch.tensor([0] * 6 + [1] * 3 + [2] * 3)
    dataset = data.from_tensors(torch.rand(12, 2), labels, torch.rand(3, 2), torch.arange(3), classes=4)
    assert data.weighted(dataset, "balanced").task.class_weights == pytest.approx((12 / 18, 12 / 9, 12 / 9, 1))
    assert data.load(dataset, class_weights="1,2,0,4").task.class_weights == (1, 2, 0, 4)
    for wrong, message in (
        ("even", "must be balanced, or numbers"),
        ("1,2", "2 class weights for 4 classes"),
        ("-1,1,1,1", "not negative"),
        ("nan,1,1,1", "finite"),
    ):
        with pytest.raises(ArchgradError, match=message):
            data.weighted(dataset, wrong)
