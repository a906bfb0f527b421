"""The whole page: complete, self-contained, and written whatever the run directory holds."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from archgrad import report
from archgrad.errors import ArchgradError
from archgrad.figures.markup import Markup
from archgrad.genotype import Edge, Group
from archgrad.report import page
from archgrad.report.rundata import RunData

Plant = Callable[..., Path]
TITLES = [
    "Result",
    "Found architecture",
    "Comparison with random genotypes",
    "Architecture weights",
    "Losses and accuracies",
    "Learning curves",
    "Configuration",
]
VOID = {"meta"}


class WellFormed(HTMLParser):
    """Fails on a tag that is closed wrongly; collects tags and the text of headings."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.headings: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not any(name.startswith("on") or name in ("src", "srcset") for name, _ in attributes)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


def written(directory: Path) -> str:
    path = report.write(directory)
    assert path == directory / "report.html"
    return path.read_text()


@pytest.mark.parametrize("space", ["nasbench201", "darts", "Net"])
def test_page_is_complete_well_formed_and_needs_nothing_outside(plant: Plant, space: str) -> None:
    text = written(plant(space))
    parsed = WellFormed(text)
    assert parsed.headings == TITLES
    assert parsed.tags.isdisjoint({"script", "link", "img", "iframe", "object", "embed", "base"})
    assert "http" not in text
    assert "url(" not in text
    assert "@import" not in text
    assert set(re.findall(r'href="([^"]*)"', text)) == {f"#{title.lower().replace(' ', '-')}" for title in TITLES}
    assert not list(Path(page.__file__).parent.glob("*.tmp"))


def test_headline_figures(plant: Plant) -> None:
    text = written(plant(found=0.975, random=(0.96, 0.981, 0.95)))
    for figure in ("97.50 %", "96.37 ± 1.58 %", "best 98.10 %", "2nd of 4", "percentile 67", "345 k", "34.0 M", "42 s"):
        assert figure in text


def test_same_run_same_page(plant: Plant) -> None:
    directory = plant()
    assert written(directory) == written(directory)


def test_untrusted_names_stay_text(plant: Plant) -> None:
    evil = "<script>alert('x')</script>\"'&"
    candidates = (evil, f"b {evil}")
    groups = {
        evil: Group(evil, (Edge(0, 1, candidates),)),
        "cell": Group("cell", tuple(Edge(s, t, candidates) for s, t in ((0, 1), (0, 2), (1, 2)))),
    }
    directory = plant(evil, groups=groups, config={evil: evil, "note": {"a": [evil]}})
    result = json.loads((directory / "result.json").read_text())
    changed = {"genotype": evil, "method": evil, "data": evil, "stopped": evil}
    (directory / "result.json").write_text(json.dumps(result | changed))
    (directory / "train/found").rename(directory / "train/<script>x")
    parsed = WellFormed(written(directory))
    assert "script" not in parsed.tags
    assert parsed.headings == TITLES


