"""A user's own network, by the name that was typed."""

from __future__ import annotations

import importlib

from torch import nn

from archgrad.errors import ArchgradError, shown, unknown
from archgrad.foreign import code
from archgrad.randomness import isolated


def network(path: str, seed: int = 0) -> nn.Module:
    """The network of ``package.module:function``, with weights that follow from the seed."""
    module, _, name = path.partition(":")
    code.make_reachable(module)
    try:
        imported = importlib.import_module(module)
    except ImportError as error:
        raise ArchgradError(f"space {path!r}: {error}") from None
    if not hasattr(imported, name):
        raise unknown(f"function of {module}", name, [n for n, made in vars(imported).items() if callable(made)])
    made = getattr(imported, name)
    if callable(made) and not isinstance(made, nn.Module):
        with isolated(seed, "weights"):
            made = made()
    if not isinstance(made, nn.Module):
        raise ArchgradError(f"space {path!r}: expected a function that returns a torch.nn.Module, got {shown(made)}")
    return made
