"""Figures hold the numbers they are about, and reach a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from archgrad.errors import ArchgradError
from archgrad.landscape import embed, neighbour_histogram, neighbourhood, path_profiles, save, shortest_paths, space_map
from archgrad.landscape.embedding import features
from archgrad.tables import Table


def test_histogram(additive: Table, tmp_path: Path):
    groups = {
        name: [neighbourhood(additive, cell, r, metric="one") for r in (1, 2)] for name, cell in [("a", 0), ("b", 9)]
    }
    figure = neighbour_histogram(groups, additive, metric="one")
    assert [panel.get_title() for panel in figure.axes] == ["radius 1", "radius 2"]
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert f"a: {groups['a'][0].mean:.2f} ± {groups['a'][0].std:.2f}" in labels
    whole = figure.axes[0].patches[:60]
    assert sum(bar.get_height() * bar.get_width() for bar in whole) == pytest.approx(1)
    assert save(figure, tmp_path / "deep" / "histogram.png").stat().st_size > 10_000


def test_histogram_needs_the_same_radii(additive: Table):
    groups = {"a": [neighbourhood(additive, 0, 1, metric="one")], "b": []}
    with pytest.raises(ArchgradError, match="same radii"):
        neighbour_histogram(groups, additive, metric="one")


def test_profiles(additive: Table):
    paths = shortest_paths(additive, "000000", "123000", metric="one")
    (axes,) = path_profiles({"x": paths}).axes
    np.testing.assert_allclose(axes.containers[0][0].get_ydata(), paths.mean)
    assert len(axes.lines) >= 6


def test_map(nasbench: Table, tmp_path: Path):
    figure = space_map(nasbench)
    dots = figure.axes[0].collections[0]
    assert len(dots.get_offsets()) == 6_466
    assert "6,466 classes" in figure.axes[0].get_title()
    assert save(figure, tmp_path / "map.pdf").stat().st_size > 10_000


def test_features_keep_the_distances(small_darts: Table):
    points = features(small_darts)
    rng = np.random.default_rng(0)
    for a, b in rng.integers(len(small_darts), size=(20, 2)):
        unequal = (small_darts.codes[a] != small_darts.codes[b]).sum()
        assert ((points[a] - points[b]) ** 2).sum() / 2 == pytest.approx(unequal)


@pytest.mark.parametrize("method", ["pca", "tsne", "mds"])
def test_every_method_gives_two_coordinates(additive: Table, method: str):
    few = np.arange(60)
    table = Table("few", additive.space, additive.codes[few], few, few, {"one": additive.values("one")[few]})
    points = embed(table, method)
    assert points.shape == (60, 2)
    assert np.isfinite(points).all()
    assert points.std(axis=0).min() > 0


def test_unknown_methods_and_formats(additive: Table, tmp_path: Path):
    with pytest.raises(ArchgradError, match="unknown embedding 'tsn': did you mean 'tsne'"):
        embed(additive, "tsn")
    figure = path_profiles({"x": shortest_paths(additive, 0, 0, metric="one")})
    with pytest.raises(ArchgradError, match="figures are written as"):
        save(figure, tmp_path / "figure.xyz")
