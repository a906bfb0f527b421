"""The command ``archgrad export``."""

from __future__ import annotations

from pathlib import Path

from archgrad import comparison, console, hub
from archgrad import export as exports
from archgrad.cli import own
from archgrad.errors import unknown


def export(
    run: str,
    *,
    format: str = "onnx",
    out: str | None = None,
    preprocessing: bool = False,
    space: str | None = None,
) -> None:
    """Write a trained network for other programs, and check what was written.

    Args:
        run: run directory of a training, or of a search whose found network has been trained; a weights file;
            or hf:user/name, a repository of the Hugging Face Hub
        format: onnx, torch, executorch or safetensors
        out: the file; `model` with the format's suffix in the run directory by default, and here of a repository
        preprocessing: scale and normalise pixels inside the exported network
        space: `package.module:function` where a network of your own was searched
    """
    if format not in exports.FORMATS:
        raise unknown("format", format, exports.FORMATS)
    model = comparison.load(run, own.network(space) if space else None)
    home = Path() if run.startswith(hub.PREFIX) else Path(run) if Path(run).is_dir() else Path(run).parent
    path = Path(out) if out else home / f"model{exports.FORMATS[format].suffix}"
    checked = exports.export(model, path, format, preprocessing=preprocessing)
    console.say(f"{path}: {checked}")
    console.give(file=path, format=format, preprocessing=preprocessing, checked=checked)
