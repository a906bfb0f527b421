"""What the style of the code is held to, where ruff has no rule for it. A docstring does not make a function long."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LONGEST = 50


def lines_of(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def lengths(file: Path) -> dict[str, int]:
    """Every function of a file and its lines, signature included and docstring left out."""
    found: dict[str, int] = {}
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = lines_of(node.body[0]) if ast.get_docstring(node) is not None else 0
            found[f"{file.relative_to(ROOT)}:{node.name}"] = lines_of(node) - docstring
    return found


def test_no_function_is_longer_than_fifty_lines() -> None:
    found = {name: lines for file in (ROOT / "src").rglob("*.py") for name, lines in lengths(file).items()}
    assert len(found) > 1000
    assert {name: lines for name, lines in found.items() if lines > LONGEST} == {}
