"""What the documentation shows works as it stands, apart from the number of epochs and of images."""

from __future__ import annotations

import functools
import os
import pkgutil
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonargparse
import pytest
import yaml
from programs import program

from archgrad import methods
from archgrad.cli import main
from archgrad.cli.listing import COMPONENTS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(str(page.relative_to(ROOT)) for page in [ROOT / "README.md", *DOCS.rglob("*.md")])

ELSEWHERE = {
    "docs/landscape.md": "tests/landscape/test_page.py",
    "docs/proxies.md": "tests/scoring/test_page.py",
    "docs/published-benchsuite.md": "tests/bench/report/test_published_page.py",
    "docs/tutorial-space.md": "tests/spaces/test_tutorial.py",
    "docs/tutorial.md": "tests/test_documentation.py",
    **{page: "tests/examples/test_tasks.py" for page in PAGES if page.startswith("docs/tasks/")},
}
"""Pages whose Python is run by tests of their own."""


def text_of(page: str) -> str:
    """A page with the files that it includes."""

    def included(found: re.Match[str]) -> str:
        file, _, section = found[1].partition(":")
        text = (ROOT / file).read_text()
        if section:
            text = text.split(f"[start:{section}]\n")[1].split(f"# --8<-- [end:{section}]")[0]
        return text.strip("\n")

    return re.sub(r'(?m)^--8<-- "(.+)"$', included, (ROOT / page).read_text())


def blocks(page: str, language: str = "python") -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text_of(page), flags=re.DOTALL)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page) and page not in ELSEWHERE])
def test_python_examples_run(page: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    program = tmp_path / "example.py"
    short = re.sub(r"epochs=\d+", "epochs=1", "\n".join(blocks(page)))
    short = short.replace('recipe="quick")', 'recipe="quick", epochs=1)')
    program.write_text(re.sub(r"(?m)(archgrad\.(?:search|train)\((?!.*limit=).*digits.*)\)$", r"\1, limit=256)", short))
    runpy.run_path(str(program), run_name="example")
    assert {entry.name for entry in tmp_path.iterdir()} <= {program.name, "run"}, "the examples write no other files"


def test_the_tests_of_the_other_pages_are_there() -> None:
    for page, test in ELSEWHERE.items():
        assert blocks(page) or page == "docs/tasks/index.md"
        assert (ROOT / test).exists()


def test_the_pages_of_examples_show_the_examples() -> None:
    for example in (ROOT / "examples/tasks").glob("*.py"):
        assert example.read_text().strip() in text_of(f"docs/tasks/{example.stem}.md")


@pytest.mark.slow
def test_the_tutorial_runs_as_it_is_written(tmp_path: Path) -> None:
    """Python and commands in turn, each in a process of its own, in one directory."""
    parts = re.findall(r"```(python|sh)\n(.*?)```", text_of("docs/tutorial.md"), flags=re.DOTALL)
    assert [kind for kind, _ in parts] == ["python", "sh", "sh", "sh", "python", "sh", "python"]
    said = []
    for kind, code in parts:
        lines = [code] if kind == "python" else code.strip().splitlines()
        for line in lines:
            command = ["-c", line] if kind == "python" else ["-m", *shlex.split(line)]
            done = subprocess.run([sys.executable, *command], cwd=tmp_path, capture_output=True, text=True)
            assert done.returncode == 0, f"{line}\n{done.stderr}"
            said.append(done.stdout)
    assert (tmp_path / "runs/shapes/report.html").exists()
    assert (tmp_path / "runs/shapes/model.onnx").exists()
    assert said[-1].strip() in ("circle", "cross", "square")
    assert said[-1].strip() in said[-3], "onnxruntime and archgrad say the same"


def test_the_reference_names_what_is_there_and_every_component() -> None:
    named = re.findall(r"^::: (\S+)$", (DOCS / "reference.md").read_text(), re.MULTILINE)
    assert len(set(named)) == len(named)
    for name in named:
        pkgutil.resolve_name(name)  # raises where nothing has that name
    assert {f"{package.__name__}.{name}" for package in COMPONENTS for name in package.__all__} <= set(named)


def test_every_page_is_in_the_navigation_and_found_from_the_first() -> None:
    """The first page leads to every other, if one reads on where it leads."""
    navigation = (ROOT / "mkdocs.yml").read_text()
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}
    assert [page for page in sorted(pages) if f" {page}\n" not in navigation] == []
    reached, new = set[str](), {"index.md"}
    while new:
        page = new.pop()
        reached.add(page)
        for link in re.findall(r"\]\(([^)#:]+\.md)", (DOCS / page).read_text().replace("\n", " ")):
            target = (DOCS / page).parent.joinpath(link).resolve().relative_to(DOCS.resolve())
            if (DOCS / target).exists() and str(target) not in reached:
                new.add(str(target))
    assert pages - reached == set()


