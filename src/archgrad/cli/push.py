"""The command ``archgrad push``."""

from __future__ import annotations

from archgrad import console, publishing
from archgrad.cli import own


def push(
    run: str,
    repository: str | None = None,
    *,
    folder: str | None = None,
    license: str | None = None,
    private: bool = False,
    space: str | None = None,
) -> None:
    """Publish a trained network on the Hugging Face Hub, with a card that is written from its run.

    Args:
        run: run directory of a training, or of a search whose found network has been trained; or a weights file
        repository: user/name; log in once with `hf auth login`
        folder: instead, write the files of the repository into this folder
        license: of the weights, as the Hub calls it, such as mit or cc-by-4.0
        private: a new repository is for you alone
        space: `package.module:function` where a network of your own was searched
    """
    network = own.network(space) if space else None
    where = publishing.push(run, repository, folder=folder, network=network, license=license, private=private)
    console.say(where)
    console.give(run=run, published=where)
