"""The results and the state of a campaign."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

from archgrad.bench.protocol.campaign import Campaign
from archgrad.bench.protocol.lookup import PRIMARY, LookUp
from archgrad.bench.protocol.unit import Record, completed
from archgrad.bench.statistics.results import KEY, Result, Results
from archgrad.errors import ArchgradError
from archgrad.reading import Reading

RESULTS = "results.parquet"


@dataclass
class Status:
    """How far a campaign is."""

    total: int
    done: Counter[str] = field(default_factory=Counter)
    """``search`` and ``train`` → complete units."""
    planned: Counter[str] = field(default_factory=Counter)
    cells: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    """(method, benchmark) → complete and planned units; one that several methods share counts for each."""
    problems: dict[str, str] = field(default_factory=dict)
    running: set[str] = field(default_factory=set)
    seconds: float = 0.0
    """Of computing, in all complete units."""


def status(campaign: Campaign) -> Status:
    """How far a campaign is; of 100,000 units in seconds."""
    records = campaign.store.records()
    found, counted = Status(len(campaign)), set()
    for trial, setting, unit in campaign.planned(records):
        kind = "train" if setting else "search"
        cell = found.cells.setdefault((trial.method, trial.benchmark), [0, 0])
        found.planned[kind] += 1
        cell[1] += 1
        name = unit.id if unit else ""
        record = records.get(name)
        if record is None:
            continue
        if "problem" in record:
            found.problems[name] = record["problem"]
            continue
        found.done[kind] += 1
        cell[0] += 1
        if name not in counted:
            counted.add(name)
            found.seconds += record.get("seconds") or 0
    found.running = campaign.store.running()
    return found


def results(campaign: Campaign) -> Results:
    """The scores of a campaign as the statistics take them: of trainings, failed ones as missing, or from its table.

    Curves and diagnostics come from the units' directories where they are; those read before from the results file.
    """
    suite = campaign.suite
    rows, planned = _trained(campaign) if suite.table is None else _looked_up(campaign, suite.table)
    remarks = [_remark(campaign)]
    if len(rows) < planned:
        kind = "trainings" if suite.table is None else "scores"
        remarks.insert(0, f"The campaign is not complete: {len(rows):,} of its {planned:,} {kind} are here.")
    if failed := sum(1 for row in rows if "problem" in row.extra):
        remarks.append(f"{failed} of {len(rows)} trainings failed and count as missing.")
    return Results.of(
        rows,
        title=f"{suite.about or suite.name} · {suite.data.label}",
        settings={setting.name: setting.label for setting in suite.settings},
        remarks=tuple(remarks),
        **(_read(campaign) if suite.table is None else {"primary": PRIMARY}),
    )


def _read(campaign: Campaign) -> dict[str, Any]:
    """What the scores of trainings are, as these have recorded it."""
    recorded = (record["task"] for record in campaign.store.records().values() if "task" in record)
    reading = Reading.of(next(recorded, None))
    percent = ", %" if reading.primary in reading.shares else ""
    return {"reading": reading, "primary": f"test {reading.label(reading.primary)}{percent}"}


def _trained(campaign: Campaign) -> tuple[list[Result], int]:
    """The results of all trainings that were computed or failed, and how many there are to be."""
    records = campaign.store.records()
    known = _known(campaign.directory / RESULTS)
    found: list[Result] = []
    planned = 0
    for trial in campaign.trials():
        planned += len(campaign.settings)
        if (search := trial.chosen(records)) is None:
            continue
        diagnostics = cache(partial(_extra, campaign, search["unit"]))
        for unit in trial.trainings(search, campaign.settings):
            if (record := records.get(unit.id)) is not None:
                key = (trial.method, trial.benchmark, unit.setting, search["seed"], unit.seed)
                extra = known.get(key)
                if extra is None and "problem" not in record:
                    extra = _extra(campaign, unit.id) | diagnostics() | {"search_loss": search.get("loss")}
                found.append(_result(key, record, search, extra or {}))
    return found, planned


def _looked_up(campaign: Campaign, scores: LookUp) -> tuple[list[Result], int]:
    """The results of what searches found, from the table, and how many there are to be."""
    records = campaign.store.records()
    several = len(campaign.suite.benchmarks) > 1
    found: list[Result] = []
    planned = 0
    for trial in campaign.trials():
        planned += len(scores.values)
        if (search := trial.chosen(records)) is not None:
            found += scores.results(
                trial.method,
                search["seed"],
                search["genotype"],
                of=f"{trial.benchmark}-" if several else "",
                search_seconds=_number(search.get("seconds")),
                extra=_extra(campaign, search["unit"]) | {"search_loss": search.get("loss")},
            )
    return found, planned


def write_results(campaign: Campaign) -> Path:
    """Bring the results file of a campaign up to date; its path."""
    return scored(campaign).save(campaign.directory / RESULTS)


def scored(campaign: Campaign) -> Results:
    """As `results`, refused where nothing has a score yet."""
    found = results(campaign)
    if not len(found):
        raise ArchgradError(
            f"{campaign.directory}: nothing has a score yet: archgrad bench run {campaign.directory} computes them"
        )
    return found


def _result(key: tuple[str, str, str, int, int], record: Record, search: Record, extra: dict[str, Any]) -> Result:
    if "problem" in record:
        return Result(*key, extra={"problem": record["problem"]})
    return Result(
        *key,
        score=record["score"],
        top5=record.get("top5", float("nan")),
        parameters=_number(record.get("parameters")),
        flops=_number(record.get("flops")),
        search_seconds=_number(search.get("seconds")),
        train_seconds=_number(record.get("seconds")),
        genotype=record["genotype"],
        extra=extra,
    )


def _extra(campaign: Campaign, unit: str) -> dict[str, Any]:
    """The curves and diagnostics that a unit's directory holds, where it is."""
    try:
        return dict((completed(campaign.directory / unit) or {}).get("extra", {}))
    except ArchgradError:
        return {}


def _known(path: Path) -> dict[tuple[Any, ...], dict[str, Any]]:
    if not path.is_file():
        return {}
    try:
        frame = Results.load(path)
    except ArchgradError:
        return {}  # it is written anew
    rows = frame.frame[KEY].itertuples(index=False, name=None)
    return {
        row: extra for row, extra, score in zip(rows, frame.extras(), frame.frame.score, strict=True) if score == score
    }


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _remark(campaign: Campaign) -> str:
    scores = campaign.suite.table
    if campaign.genotypes == "all":
        how = "trained in every setting" if scores is None else f"looked up in the table {scores.table.name}"
        return f"Every search counts: {len(campaign.seeds)} seeds, each genotype {how}."
    return (
        f"Only the genotype with the lowest supernet validation loss of {len(campaign.seeds)} searches was "
        f"{'trained' if scores is None else 'looked up'}: the spread of a method's searches does not show."
    )
