"""The command ``archgrad predict``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from archgrad import comparison, console
from archgrad.cli import own
from archgrad.data.preparation import images_in
from archgrad.distributed import World
from archgrad.model import Model
from archgrad.tasks import Prediction

TOGETHER = 256
"""How many files are read before the network is asked."""


def predict(
    run: str,
    files: list[str],
    *,
    space: str | None = None,
    top: int = 3,
    device: str | None = None,
) -> None:
    """Let a trained network answer.

    Args:
        run: run directory of a training, or of a search whose found network has been trained; a weights file;
            or hf:user/name, a repository of the Hugging Face Hub
        files: images, folders of images, or `.npy` files of arrays
        space: `package.module:function` where a network of your own was searched
        top: how many of the likeliest answers are shown
        device: cpu, cuda, cuda:1, mps; the best there is by default
    """
    model = comparison.load(run, own.network(space) if space else None).to(World.start(device).device)
    paths = [path for file in files for path in (images_in(Path(file)) if Path(file).is_dir() else [Path(file)])]
    records = []
    for start in range(0, len(paths), TOGETHER):
        for name, found in _answers(model, paths[start : start + TOGETHER]):
            console.say(f"{name}: {_told(found, top)}")
            records.append({"input": name, **found.record(top)} if console.reads_json() else {})
    console.give(run=run, answers=records)


def _answers(model: Model, paths: Sequence[Path]) -> list[tuple[str, Prediction]]:
    """Every answer with the name of its input; an array of several is numbered."""
    answers: list[tuple[str, Prediction]] = []
    images = [path for path in paths if path.suffix != ".npy"]
    if images:
        answers += zip(map(str, images), model.predict(list(images)), strict=True)  # type: ignore[arg-type]  # a list
    for path in [path for path in paths if path.suffix == ".npy"]:
        found = model.predict(path)
        if isinstance(found, list):
            answers += [(f"{path}[{number}]", one) for number, one in enumerate(found)]
        else:
            answers.append((str(path), found))
    return answers


def _told(found: Prediction, top: int) -> str:
    """The answer, and the likeliest others where it is one of several."""
    if found.probability is None:
        return str(found)
    others = [f"{name} {share:.1%}" for name, share in list(found.probabilities.items())[1:top]]
    return f"{found}, then {', '.join(others)}" if others else str(found)
