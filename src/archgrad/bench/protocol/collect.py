"""The results and the state of a campaign."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archgrad.bench.protocol.campaign import Campaign
from archgrad.bench.protocol.lookup import PRIMARY, LookUp
from archgrad.bench.protocol.store import Record
from archgrad.bench.protocol.unit import Unit, completed, lowest_loss, training_seed
from archgrad.bench.statistics.results import KEY, Result, Results
from archgrad.errors import ArchgradError

RESULTS = "results.parquet"


@dataclass
class Status:
    """How far a campaign is."""

    total: int
    done: Counter[str] = field(default_factory=Counter)
    """``search`` and ``train`` → complete units."""
    planned: Counter[str] = field(default_factory=Counter)
    cells: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    """(method, benchmark) → complete and planned units."""
    problems: dict[str, str] = field(default_factory=dict)
    running: dict[str, str] = field(default_factory=dict)
    """Unit → driver."""
    seconds: float = 0.0
    """Of computing, in all complete units."""


def status(campaign: Campaign) -> Status:
    """How far a campaign is; of 100,000 units in seconds."""
    records = campaign.store.records()
    found = Status(len(campaign))
    for unit in campaign.units():
        kind, name = unit.kind, unit.id
        record = records.get(name)
        cell = found.cells.setdefault((unit.method, unit.benchmark), [0, 0])
        found.planned[kind] += 1
        cell[1] += 1
        if record is None:
            continue
        if "problem" in record:
            found.problems[name] = record["problem"]
            continue
        found.done[kind] += 1
        cell[0] += 1
        found.seconds += 0 if "same_as" in record else record.get("seconds") or 0
    found.running = campaign.store.claims()
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
        primary=Results.primary if suite.table is None else PRIMARY,
    )


def _trained(campaign: Campaign) -> tuple[list[Result], int]:
    """The rows of all trainings that were computed or failed, and how many there are to be."""
    records = campaign.store.records()
    known = _known(campaign.directory / RESULTS)
    diagnostics: dict[str, dict[str, Any]] = {}
    rows, planned = [], 0
    for unit in campaign.units():
        planned += unit.kind == "train"
        if unit.kind == "train" and (record := records.get(unit.id)) is not None:
            search = _chosen(unit, records, record)
            rows.append(_row(campaign, unit, record, search, known, diagnostics))
    return rows, planned


def _looked_up(campaign: Campaign, scores: LookUp) -> tuple[list[Result], int]:
    """The rows of what searches found, from the table, and how many there are to be."""
    records = campaign.store.records()
    several = len(campaign.suite.benchmarks) > 1
    found: dict[tuple[str, str], list[Record]] = {}
    for unit in campaign.units():
        here = found.setdefault((unit.benchmark, unit.method), [])
        if (record := records.get(unit.id)) is not None and "problem" not in record:
            here.append(record)
    rows: list[Result] = []
    for (benchmark, method), searches in found.items():
        chosen = searches
        if campaign.genotypes != "all":
            chosen = [lowest_loss(searches)] if len(searches) == len(campaign.seeds) else []
        for search in chosen:
            extra = _directory_record(campaign, search["unit"]).get("extra", {}) | {"search_loss": search.get("loss")}
            rows += scores.units(
                method,
                search["seed"],
                search["genotype"],
                of=f"{benchmark}-" if several else "",
                search_seconds=_number(search.get("seconds")),
                extra=extra,
            )
    scored = len(found) * (len(campaign.seeds) if campaign.genotypes == "all" else 1)
    return rows, scored * len(scores.values)


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


def _row(
    campaign: Campaign,
    unit: Unit,
    record: Record,
    search: Record | None,
    known: dict[tuple[Any, ...], dict[str, Any]],
    diagnostics: dict[str, dict[str, Any]],
) -> Result:
    seed = search["seed"] if search else unit.seed
    key: dict[str, Any] = {
        "method": unit.method,
        "benchmark": unit.benchmark,
        "setting": unit.setting,
        "seed": seed,
        "training_seed": training_seed(unit),
    }
    if "problem" in record:
        return Result(**key, extra={"problem": record["problem"]})
    extra: Any = known.get(tuple(key[name] for name in KEY))
    if extra is None:
        whole = _directory_record(campaign, record.get("same_as", unit.id))
        extra = dict(whole.get("extra", {}))
        if search is not None:
            if search["unit"] not in diagnostics:
                diagnostics[search["unit"]] = _directory_record(campaign, search["unit"]).get("extra", {})
            extra |= diagnostics[search["unit"]]
            extra["search_loss"] = search.get("loss")
    return Result(
        **key,
        score=record["score"],
        top5=record.get("top5", float("nan")),
        parameters=_number(record.get("parameters")),
        flops=_number(record.get("flops")),
        search_seconds=_number(search.get("seconds") if search else None),
        train_seconds=_number(record.get("seconds")),
        genotype=record["genotype"],
        extra=extra,
    )


def _chosen(unit: Unit, records: dict[str, Record], record: Record) -> Record | None:
    """The search whose genotype a training trained."""
    searches = [records[needed] for needed in unit.needs if "problem" not in records.get(needed, {"problem": ""})]
    same = [search for search in searches if search["genotype"] == record.get("genotype")]
    return next(iter(same or searches), None)


def _directory_record(campaign: Campaign, unit: str) -> Record:
    try:
        return completed(campaign.directory / unit) or {}
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


__all__ = ["RESULTS", "Status", "results", "scored", "status", "write_results"]
