"""The page on landscapes: its examples run, and what it claims about robust cells is so."""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

from archgrad.landscape import clustering, exact_autocorrelation, local_optima
from archgrad.tables import Table

ROOT = Path(__file__).resolve().parents[2]


def test_examples_run(real_data: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/landscape.md").read_text(), flags=re.DOTALL)
    assert len(blocks) == 5
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ARCHGRAD_DATA", str(real_data("nasbench201").parent))
    program = tmp_path / "example.py"
    program.write_text("\n".join(blocks))
    runpy.run_path(str(program))
    assert {p.name for p in tmp_path.glob("*.png")} == {"neighbours.png", "paths.png", "map.png"}


@pytest.mark.parametrize(
    ("name", "scale", "metric", "row"),
    [
        ("nasbench201/nasbench201", 1, "cifar10_test_200", (23.6, 1, 8, 60, 0.56)),
        ("robustness/nb201_robustness", 0.1, "cifar10_clean", (20.2, 3, 36, 44, 0.56)),
        ("robustness/nb201_robustness", 0.1, "cifar10_pgd_eps1", (23.2, 1, 52, 8, 0.49)),
        ("robustness/nb201_robustness", 0.1, "cifar10_*_s?", (6.6, 20, 92, 5, 0.54)),
        ("robustness/nb201_robbench_advtrained", 100, "cifar10_clean", (27.5, 1, 3, 92, 0.63)),
        ("robustness/nb201_robbench_advtrained", 100, "cifar10_pgd_eps8", (23.2, 1, 3, 97, 0.65)),
    ],
)
def test_robust_cells(real: Callable[..., Table], name: str, scale: float, metric: str, row: tuple[float, ...]):
    table = real(name, scale)
    cluster = clustering(table, metric=metric, merge=True)
    optima = local_optima(table, metric=metric, merge=True).summary()
    first = exact_autocorrelation(table, 1, metric=metric)[1]
    share = round(100 * optima["best_basin"] / optima["architectures"])
    found = (round(cluster.concentration, 1), cluster.components, optima["optima"], share, round(float(first), 2))
    assert found == pytest.approx(row)
    assert f"| {row[0]} | {row[1]} | {row[2]} | {row[3]} % | {row[4]} |" in (ROOT / "docs/landscape.md").read_text()


def test_robust_cells_are_others(nasbench: Table, real: Callable[..., Table]):
    robust = real("robustness/nb201_robustness", 0.1)
    accurate = {entry.index for entry in nasbench.best("cifar10_test_200", 156)}
    assert not accurate & {entry.index for entry in robust.best("cifar10_pgd_eps1", 156)}
