"""Weights with what belongs to them, as safetensors."""

from __future__ import annotations

from pathlib import Path

import torch

from archgrad.errors import ArchgradError
from archgrad.export.exported import Exported
from archgrad.model import read


def write(network: Exported, path: Path) -> str:
    """A file that `archgrad.load` reads, wherever it is copied to."""
    if network.preprocessing:
        raise ArchgradError("export: a safetensors file holds weights; archgrad.load prepares inputs by what it says")
    network.model.save(path)
    state, _ = read(path)
    own = network.model.network.state_dict()
    if state.keys() != own.keys() or not all(torch.equal(tensor, state[name]) for name, tensor in own.items()):
        raise ArchgradError(f"export: {path} does not hold the network's weights")
    return "the file's weights are the network's, bit for bit"
