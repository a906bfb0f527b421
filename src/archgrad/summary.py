"""What a run says of itself in a few numbers: read from its settings, its result and the last line of its metrics.

Nothing else is read, no code is run and no link is followed, so that a thousand runs take less than a second. Whoever
wants more than this about one run reads it whole (`archgrad.report.RunData`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from archgrad.console import natural_order
from archgrad.errors import ArchgradError, shortened
from archgrad.foreign import files, plain
from archgrad.reading import Reading
from archgrad.rundir import (
    CHECKPOINTS,
    CONFIG,
    COPY,
    FAILURE,
    METRICS,
    RESULT,
    TRAININGS,
    digest,
    held,
    is_run,
)

STATES = ("running", "finished", "stopped", "failed", "unfinished", "damaged")
"""``stopped``: interrupted or killed, and can be continued; ``failed``: ended by a fault; ``unfinished``: stopped or
running, where the file system has no locks that would tell. A directory whose settings are those of another program has
no state."""

KINDS = ("search", "proxy search", "training")

TAIL = 1 << 14
"""Bytes from the end of the metrics among which the last line is looked for first."""

JSON = 16 << 20
"""Bytes of a result: more is not a summary."""

DEEPEST = 20
MOST = 200_000
"""Directories that are looked into before a search for runs gives up."""


def number(value: Any) -> float | None:
    """The value if it is a number that can be calculated with (a damaged file may hold any), else None."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15 else None


# What settings and results mean


def kind_of(config: Mapping[str, Any]) -> str:
    """One of `KINDS`, empty where the settings do not say."""
    if config.get("command") == "train":
        return "training"
    return ("proxy search" if "proxies" in config else "search") if config.get("command") == "search" else ""