def test_run_in_progress_shows_what_is_there(plant: Plant) -> None:
    directory = plant(epochs=5, found=None, random=())
    (directory / "result.json").unlink()
    (directory / "genotype.json").unlink()
    with (directory / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 5, "train_lo')  # being written
    text = written(directory)
    assert "The search has not finished (5 of 5 epochs are recorded)" in text
    assert "Architecture so far" in text
    assert text.count("data-edge=") == 6
    assert text.count('class="multiples"') == 1


def test_a_run_in_progress_has_the_edges_of_the_space_that_was_given(plant: Plant) -> None:
    directory = plant("darts", config={"space_fields": {"steps": 2, "multiplier": 2}})
    (directory / "result.json").unlink()
    groups = RunData.read(directory).groups
    assert {name: len(group.edges) for name, group in groups.items()} == {"normal": 5, "reduce": 5}


@pytest.mark.parametrize(
    "name",
    ["config.yaml", "metrics.jsonl", "alphas.npz", "genotype.json", "result.json", "train/found/result.json", "train"],
)
def test_missing_pieces_do_not_hide_the_others(plant: Plant, name: str) -> None:
    directory = plant()
    path = directory / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    text = written(directory)
    assert len(WellFormed(text).headings) >= len(TITLES) - 1
    assert "This section cannot be shown" not in text
    assert "Traceback" not in text


@pytest.mark.parametrize("damage", [b"", b"\x00\xff\xfe{", b"[1, 2]\n", b"null\n", b'{"groups": {"cell": 3}}\n'])
@pytest.mark.parametrize("name", ["config.yaml", "metrics.jsonl", "alphas.npz", "genotype.json", "result.json"])
def test_damaged_pieces_are_named_and_do_not_hide_the_others(plant: Plant, name: str, damage: bytes) -> None:
    directory = plant()
    (directory / name).write_bytes(damage)
    (directory / "train/found" / name).write_bytes(damage)
    text = written(directory)
    assert "Configuration" in WellFormed(text).headings
    assert "This section cannot be shown" not in text
    assert "Traceback" not in text


def test_damage_is_said_in_one_line(plant: Plant) -> None:
    directory = plant()
    (directory / "alphas.npz").write_bytes(b"PK no zip")
    assert re.search(r'class="note">The weights cannot be shown: cannot read [^<\n]*alphas.npz', written(directory))


@pytest.mark.parametrize("odd", [None, "many", [], {"a": 1}, -1, 1e14, 1e99, 10**400, True], ids=lambda v: f"{v!r:.9}")
def test_odd_values_in_a_result_do_no_harm(plant: Plant, odd: object) -> None:
    directory = plant()
    for path in (directory / "result.json", directory / "train/found/result.json"):
        path.write_text(json.dumps(dict.fromkeys(json.loads(path.read_text()), odd)))
    records = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    lines = [json.dumps(dict.fromkeys(record, odd)) + "\n" for record in records]
    (directory / "metrics.jsonl").write_text("".join(lines))
    text = written(directory)
    WellFormed(text)
    assert "This section cannot be shown" not in text


def test_alphas_of_another_shape_are_refused_in_one_line(plant: Plant) -> None:
    directory = plant()
    np.savez(directory / "alphas.npz", cell=np.zeros((3, 2, 2)), flat=np.zeros((3, 2, 1)))
    assert "The weights of the group cell cannot be shown" in written(directory)
    np.savez(directory / "alphas.npz", cell=np.zeros(3))
    assert "should be numbers [epochs + 1, edges, ops]" in written(directory)


def test_a_section_that_fails_costs_only_itself(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    def diagnostics(data: RunData) -> report.Section:
        raise RuntimeError("two\nlines <b>")

    def extra(data: RunData) -> report.Section:
        return report.Section("Extra", Markup("<p>more</p>"))

    monkeypatch.setattr(page, "SECTIONS", (*page.SECTIONS, diagnostics, extra))
    text = written(plant())
    assert "This section cannot be shown: RuntimeError: two lines &lt;b&gt;" in text
    assert WellFormed(text).headings == [*TITLES, "Diagnostics", "Extra"]


def test_a_directory_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchgradError, match="not a run directory"):
        report.write(tmp_path)
    with pytest.raises(ArchgradError, match="not a run directory"):
        report.write(tmp_path / "nowhere")


def test_a_browser_shows_every_section(plant: Plant, browser: Callable[..., str], tmp_path: Path) -> None:
    path = report.write(plant("darts"))
    picture = tmp_path / "page.png"
    browser(f"--screenshot={picture}", "--window-size=1280,1600", path.as_uri())
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape[:2] == (1600, 1280)
    # Every part of the page has something on it, and the operations have many colours.
    assert all(band.std() > 1 for band in np.array_split(pixels, 8))
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 200
    dom = browser("--dump-dom", path.as_uri())
    assert re.findall(r"<h2>(.*?)</h2>", dom) == TITLES
    assert dom.count('data-edge="') == 16
