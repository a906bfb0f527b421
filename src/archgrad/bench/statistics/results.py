"""A table of results: one row per trained network, stored as Parquet, wherever the scores come from."""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from archgrad.errors import ArchgradError, unknown
from archgrad.foreign import columns, layout
from archgrad.foreign.plain import parsed_json
from archgrad.reading import Reading
from archgrad.runs import atomic_write

KEY = ["method", "benchmark", "setting", "seed", "training_seed"]
"""What tells a result from all others."""

TEXTS = ["method", "benchmark", "setting", "genotype", "extra"]
WHOLE = ["seed", "training_seed"]
NUMBERS = ["score", "validation", "top5", "parameters", "flops", "search_seconds", "train_seconds"]
COLUMNS = [*KEY, *NUMBERS, "genotype", "extra"]

SCHEMA = pa.schema([(n, pa.int64() if n in WHOLE else pa.float64() if n in NUMBERS else pa.string()) for n in COLUMNS])
POINTS = 50  # of a curve that is kept with a result: more would make a table of many heavy

BASELINES = ("random_genotype", "random_search")
"""Methods that choose at random: what a search is worth shows beside them."""

PUBLISHED = ["Optimizer", "Subspace", "Opset", "HP_Idx", "TestAcc1", "TestAcc5"]
PUBLISHED_NAMES = {"pcdarts": "pc_darts", "fairdarts": "fair_darts", "sdarts": "sdarts_random"}
PUBLISHED_SETTINGS = [(lr, decay) for lr in ("0.025", "0.1", "0.01") for decay in ("1e-4", "3e-4", "1e-3")]


@dataclass(frozen=True)
class Result:
    """One settled network that was trained, or looked up. Shares are in %; what is not known is NaN or empty.

    ``seed`` is that of the search. ``score`` is the task's primary metric on the test set; NaN where the training
    failed, which the statistics then count as missing. ``extra`` is plain data; the report shows from it ``curves`` (of
    the training) and ``diagnostics`` (of the search), each name → curve as `thinned` makes it, ``skips`` (share of skip
    connections among the kept operations), ``search_loss`` (the supernet's validation loss at the end of the search)
    and ``problem``.
    """

    method: str
    benchmark: str
    setting: str
    seed: int = 0
    training_seed: int = 0
    score: float = math.nan
    validation: float = math.nan
    top5: float = math.nan
    parameters: float = math.nan
    flops: float = math.nan
    search_seconds: float = math.nan
    train_seconds: float = math.nan
    genotype: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """As a row of `Results`."""
        return {**asdict(self), "extra": json.dumps(dict(self.extra)) if self.extra else ""}


def thinned(values: Sequence[float | None], points: int = POINTS) -> dict[str, list[float]]:
    """A curve over epochs as ``{"x": epochs from 1, "y": values}``, evenly thinned to at most ``points``, ends kept.

    Epochs without a value, or whose value is no finite number, are left out.
    """
    known = [(epoch, y) for epoch, y in enumerate(values, start=1) if isinstance(y, int | float) and math.isfinite(y)]
    last = len(known) - 1
    chosen = sorted({round(i * last / (points - 1)) for i in range(points)}) if last >= points else range(last + 1)
    return {"x": [known[i][0] for i in chosen], "y": [float(f"{known[i][1]:.6g}") for i in chosen]}


