"""What the documentation shows works as it stands, apart from the number of epochs."""

from __future__ import annotations

import functools
import pkgutil
import re
import runpy
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonargparse
import pytest

from archgrad.cli import main
from archgrad.cli.listing import COMPONENTS

ROOT = Path(__file__).resolve().parents[1]


def python_blocks(page: str) -> str:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), flags=re.DOTALL)
    assert blocks, f"{page} shows no Python"
    return re.sub(r"epochs=\d+", "epochs=1", "\n".join(blocks))


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "docs/components.md",
        "docs/engine.md",
        "docs/networks.md",
        "docs/runs.md",
        "docs/tracking.md",
    ],
)
def test_python_examples_run(page: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    program = tmp_path / "example.py"
    program.write_text(python_blocks(page).replace('recipe="quick"', 'recipe="quick", epochs=1'))
    runpy.run_path(str(program), run_name="example")
    assert {entry.name for entry in tmp_path.iterdir()} <= {program.name, "run"}, "the examples write no other files"


def test_the_reference_names_what_is_there_and_every_component() -> None:
    named = re.findall(r"^::: (\S+)$", (ROOT / "docs/reference.md").read_text(), re.MULTILINE)
    assert len(set(named)) == len(named)
    for name in named:
        pkgutil.resolve_name(name)  # raises where nothing has that name
    assert {f"{package.__name__}.{name}" for package in COMPONENTS for name in package.__all__} <= set(named)


def test_every_page_is_in_the_index_and_in_the_navigation() -> None:
    index, navigation = (ROOT / "docs/index.md").read_text(), (ROOT / "mkdocs.yml").read_text()
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert [page for page in pages if f"({page})" not in index or f": {page}" not in navigation] == []


def command_lines() -> list[str]:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    blocks = [block for page in pages for block in page.read_text().split("```")[1::2]]
    lines = [line for block in blocks for line in re.findall(r"^(?:srun )?archgrad (.+)$", block, re.MULTILINE)]
    assert len(lines) > 30
    lines = [re.sub(r"\$\w+", "8", line) for line in lines]  # what the shell would put there
    return [line for line in lines if "mine." not in line]  # components that the page's reader writes


@pytest.mark.parametrize("line", command_lines())
def test_commands_are_understood(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reached = []

    def hollow(command: Callable[..., Any]) -> Callable[..., None]:
        @functools.wraps(command)
        def called(*_: Any, **given: Any) -> None:
            reached.append(given)

        return called

    parse = jsonargparse.auto_cli

    def parse_only(commands: dict[str, Callable[..., Any]], **options: Any) -> None:
        parse({name: hollow(command) for name, command in commands.items()}, **options)

    monkeypatch.setattr(jsonargparse, "auto_cli", parse_only)
    main(shlex.split(line, comments=True))
    assert len(reached) == 1
