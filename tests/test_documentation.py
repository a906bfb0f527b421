"""What the documentation shows works as it stands, apart from the number of epochs."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def python_blocks(page: str) -> str:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), flags=re.DOTALL)
    assert blocks, f"{page} shows no Python"
    return re.sub(r"epochs=\d+", "epochs=1", "\n".join(blocks))


@pytest.mark.parametrize("page", ["README.md", "docs/components.md", "docs/engine.md"])
def test_python_examples_run(page: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    program = tmp_path / "example.py"
    program.write_text(python_blocks(page).replace('recipe="quick"', 'recipe="quick", epochs=1'))
    runpy.run_path(str(program), run_name="example")
    assert list(tmp_path.iterdir()) == [program], "the examples write no files"
