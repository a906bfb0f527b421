"""`archgrad watch`: what is seen of a run in progress, on a terminal and in a log, and how it ends."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import planted_runs as plant
import pytest
from rich.console import Console

from archgrad.cli import main
from archgrad.errors import ArchgradError
from archgrad.follow import watching
from archgrad.follow.history import History
from archgrad.follow.strongest import strongest
from archgrad.follow.watching import watch
from archgrad.runs import Run


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "GRACE", 0.3)
    monkeypatch.setattr(watching, "LINE", 0.0)


def watched(directory: Path, terminal: bool = False) -> str:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=120)
    watch(directory, interval=0.02, console=console)
    return file.getvalue()


def search_slowly(directory: Path, epochs: int = 4) -> threading.Thread:
    """A search in another thread, which holds the lock from now on."""
    run = Run.start(directory, plant.settings(epochs=epochs))

    def go() -> None:
        with run:
            for epoch in range(epochs):
                time.sleep(0.15)
                run.log(plant.record(epoch, 0.1 * (epoch + 1)))
            plant.finish(run, epochs)

    thread = threading.Thread(target=go)
    thread.start()
    return thread


def test_a_log_has_a_line_per_record_and_ends_with_the_run(tmp_path: Path) -> None:
    thread = search_slowly(tmp_path)
    lines = watched(tmp_path).splitlines()
    thread.join()
    assert lines[0] == f"{tmp_path}: search, darts, nasbench201, digits, seed 0"
    assert lines[1].startswith("0/4 epochs")
    assert any(line.startswith("2/4 epochs, 4.0 s, about 4.0 s left, supernet accuracy 20.00%") for line in lines)
    assert lines[-1] == f"{tmp_path} has finished: supernet accuracy 40.00%, 4/4 epochs, 8.0 s"


def test_a_terminal_shows_curves_and_the_strongest_operations(tmp_path: Path) -> None:
    thread = search_slowly(tmp_path)
    text = watched(tmp_path, terminal=True)
    thread.join()
    for part in ("running", "supernet accuracy", "▁▃▆█", "strongest", "cell 0→1", plant.GROUP.operations[-1]):
        assert part in text


def test_the_trainings_of_a_search_are_followed(tmp_path: Path) -> None:
    search = plant.search(tmp_path / "run")
    config = {"command": "train", "recipe": {"epochs": 2}, "data": "digits"}
    with Run.start(search / "train" / "found", config) as run:
        thread = threading.Timer(0.2, lambda: run.write_json("result.json", {"test": {"accuracy": 0.75}, "epochs": 2}))
        thread.start()
        closing = threading.Timer(0.4, run.close)
        closing.start()
        lines = watched(search).splitlines()
        closing.join()
    assert lines[0].startswith(f"{search / 'train' / 'found'}: training")
    assert lines[-1].startswith(f"{search} has finished: test accuracy 75.00%")


def test_a_search_by_proxies_is_watched(tmp_path: Path) -> None:
    plant.proxy(tmp_path, [3.0, 7.5, 5.0])
    text = watched(tmp_path, terminal=True)
    assert "best croze" in text
    assert f"best by croze: 7.5  {plant.TEXT}" in text
    assert "3/3 architectures" in text


def test_a_run_that_failed_or_stopped_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError), Run.start(tmp_path / "failed", plant.settings()):
        raise ValueError("two\nlines")
    plant.search(tmp_path / "stopped", done=1)
    plant.search(tmp_path / "damaged")
    (tmp_path / "damaged" / "result.json").write_text("{")
    for name, said in {"failed": "ValueError: two lines", "stopped": "after 1/3 epochs", "damaged": "not JSON"}.items():
        with pytest.raises(SystemExit) as ended:
            main(["watch", str(tmp_path / name)])
        assert ended.value.code == 2
        assert said in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArchgradError, match="is not a run directory"):
        watch(tmp_path / "empty")


def test_only_new_records_are_read(tmp_path: Path) -> None:
    history, path = History(tmp_path), tmp_path / "metrics.jsonl"
    assert history.update() == []
    path.write_text('{"epoch": 0}\nno JSON\n{"epoch": 1}\n{"epoch"')
    assert [record["epoch"] for record in history.update()] == [0, 1]
    with path.open("a") as file:
        file.write(": 2}\n")
    assert [record["epoch"] for record in history.update()] == [2]
    assert [record["epoch"] for record in history.records] == [0, 1, 2]
    new = tmp_path / "new"
    new.write_text('{"epoch": 0, "again": true}\n')
    os.replace(new, path)
    assert history.update() == [{"epoch": 0, "again": True}] == history.records, "a resumed run writes it anew"


def test_the_operations_of_ones_own_network_are_known_from_its_start(tmp_path: Path) -> None:
    with Run.start(tmp_path, plant.settings(space="Net")) as run:
        groups = {"block": {"edges": ["0 → 1: conv3, conv5, skip"]}}
        run.write_json("inputs.json", {"network": {"groups": groups}})
        run.write_arrays("alphas.npz", {"block": np.log([[[1, 1, 1]], [[1, 2, 5]]])})
    (lead,) = strongest(tmp_path)
    assert (lead.group, lead.edge) == ("block", "0→1")
    assert [(name, round(share, 3)) for name, share in lead.candidates] == [
        ("skip", 0.625),
        ("conv5", 0.25),
        ("conv3", 0.125),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--epochs", "4"], "supernet accuracy"), (["--method", "params", "--budget", "40"], "params")],
)
def test_a_real_search_is_watched_to_its_end(tmp_path: Path, arguments: list[str], said: str) -> None:
    command = [sys.executable, "-m", "archgrad"]
    small = ["--channels", "2", "--cells", "1", "--out", str(tmp_path / "run")]
    search = subprocess.Popen([*command, "search", *small, *arguments], stdout=subprocess.DEVNULL)
    try:
        while not (tmp_path / "run" / "config.yaml").is_file():
            assert search.poll() is None
            time.sleep(0.05)
        watching = [*command, "watch", str(tmp_path / "run")]
        seen = subprocess.run(watching, capture_output=True, text=True, timeout=300, check=True).stdout
    finally:
        search.kill()
        search.wait()
    first, *_, last = seen.splitlines()
    assert first.startswith(f"{tmp_path / 'run'}: ")
    assert last.startswith(f"{tmp_path / 'run'} has finished: {said}")
