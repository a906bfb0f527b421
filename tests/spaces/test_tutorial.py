"""The space of docs/tutorial-space.md: short, and a space like any other."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from archgrad import spaces
from archgrad.errors import ArchgradError

PAGE = Path(__file__).resolve().parents[2] / "docs/tutorial-space.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)


@pytest.fixture(scope="module")
def tutorial() -> Any:
    scope: dict[str, Any] = {"__name__": "tutorial"}
    exec(BLOCKS[0], scope)  # the page's own text
    return scope["Tutorial"]()


def test_it_is_built_in_as_many_lines_as_is_said() -> None:
    lines = len([line for line in BLOCKS[0].splitlines() if line.strip()])
    assert f"builds one from scratch in {lines} lines" in PAGE.with_name("spaces.md").read_text()


def test_the_whole_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(re.sub(r"epochs=\d+", "epochs=1", "\n".join(BLOCKS)), {"__name__": "tutorial"})
    assert not list(tmp_path.iterdir())


def test_costs_equal_built_networks(tutorial: Any) -> None:
    assert tutorial.count == 27
    for seed in range(4):
        genotype = tutorial.random(torch.Generator().manual_seed(seed))
        space = replace(tutorial, channels=4, cells=2)
        network = space.network(genotype, classes=7)
        counter = FlopCounterMode(display=False)
        with torch.no_grad(), counter:
            network.eval().to("meta")(torch.empty(1, 3, 13, 22, device="meta"))
        found = sum(p.numel() for p in network.parameters()), counter.get_total_flops() // 2 + 7
        assert space.cost(genotype, classes=7, image_size=(13, 22)) == found


@pytest.mark.parametrize("executor", ["loop", "batched"])
def test_every_executor_computes_it(tutorial: Any, executor: str) -> None:
    x = torch.randn(3, 3, 10, 10, dtype=torch.float64)
    plain, fast = (replace(tutorial, channels=4, cells=2).supernet(executor=e).double() for e in ("plain", executor))
    fast.load_state_dict(plain.state_dict())
    torch.testing.assert_close(fast(x, fast.uniform()), plain(x, plain.uniform()), rtol=0, atol=1e-10)


def test_a_bad_text_is_refused(tutorial: Any) -> None:
    with pytest.raises(ArchgradError, match="unknown operation at edge 1"):
        tutorial.parse("skip_connect sep_conv_5x5 nor_conv_3x3")
    assert "tutorial" not in spaces.SPACES
