"""From a folder of images to an ONNX file that answers without archgrad.

    python examples/tasks/images_to_onnx.py

Images of three shapes are drawn into a folder, one sub-folder per class, as you would lay out your own. A cell is
searched, trained beside random ones, asked about new images, and exported.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageDraw

import archgrad
from archgrad import methods
from archgrad.comparison import train_found
from archgrad.export import export
from archgrad.method import AlphaOptimiser

# --8<-- [start:images]
SIDE = 16


def draw(shape: str, numbers: np.random.Generator) -> Image.Image:
    """A circle, a square or a cross of random colours, size and place, in noise."""
    image = Image.fromarray(numbers.integers(0, 110, (SIDE, SIDE, 3), dtype=np.uint8))
    pen, ink = ImageDraw.Draw(image), tuple(int(tone) for tone in numbers.integers(60, 256, 3))
    (x, y), r = numbers.uniform(5, SIDE - 5, 2), numbers.uniform(2, 5)
    box = (x - r, y - r, x + r, y + r)
    if shape == "circle":
        pen.ellipse(box, outline=ink)
    elif shape == "square":
        pen.rectangle(box, outline=ink)
    else:
        pen.line(box, fill=ink)
        pen.line((x - r, y + r, x + r, y - r), fill=ink)
    return image


def folder(root: Path, count: int) -> Path:
    """``root/train/CLASS`` with ``count`` images each, and ``root/test/CLASS`` with a third of that."""
    numbers = np.random.default_rng(0)
    for part, many in (("train", count), ("test", count // 3)):
        for shape in ("circle", "cross", "square"):
            place = root / part / shape
            place.mkdir(parents=True)
            for number in range(many):
                draw(shape, numbers).save(place / f"{number:03}.png")
    return root


# --8<-- [end:images]


def main(epochs: int = 6, training: int = 8, random: int = 2, count: int = 100) -> dict[str, float]:
    """Everything, in a folder that is removed at the end."""
    with tempfile.TemporaryDirectory() as directory:
        images, run = folder(Path(directory) / "shapes", count), Path(directory) / "run"
        space = archgrad.spaces.get("nasbench201", channels=8, cells=1)
        method = replace(methods.get("darts", space.name), alpha_optimiser=AlphaOptimiser(lr=0.02))
        found = archgrad.search(space, method, str(images), epochs=epochs, out=run, progress=False)
        print(space.format(found.genotype))
        fields = {"channels": 8, "cells": 1}
        results = train_found(run, random=random, recipe="quick", epochs=training, fields=fields, progress=False)
        accuracy, *others = [100 * result.test.score for result in results]
        told = ", ".join(f"{other:.1f}" for other in others)
        print(f"accuracy: {accuracy:.1f} % found, {told} % of {random} random cells, 33.3 % by guessing")

        model = archgrad.load(run)
        tested = sorted((images / "test").rglob("*.png"))
        answers = model.predict(tested)
        print(f"{tested[0].parent.name}/{tested[0].name}: {answers[0]}")

        file = Path(directory) / "shapes.onnx"
        print(export(model, file, preprocessing=True))
        session = onnxruntime.InferenceSession(file)
        names = json.loads(session.get_modelmeta().custom_metadata_map["archgrad"])["answers"]["classes"]
        pixels = np.stack([np.asarray(Image.open(path)).transpose(2, 0, 1) for path in tested])
        (outputs,) = session.run(None, {session.get_inputs()[0].name: pixels})
        same = np.mean([names[row.argmax()] == answer.answer for row, answer in zip(outputs, answers, strict=True)])
        print(f"onnxruntime gives the same answer to {same:.1%} of {len(tested)} images")
    return {"found": accuracy, "best random": max(others), "same": float(same)}


if __name__ == "__main__":
    main()
