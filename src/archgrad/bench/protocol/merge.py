"""One campaign out of parts that several machines have computed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from archgrad.bench.protocol.campaign import Campaign
from archgrad.bench.protocol.store import Driver
from archgrad.bench.protocol.unit import Record, completed
from archgrad.errors import ArchgradError
from archgrad.foreign import files
from archgrad.rundir import CONFIG, LOCK, cut_short

SAME = ("genotype", "score")
"""What two records of one unit must have in common."""

CHUNK = 1 << 20


@dataclass
class Merged:
    """What a merge did."""

    added: int = 0
    unfinished: int = 0
    differing: list[str] = field(default_factory=list)
    """Units that both have with different results; those of the target stay."""
    problems: dict[str, str] = field(default_factory=dict)
    passed_over: int = 0
    """Lines of the other's records that are none."""


def merge(campaign: Campaign, source: Path | str) -> Merged:
    """Bring what another directory of the same campaign holds into this one; done again, it changes nothing.

    Complete units come with their directories; unfinished ones too, where this campaign has nothing of them, so that
    they are continued here. Methods, benchmarks, seeds and settings of both count from now on.

    The other directory may be anybody's. Only units of the campaign are brought, only regular files of theirs, and only
    into directories of this one; no code that it names is run.
    """
    other = Campaign.open(source)
    if other.directory.resolve() == campaign.directory.resolve():
        raise ArchgradError(f"merge: {source} is the campaign itself")
    here = {name: getattr(campaign, name) for name in ("suite", "keep", "checkpoint_seconds", "evaluate", "diagnose")}
    together = campaign.extended(other).replaced(**here)
    together.require_methods()
    together.save()
    ours, theirs = campaign.store.records(), other.store.records()
    result = Merged(passed_over=other.store.passed_over)
    claimed = other.store.running()
    new: list[Record] = []
    with Driver(campaign.store) as driver:
        for unit, record in theirs.items():
            known = ours.get(unit)
            if not together.has(unit):
                result.problems[unit] = "it is no unit of this campaign"
            elif "problem" in record:
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
            if (
                together.has(unit)
                and not (campaign.directory / unit).exists()
                and _brought(driver, other.directory, unit, result)
            ):
                result.unfinished += 1
    if new:
        text = json.dumps(sorted(new, key=lambda record: str(record["unit"])), sort_keys=True)
        campaign.store.add(f"merged-{hashlib.sha256(text.encode()).hexdigest()[:16]}", new)
    return result


def _directories(campaign: Path) -> set[str]:
    """The units that have a run directory."""
    found = set()
    for kind in ("search", "train"):
        for folder, below, names in os.walk(campaign / kind):
            if CONFIG in names:
                found.add(str(Path(folder).relative_to(campaign)))
                below.clear()
    return found


def _brought(driver: Driver, part: Path, unit: str, result: Merged) -> bool:
    """Copy a unit's directory, whole or not at all, over an unfinished one of ours; whether its record may count."""
    try:
        source, target = files.inside(part, unit), files.inside(driver.directory, unit)
        if not source.is_dir():
            return True  # a part without its directories
        if not driver.claim(unit):
            result.problems[unit] = "it is being computed here"
            return False
        if completed(target) is None:
            _replace(source, target)
    except (OSError, ArchgradError) as error:
        result.problems[unit] = " ".join(str(error).split())
        return False
    finally:
        driver.release(unit)
    return True


def _replace(source: Path, target: Path) -> None:
    draft = target.with_name(f".{target.name}.{os.getpid()}.merge")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        chosen = list(_regular(source))
        size = sum(path.lstat().st_size for path in chosen)
        if size > (free := shutil.disk_usage(target.parent).free):
            raise ArchgradError(f"{source} has {size:,} bytes, and only {free:,} are free")
        draft.mkdir()
        for path in chosen:
            copy = draft / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            _copy(path, copy)
        shutil.rmtree(target, ignore_errors=True)
        os.rename(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _regular(source: Path) -> Iterator[Path]:
    """The files of a unit but for locks and what a kill left; ArchgradError where anything but a file is among them."""
    for folder, below, names in os.walk(source):
        for name in (*below, *names):
            path = Path(folder) / name
            mode = path.lstat().st_mode
            if name == LOCK or cut_short(name) or stat.S_ISDIR(mode):
                continue
            if not stat.S_ISREG(mode):
                raise ArchgradError(f"{path} is {files.kind(mode)} and no regular file")
            yield path


def _copy(source: Path, target: Path) -> None:
    """Copy as many bytes as the file has now."""
    with files.opened(source, follow=False) as file, open(target, "xb") as copy:
        left = os.fstat(file.fileno()).st_size
        while left and (data := file.read(min(CHUNK, left))):
            copy.write(data)
            left -= len(data)
