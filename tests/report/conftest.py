"""Planted runs: directories as a search and its trainings write them, with known numbers."""

from __future__ import annotations

import html
import json
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from archgrad import spaces
from archgrad.genotype import Edge, Genotype, Group, sample

MEASURE = """
<script>
addEventListener("load", () => {
  const page = document.querySelector("iframe"), inner = page.contentDocument, view = page.contentWindow;
  const seen = e => e.getClientRects().length > 0 && e.getBoundingClientRect().width > 1;
  const box = e => { const b = e.getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom]; };
  const svgs = [...inner.querySelectorAll("svg")].filter(seen).map(svg => ({
    told: svg.getAttribute("aria-label"), box: box(svg),
    scale: svg.getBoundingClientRect().width / svg.viewBox.baseVal.width,
    texts: [...svg.querySelectorAll("text")].filter(seen).map(t => ({
      text: t.textContent, box: box(t), size: parseFloat(view.getComputedStyle(t).fontSize)})),
  }));
  const values = [...inner.querySelectorAll(".value, .remark, .verdict, h1, h2, h3, p, figcaption, .chip")].filter(seen)
    .map(e => ({text: e.textContent, box: box(e), wide: e.scrollWidth > e.clientWidth + 1}));
  const root = inner.documentElement;
  const found = {width: root.clientWidth, scroll: root.scrollWidth, svgs, values};
  document.body.innerHTML = "";
  document.body.dataset.found = JSON.stringify(found);
});
</script>
"""

Plant = Callable[..., Path]

BLOCKS = {f"block {i}": Group(f"block {i}", (Edge(0, 1, ("conv3", "conv5", "gated_mlp", "skip")),)) for i in range(4)}


