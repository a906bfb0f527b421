"""A trained network answers as it was tested, from its run, from a copy, and from its weights file alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor, nn

from archgrad import ArchgradError, Choice, Model, data, load, search, spaces
from archgrad.comparison import train_found, train_genotype
from archgrad.data.preparation import Preparation
from archgrad.evaluation import WEIGHTS
from archgrad.model import CARD
from archgrad.recipes import Recipe
from archgrad.tasks import Classification, MultiLabel, NextToken, Prediction, Regression, Segmentation, Task, recorded
from archgrad.train import train

QUIET: dict[str, Any] = {"device": "cpu", "progress": False}
SPACE = spaces.get("nasbench201", channels=4, cells=1)
CELL = "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|"


class Points(nn.Module):
    """A user's own network with one choice."""

    def __init__(self) -> None:
        super().__init__()
        self.first = Choice({"wide": nn.Linear(4, 6), "narrow": nn.Sequential(nn.Linear(4, 2), nn.Linear(2, 6))})
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.first(x).relu())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    train_genotype(SPACE, CELL, "digits", epochs=2, out=out, **QUIET)
    return out


@pytest.fixture(scope="module")
def model(run: Path) -> Model:
    return load(run)


def test_answers_are_those_that_were_tested(run: Path, model: Model, digits: data.Dataset):
    images, labels = digits.test.inputs, digits.test.targets
    found = model.predict(images.permute(0, 2, 3, 1).numpy())
    right = sum(answer.answer == str(int(label)) for answer, label in zip(found, labels, strict=True))
    assert right / len(labels) == json.loads((run / "result.json").read_text())["test"]["accuracy"]
    x = (images[:1].float() / 255 - digits.mean[0]) / digits.std[0]
    expected = model.network(x).softmax(1)[0].sort(descending=True)
    assert list(found[0].probabilities) == [str(int(number)) for number in expected.indices]
    assert list(found[0].probabilities.values()) == pytest.approx(expected.values.tolist(), abs=1e-6)
    assert found[0].probability == max(found[0].probabilities.values())
    assert not model.training