def method_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the method that searched."""
    described = config.get("method")
    settings = described.get("init_args") if isinstance(described, dict) else {"name": described}
    return settings if isinstance(settings, dict) else {}


def method_of(config: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    """The name of the method, empty if unknown."""
    return _text(result.get("method") or method_settings(config).get("name"))


def space_of(config: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    """The name of what was searched, empty if unknown."""
    return _text(result.get("space") or config.get("space") or config.get("network"))


def planned_of(config: Mapping[str, Any]) -> float | None:
    """How many epochs a run is meant to take or, of a search by proxies, how many architectures it is to score."""
    recipe = config.get("recipe")
    named = recipe if isinstance(recipe, dict) else {"epochs": config.get("budget")}
    return number(method_settings(config).get("epochs")) or number(named.get("epochs"))


def tested(result: Mapping[str, Any], reading: Reading) -> float | None:
    """The primary metric on the test set in the result of a training; None where that is no possible value."""
    test = result.get("test")
    value = number(test.get(reading.primary) if isinstance(test, dict) else result.get(f"test_{reading.primary}"))
    possible = value is not None and (reading.primary not in reading.shares or 0 <= value <= 1)
    return value if possible else None


def flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as (dotted name, value as YAML would show it); a component is shown as its class and fields."""
    if isinstance(value, dict) and "class_path" in value:
        yield name, str(value["class_path"])
        fields = value.get("init_args")
        yield from flat(fields, name) if fields else ()
    elif isinstance(value, dict) and value:
        for key, item in value.items():
            yield from flat(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        for i, item in enumerate(value):
            yield from flat(item, f"{name}[{i}]")
    elif value is None or isinstance(value, bool):
        yield name, {None: "null", True: "true", False: "false"}[value]
    elif isinstance(value, list):
        yield name, ", ".join(str(item) for item in value) or "[]"
    else:
        yield name, str(value)


@dataclass(frozen=True)
class Score:
    """How good a run is: ``value`` of a ``metric``, measured ``on`` test, validation or supernet, or by a proxy."""

    value: float
    metric: str
    on: str
    reading: Reading = field(default_factory=Reading, repr=False)

    @property
    def higher_is_better(self) -> bool:
        """Which way it goes."""
        return self.on == "proxy" or self.reading.higher_is_better

    @property
    def merit(self) -> float:
        """The same such that more is better."""
        return self.value if self.higher_is_better else -self.value

    @property
    def share(self) -> bool:
        """Whether it is read in percent."""
        return self.on != "proxy" and self.metric in self.reading.shares

    @property
    def label(self) -> str:
        """What it is, e.g. ``test accuracy``."""
        return self.metric if self.on == "proxy" else f"{self.on} {self.reading.label(self.metric)}"

    def __str__(self) -> str:
        return f"{self.value:.4g}" if self.on == "proxy" else self.reading.written(self.metric, self.value)


@dataclass(frozen=True)
class Summary:
    """A run in a few numbers.

    ``problem``: why it failed, is damaged or has stopped early. ``done`` of ``planned`` epochs, or architectures.
    ``seconds``: of computing. ``started``, ``changed``: seconds since 1970, as the files of the run tell.
    """

    directory: Path
    state: str
    problem: str = ""
    kind: str = ""
    space: str = ""
    method: str = ""
    data: str = ""
    seed: int | None = None
    done: int = 0
    planned: int | None = None
    score: Score | None = None
    parameters: float | None = None
    flops: float | None = None
    seconds: float | None = None
    started: float = 0.0
    changed: float = 0.0
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, directory: Path) -> Summary:
        """Of a run, whatever its files hold; what cannot be read is said in ``problem``."""
        reader = _Reader(str(directory))
        config, result, last = reader.config(), reader.object(RESULT), reader.last()
        problems = reader.problems
        kind, score, trained = kind_of(config), None, _Reader(os.path.join(reader.directory, TRAININGS, "found"))
        if problems:
            state, problem = "damaged", "; ".join(problems)
        elif not kind:
            state, problem = "", f"{CONFIG} is of another program: its command is neither search nor train"
        else:
            state, problem = _state(reader, config, result, last)
            score = _score(kind, config, result, last, trained)
        epoch, planned, seed = number(last.get("epoch")), planned_of(config), config.get("seed")
        return cls(
            directory=directory,
            state=state,
            problem=problem,
            kind=kind,
            space=space_of(config, result),
            method=method_of(config, result),
            data=_text(result.get("data") or config.get("data")),
            seed=seed if isinstance(seed, int) and not isinstance(seed, bool) else None,
            done=0 if epoch is None else max(0, int(epoch) + 1),
            planned=None if planned is None else int(planned),
            score=score,
            parameters=_either("parameters", *trained.sizes, result, config, last),
            flops=_either("flops", *trained.sizes, result, config, last),
            seconds=_seconds(kind, result, last),
            started=min(reader.times, default=0.0),
            changed=max(reader.times, default=0.0),
            config=config,
        )

    @cached_property
    def settings(self) -> dict[str, str]:
        """Every setting by its dotted name, as text."""
        return dict(flat(self.config))

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self.state not in ("running", "unfinished")

    @property
    def unit(self) -> str:
        """What is counted by ``done``."""
        return "architectures" if self.kind == "proxy search" else "epochs"

    def record(self) -> dict[str, Any]:
        """As plain data."""
        score = self.score
        return {
            "run": str(self.directory),
            **{name: getattr(self, name) for name in ("state", "problem", "kind", "space", "method", "data", "seed")},
            **{name: getattr(self, name) for name in ("done", "planned", "unit")},
            "score": score.value if score else None,
            "metric": score.metric if score else None,
            "on": score.on if score else None,
            "higher_is_better": score.higher_is_better if score else None,
            **{name: getattr(self, name) for name in ("parameters", "flops", "seconds")},
            **{name: _moment(getattr(self, name)) for name in ("started", "changed")},
        }


