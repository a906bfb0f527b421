"""A user's own network, by the name that was typed."""

from __future__ import annotations

from torch import nn

from archgrad.errors import ArchgradError, shown
from archgrad.foreign import code
from archgrad.randomness import isolated


def network(path: str, seed: int = 0) -> nn.Module:
    """The network of ``package.module:function``, with weights that follow from the seed."""
    made = code.imported(path, "space")
    if callable(made) and not isinstance(made, nn.Module):
        with isolated(seed, "weights"):
            made = made()
    if not isinstance(made, nn.Module):
        raise ArchgradError(f"space {path!r}: expected a function that returns a torch.nn.Module, got {shown(made)}")
    return made
