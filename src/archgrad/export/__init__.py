"""Trained networks in the formats of other programs, each checked against the network itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from archgrad.errors import ArchgradError, unknown
from archgrad.export import executorch, onnx, program, weights
from archgrad.export.exported import Exported
from archgrad.model import Model

Write = Callable[[Exported, Path], str]


@dataclass(frozen=True)
class Format:
    """How a format is written, and how its files are called. `write` says what was checked."""

    write: Write
    suffix: str
    help: str


FORMATS = {
    "onnx": Format(onnx.write, ".onnx", "ONNX, for onnxruntime and many others; any batch size"),
    "torch": Format(program.write, ".pt2", "torch.export's program, which runs without the network's code"),
    "executorch": Format(executorch.write, ".pte", "ExecuTorch, for phones and small devices; one input at a time"),
    "safetensors": Format(weights.write, ".safetensors", "weights and what belongs to them, for archgrad.load"),
}


def export(model: Model, path: Path | str, format: str = "onnx", *, preprocessing: bool = False) -> str:
    """Write a trained network in another format, and check what was written against the network.

    `preprocessing`: the file takes what users have, such as `uint8` pixels `[batch, channels, height, width]`, and
    scales and normalises them itself; else it takes inputs that are prepared. Images have to be of the network's size
    either way. Returns what was checked, in a sentence.

    Raises ArchgradError for an unknown format, a library that is missing (saying how to install it), a network that the
    format cannot hold, and outputs that differ from the network's by more than 1e-4.
    """
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    path = Path(path)
    if path.is_dir():
        file = path / f"model{FORMATS[format].suffix}"
        raise ArchgradError(f"export: {path} is a directory: name a file, such as {file}")
    path.parent.mkdir(parents=True, exist_ok=True)
    return FORMATS[format].write(Exported(model, preprocessing), path)


__all__ = ["FORMATS", "Exported", "Format", "export"]