def summaries(directory: Path | str, trainings: bool = False) -> list[Summary]:
    """Of the runs that are `found`, in the order of their names."""
    every = [Summary.read(run) for run in found(directory, trainings)]
    return sorted((one for one in every if one.state), key=lambda one: natural_order(str(one.directory)))


def found(directory: Path | str, trainings: bool = False) -> Iterator[Path]:
    """The runs below a directory, itself among them; ``trainings``: those within searches as well.

    Links and hidden directories are passed over. Raises ArchgradError where there is no such directory, or where there
    are too many others in it.
    """
    top = Path(directory)
    if not files.is_directory(top):
        raise ArchgradError(f"{directory}: there is no such directory")
    waiting, looked = [(str(top), 0)], 0
    while waiting:
        here, depth = waiting.pop()
        looked += 1
        if looked > MOST:
            raise ArchgradError(f"{directory}: more than {MOST:,} directories; name one that holds little but runs")
        names, below = _listed(here)
        passed = set()
        if is_run(names):
            yield Path(here)
            passed = {CHECKPOINTS} if trainings or looked == 1 else {CHECKPOINTS, TRAININGS}
        if depth < DEEPEST:
            waiting += [(os.path.join(here, name), depth + 1) for name in below if name not in passed]


def _listed(directory: str) -> tuple[set[str], list[str]]:
    """The names in a directory, and those of directories that are no links and not hidden."""
    try:
        with os.scandir(directory) as found_here:
            entries = list(found_here)
    except OSError:  # of somebody else
        return set(), []
    below = [e.name for e in entries if not e.name.startswith(".") and e.is_dir(follow_symlinks=False)]
    return {entry.name for entry in entries}, below