@dataclass(frozen=True, eq=False)
class Results:
    """Scores of trained networks.

    ``frame``: one row per result, the columns of `COLUMNS`, none twice, sorted by its key. ``title``: whose results.
    ``settings``: setting → what it means, for people. ``remarks``: what a reader must know, one sentence each.
    ``primary``: the name of the score. ``reading``: of which metric it is a value, and which way that goes.
    """

    frame: pd.DataFrame
    title: str = "Results"
    settings: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    primary: str = "test accuracy, %"
    reading: Reading = field(default_factory=Reading)

    @property
    def merit(self) -> pd.Series[float]:
        """The scores such that more is better: negated where less is."""
        return self.frame.score if self.reading.higher_is_better else -self.frame.score

    @property
    def percent(self) -> bool:
        """Whether scores are in % and differ by points."""
        return self.reading.primary in self.reading.shares

    def __post_init__(self) -> None:
        object.__setattr__(self, "frame", _checked(self.frame, self.title))

    def __len__(self) -> int:
        return len(self.frame)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{self.frame[name].nunique()} {name}s" for name in KEY[:4])
        return f"Results({self.title!r}, {len(self):,} rows: {sizes})"

    @classmethod
    def of(cls, results: Iterable[Result | Mapping[str, Any]], **named: Any) -> Results:
        """From single results, or mappings of the same names; names that are missing are unknown.

        ``named``: the other fields of `Results`.
        """
        rows = [each.row() if isinstance(each, Result) else _row(each) for each in results]
        return cls(pd.DataFrame(rows, columns=COLUMNS), **named)

    @classmethod
    def load(cls, path: str | Path) -> Results:
        """From a Parquet file, a CSV file of the same columns, or the CSV file of the published runs."""
        path = Path(path)
        if not os.path.isfile(path):
            raise ArchgradError(f"{path}: no such file; results are a .parquet or .csv file")
        if path.suffix == ".csv":
            with layout.expected(str(path)):
                frame = pd.read_csv(path, dtype=dict.fromkeys(TEXTS, str))
                if set(PUBLISHED) <= set(frame.columns):
                    return published(frame)
                frame = frame.apply(lambda column: column.map(columns.from_text))
                return cls(frame, title=path.stem, **_meaning(frame))
        table = columns.read_parquet(path)
        with layout.expected(str(path)):
            about = _about(columns.about(table, path))
            return cls(table.replace_schema_metadata(None).to_pandas(), **{"title": path.stem, **about})

    def save(self, path: str | Path) -> Path:
        """Write a Parquet or, by its ending, CSV file, whole or not at all.

        Of all that is not the frame the latter holds, in columns of their own, what the score is and which way it goes.
        """
        path = Path(path)
        if path.suffix == ".csv":
            meaning = {"primary": self.primary, "reading": json.dumps(self.reading.record())}
            frame = self.frame.assign(**meaning).map(columns.as_text)
            atomic_write(path, frame.to_csv(index=False).encode())
            return path
        about = {name: value for name, value in vars(self).items() if name != "frame"}
        about |= {"settings": dict(self.settings), "reading": self.reading.record()}
        table = pa.Table.from_pandas(self.frame, schema=SCHEMA, preserve_index=False)
        buffer = io.BytesIO()
        pq.write_table(table.replace_schema_metadata({"archgrad": json.dumps(about)}), buffer, compression="zstd")
        atomic_write(path, buffer.getvalue())
        return path

    def merged(self, *others: Results) -> Results:
        """These and other results together. A result that several have must be the same in all; a failed one gives way.

        Times and ``extra`` may differ between machines, and then those of the first are kept.
        """
        frames = [self.frame, *(other.frame for other in others)]
        if len(frames) == 1:
            return self
        if other := next((each.primary for each in others if each.reading != self.reading), None):
            raise ArchgradError(f"merge: {self.primary} and {other} cannot be compared")
        both = pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)
        done = both[both.score.notna()]
        scores = done.groupby(KEY, sort=False).score
        differ = scores.transform("max") > scores.transform("min")
        if differ.any():
            raise ArchgradError(
                f"merge: the result of {_named(done[differ])} has different scores in what is to be merged"
            )
        waiting = both[both.score.isna()]
        kept = pd.concat([done, waiting]).drop_duplicates(KEY)
        labels = {name: text for part in (*reversed(others), self) for name, text in part.settings.items()}
        remarks = tuple(dict.fromkeys(remark for part in (self, *others) for remark in part.remarks))
        return replace(self, frame=kept, settings=labels, remarks=remarks)

    def only(self, **names: str | Sequence[str]) -> Results:
        """Those of some methods, benchmarks or settings: ``only(method=["darts", "gdas"], setting="1")``."""
        frame = self.frame
        for column, wanted in names.items():
            if column not in KEY:
                raise unknown("column to select by", column, KEY)
            chosen = [wanted] if isinstance(wanted, str | int) else list(wanted)
            known = set(frame[column].unique())
            for name in chosen:
                if name not in known:
                    raise unknown(column, name, map(str, known))
            frame = frame[frame[column].isin(chosen)]
        return replace(self, frame=frame)

    def extras(self) -> list[dict[str, Any]]:
        """``extra`` of every result, decoded; a damaged one is empty."""
        return [_decoded(text) for text in self.frame.extra]


def published(frame: pd.DataFrame) -> Results:
    """The published runs of the DARTS benchmark suite (arXiv 2507.16533), 567 networks.

    Methods get our names and settings the numbers 1–9 of the suite.
    """
    methods = frame.Optimizer.astype(str)
    index = frame.HP_Idx.astype(int)
    if not index.between(0, len(PUBLISHED_SETTINGS) - 1).all():
        raise ArchgradError(f"published runs: HP_Idx must be 0 to {len(PUBLISHED_SETTINGS) - 1}, got {index.max()}")
    rows = {
        "method": methods.map(PUBLISHED_NAMES).fillna(methods),
        "benchmark": frame.Subspace.astype(str) + "-" + frame.Opset.astype(str),
        "setting": (index + 1).astype(str),
        "seed": 0,
        "training_seed": 0,
        "score": frame.TestAcc1,
        "top5": frame.TestAcc5,
    }
    return Results(
        pd.DataFrame(rows),
        title="Published runs of the DARTS benchmark suite",
        settings={str(i + 1): f"lr {lr}, wd {decay}" for i, (lr, decay) in enumerate(PUBLISHED_SETTINGS)},
        remarks=(
            "One genotype per method and benchmark, the one with the lowest supernet validation loss of three "
            "searches, trained once per setting: nothing here measures the noise of a search or of a training.",
            "gdas and sdarts_random were searched with known errors: the temperature of gdas fell over 250 epochs "
            "and not over those of the run, and sdarts_random kept its noise in the architecture parameters. Their "
            "ranks are those of these programs, not of the published methods.",
        ),
    )