def test_an_image_in_any_form_has_the_same_answer(tmp_path: Path, model: Model, digits: data.Dataset):
    pixels = digits.test.inputs[3, 0].numpy()
    Image.fromarray(pixels).save(tmp_path / "three.png")
    np.save(tmp_path / "three.npy", pixels)
    forms = [
        tmp_path / "three.png", str(tmp_path / "three.png"), tmp_path / "three.npy", Image.fromarray(pixels), pixels,
        pixels[None], pixels[..., None], torch.from_numpy(pixels), torch.from_numpy(pixels)[None] / 255,
        np.kron(pixels, np.ones((2, 2), np.uint8)),  # twice as large, brought to the network's size
    ]  # fmt: skip
    wanted = model.predict(pixels)
    assert isinstance(wanted, Prediction)
    for form in forms:
        assert model.predict(form).probabilities == pytest.approx(wanted.probabilities, abs=1e-6), type(form)
    (tmp_path / "three.npy").unlink()
    assert model.predict(tmp_path)[0].answer == wanted.answer, "a folder"
    assert [answer.answer for answer in model.predict([pixels, tmp_path / "three.png"])] == [wanted.answer] * 2


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (np.zeros((2, 3, 8, 8), np.uint8), "1 channels, first or last, got shape"),
        (np.full((8, 8), 300.0), "uint8 from 0 to 255, or floating-point from 0 to 1"),
        ("nothing.png", "nothing.png: no such file"),
        ([], "the list of inputs is empty"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(model: Model, inputs: Any, message: str):
    with pytest.raises(ArchgradError, match=message):
        model.predict(inputs)


def test_a_copy_and_the_weights_file_alone_are_enough(tmp_path: Path, run: Path, model: Model):
    x = torch.rand(2, 1, 8, 8)
    (tmp_path / "copy").mkdir()
    shutil.copy(run / WEIGHTS, tmp_path / "copy" / WEIGHTS)
    model.save(tmp_path / "mine.safetensors")
    for place in (tmp_path / "copy", tmp_path / "copy" / WEIGHTS, tmp_path / "mine.safetensors"):
        again = load(place)
        assert torch.equal(again(x), model(x))
        assert again.card == model.card
    assert str(tmp_path) not in json.dumps(model.card), "nothing of the machine"


def test_a_network_of_ones_own_is_searched_trained_and_loaded(tmp_path: Path):
    x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    points = data.from_tensors(x, (x[:, :3]).argmax(1), task=Classification(["a", "b", "c"]))
    search(Points(), "darts", points, epochs=1, batch_size=8, out=tmp_path, **QUIET)
    with pytest.raises(ArchgradError, match="a network of your own was searched"):
        train_found(tmp_path)
    recipe = Recipe(epochs=2, batch_size=8, lr=0.05)
    found, *others = train_found(tmp_path, network=Points(), random=2, recipe=recipe, data=points, **QUIET)
    assert len(others) == 2
    with pytest.raises(ArchgradError, match=r"weights are those of a network of your own .*Points"):
        load(tmp_path)
    for network in (Points, Points(), lambda: Points()):
        again = load(tmp_path, network)
        assert torch.equal(again(x), found.network.eval()(x))
    assert again.predict(x[0]).answer in ("a", "b", "c")
    with pytest.raises(ArchgradError, match="inputs must have shape"):
        again.predict(x[:, :2])


TASKS: list[tuple[Task, Tensor, Any]] = [
    (Classification(["cat", "dog"]), torch.tensor([[0.0, 1.0]]), "dog"),
    (MultiLabel(["red", "round", "new"]), torch.tensor([[1.0, -1.0, 3.0]]), ("new", "red")),
    (Regression(outputs=1), torch.tensor([[2.5]]), 2.5),
    (NextToken(["the", "end"]), torch.tensor([[[5.0, 0.0], [0.0, 5.0]]]), "end"),
]


@pytest.mark.parametrize(("task", "outputs", "answer"), TASKS, ids=lambda value: str(value)[:12])
def test_every_task_answers_and_comes_back_from_its_record(task: Task, outputs: Tensor, answer: Any):
    again = recorded(json.loads(json.dumps(task.record())))
    assert type(again) is type(task)
    assert again.record() == task.record()
    for one in (task, again):
        (found,) = one.predictions(outputs)
        assert found.answer == answer
        assert json.dumps(found.record())


def test_a_mask_is_told_as_shares_of_its_pixels():
    outputs = torch.zeros(1, 2, 2, 2)
    outputs[0, 1, 0, 0] = 1
    (found,) = Segmentation(["sky", "road"]).predictions(outputs)
    assert found.answer.tolist() == [[1, 0], [0, 0]]
    assert str(found) == "sky 75.0%, road 25.0%"
    assert found.record()["answer"] == [[1, 0], [0, 0]]


def test_a_task_of_ones_own_answers_with_its_numbers(tmp_path: Path):
    x = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
    own = data.from_tensors(x, x[:, :1], task=Task(loss=nn.functional.huber_loss, outputs=1))
    network = nn.Linear(4, 1)
    train(network, own, recipe=Recipe(epochs=1, batch_size=8, lr=0.05), out=tmp_path, **QUIET)
    again = load(tmp_path, nn.Linear(4, 1))
    assert again.predict(x[0]).answer == pytest.approx(network(x[:1]).item())
    with pytest.raises(ArchgradError, match="a user's own: its loss was not recorded"):
        again.task.mean_loss(x[:, :1], x[:, :1])


def test_inputs_of_several_tensors_come_back_from_their_record():
    preparation = Preparation({"left": (4,), "tokens": (7,)}, {"left": "float32", "tokens": "int64"})
    again = Preparation.recorded(json.loads(json.dumps(preparation.record())))
    assert again == preparation
    example = again.example(3)
    assert example["left"].shape == (3, 4)
    assert example["tokens"].dtype == torch.long
    one = {name: tensor[0] for name, tensor in example.items()}
    batch, single = again.batch(one)
    assert single
    assert batch["tokens"].shape == (1, 7)
    assert again.batch([one, one])[0]["left"].shape == (2, 4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space_fields": {"cells": 9_999, "channels": 4}}, "9999 cells for"),
        ({"space_fields": {"cells": 1, "channels": 9_999}}, "weights of another network"),
        ({"space": "os:system"}, "a network of your own"),
        ({"genotype": 5}, "is damaged"),
        ({"classes": "ten"}, "is damaged"),
        ({"inputs": {"shape": "no"}}, "the record of a network's inputs is damaged"),
        ({"inputs": None}, "the record of a network's inputs is damaged"),
        ({"answers": {"kind": "Classification", "os": "system"}}, "the record of a task is damaged"),
    ],
)
def test_a_foreign_weights_file_is_refused_in_one_line(
    tmp_path: Path, run: Path, changes: dict[str, Any], message: str
):
    state = safetensors.torch.load_file(run / WEIGHTS)
    with safetensors.safe_open(run / WEIGHTS, "pt") as file:
        card = json.loads(file.metadata()[CARD])
    safetensors.torch.save_file(state, tmp_path / "w.safetensors", metadata={CARD: json.dumps(card | changes)})
    with pytest.raises(ArchgradError, match=message) as refused:
        load(tmp_path / "w.safetensors")
    assert "\n" not in str(refused.value)
