"""Exported networks give the network's outputs in the programs that they are for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from archgrad import ArchgradError, Model, data, load, spaces
from archgrad.comparison import train_genotype
from archgrad.data.preparation import Preparation
from archgrad.export import FORMATS, Exported, export
from archgrad.tasks import Regression


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    space, out = spaces.get("nasbench201", channels=4, cells=1), tmp_path_factory.mktemp("run")
    cell = "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|"
    train_genotype(space, cell, "digits", epochs=1, out=out, device="cpu", progress=False)
    return load(out)


class Two(nn.Module):
    """Takes numbers and tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(5, 4), nn.Linear(4, 1)

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        return self.head(x + self.table(tokens).mean(1))


def test_onnx_takes_pixels_in_batches_of_any_size(tmp_path: Path, model: Model, digits: data.Dataset):
    said = export(model, tmp_path / "model.onnx", "onnx", preprocessing=True)
    assert "outputs of onnxruntime differ by " in said
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    for count in (1, 5):
        images = digits.test.inputs[:count]
        (outputs,) = session.run(None, {"input": images.numpy()})
        found = torch.from_numpy(outputs).softmax(1)
        for row, answer in zip(found, model.predict(images), strict=True):
            assert row.max() == pytest.approx(answer.probability, abs=1e-4)
            assert str(int(row.argmax())) == answer.answer
    properties = {entry.key: entry.value for entry in onnx.load(tmp_path / "model.onnx").metadata_props}
    assert json.loads(properties["archgrad"])["answers"]["classes"] == list("0123456789")


def test_a_program_of_torch_runs_without_the_network(tmp_path: Path, model: Model):
    export(model, tmp_path / "model.pt2", "torch")
    x = torch.randn(4, 1, 8, 8)
    program = torch.export.load(tmp_path / "model.pt2").module()
    torch.testing.assert_close(program(x), model(x))


def test_weights_come_back_bit_for_bit(tmp_path: Path, model: Model):
    export(model, tmp_path / "w.safetensors", "safetensors")
    x = torch.randn(4, 1, 8, 8)
    assert torch.equal(load(tmp_path / "w.safetensors")(x), model(x))


def test_inputs_of_several_tensors_are_exported(tmp_path: Path):
    preparation = Preparation(((4,), (3,)), ("float32", "int64"))
    network = Model(Two(), preparation, Regression(outputs=1), {}).eval()
    export(network, tmp_path / "two.onnx", "onnx")
    session = onnxruntime.InferenceSession(tmp_path / "two.onnx", providers=["CPUExecutionProvider"])
    x, tokens = torch.randn(2, 4), torch.tensor([[0, 1, 2], [3, 4, 0]])
    (found,) = session.run(None, {"input_0": x.numpy(), "input_1": tokens.numpy()})
    np.testing.assert_allclose(found, network(x, tokens).detach().numpy(), atol=1e-5)


def test_outputs_that_differ_are_refused(model: Model):
    exported, inputs = Exported(model), Exported(model).example(2)
    right = exported(*inputs).detach()
    assert exported.difference(right, inputs) == 0
    for wrong in (right + 1e-3 * right.abs().max().clamp(min=1), right * torch.nan):
        with pytest.raises(ArchgradError, match="outputs differ by"):
            exported.difference(wrong, inputs)


def test_what_cannot_be_exported_is_told_in_one_line(tmp_path: Path, model: Model):
    with pytest.raises(ArchgradError, match=r"unknown format 'onyx'.*onnx"):
        export(model, tmp_path / "m", "onyx")
    with pytest.raises(ArchgradError, match=r"is a directory: name a file, such as .*model.onnx"):
        export(model, tmp_path)
    with pytest.raises(ArchgradError, match="holds weights"):
        export(model, tmp_path / "m", "safetensors", preprocessing=True)

    class Counting(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum().item() > 0 else -x  # which a program cannot hold

    odd = Model(Counting(), Preparation((4,)), Regression(outputs=4), {})
    for format in ("onnx", "torch"):
        with pytest.raises(ArchgradError, match="this network") as refused:
            export(odd, tmp_path / f"odd{FORMATS[format].suffix}", format)
        assert "\n" not in str(refused.value)
        assert not (tmp_path / f"odd{FORMATS[format].suffix}").exists()
