"""Records and claims of several drivers in one directory."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from archgrad.bench import Campaign
from archgrad.bench.protocol import store as stores
from archgrad.bench.protocol.collect import status
from archgrad.bench.protocol.store import Driver, Store


def test_one_of_two_drivers_gets_a_unit(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with Driver(store) as one:
        two = Driver(store)
        two.name = "two"
        with two:
            assert one.claim("search/a")
            assert not two.claim("search/a")
            assert not one.claim("search/a"), "not even twice by the same"
            assert store.claims() == {"search/a": one.name}
            one.release("search/a")
            assert two.claim("search/a")
        assert store.claims() == {}, "a driver that ends lets go of everything"
    assert not list((tmp_path / "claims").iterdir())
    assert not list((tmp_path / "drivers").iterdir())


def test_claims_of_a_killed_driver_are_taken_over(tmp_path: Path) -> None:
    ready, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        driver = Driver(Store(tmp_path)).__enter__()
        os.write(theirs, b"1" if driver.claim("u") else b"0")
        time.sleep(60)
        os._exit(0)
    assert os.read(ready, 1) == b"1"
    with Driver(Store(tmp_path)) as driver:
        assert not driver.claim("u")
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert Store(tmp_path).claims() == {}
        assert driver.claim("u")
        assert Store(tmp_path).claims() == {"u": driver.name}
        assert len(list((tmp_path / "drivers").iterdir())) == 2
    with Driver(Store(tmp_path)):
        assert len(list((tmp_path / "drivers").iterdir())) == 1, "the sign of the killed one goes"


def test_a_driver_elsewhere_lives_while_it_gives_signs(tmp_path: Path) -> None:
    with Driver(Store(tmp_path)) as driver:
        sign = tmp_path / "drivers" / "far.json"
        sign.write_text(json.dumps({"host": "elsewhere", "pid": 1, "started": "1"}))
        (tmp_path / "claims" / "u").write_text("far")
        assert not driver.claim("u")
        old = time.time() - stores.STALE - 5
        os.utime(sign, (old, old))
        assert driver.claim("u")


def test_a_process_of_the_same_number_is_not_the_driver(tmp_path: Path) -> None:
    with Driver(Store(tmp_path)) as driver:
        about = {"host": socket.gethostname(), "pid": os.getpid(), "started": "0"}
        (tmp_path / "drivers" / "gone.json").write_text(json.dumps(about))
        (tmp_path / "claims" / "u").write_text("gone")
        assert driver.claim("u")


def test_torn_and_foreign_lines_are_passed_over_and_complete_units_win(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder = tmp_path / "records"
    folder.mkdir()
    b = {"unit": "b", "benchmark": "x", "method": "m", "seed": 0, "setting": "1", "genotype": "g", "score": 1}
    lines = [
        {"unit": "a", "problem": "first", "finished": 1},
        {"unit": "a", "problem": "second", "finished": 2},
        b,
        {"unit": "b", "problem": "later", "finished": 9},
        {"unit": "d", "genotype": "lacks the rest"},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    c = {**b, "unit": "c", "score": 3}
    whole = json.dumps(c)
    (folder / "x.jsonl").write_text(text + "{torn\n[1]\n" + whole[:30])
    found = store.records()
    assert found["a"]["problem"] == "second"
    assert found["b"] == b
    assert set(found) == {"a", "b"}
    with open(folder / "x.jsonl", "a") as file:
        file.write(whole[30:] + "\n")
    assert store.records()["c"] == c


def test_the_status_of_100_000_units_takes_at_most_three_seconds(
    make: Callable[..., Campaign], tiny: dict[str, Any]
) -> None:
    suite = {**tiny, "subspaces": {f"s{n}": tiny["subspaces"]["one"] for n in range(20)}}
    suite["training"] = {**tiny["training"], "lr": [0.01 * n for n in range(1, 10)]}
    methods = [{"name": f"m{n}", "method": "darts"} for n in range(8)]
    campaign = make(suite=suite, methods=methods, seeds=50)
    campaign.save()
    assert len(campaign) == 100_000
    half = []
    for number, unit in enumerate(campaign.units()):
        record = {"unit": unit.id, **unit._asdict(), "genotype": "|skip_connect~0|" * 6, "seconds": 36.0}
        record |= {"score": 90.0, "top5": 99.0, "parameters": 123456, "flops": 1234567, "host": "machine"}
        half.append({"unit": unit.id, "problem": "none", "finished": 1.0} if number % 100 == 0 else record)
    campaign.store.add("all", half)
    started = time.process_time()  # of this process: the machine may be busy
    found = status(Campaign.load(campaign.directory))
    seconds = time.process_time() - started
    assert sum(found.done.values()) == 99_000
    assert len(found.problems) == 1000
    assert abs(found.seconds / 3600 - 990) < 1e-6
    assert seconds <= 3, f"{seconds:.1f} s"