def command_lines() -> list[str]:
    texts = [*map(text_of, PAGES), *generator().pages().values()]
    code = [block for text in texts for block in text.split("```")[1::2]]
    lines = [line for block in code for line in re.findall(r"^(?:srun )?archgrad (.+)$", block, re.MULTILINE)]
    lines = [re.sub(r"\$\w+", "8", line).rstrip(" &") for line in lines]  # what the shell would put there
    return list(dict.fromkeys(line for line in lines if "mine." not in line))  # components that the reader writes


def generator(name: str = "method_pages") -> ModuleType:
    return program(f"docs/{name}.py")


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


# The pages of methods


def test_every_method_has_a_page_with_its_paper_and_its_settings() -> None:
    pages = generator().pages()
    assert set(pages) == {f"methods/{name}.md" for name in [*methods.METHODS, "components"]}
    for name, made in methods.METHODS.items():
        page = pages[f"methods/{name}.md"]
        for paper in re.findall(r"\b\d{4}\.\d{5}\b", made.__doc__ or ""):
            assert f"https://arxiv.org/abs/{paper}" in page
        here, there = (methods.get(name, space) for space in ("darts", "nasbench201"))
        assert f"| batch | {here.batch_size} | {there.batch_size} |" in page
        assert f"{here.weight_optimiser.lr:g} → {here.weight_optimiser.lr_min:g}" in page


def test_a_page_shows_what_sets_a_method_apart() -> None:
    page = generator().page("drnas")
    assert "| relaxation | `Dirichlet` | all |" in page
    assert "| modifiers | `PartialChannels(share=6)` | DARTS spaces |" in page
    assert "w_e ~ Dirichlet(elu(α_e) + 1)" in page
    assert "| drnas | 87.62 (83.39 … 91.84) |" in page, "measured in docs/studies/search_worth.md"
    assert "Of a network of your own it needs cells, or a choice with a skip" in generator().page("darts_minus")


def test_the_table_of_components_is_that_of_the_methods() -> None:
    page = generator().components_page()
    assert "| [gdas](gdas.md) | StraightThroughGumbel |  |  |  |  |  |  |" in page
    (row,) = re.findall(r"^\| `PartialChannels` \| (.*) \|$", page, re.MULTILINE)
    with_it = [n for n in methods.METHODS if "PartialChannels" in str(methods.get(n).modifiers)]
    assert re.findall(r"\[(\w+)\]", row) == with_it == ["pc_darts", "drnas"]


def test_links_lead_to_generated_pages_that_there_are() -> None:
    generated = set(generator().pages())
    for page in DOCS.rglob("*.md"):
        for link in re.findall(r"\]\(([^)#:]+\.md)", page.read_text().replace("\n", " ")):
            target = (page.parent / link).resolve().relative_to(DOCS.resolve())
            assert (DOCS / target).exists() or str(target) in generated, f"{page.name}: {link}"


def test_the_picture_is_the_dot_plot_of_a_report() -> None:
    plot = '<svg viewBox="0 0 10 10" role="img" class="strip"><circle cx="1"></circle></svg>'
    report = f'<html><svg viewBox="0 0 5 5"><path></path></svg><figure>{plot}{plot}</figure></html>'
    drawn = generator("picture").picture(report)
    assert drawn.count("<circle") == 1
    assert "<path" not in drawn
    assert "<style>" in drawn
    with pytest.raises(SystemExit, match="the report has no dot plot"):
        generator("picture").picture("<html></html>")


def test_the_site_fetches_nothing() -> None:
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert settings["theme"]["font"] is False
    assert not {"extra_javascript", "extra_css"} & set(settings)


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("material", reason="needs pip install -e '.[docs]'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}  # as in the Makefile
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=quiet)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "WARNING" not in done.stderr
    html = (tmp_path / "site/methods/darts_minus.html").read_text()
    assert "AuxiliarySkip" in html
    assert re.findall(r'(?:src|href)="(https?://(?!arxiv)[^"]*\.(?:js|css|woff2?))"', html) == []
