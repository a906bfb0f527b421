"""A network as a repository of the Hub, in a folder of this machine, and what its card says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import archgrad
from archgrad import ArchgradError, comparison, data, hub, publishing
from archgrad.cli import main

HARMLESS = {"channels": 2, "cells": 1}
NASTY = "</pre><script>alert(1)</script> [x](javascript:1) ```\n# heading"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search on data with names that try to be markup, whose network has been trained beside two random ones."""
    out = tmp_path_factory.mktemp("hub") / "run"
    pixels = torch.randint(0, 256, (40, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    names = [NASTY, "cat"]
    dataset = data.from_tensors(pixels, torch.arange(40) % 2, classes=names, name=f"mine {NASTY}")
    space = archgrad.spaces.get("nasbench201", **HARMLESS)
    quick = {"device": "cpu", "progress": False}
    archgrad.search(space, "darts", dataset, epochs=1, batch_size=8, out=out, **quick)
    comparison.train_found(out, data=dataset, random=2, epochs=1, batch_size=8, **quick)
    return out


def test_a_folder_is_loaded_again_with_the_same_answers(run: Path, tmp_path: Path):
    folder = Path(publishing.push(run, folder=tmp_path / "mine", license="mit"))
    assert {entry.name for entry in folder.iterdir()} == {"README.md", "config.json", "weights.safetensors"}
    image = torch.arange(64, dtype=torch.uint8).view(8, 8)
    expected = archgrad.load(run).predict(image)
    for loaded in (archgrad.load(folder), archgrad.load(f"hf:{folder}"), hub.load(str(folder))):
        assert loaded.predict(image).probabilities == expected.probabilities
    assert json.loads((folder / "config.json").read_text())["space"] == "nasbench201"
    at = folder.rename(tmp_path / "mine@home")
    assert archgrad.load(f"hf:{at}").predict(image).probabilities == expected.probabilities
    folder = at.rename(folder)
    publishing.push(run, folder=folder)  # again, in place of what is there
    (folder / "mine.txt").write_text("")
    with pytest.raises(ArchgradError, match="holds other files"):
        publishing.push(run, folder=folder)


def test_the_card_says_what_was_searched_how_good_it_is_and_against_what(run: Path, tmp_path: Path):
    text = (Path(publishing.push(run, folder=tmp_path / "mine", license="mit")) / "README.md").read_text()
    _, head, body = text.split("---\n", 2)
    assert yaml.safe_load(head) == {
        "library_name": "archgrad",
        "license": "mit",
        "tags": ["neural-architecture-search", "archgrad"],
        "pipeline_tag": "image-classification",
    }
    result = archgrad.runs.Run.open(run / "train/found").read_json("result.json")
    assert f"test accuracy: {100 * result['test']['accuracy']:.2f} %".replace(".", "\\.") in body
    assert "Beside it 2 random architectures of the same space were trained the same way" in body
    assert re.search(r"The found one is the [123](st|nd|rd) of 3\.", body)
    assert "* method: darts" in body
    assert f"archgrad.load('{tmp_path / 'mine'}')" in body
    alone = publishing.card(run / "train/random-00", archgrad.load(run / "train/random-00"), "x/y")
    assert "license: unknown" in alone


def test_nothing_in_a_card_is_markup_that_a_name_made(run: Path):
    body = publishing.card(run, archgrad.load(run), "user/name")
    assert "<script" not in body
    assert "](javascript" not in body
    assert "\n# heading" not in body
    assert body.count("\n# ") == 1
    assert body.count("```") == 4


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.sampled_from("ab`*_<>[]()#\\\n\r\t!|&:/\u2028\u202e~-"), max_size=40))
def test_escaped_text_shows_itself(text: str):
    """Reading Markdown's escapes and HTML's entities back gives the visible characters of the text."""
    import html

    shown = publishing.escaped(text)
    assert not re.search(r"[<>\n]", shown)
    assert not re.search(r"(?<!\\)(?:\\\\)*[`*_\[\]#]", shown)
    back = re.sub(r"\\([^a-z\s])", r"\1", html.unescape(shown))
    assert back == " ".join("".join(c if c.isprintable() else " " for c in text).split())
    block = publishing.fenced(text).split("\n")
    assert block[0] == block[-1]
    assert all(block[0] not in line for line in block[1:-1])


def test_the_command_and_its_mistakes(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    main(["push", str(run), "--folder", str(tmp_path / "mine"), "--license", "mit", "--json"])
    assert json.loads(capsys.readouterr().out) == {"run": str(run), "published": str(tmp_path / "mine")}
    for arguments, message in {
        (str(run),): "push: give either a repository, user/name, or a folder",
        ("missing", "me/mine"): "missing is not a run directory",
        (str(run), "no/such/name"): "hub: no/such/name cannot be written: ",
    }.items():
        with pytest.raises(SystemExit):
            main(["push", *arguments])
        assert capsys.readouterr().err.startswith(f"archgrad: {message}")
    with pytest.raises(ArchgradError, match="hub: no/such/name cannot be read"):
        archgrad.load("hf:no/such/name")