def _about(given: Mapping[str, Any]) -> dict[str, Any]:
    """What `Results.save` wrote beside the frame; what another program wrote there is passed over."""
    found: dict[str, Any] = {name: given[name] for name in ("title", "primary") if isinstance(given.get(name), str)}
    if isinstance(settings := given.get("settings"), dict):
        found["settings"] = {name: str(text) for name, text in settings.items()}
    if isinstance(remarks := given.get("remarks"), list):
        found["remarks"] = tuple(map(str, remarks))
    return found | {"reading": Reading.of(given.get("reading"))}


def _meaning(frame: pd.DataFrame) -> dict[str, Any]:
    """What a CSV file says of its scores: nothing, or one thing in all rows."""
    if not len(frame) or not {"primary", "reading"} <= set(frame.columns):
        return {}
    for column in ("primary", "reading"):
        if frame[column].nunique(dropna=False) > 1:
            raise ArchgradError(f"results: the column {column!r} must say the same in all rows")
    return {"primary": str(frame.primary.iloc[0]), "reading": Reading.of(json.loads(str(frame.reading.iloc[0])))}


def _row(result: Mapping[str, Any]) -> dict[str, Any]:
    strange = set(result) - set(COLUMNS)
    if strange:
        raise unknown("column of results", min(strange), COLUMNS)
    missing = [name for name in ("method", "benchmark", "setting") if name not in result]
    if missing:
        raise ArchgradError(f"results: one has no {missing[0]}")
    row = dict(result)
    if not isinstance(row.get("extra", ""), str):
        row["extra"] = json.dumps(row["extra"])
    return row


def _checked(frame: pd.DataFrame, title: str) -> pd.DataFrame:
    """The frame with all columns, in their types, sorted; refused where a row is there twice or a score impossible."""
    if not frame.columns.is_unique:
        raise ArchgradError(f"{title}: two columns have the name {frame.columns[frame.columns.duplicated()][0]!r}")
    missing = [name for name in [*KEY[:3], "score"] if name not in frame.columns]
    if missing:
        raise ArchgradError(f"{title}: results need a column {missing[0]!r}; their columns are {', '.join(COLUMNS)}")
    made: dict[str, Any] = {}
    for name in COLUMNS:
        given = frame[name] if name in frame.columns else None
        try:
            if given is None:
                empty: Any = 0 if name in WHOLE else math.nan if name in NUMBERS else ""
                made[name] = pd.Series(empty, index=frame.index)
            elif name in NUMBERS:
                made[name] = pd.to_numeric(given).astype("float64")
            elif name in WHOLE:
                made[name] = _whole(pd.to_numeric(given).fillna(0))
            else:
                made[name] = given.astype(object).where(given.notna(), "").astype(str)
        except (TypeError, ValueError, OverflowError):
            wanted = "whole numbers" if name in WHOLE else "numbers"
            raise ArchgradError(f"{title}: the column {name!r} must hold {wanted}") from None
    result = pd.DataFrame(made).sort_values(KEY, kind="stable", ignore_index=True)
    infinite = result.score.abs() == math.inf
    if infinite.any():
        raise ArchgradError(f"{title}: the score of {_named(result[infinite])} is infinite")
    twice = result.duplicated(KEY)
    if twice.any():
        raise ArchgradError(f"{title}: the result of {_named(result[twice])} is there more than once")
    return result


def _whole(given: pd.Series[Any]) -> pd.Series[int]:
    """A column of whole numbers; ValueError where one is none."""
    found = given.astype("int64")
    if not (found == given).all():
        raise ValueError("not whole")
    return found


def _named(frame: pd.DataFrame) -> str:
    return ", ".join(f"{name} {frame[name].iloc[0]}" for name in KEY)


def _decoded(text: str) -> dict[str, Any]:
    if not text:
        return {}
    try:
        value = parsed_json(text, "extra")
    except ArchgradError:
        return {}
    return value if isinstance(value, dict) else {}
