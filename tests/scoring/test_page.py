"""What the page shows works as it stands."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from archgrad import proxies
from archgrad.scoring import strategies

PAGE = Path(__file__).resolve().parents[2] / "docs/proxies.md"


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert len(blocks) == 3
    program = tmp_path / "example.py"
    program.write_text("\n".join(blocks))
    runpy.run_path(str(program), run_name="example")
    assert list(tmp_path.iterdir()) == [program]


def test_every_proxy_and_strategy_stands_on_it() -> None:
    text = PAGE.read_text()
    for name in [*proxies.PROXIES, *strategies.STRATEGIES]:
        assert f"`{name}`" in text