def plant_run(
    directory: Path,
    space: str = "nasbench201",
    *,
    groups: Mapping[str, Group] = BLOCKS,
    epochs: int = 12,
    found: float | None = 0.975,
    random: Sequence[float] = (0.96, 0.981, 0.95),
    config: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Path:
    """Write a finished search of a space by name (or of ``groups`` for any other name), and trainings."""
    directory.mkdir(parents=True)
    known = spaces.get(space) if space in spaces.SPACES else None
    groups = known.groups if known else groups
    generator = torch.Generator().manual_seed(seed)
    noise = np.random.default_rng(seed)

    def draw() -> tuple[Genotype, str]:
        genotype = known.random(generator) if known else sample(groups, generator, space)
        return genotype, known.format(genotype) if known else genotype.to_json()

    genotype, text = draw()
    alphas = {}
    for name, group in groups.items():
        steps = noise.normal(0, 0.03, (epochs + 1, len(group.edges), len(group.operations)))
        for edge, kept in enumerate(genotype.choices[name]):
            for operation in kept:
                steps[:, edge, group.operations.index(operation)] += 1.5 / epochs
        alphas[name] = steps.cumsum(0)
    records = [
        {
            "epoch": e,
            "train_loss": 2.3 * 0.85**e + 0.1,
            "train_accuracy": 1 - 0.8 * 0.8**e,
            "validation_loss": 2.3 * 0.88**e + 0.2,
            "validation_accuracy": 0.97 - 0.8 * 0.82**e,
            "evaluation_loss": 2.3 * 0.9**e + 0.25,
            "evaluation_accuracy": 0.95 - 0.8 * 0.84**e,
            "weight_lr": 0.025,
            "seconds": 3.5 * (e + 1),
            "genotype": text,
        }
        for e in range(epochs)
    ]
    settings = {"command": "search", "space": space, "data": "digits"}
    relaxation = {"class_path": "archgrad.relaxation.softmax.Softmax", "init_args": {}}
    method = {"name": "darts", "epochs": epochs, "relaxation": relaxation}
    settings |= {"method": {"class_path": "archgrad.method.Method", "init_args": method}}
    settings |= {"weights": {"lr": 0.025, "nesterov": False, "clip": 5.0}, "seed": seed} | dict(config or {})
    (directory / "config.yaml").write_text(yaml.safe_dump(settings))
    write_lines(directory, records)
    np.savez(directory / "alphas.npz", **alphas)
    write_json(directory / "genotype.json", {**genotype.to_dict(), "text": text})
    result = {
        "genotype": text,
        "space": space,
        "method": "darts",
        "data": "digits",
        "parameters": 1_073_466,
        "flops": 153_273_000,
        "validation_accuracy": 0.93,
        "seconds": 3.5 * epochs,
        "epochs": epochs,
        "stopped": None,
        "groups": {
            name: {
                "operations": list(group.operations),
                "edges": [[e.source, e.target] for e in group.edges],
                "inputs": min(e.target for e in group.edges),
            }
            for name, group in groups.items()
        },
    }
    write_json(directory / "result.json", result)
    trained = [] if found is None else [("found", found, text)]
    trained += [(f"random-{i:02d}", accuracy, draw()[1]) for i, accuracy in enumerate(random)]
    for name, accuracy, its_text in trained:
        plant_training(directory / "train" / name, accuracy, its_text)
    return directory


def plant_training(directory: Path, accuracy: float, text: str, epochs: int = 10) -> None:
    """Write a finished training."""
    directory.mkdir(parents=True)
    (directory / "config.yaml").write_text(yaml.safe_dump({"command": "train", "genotype": text, "flops": 34_000_000}))
    write_lines(
        directory,
        [
            {
                "epoch": e,
                "train_loss": 2.3 * (0.7 + 0.1 * accuracy) ** e,
                "train_accuracy": 1 - 0.9 * 0.7**e,
                "test_accuracy": accuracy - 0.9 * 0.65 ** (e + 1),
                "seconds": 2.0,
            }
            for e in range(epochs)
        ],
    )
    test = {"loss": 0.1, "accuracy": accuracy, "top5": 1.0, "count": 360}
    write_json(
        directory / "result.json",
        {"test": test, "validation": None, "epochs": epochs, "parameters": 345_000, "seconds": 20.0},
    )


def write_lines(directory: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write the metrics of a run."""
    (directory / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


def write_json(path: Path, data: Any) -> None:
    """Write a JSON file."""
    path.write_text(json.dumps(data))


@pytest.fixture(autouse=True)
def data_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where tables are found: an empty directory, whatever the machine has."""
    monkeypatch.setenv("ARCHGRAD_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    """Plants a run in the test's own directory: ``plant("darts", name=…, …)``."""

    def planted(space: str = "nasbench201", *, name: str = "run", **options: Any) -> Path:
        return plant_run(tmp_path / name, space, **options)

    return planted


class Browser:
    """A headless Chromium with a profile of its own."""

    def __init__(self, program: str, directory: Path) -> None:
        self.program, self.directory = program, directory
        directory.mkdir()

    def __call__(self, *arguments: str) -> str:
        """Run it and return what it prints."""
        options = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        options += "--disable-component-update --disable-sync --hide-scrollbars --virtual-time-budget=2000"
        command = [self.program, *options.split(), f"--user-data-dir={self.directory / 'profile'}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout

    def measured(self, page: str, width: int) -> Any:
        """Where everything lies on a page that is shown so many pixels wide.

        A frame has any width, also one that the window of a browser cannot have.
        """
        frame = f'<iframe style="border:0;width:{width}px;height:800px" srcdoc="{html.escape(page)}"></iframe>'
        file = self.directory / "frame.html"
        file.write_text(f'<!doctype html><meta charset="utf-8"><body>{frame}{MEASURE}</body>')
        dom = self("--window-size=1400,900", "--dump-dom", file.as_uri())
        return json.loads(html.unescape(dom.partition('data-found="')[2].partition('"')[0]))


@pytest.fixture
def browser(tmp_path: Path) -> Browser:
    """A headless browser, where there is one."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed: pages were not rendered")
    return Browser(program, tmp_path / "browser")
