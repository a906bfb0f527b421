"""Records and claims of several drivers in one directory."""

from __future__ import annotations

import errno
import fcntl
import json
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
from archgrad.bench.protocol.collect import status
from archgrad.bench.protocol.store import Driver, Store
from archgrad.bench.protocol.unit import Unit

UNIT = "search/one/darts/seed-0"
NO_LOCKS = [None, errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK]


@pytest.fixture(params=NO_LOCKS, ids=["locks", *(errno.errorcode[number] for number in NO_LOCKS if number)])
def disk(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file system with locks, and some without that say so in different ways."""
    if request.param is not None:

        def refuse(*_: Any) -> None:
            raise OSError(request.param, "no locks here")

        monkeypatch.setattr(fcntl, "flock", refuse)
    return tmp_path


@pytest.mark.filterwarnings("ignore:flock not supported")
def test_one_of_two_drivers_gets_a_unit(disk: Path) -> None:
    store = Store(disk)
    with Driver(store) as one:
        with Driver(store) as two:
            assert one.claim(UNIT)
            assert not two.claim(UNIT)
            assert not one.claim(UNIT), "not even twice by the same"
            two.release(UNIT)
            assert not two.claim(UNIT), "nobody lets go of what another one has"
            assert store.running() == {UNIT}
            one.release(UNIT)
            assert store.running() == set()
            assert two.claim(UNIT)
            assert not one.claim(UNIT)
        assert store.running() == set(), "a driver that ends lets go of everything"
        assert one.claim(UNIT)
        one.release(UNIT, complete=True)
        assert not list((disk / "claims").iterdir()), "of a complete unit nothing is left"
        assert one.claim(UNIT)


def test_claims_of_a_killed_driver_are_taken_over(tmp_path: Path) -> None:
    ready, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        driver = Driver(Store(tmp_path)).__enter__()
        os.write(theirs, b"1" if driver.claim(UNIT) else b"0")
        time.sleep(60)
        os._exit(0)
    assert os.read(ready, 1) == b"1"
    with Driver(Store(tmp_path)) as driver:
        assert not driver.claim(UNIT)
        assert Store(tmp_path).running() == {UNIT}
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert Store(tmp_path).running() == set()
        assert driver.claim(UNIT)
        assert Store(tmp_path).running() == {UNIT}


def test_a_program_that_a_driver_starts_does_not_keep_its_claims(tmp_path: Path) -> None:
    """Workers may outlive their driver for a moment."""
    one = Driver(Store(tmp_path))
    with one:
        assert one.claim(UNIT)
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
    with Driver(Store(tmp_path)) as two:
        assert two.claim(UNIT)
        assert child.poll() is None
    child.communicate(b"\n")


def test_torn_and_foreign_lines_are_passed_over_and_complete_units_win(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder = tmp_path / "records"
    folder.mkdir()

    def record(seed: int, **says: Any) -> dict[str, Any]:
        unit = Unit("x", seed, genotype="g", setting="1")
        return {"unit": unit.id, **unit._asdict(), **says}

    a, b, c = (record(seed, score=seed) for seed in range(3))
    lines = [
        record(0, problem="first", finished=1),
        record(0, problem="second", finished=2),
        b,
        record(1, problem="later", finished=9),
        {"unit": a["unit"], "genotype": "lacks the rest"},
        {**b, "unit": "../outside"},
        {**b, "unit": "search"},
        {**b, "benchmark": "../x", "unit": b["unit"].replace("/x/", "/../x/")},
        {**b, "seed": True},
        {**b, "score": "high"},
        {**b, "score": 10**400},
        {**b, "seconds": [1]},
        {**b, "genotype": None},
        {**record(0), "problem": 5},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    whole = json.dumps(c)
    (folder / "x.jsonl").write_text(text + "{torn\n[1]\n" + whole[:30])
    found = store.records()
    assert found[a["unit"]]["problem"] == "second"
    assert found[b["unit"]] == b
    assert set(found) == {a["unit"], b["unit"]}
    assert store.passed_over == 12
    with open(folder / "x.jsonl", "a") as file:
        file.write(whole[30:] + "\n")
    assert store.records()[c["unit"]] == c


def test_the_status_of_100_000_units_takes_at_most_three_seconds(
    make: Callable[..., Campaign], tiny: dict[str, Any]
) -> None:
    suite = {**tiny, "subspaces": {f"s{n}": tiny["subspaces"]["one"] for n in range(20)}}
    suite["training"] = {**tiny["training"], "lr": [0.01 * n for n in range(1, 10)]}
    methods = [{"name": f"m{n}", "method": "darts"} for n in range(8)]
    campaign = make(suite=suite, methods=methods, seeds=50)
    campaign.save()
    assert len(campaign) == 100_000
    records = {}
    for number, trial in enumerate(campaign.trials()):
        (search,) = trial.searches
        shared = {"genotype": f"|skip_connect~0|none~{number}|" * 3, "seconds": 36.0, "host": "machine"}
        records[search.id] = {"unit": search.id, **search._asdict(), **shared, "loss": 1.0}
        for unit in trial.trainings(records[search.id], campaign.settings):
            whole = {"score": 90.0, "top5": 99.0, "parameters": 123456, "flops": 1234567}
            failed = unit.setting == "9" and number % 10 == 0
            rest = {"problem": "none", "finished": 1.0} if failed else shared | whole
            records[unit.id] = {"unit": unit.id, **unit._asdict(), **rest}
    campaign.store.add("all", records.values())
    started = time.process_time()  # of this process: the machine may be busy
    found = status(Campaign.load(campaign.directory))
    seconds = time.process_time() - started
    assert sum(found.done.values()) == 99_000
    assert len(found.problems) == 1000
    assert abs(found.seconds / 3600 - 990) < 1e-6
    assert seconds <= 3, f"{seconds:.1f} s"
