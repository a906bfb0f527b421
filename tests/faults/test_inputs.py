"""The campaign of faults: thousands of inputs that are almost right. Each is answered, or refused in one line.

A few of every class run with the quick tests, all of them in `make test-all`.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from judge import Case, command
from mutation import WORDS, copied, of_bytes, of_data, of_file, of_json, of_text
from PIL import Image

from archgrad import comparison, data, report, search, spaces, tables
from archgrad.bench import Campaign
from archgrad.bench.protocol import collect
from archgrad.bench.protocol.merge import merge
from archgrad.bench.report.page import render
from archgrad.bench.statistics.analysis import analyse
from archgrad.bench.statistics.results import Results
from archgrad.follow.serve import pages
from archgrad.follow.serve.board import Board
from archgrad.runs import CHECKPOINTS, MAGIC

Copes = Callable[[str, Iterable[Case]], None]


def number(few: int, many: int) -> Any:
    """How many inputs of a class: a few with the quick tests, many with the slow ones."""
    slow = pytest.param(many, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])
    return pytest.mark.parametrize("count", [few, slow], ids=["some", "all"])


# Genotypes


@number(150, 3000)
def test_genotypes(count: int, copes: Copes, rng: random.Random) -> None:
    known = [spaces.get(name) for name in ("darts", "nasbench201", "nasbench1shot1_1", "transnasbench101")]
    draw = torch.Generator().manual_seed(1)
    bases = [(space, space.random(draw)) for space in known for _ in range(3)]

    def parse(space: spaces.Space, text: str) -> None:
        found = space.parse(text)
        assert space.parse(space.format(found)).choices == found.choices

    def cases() -> Iterator[Case]:
        for _ in range(count):
            space, genotype = rng.choice(bases)
            text = genotype.to_json() if rng.random() < 0.4 else space.format(genotype)
            text = of_json(text, rng) if text.startswith("{") else of_text(text, rng)
            yield f"{space.name} {text!r}", lambda space=space, text=text: parse(space, text)

    copes("genotypes", cases())


# YAML and the command line


@number(40, 1500)
def test_campaign_files(count: int, copes: Copes, rng: random.Random, campaign: Path, tmp_path: Path) -> None:
    snapshot = yaml.safe_load((campaign / "campaign.yaml").read_text())
    short = {"suite": "darts_benchsuite", "preset": "mini", "data": {"name": "digits"}, "methods": ["darts", "gdas"]}
    file = tmp_path / "c.yaml"

    def load() -> None:
        campaign = Campaign.load(file)
        campaign.require_all()
        len(campaign)
        campaign.snapshot()

    def cases() -> Iterator[Case]:
        for _ in range(count):
            raw = rng.choice((snapshot, {**short, "directory": str(tmp_path / "d"), "seeds": 2}))
            text = yaml.safe_dump(of_data(raw, rng)) if rng.random() < 0.7 else of_text(yaml.safe_dump(raw), rng)
            yield text, lambda text=text: (file.write_text(text, errors="replace"), load())

    copes("YAML", cases())


@number(30, 600)
def test_configuration_files(count: int, copes: Copes, rng: random.Random, tmp_path: Path) -> None:
    usual = {
        "space": "darts", "method": "gdas", "data": "digits", "epochs": 3, "seed": 1, "cells": 3, "channels": 4,
        "relaxation": {"class_path": "archgrad.relaxation.Softmax", "init_args": {"temperature": 0.5}},
        "regularisers": [{"class_path": "archgrad.regularisers.Entropy", "init_args": {"weight": 0.1}}],
    }  # fmt: skip
    file = tmp_path / "c.yaml"

    def cases() -> Iterator[Case]:
        for _ in range(count):
            text = yaml.safe_dump(of_data(usual, rng)) if rng.random() < 0.7 else of_text(yaml.safe_dump(usual), rng)
            parse = command("search", "--config", str(file), "--print_config")
            yield text, lambda text=text, parse=parse: (file.write_text(text, errors="replace"), parse())

    copes("YAML", cases())


@number(40, 1000)
def test_command_lines(
    count: int, copes: Copes, rng: random.Random, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    genotype = "|nor_conv_3x3~0|+|nor_conv_3x3~0|skip_connect~1|+|none~0|none~1|nor_conv_3x3~2|"
    ends = ["--print_config"]  # nothing is searched or trained, whatever becomes of the rest
    bases = [
        ["show", genotype, "--space", "nasbench201", "--channels", "4"],
        ["show", str(run)],
        ["list", "spaces"],
        ["report", str(run)],
        ["runs", str(run), "--filter", "score>1, state=finished", "--sort", "score"],
        ["compare", str(run), str(run / "train" / "found")],
        ["search", "--space", "darts", "--epochs", "1", *ends],
        ["search", "--relaxation", "Softmax", "--relaxation.temperature", "2", *ends],
        ["search", "--method", "croze:evolution", "--budget", "3", *ends],
        ["train", str(run), "--random", "1", "--recipe", "quick", *ends],
        ["evaluate", str(run), "--split", "test", *ends],
        ["score", "--proxy", "params", "--sample", "3", *ends],
        ["bench", "status", str(run)],
        ["table", "show", "3", "--table", "none"],
    ]  # fmt: skip

    def cases() -> Iterator[Case]:
        for _ in range(count):
            arguments = list(rng.choice(bases))
            for _ in range(rng.choice((1, 1, 2))):
                at = rng.randrange(1, len(arguments) - (arguments[-1:] == ends) + 1)
                kind = rng.randrange(4)
                if kind == 0:
                    arguments.insert(at, rng.choice((*WORDS, "--", "-x", "--seed", "--help=3", "--config", "--trust")))
                elif at < len(arguments) - 1 and kind == 1:
                    del arguments[at]
                elif at < len(arguments) - 1 and kind == 2:
                    arguments[at] = rng.choice(WORDS)
                elif at < len(arguments) - 1:
                    arguments[at] = of_text(arguments[at], rng)
            yield " ".join(arguments), command(*arguments)

    copes("command lines", cases())


# Run files


def mutated(path: Path, rng: random.Random) -> None:
    """A file whose bytes are changed or, where it holds plain data, these."""
    if path.suffix == ".yaml" and rng.random() < 0.6:
        path.write_text(yaml.safe_dump(of_data(yaml.safe_load(path.read_text()), rng)))
    elif path.suffix == ".json" and rng.random() < 0.6:
        path.write_text(of_json(path.read_text(), rng))
    elif path.suffix == ".jsonl" and rng.random() < 0.6:
        lines = path.read_text().splitlines()
        at = rng.randrange(len(lines))
        lines[at] = of_json(lines[at], rng).replace("\n", " ")
        path.write_text("".join(f"{line}\n" for line in lines))
    else:
        of_file(path, rng)


def served(place: Path) -> None:
    """The live pages of a run."""
    board = Board(place, trainings=True)
    board.refresh()
    pages.index(board)
    pages.compare(board.entries())
    for entry in board.entries():
        pages.run(entry, board.mark)


@number(45, 2000)
def test_run_files(count: int, copes: Copes, rng: random.Random, run: Path, tmp_path: Path) -> None:
    names = sorted(str(path.relative_to(run)) for path in run.rglob("*") if path.is_file() and path.name != ".lock")
    place = tmp_path / "run"
    space = spaces.get("nasbench201", channels=2, cells=1)

    def resumed() -> None:
        settings = {"epochs": 2, "batch_size": 256, "out": place, "progress": False, "device": "cpu"}
        search(space, "darts", "digits", **settings)

    actions: list[tuple[int, Callable[[], Any]]] = [
        (6, lambda: report.write(place)),
        (2, command("show", str(place))),
        (3, command("runs", str(place), "--trainings")),
        (2, command("compare", str(place))),
        (2, command("watch", str(place))),
        (4, lambda: served(place)),
        (2, lambda: comparison.load(place)),
        (1, lambda: comparison.dataset_of(place)),
        (1, resumed),
    ]

    def cases() -> Iterator[Case]:
        for _ in range(count):
            copied(run, place)
            name = rng.choice(names)
            mutated(place / name, rng)
            (action,) = rng.choices([each for _, each in actions], [weight for weight, _ in actions])
            yield f"{name} with {action}", action

    copes("run files", cases())


@number(8, 300)
def test_checkpoints_of_another_layout(count: int, copes: Copes, rng: random.Random, run: Path, tmp_path: Path) -> None:
    """Their checksum is right: they were written by something else, or by somebody who wants to harm."""
    place = tmp_path / "run"
    space = spaces.get("nasbench201", channels=2, cells=1)
    settings = {"epochs": 2, "batch_size": 256, "out": place, "progress": False, "device": "cpu"}
    trained = {"epochs": 1, "batch_size": 512, "progress": False, "device": "cpu", "random": 1}

    def cases() -> Iterator[Case]:
        for number in range(count):
            copied(run, place)
            training = number % 3 == 0
            folder = place / "train/found" / CHECKPOINTS if training else place / CHECKPOINTS
            first, *others = sorted(folder.glob("*.ckpt"))
            for other in others:
                other.unlink()
            start = len(MAGIC) + 65
            payload = torch.load(io.BytesIO(first.read_bytes()[start:]), weights_only=True)
            buffer = io.BytesIO()
            changed = of_data(payload, rng)
            torch.save(changed, buffer)
            digest = hashlib.sha256(buffer.getvalue()).hexdigest().encode()
            first.write_bytes(MAGIC + digest + b"\n" + buffer.getvalue())
            action = (
                (lambda: comparison.train_found(place, **trained))
                if training
                else (lambda: search(space, "darts", "digits", **settings))
            )
            yield f"{training} {list(changed) if isinstance(changed, dict) else changed}", action

    copes("checkpoints", cases())


# Campaigns


@number(25, 1000)
def test_stores_of_campaigns(count: int, copes: Copes, rng: random.Random, campaign: Path, tmp_path: Path) -> None:
    place, target = tmp_path / "theirs", tmp_path / "ours"
    kinds = (".yaml", ".jsonl", ".json", ".parquet")
    names = [str(path.relative_to(campaign)) for path in sorted(campaign.rglob("*")) if path.suffix in kinds]

    def shown() -> None:
        found = Campaign.open(place)
        collect.status(found)
        collect.scored(found)

    def merged() -> None:
        copied(campaign, target)
        merge(Campaign.open(target), place)
        collect.results(Campaign.open(target))

    actions = [shown, shown, merged, command("bench", "status", str(place))]

    def cases() -> Iterator[Case]:
        for _ in range(count):
            copied(campaign, place)
            name = rng.choice(names if rng.random() < 0.3 else [n for n in names if "record" in n or "unit" in n])
            mutated(place / name, rng)
            action = rng.choice(actions)
            yield f"{name} with {action}", action

    copes("stores", cases())


# Parquet and tables


def parquet(path: Path, rng: random.Random) -> None:
    """A Parquet file whose bytes, metadata or columns are changed."""
    kind = rng.randrange(4)
    if kind == 0:
        of_file(path, rng)
        return
    table = pq.read_table(path)
    metadata = dict(table.schema.metadata or {})
    if kind == 1:
        key = rng.choice([b"archgrad", b"pandas"])
        metadata[key] = of_json((metadata.get(key) or b"{}").decode(), rng).encode(errors="replace")
        table = table.replace_schema_metadata(metadata)
    elif kind == 2:
        name = rng.choice(table.column_names)
        values = of_data(table[name].to_pylist(), rng)
        at = table.column_names.index(name)
        nothing = table.set_column(at, name, pa.array([None] * len(table)))
        try:
            table = table.set_column(at, name, pa.array(values))
            pq.write_table(table, io.BytesIO())
        except (pa.ArrowException, TypeError, ValueError, OverflowError):  # what Parquet does not have
            table = nothing
    else:
        names = list(table.column_names)
        names[rng.randrange(len(names))] = rng.choice((*names, "x", "", "score", "uid", "ops", "normal"))
        table = table.rename_columns(names)
        table = table.slice(0, rng.choice((0, 1, len(table))))
    pq.write_table(table, path)


@number(40, 1200)
def test_results_as_parquet(count: int, copes: Copes, rng: random.Random, campaign: Path, tmp_path: Path) -> None:
    path, original = tmp_path / "r.parquet", (campaign / "results.parquet").read_bytes()

    def load() -> None:
        found = Results.load(path)
        if rng.random() < 0.1 and len(found):
            render(analyse(found, resamples=100))

    def cases() -> Iterator[Case]:
        for number in range(count):
            copied_file(path, original)
            parquet(path, rng)
            yield f"results {number}", load

    copes("Parquet", cases())


def copied_file(path: Path, content: bytes) -> None:
    if path.is_dir() and not path.is_symlink():
        for inner in path.iterdir():
            inner.unlink()
        path.rmdir()
    path.unlink(missing_ok=True)
    path.write_bytes(content)


@number(40, 1000)
def test_tables(count: int, copes: Copes, rng: random.Random, table_file: Path, tmp_path: Path) -> None:
    csv = tables.save(tables.load(table_file), tmp_path / "table.csv")
    originals = {path.suffix: path.read_bytes() for path in (table_file, csv)}

    def cases() -> Iterator[Case]:
        for number in range(count):
            suffix = rng.choice((".parquet", ".csv"))
            path = tmp_path / f"t{suffix}"
            copied_file(path, originals[suffix])
            if suffix == ".parquet":
                parquet(path, rng)
            elif rng.random() < 0.5:
                path.write_text(of_text(path.read_text(), rng), errors="replace")
            else:
                of_file(path, rng)
            named = rng.choice((None, "nasbench201"))
            yield f"table {number}{suffix}", lambda path=path, named=named: tables.load(path, space=named)

    copes("tables", cases())


# Images


@number(12, 500)
def test_images(count: int, copes: Copes, rng: random.Random, tmp_path: Path) -> None:
    source, place = tmp_path / "source", tmp_path / "images"
    draw = np.random.default_rng(0)
    encoded = []
    for split, each in (("train", 4), ("test", 2)):
        for label in ("cat", "dog"):
            (source / split / label).mkdir(parents=True)
            for number in range(each):
                picture = Image.fromarray(draw.integers(0, 255, (8, 8, 3), dtype=np.uint8))
                path = source / split / label / f"{number}.{rng.choice(('png', 'jpg', 'bmp'))}"
                picture.save(path)
                encoded.append((split, {"bytes": path.read_bytes(), "path": None}, label == "dog"))
    tabular = tmp_path / "tabular"
    tabular.mkdir()
    for split in ("train", "test"):
        rows = [(image, int(label)) for part, image, label in encoded if part == split]
        made = pa.table({"image": [image for image, _ in rows], "label": [label for _, label in rows]})
        pq.write_table(made, tabular / f"{split}-00000-of-00001.parquet")

    def cases() -> Iterator[Case]:
        for number in range(count):
            folder = rng.choice((source, tabular))
            copied(folder, place)
            path = rng.choice(sorted(path for path in place.rglob("*") if path.is_file()))
            if folder is tabular and rng.random() < 0.5:
                parquet(path, rng)
            else:
                of_file(path, rng)
            yield f"images {number} {path.name}", lambda: data.load(place)

    copes("images", cases())


def test_the_judge_sees_faults(copes: Copes) -> None:
    """A campaign that cannot fail would say nothing."""

    def take_memory() -> None:
        _ = bytearray(32 << 30)

    from judge import judge

    from archgrad.errors import ArchgradError

    class AsGivenError(ArchgradError):
        """Says what it was given, as the library's own errors cannot."""

        def __str__(self) -> str:
            return given[0]

    given: list[str] = []

    def refuse(text: str) -> None:
        given[:] = [text]
        raise AsGivenError(text)

    counts, faults = judge(
        [
            ("right", lambda: None),
            ("line", lambda: refuse("one line")),
            ("lines", lambda: refuse("two\nlines")),
            ("long", lambda: refuse("x" * 10_000)),
            ("error", lambda: {}["x"]),
            ("memory", take_memory),
            ("dies", lambda: __import__("os").abort()),
        ]
    )
    assert dict(counts) == {"right": 1, "one line": 1, "fault": 5}
    assert [fault.partition(":")[0] for fault in faults] == ["lines", "long", "error", "memory", "dies"]


def test_mutations_change_things(rng: random.Random) -> None:
    text = json.dumps({"a": [1, {"b": 2}], "c": "text"})
    assert len({of_json(text, rng) for _ in range(100)}) > 50
    assert len({of_bytes(text.encode(), rng) for _ in range(100)}) > 50
