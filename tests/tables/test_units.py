"""Accuracies come to percent whatever the scale of the file, or the file is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archgrad import tables
from archgrad.errors import ArchgradError
from archgrad.tables.units import in_percent


@settings(max_examples=60, deadline=None)
@given(
    percent=st.lists(st.floats(10.5, 100), min_size=2, max_size=6),
    scale=st.sampled_from([0.01, 1, 10]),
    names=st.sampled_from([("cifar10_test_200", "in16_clean"), ("val_acc_12", "accuracy"), ("clean_acc", "top1")]),
)
def test_any_scale_comes_to_percent(percent: list[float], scale: float, names: tuple[str, str]):
    values = np.array([[*percent, np.nan], [11.0] * (len(percent) + 1)])
    columns = dict(zip(names, values * scale, strict=True)) | {
        "params_m": np.array([7e6]),
        "cifar10_fpga_energy": [0.1],
    }
    found = in_percent(columns, "made")
    np.testing.assert_allclose([found[name] for name in names], values)
    assert found["params_m"] == [7e6]
    assert found["cifar10_fpga_energy"] == [0.1]


@pytest.mark.parametrize("scale", [1, 10])
def test_two_scales_in_one_file_are_refused(scale: float):
    columns = {"cifar10_test_200": np.array([94.0, 90.0]) * scale, "cifar100_test_200": np.array([0.73, 0.7]) * scale}
    with pytest.raises(ArchgradError, match=r"made: cifar100_test_200 ends at .* accuracies on two scales"):
        in_percent(columns, "made")
    attacked = {
        "cifar10_clean": np.array([94.0]),
        "cifar10_pgd_eps8": np.array([0.3]),
    }  # in percent: nearly always fooled
    assert in_percent(attacked, "made")["cifar10_pgd_eps8"] == [0.3]


@pytest.mark.parametrize(
    ("name", "index", "metric", "percent"),
    [
        ("robustness/nb201_robustness", 13433, "cifar10_clean", 89.3),  # per mille
        ("robustness/nb201_robustness", 13433, "cifar10_pgd_eps1", 33.6),
        ("nasbench201/nasbench201", 6111, "cifar10_test_200", 94.373),  # percent
    ],
)
def test_published_values_without_a_scale(
    real_data: Callable[[str], Path], name: str, index: int, metric: str, percent: float
):
    table = tables.load(real_data(f"{name}.parquet"))
    assert table.value(index, metric) == pytest.approx(percent, abs=1e-3)


def test_published_fractions(real_data: Callable[[str], Path]):
    path = real_data("robustness/nb201_robbench_advtrained.parquet")
    table, raw = tables.load(path), tables.load(path, scale=1)
    np.testing.assert_allclose(table.values("cifar10_autoattack"), 100 * raw.values("cifar10_autoattack"))
    assert 50 < np.nanmax(table.values("cifar10_clean")) < 100
