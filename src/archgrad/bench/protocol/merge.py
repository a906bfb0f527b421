"""One campaign out of parts that several machines have computed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from archgrad.bench.protocol.campaign import Campaign
from archgrad.bench.protocol.store import Driver
from archgrad.bench.protocol.unit import Record, completed
from archgrad.errors import ArchgradError
from archgrad.runs import CONFIG

SAME = ("genotype", "score")
"""What two records of one unit must have in common."""


@dataclass
class Merged:
    """What a merge did."""

    added: int = 0
    unfinished: int = 0
    differing: list[str] = field(default_factory=list)
    """Units that both have with different results; those of the target stay."""
    problems: dict[str, str] = field(default_factory=dict)


def merge(campaign: Campaign, source: Path | str) -> Merged:
    """Bring what another directory of the same campaign holds into this one; done again, it changes nothing.

    Complete units come with their directories; unfinished ones too, where this campaign has nothing of them, so that
    they are continued here. Methods, benchmarks, seeds and settings of both count from now on.
    """
    other = Campaign.open(source)
    if other.directory.resolve() == campaign.directory.resolve():
        raise ArchgradError(f"merge: {source} is the campaign itself")
    here = {name: getattr(campaign, name) for name in ("suite", "keep", "checkpoint_seconds", "diagnose")}
    together = campaign.extended(other).replaced(**here)
    together.require_methods()
    together.save()
    ours, theirs, result = campaign.store.records(), other.store.records(), Merged()
    claimed = other.store.running()
    new: list[Record] = []
    with Driver(campaign.store) as driver:
        for unit, record in theirs.items():
            known = ours.get(unit)
            if "problem" in record:
                if known is None:
                    new.append(record)
            elif known is None or "problem" in known:
                if _brought(driver, other.directory, unit, result):
                    new.append(record)
                    result.added += 1
            elif any(known.get(key) != record.get(key) for key in SAME):
                result.differing.append(unit)
        complete = {unit for unit, record in ours.items() if "problem" not in record}
        for unit in sorted(_directories(other.directory) - set(theirs) - complete - claimed):
            if not (campaign.directory / unit).exists() and _brought(driver, other.directory, unit, result):
                result.unfinished += 1
    if new:
        text = json.dumps(sorted(new, key=lambda record: str(record["unit"])), sort_keys=True)
        campaign.store.add(f"merged-{hashlib.sha256(text.encode()).hexdigest()[:16]}", new)
    return result


def _directories(campaign: Path) -> set[str]:
    """The units that have a run directory."""
    found = set()
    for kind in ("search", "train"):
        for folder, below, files in os.walk(campaign / kind):
            if CONFIG in files:
                found.add(str(Path(folder).relative_to(campaign)))
                below.clear()
    return found


def _brought(driver: Driver, part: Path, unit: str, result: Merged) -> bool:
    """Copy a unit's directory, whole or not at all, over an unfinished one of ours; whether its record may count."""
    source, target = part / unit, driver.directory / unit
    if not source.is_dir():
        return True  # a part without its directories
    if not driver.claim(unit):
        result.problems[unit] = "it is being computed here"
        return False
    draft = target.with_name(f".{target.name}.{os.getpid()}.merge")
    try:
        if completed(target) is None:
            shutil.copytree(source, draft, ignore=shutil.ignore_patterns(".lock", ".*.tmp"))
            shutil.rmtree(target, ignore_errors=True)
            os.rename(draft, target)
    except (OSError, shutil.Error, ArchgradError) as error:
        shutil.rmtree(draft, ignore_errors=True)
        first = error.args[0][0] if isinstance(error, shutil.Error) else error
        result.problems[unit] = " ".join(str(first).split())
        return False
    finally:
        driver.release(unit)
    return True
