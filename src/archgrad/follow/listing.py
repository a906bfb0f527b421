"""Lists of runs: what is shown of each, which are meant, and in which order."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from archgrad.console import printable
from archgrad.errors import ArchgradError, shown, unknown
from archgrad.figures.numbers import count, duration
from archgrad.summary import Summary, summaries

Value = str | float | None


@dataclass(frozen=True)
class Column:
    """Something about a run: its ``value``, by which runs are chosen and sorted, and how people read it."""

    value: Callable[[Summary], Value]
    shown: Callable[[Summary], str]
    numeric: bool = False
    best_first: bool = False


def _text(name: str) -> Column:
    return Column(lambda run: getattr(run, name), lambda run: getattr(run, name) or "–")


def _amount(name: str, written: Callable[[float | None], str]) -> Column:
    return Column(lambda run: getattr(run, name), lambda run: written(getattr(run, name)), numeric=True)


def progress(run: Summary) -> str:
    """What is done of what is planned."""
    return f"{run.done:,}" if run.planned is None else f"{run.done:,}/{run.planned:,}"


def ago(moment: float) -> str:
    """How long something is past, in its largest unit."""
    return f"{' '.join(duration(round(max(0.0, time.time() - moment), 0)).split()[:2])} ago" if moment else "–"


COLUMNS: dict[str, Column] = {
    "run": Column(lambda run: printable(str(run.directory)), lambda run: printable(str(run.directory))),
    "state": _text("state"),
    "done": Column(lambda run: run.done, progress, numeric=True),
    "kind": _text("kind"),
    "method": _text("method"),
    "space": _text("space"),
    "data": Column(lambda run: run.data, lambda run: Path(run.data).name or "–"),
    "seed": Column(lambda run: run.seed, lambda run: "–" if run.seed is None else str(run.seed), numeric=True),
    "score": Column(
        lambda run: run.score.value if run.score else None,
        lambda run: str(run.score) if run.score else "–",
        numeric=True,
        best_first=True,
    ),
    "of": Column(lambda run: run.score.label if run.score else "", lambda run: run.score.label if run.score else "–"),
    "parameters": _amount("parameters", count),
    "flops": _amount("flops", count),
    "time": _amount("seconds", duration),
    "started": Column(lambda run: run.started, lambda run: ago(run.started), numeric=True, best_first=True),
    "changed": Column(lambda run: run.changed, lambda run: ago(run.changed), numeric=True, best_first=True),
    "note": _text("problem"),
}
"""What is known of every run, by the names that `runs` prints, sorts and filters by."""

SHOWN = ("run", "state", "done", "method", "space", "data", "seed", "score", "of", "parameters", "time", "changed")
"""The columns of the table on the terminal; a note stands behind them where there is one."""

CONDITION = re.compile(r"\s*([a-z_.]+)\s*(!=|>=|<=|=|>|<)\s*(.*?)\s*", re.DOTALL)


def runs(
    directory: Path | str = ".", *, filter: str = "", sort: str = "run", reverse: bool = False, trainings: bool = False
) -> list[Summary]:
    """The runs below a directory.

    ``filter``: conditions, separated by commas, all of which hold: ``state=running``, ``score>0.9``,
    ``method=darts*``, ``seed!=0``; a word alone stands in any of the texts. A name that is no column is that of a
    setting, as ``method.epochs>=50``. ``sort``: a column; scores and times of day have the best and the newest first,
    runs that lack it come last. ``trainings``: list those within searches, too.
    """
    if sort not in COLUMNS:
        raise unknown("column to sort by", sort, COLUMNS)
    holds = conditions(filter)
    return ordered((run for run in summaries(directory, trainings) if holds(run)), sort, reverse)


def conditions(filter: str) -> Callable[[Summary], bool]:
    """Whether all conditions of a filter hold for a run; see `runs`."""
    every = [_condition(text) for text in filter.split(",") if text.strip()]
    return lambda run: all(holds(run) for holds in every)


def ordered(chosen: Iterable[Summary], sort: str, reverse: bool = False) -> list[Summary]:
    """Runs by one of the `COLUMNS`, those that lack it last."""
    column = COLUMNS[sort]

    def key(run: Summary) -> Any:
        return run.score.merit if sort == "score" and run.score else column.value(run)

    every = list(chosen)
    if sort == "run":  # they are in this order
        return every[::-1] if reverse else every
    known = [run for run in every if column.value(run) not in (None, "")]
    known.sort(key=key, reverse=column.best_first != reverse)
    return known + [run for run in every if column.value(run) in (None, "")]


def table(chosen: Sequence[Summary]) -> tuple[list[str], list[list[str]], list[int]]:
    """Runs as a table: the names of its columns, its rows, and the numbers of the columns that hold text."""
    names = [*SHOWN, *(["note"] if any(run.problem for run in chosen) else [])]
    rows = [[COLUMNS[name].shown(run) for name in names] for run in chosen]
    return names, rows, [number for number, name in enumerate(names) if not COLUMNS[name].numeric]


def _condition(text: str) -> Callable[[Summary], bool]:
    match = CONDITION.fullmatch(text)
    if match is None:
        word = text.strip().lower()
        return lambda run: any(word in part.lower() for part in _texts(run))
    name, sign, wanted = match.groups()
    value = COLUMNS[name].value if name in COLUMNS else _setting(name, text)
    if sign in ("=", "!="):
        return lambda run: _alike(value(run), wanted) == (sign == "=")
    bound = _number(wanted)
    if bound is None:
        raise ArchgradError(f"filter: {shown(text.strip())} compares with what is no number")
    compare: dict[str, Callable[[float], bool]] = {
        ">": lambda found: found > bound,
        "<": lambda found: found < bound,
        ">=": lambda found: found >= bound,
        "<=": lambda found: found <= bound,
    }
    return lambda run: (found := _number(value(run))) is not None and compare[sign](found)


def _setting(name: str, text: str) -> Callable[[Summary], Value]:
    """A setting by its dotted name; a name without a dot is meant to be a column."""
    if "." not in name:
        raise unknown(f"column in {text.strip()!r}", name, COLUMNS)
    return lambda run: run.settings.get(name)


def _alike(found: Value, wanted: str) -> bool:
    """Whether a value is the one that is wanted, or, of text, of the pattern that is."""
    number = _number(wanted)
    if number is not None and isinstance(found, int | float):
        return found == number
    return found is not None and fnmatchcase(str(found).lower(), wanted.lower())


def _number(value: Any) -> float | None:
    try:
        return float(str(value).removesuffix("%")) / (100 if str(value).endswith("%") else 1)
    except ValueError:
        return None


def _texts(run: Summary) -> list[str]:
    return [text for column in COLUMNS.values() if isinstance(text := column.value(run), str)]
