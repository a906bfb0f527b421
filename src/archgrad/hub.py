"""Trained networks in repositories of the Hugging Face Hub, by its library's mixin: weights, settings and a card."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

from archgrad.errors import ArchgradError
from archgrad.evaluation import WEIGHTS
from archgrad.model import Model, Network, load_model
from archgrad.rundir import cut_short

PREFIX = "hf:"
"""What stands before a repository's name where a path could stand."""
CARD = "README.md"
TAGS = ("neural-architecture-search", "archgrad")


def save(model: Model, folder: Path | str, card: str) -> Path:
    """Write the files of a repository into a folder of this machine; ``card``: its text."""
    folder = Path(folder)
    names = os.listdir(folder) if folder.is_dir() else []
    if any(name not in (WEIGHTS, "config.json", CARD) and not cut_short(name) for name in names):
        raise ArchgradError(f"{folder} holds other files: name an empty folder")
    (folder / CARD).unlink(missing_ok=True)
    _mixin()(model, card).save_pretrained(folder)
    return folder


def push(model: Model, repository: str, card: str, *, private: bool = False, token: str | None = None) -> str:
    """Create or update a repository, ``user/name``; returns its address. Raises ArchgradError where that fails."""
    try:
        _mixin()(model, card).push_to_hub(repository, private=private, token=token, commit_message="archgrad push")
    except Exception as error:  # of the network, the Hub and the library, each with classes of its own
        raise ArchgradError(f"hub: {repository} cannot be written: {error}") from None
    return f"https://huggingface.co/{repository}"


def load(repository: str, network: Network | None = None, **options: Any) -> Model:
    """The network of a repository, ``user/name`` or ``user/name@revision``, or of a folder that holds its files.

    ``network`` as `archgrad.load`; ``options`` as ``from_pretrained`` of the Hub: ``token``, ``cache_dir`` …
    Nothing of a repository is run. Raises ArchgradError where it cannot be had.
    """
    name, revision = repository.removeprefix(PREFIX), ""
    if not os.path.isdir(name):
        name, _, revision = name.partition("@")
    try:
        found: Model = _mixin().from_pretrained(name, revision=revision or None, network=network, **options).model
    except ArchgradError:
        raise
    except Exception as error:  # of the network, the Hub and the library, each with classes of its own
        raise ArchgradError(f"hub: {name} cannot be read: {error}") from None
    return found


@cache
def _mixin() -> Any:
    """The class that the Hub's library saves, loads and pushes; imported when it is needed."""
    try:
        from huggingface_hub import ModelCard, ModelHubMixin, hf_hub_download
    except ImportError:
        raise ArchgradError("hub: huggingface_hub is not installed: pip install 'archgrad[hub]'") from None

    class HubModel(ModelHubMixin, library_name="archgrad", tags=list(TAGS)):
        """A model with the text of its card."""

        def __init__(self, model: Model, card: str | None = None) -> None:
            self.model = model
            self.card = card

        def _save_pretrained(self, save_directory: Path) -> None:
            self.model.save(save_directory / WEIGHTS)
            # What the weights file says of its network as well; the Hub counts downloads by this file.
            (save_directory / "config.json").write_text(json.dumps(self.model.card, indent=2), encoding="utf-8")

        @classmethod
        def _from_pretrained(cls, *, model_id: str, network: Network | None = None, **options: Any) -> HubModel:
            if os.path.isdir(model_id):
                return cls(load_model(model_id, network))
            return cls(load_model(hf_hub_download(model_id, WEIGHTS, **options), network))

        def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
            return ModelCard(self.card or "")

    return HubModel
