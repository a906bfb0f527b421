"""A table of scores of a sample of a space."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from archgrad import spaces
from archgrad.data import Dataset
from archgrad.errors import ArchgradError
from archgrad.genotype import Genotype
from archgrad.progress import Progress
from archgrad.proxies import library
from archgrad.randomness import generator
from archgrad.scoring.scorer import Scorer
from archgrad.spaces import Space
from archgrad.tables import Table, files, nasbench201
from archgrad.tables.coding import Coding

BASELINES = ("params", "flops")
SAVE_EVERY = 30.0  # seconds


def sample(space: Space, count: int, seed: int = 0) -> list[Genotype]:
    """Different genotypes drawn uniformly; of NAS-Bench-201, where many cells are the same network, different networks.

    All of them where the space has no more.
    """
    if count < 1:
        raise ArchgradError(f"sample: at least one architecture is needed, got {count}")
    draw = generator(seed, "sample")
    if space.name == "nasbench201":
        coding = Coding(space)
        classes = np.unique(nasbench201.isomorphs())
        chosen = np.random.default_rng(draw.initial_seed()).permutation(classes)[:count]
        return [coding.decode(tuple(nasbench201.cells()[index].tolist())) for index in chosen]
    found: dict[Genotype, None] = {}
    for _ in range(20 * count):
        if len(found) >= min(count, space.count):
            break
        found[space.random(draw)] = None
    return list(found)


def score(
    space: str | Space = "nasbench201",
    proxies: str | Iterable[str] = "croze",
    data: str | Path | Dataset = "digits",
    *,
    architectures: Sequence[Genotype] | None = None,
    count: int = 200,
    image_size: int | None = None,
    batch_size: int = 8,
    seed: int = 0,
    unreached: bool = False,
    unreadable: str = "refuse",
    out: Path | str | None = None,
    progress: bool = True,
) -> Table:
    """A table with one column per proxy, parameters and FLOPs always among them.

    ``architectures``: which are scored, ``count`` drawn ones by default. ``unreached``: see `Scorer`; ``unreadable``:
    see `archgrad.data.load`.
    ``out``: a Parquet or CSV file, written now and then; a Parquet file of the same settings is continued.
    """
    names = library.parse(proxies)
    names = [*names, *(name for name in BASELINES if name not in names)]
    scorer = Scorer.of(
        space,
        names,
        data,
        image_size=image_size,
        batch_size=batch_size,
        seed=seed,
        unreached=unreached,
        unreadable=unreadable,
    )
    wanted = sample(scorer.space, count, seed) if architectures is None else list(architectures)
    source = json.dumps(
        {"data": data.name if isinstance(data, Dataset) else str(data), "batch_size": batch_size, "seed": seed}
        | {"image_size": image_size, "unreached": unreached, **spaces.record(scorer.space), **scorer.identity()}
    )
    path = _checked(out)
    coding = Coding(scorer.space)
    known = _known(path, source, names, coding)
    rows: dict[tuple[int, ...], dict[str, float]] = {}
    saved = time.monotonic()
    with Progress(f"score {scorer.space.name}", 1, len(wanted), progress, unit="architectures") as bar:
        for number, genotype in enumerate(wanted, start=1):
            code = coding.encode(genotype)
            rows[code] = known[code] if code in known else scorer(genotype)
            bar.at(0, number)
            if path and number < len(wanted) and time.monotonic() - saved > SAVE_EVERY:
                files.write(_table(scorer.space, rows, names, source), path)
                saved = time.monotonic()
    table = _table(scorer.space, rows, names, source)
    if path:
        files.write(table, path)
    return table


def _table(space: Space, rows: dict[tuple[int, ...], dict[str, float]], names: Sequence[str], source: str) -> Table:
    codes = np.array(list(rows), dtype=np.int64)
    index = np.arange(len(codes))
    isomorph = index
    if space.name == "nasbench201":
        index = nasbench201.indices(codes)
        isomorph = nasbench201.isomorphs()[index]
    columns = {name: np.array([row[name] for row in rows.values()]) for name in names}
    return Table("scores", space, codes, index, isomorph, columns, source)


def _checked(out: Path | str | None) -> Path | None:
    """The file to write; refused before the work rather than after it."""
    if out is None:
        return None
    path = Path(out)
    if path.suffix not in files.SUFFIXES:
        raise ArchgradError(f"{path}: scores are written as {' or '.join(files.SUFFIXES)}")
    return path


def _known(
    path: Path | None, source: str, names: Sequence[str], coding: Coding
) -> dict[tuple[int, ...], dict[str, float]]:
    """What an earlier call has written."""
    if path is None or not os.path.exists(path):
        return {}
    table = files.read(path, space=coding.space)
    if table.source != source or table.space.name != coding.space.name:
        raise ArchgradError(f"{path} holds something else, or scores with other settings or data: choose another file")
    if missing := [name for name in names if name not in table.columns]:
        raise ArchgradError(f"{path} holds scores without {missing[0]}: choose another file")
    return {
        tuple(code): {name: float(table.columns[name][row]) for name in names}
        for row, code in enumerate(table.codes.tolist())
    }
