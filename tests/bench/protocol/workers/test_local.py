"""A pool of processes: kills of the driver and of workers change no result; threads are shared evenly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archgrad.bench import Campaign
from archgrad.bench.protocol import driver, workers
from archgrad.bench.protocol.workers.local import _share
from archgrad.bench.protocol.workers.workers import processors
from archgrad.errors import ArchgradError

ROOT = Path(__file__).resolve().parents[4]
LONG = {"training": {"epochs": 6}, "search": {"epochs": 4}}


def until(condition: Callable[[], Any], seconds: float = 300) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.01)
    raise AssertionError("nothing happened")


def unfinished(campaign: Campaign) -> list[Path]:
    """Units in the middle of their work: begun, with a checkpoint, not complete."""
    begun = campaign.directory.glob("*/*/*/**/checkpoints")
    return [path.parent for path in begun if any(path.iterdir()) and not (path.parent / "unit.json").exists()]


@pytest.fixture
def undisturbed(make: Any, Inline: Any) -> Campaign:
    campaign = make("whole", changes=LONG, seeds=1, checkpoint_seconds=0.02)
    with Inline() as executor:
        assert not driver.run(campaign, executor, progress=False).problems
    return campaign


@pytest.mark.slow
def test_a_killed_driver_and_its_killed_workers_change_nothing(
    make: Any, undisturbed: Campaign, content: Any, tmp_path: Path
) -> None:
    """SIGKILL of the driver in the middle of units; its workers end by themselves; another driver goes on."""
    campaign = make("killed", changes=LONG, seeds=1, checkpoint_seconds=0.02)
    campaign.save()
    program = [sys.executable, str(ROOT / "tests/kill_campaign.py"), str(campaign.directory), "2"]
    kills = 0
    while kills < 3 and _killed_in_the_middle(program, campaign):
        kills += 1
    assert kills
    out = subprocess.run(program, capture_output=True, text=True, check=True, timeout=400)
    assert out.stderr == ""
    assert content(campaign) == content(undisturbed)


def _killed_in_the_middle(program: list[str], campaign: Campaign) -> bool:
    """Kill a driver that has completed a unit and is at work on another one; its workers must end by themselves."""
    done = len(list(campaign.directory.rglob("unit.json")))
    child = subprocess.Popen(program, stdout=subprocess.PIPE, text=True, start_new_session=True)
    until(lambda: child.poll() is not None or len(list(campaign.directory.rglob("unit.json"))) > done)
    until(lambda: child.poll() is not None or unfinished(campaign))
    if child.poll() is not None:
        return False
    child.kill()
    child.wait()
    until(lambda: not _session(child.pid), 60)
    return True


def _session(leader: int) -> list[int]:
    """The living processes of a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


@pytest.mark.slow
def test_a_killed_worker_is_replaced_and_its_unit_goes_on(make: Any, undisturbed: Campaign, content: Any) -> None:
    campaign = make("killed", changes=LONG, seeds=1, checkpoint_seconds=0.02)
    with workers.get("local", workers=2, threads=1) as pool:
        killed: list[int] = []
        wait = pool.wait

        def deadly(seconds: float) -> Any:
            if len(killed) < 2 and unfinished(campaign):
                worker = next(w for w in pool._workers if w.job is not None)
                killed.append(worker.process.pid)
                os.kill(worker.process.pid, signal.SIGKILL)
            return wait(min(seconds, 0.02))

        pool.wait = deadly
        tally = driver.run(campaign, pool, progress=False)
    assert len(killed) == 2
    assert not tally.problems
    assert content(campaign) == content(undisturbed)


@pytest.mark.slow
def test_two_drivers_share_a_directory_and_compute_everything_once(
    make: Any, undisturbed: Campaign, content: Any, units_of: Any
) -> None:
    campaign = make("shared", changes=LONG, seeds=1, checkpoint_seconds=0.02)
    campaign.save()
    program = [sys.executable, str(ROOT / "tests/kill_campaign.py"), str(campaign.directory), "1"]
    children = [subprocess.Popen(program, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    computed = [int(child.communicate()[0].split()[0]) for child in children]
    assert sum(computed) == len({unit.id for unit in units_of(campaign).values()})
    assert content(campaign) == content(undisturbed)


@pytest.mark.slow
def test_several_processes_compute_one_unit(make: Any) -> None:
    """Two processes per unit, joined by accelerate: the batch of the suite is theirs together."""
    campaign = make("several", methods=["darts"], seeds=1, settings=[1], processes=2)
    with workers.get("local", workers=1, threads=1) as pool:
        tally = driver.run(campaign, pool, progress=False)
    assert not tally.problems
    import yaml

    config = yaml.safe_load((campaign.directory / "search/one/darts/seed-0/config.yaml").read_text())
    assert config["processes"] == 2
    assert config["method"]["init_args"]["batch_size"] == 8


def test_accelerators_are_shared_evenly() -> None:
    four = ["0", "1", "2", "3"]
    assert [_share(four, n, 2) for n in range(2)] == [{"CUDA_VISIBLE_DEVICES": pair} for pair in ("0,1", "2,3")]
    assert [_share(["5"], n, 1) for n in range(2)] == [{"CUDA_VISIBLE_DEVICES": "5"}] * 2
    assert _share([], 0, 1) == {}


def test_mistakes_are_one_line() -> None:
    assert processors() >= 1
    with pytest.raises(ArchgradError, match="unknown executor 'slurm': known: local, ray"):
        workers.get("slurm")
    with pytest.raises(ArchgradError, match="executor local: workers must be 1 or more, got 0"):
        workers.get("local", workers=0)
    with pytest.raises(ArchgradError, match=r"executor 'local': .*address"):
        workers.get("local", address="auto")
