"""torch.export: a program that torch runs without the network's Python code."""

from __future__ import annotations

import io
import json
from pathlib import Path

import torch

from archgrad.errors import ArchgradError
from archgrad.export.exported import Exported
from archgrad.runs import atomic_write


def traced(network: Exported, dynamic: bool) -> torch.export.ExportedProgram:
    """The network as a program, with a batch axis of any size if wanted; else for one input at a time."""
    inputs = network.example(2 if dynamic else 1)
    batch = torch.export.Dim("batch", min=1)
    shapes = {"inputs": tuple({0: batch} for _ in inputs)} if dynamic else None
    try:
        return torch.export.export(network, inputs, dynamic_shapes=shapes, strict=False)
    except Exception as error:  # whatever torch finds that it cannot trace
        reason = str(error).strip().splitlines()[0]
        raise ArchgradError(f"export: torch.export cannot trace this network ({reason})") from None


def write(network: Exported, path: Path) -> str:
    """A `.pt2` file, with the class names among its extra files."""
    program = traced(network, dynamic=True)
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={"archgrad.json": json.dumps(network.model.card)})
    atomic_write(path, buffer.getvalue())
    inputs = network.example(3)
    with torch.no_grad():
        found = torch.export.load(path).module()(*inputs)
    return f"outputs of the loaded program differ by {network.difference(found, inputs):.1e} from the network's"
