"""A space on a plane."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from archgrad.errors import unknown
from archgrad.landscape.graph import nodes
from archgrad.tables import Table

METHODS = {
    "pca": "principal components, which here are also classical multidimensional scaling; at once",
    "tsne": "t-SNE, which keeps neighbours together; a minute",
    "mds": "multidimensional scaling of the distances by stress; for some thousand architectures minutes",
}


def features(table: Table) -> Float[np.ndarray, "classes settings"]:
    """One number per slot and setting: how many of the class's members take it.

    Half the squared Euclidean distance of two classes of one member each is their Hamming distance.
    """
    one_hot = np.concatenate(
        [np.eye(size)[column] for size, column in zip(table.coding.sizes, table.codes.T, strict=True)], axis=1
    )
    of_class = np.searchsorted(nodes(table, merge=True), table.class_rows)
    sums = np.zeros((of_class.max() + 1, one_hot.shape[1]))
    np.add.at(sums, of_class, one_hot)
    means: Float[np.ndarray, "classes settings"] = sums / np.bincount(of_class)[:, None]
    return means


def embed(table: Table, method: str = "pca", *, seed: int = 0) -> Float[np.ndarray, "classes 2"]:
    """Two coordinates for every isomorphism class of a table, in the order of its first rows."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import MDS, TSNE

    if method not in METHODS:
        raise unknown("embedding", method, METHODS)
    points = features(table)
    if method == "pca":
        found = PCA(2, random_state=seed).fit_transform(points)
    elif method == "tsne":
        found = TSNE(2, random_state=seed, init="pca", perplexity=min(30, (len(points) - 1) / 3)).fit_transform(points)
    else:
        found = MDS(2, random_state=seed, n_init=1, init="random").fit_transform(points)
    return np.asarray(found, dtype=np.float64)