class _Reader:
    """Reads the small files of one run, and keeps what is wrong with them and when they were written."""

    def __init__(self, directory: str):
        self.directory = directory
        self.problems: list[str] = []
        self.times: list[float] = []
        self.sizes: list[dict[str, Any]] = []
        """What tells the size of a network that has been trained."""

    def config(self) -> dict[str, Any]:
        """The settings, from their copy where that is one."""
        return self._attempt(self._config)

    def object(self, name: str) -> dict[str, Any]:
        """A JSON object, empty where there is none yet."""
        return self._attempt(lambda: plain.json_object(self._contents(name, JSON), name))

    def last(self) -> dict[str, Any]:
        """The last whole line of the metrics, empty where there is none yet; what stands before it is not read."""
        return self._attempt(self._last)

    def _config(self) -> dict[str, Any]:
        data = self._contents(CONFIG, plain.YAML)
        copy = _Reader(self.directory).object(COPY)
        if copy.get("of") == digest(data) and isinstance(copy.get("config"), dict):
            found: dict[str, Any] = copy["config"]
            return found
        return plain.parsed(_text_of(data, CONFIG), CONFIG)

    def _last(self) -> dict[str, Any]:
        with self._opened(METRICS) as file:
            return _last_line(file)

    def _contents(self, name: str, most: int) -> bytes:
        with self._opened(name) as file:
            data = file.read(min(most, os.fstat(file.fileno()).st_size) + 1)  # what is asked for is set aside first
        if len(data) > most:
            raise ArchgradError(f"{name}: it has more than {most:,} bytes")
        return data

    def _opened(self, name: str) -> BinaryIO:
        file = files.opened(os.path.join(self.directory, name), follow=False)
        self.times.append(os.fstat(file.fileno()).st_mtime)
        return file

    def _attempt(self, read: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What is read; a file that is not there is not there yet, and whatever is wrong with one is noted."""
        try:
            return read()
        except files.MissingError:
            return {}
        except (ArchgradError, OSError) as error:
            self.problems.append(str(error))
            return {}


def _last_line(file: BinaryIO) -> dict[str, Any]:
    size = os.fstat(file.fileno()).st_size
    length = TAIL
    while True:
        start = max(0, size - length)
        file.seek(start)
        lines = file.read(size - start).split(b"\n")[(1 if start else 0) : -1]  # the last is torn, or empty
        if lines:
            return plain.json_object(lines[-1], METRICS)
        if not start:
            return {}
        if length > JSON:
            raise ArchgradError(f"{METRICS}: its last line has more than {JSON:,} bytes")
        length *= 8


def _text_of(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ArchgradError(f"{name}: it is no text") from None


def _state(
    reader: _Reader, config: Mapping[str, Any], result: Mapping[str, Any], last: Mapping[str, Any]
) -> tuple[str, str]:
    """The state, and what is to be said of it."""
    writing = held(reader.directory)
    if writing:
        return "running", ""
    if result and _reaches(config, result, last):
        early = result.get("stopped")
        return "finished", f"stopped early: {_text(early)}" if early else ""
    if failure := reader.object(FAILURE):
        return "failed", _text(failure.get("reason"), 1000)
    return ("unfinished" if writing is None else "stopped"), ""


def _reaches(config: Mapping[str, Any], result: Mapping[str, Any], last: Mapping[str, Any]) -> bool:
    """Whether a result is that of the whole run, which may have been extended since."""
    count, planned = number(result.get("scored", result.get("epochs"))), planned_of(config)
    if count is None or planned is None or result.get("stopped"):
        return True
    if "scored" in result:  # of fewer than planned where a small space has no more
        return (number(last.get("epoch")) or 0) + 1 <= count
    return count >= planned


def _score(
    kind: str, config: Mapping[str, Any], result: Mapping[str, Any], last: Mapping[str, Any], trained: _Reader
) -> Score | None:
    reading = Reading.of(config.get("task"))
    if kind == "training":
        return _measured(tested(result, reading), "test", reading) or _last(last, ("test", "validation"), reading)
    if score := _of_found(trained):
        return score
    if kind == "proxy search":
        scores = result.get("scores")
        name, value = next(iter(scores.items()), ("", None)) if isinstance(scores, dict) else ("", None)
        value = number(value)
        return None if value is None else Score(value, _text(name), "proxy")
    return _last(last, ("evaluation",), reading)


def _of_found(trained: _Reader) -> Score | None:
    """The score of the network that a search has found, once it has been trained."""
    if any(map(os.path.islink, (trained.directory, os.path.dirname(trained.directory)))):
        return None
    if not os.path.isfile(os.path.join(trained.directory, RESULT)):
        return None
    config, result = trained.config(), trained.object(RESULT)
    reading = Reading.of(config.get("task"))
    score = _measured(tested(result, reading), "test", reading)
    trained.sizes = [result, config] if score else []
    return score


def _last(last: Mapping[str, Any], parts: tuple[str, ...], reading: Reading) -> Score | None:
    for part in parts:
        value = number(last.get(f"{part}_{reading.primary}"))
        if value is not None:
            return _measured(value, "supernet" if part == "evaluation" else part, reading)
    return None


def _measured(value: float | None, on: str, reading: Reading) -> Score | None:
    return None if value is None else Score(value, reading.primary, on, reading)


def _seconds(kind: str, result: Mapping[str, Any], last: Mapping[str, Any]) -> float | None:
    """Records of searches count the time from the start of the run, those of trainings that of their epoch alone."""
    known = number(result.get("seconds"))
    if known is not None or kind != "training":
        return number(last.get("seconds")) if known is None else known
    epoch, each = number(last.get("epoch")), number(last.get("seconds"))
    return None if epoch is None or each is None else each * (epoch + 1)


def _either(name: str, *places: Mapping[str, Any]) -> float | None:
    return next((value for place in places if (value := number(place.get(name))) is not None), None)


def _moment(seconds: float) -> str | None:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds)) if seconds else None


def _text(value: Any, most: int = 200) -> str:
    """What stands in a file as a line of text."""
    text = "" if value is None else value if isinstance(value, str) else str(value)
    return shortened(text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text), most)
