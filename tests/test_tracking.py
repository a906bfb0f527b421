"""What callbacks are told and when; every tracker really writes, and is read back by its own means."""

from __future__ import annotations

import json
import sqlite3
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import archgrad
from archgrad import ArchgradError, Callback, scoring, spaces
from archgrad.callbacks import Started
from archgrad.runs import Run
from archgrad.tracking import TRACKERS, numbers

QUICK: dict[str, Any] = {"device": "cpu", "progress": False, "batch_size": 64}


class Recorder(Callback):
    """Notes what it is told."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.told: list[tuple[str, Any]] = []
        self.stop_after = stop_after

    def on_start(self, run: Started) -> None:
        self.told.append(("start", [record["epoch"] for record in run.history]))
        assert run.config["command"] in ("search", "train")

    def on_epoch_end(self, record: Mapping[str, Any]) -> None:
        self.told.append(("epoch", record["epoch"]))
        if record["epoch"] == self.stop_after:
            raise KeyboardInterrupt

    def on_end(self, result: Mapping[str, Any]) -> None:
        self.told.append(("end", result))

    def on_close(self) -> None:
        self.told.append(("close", None))


def search(out: Path | None, epochs: int = 3, **options: Any) -> Any:
    space = spaces.get("nasbench201", channels=2, cells=1)
    return archgrad.search(space, "darts", "digits", limit=320, epochs=epochs, out=out, **{**QUICK, **options})


def test_a_search_that_is_interrupted_and_one_that_goes_on(tmp_path: Path):
    first, second, third = Recorder(stop_after=1), Recorder(), Recorder()
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "run", callbacks=[first])
    assert [what for what, _ in first.told] == ["start", "epoch", "epoch", "close"]
    search(tmp_path / "run", callbacks=[second])
    assert second.told[:2] == [("start", [0, 1]), ("epoch", 2)]
    assert [what for what, _ in second.told[2:]] == ["end", "close"]
    assert second.told[2][1]["genotype"] == Run.open(tmp_path / "run").read_json("result.json")["genotype"]
    search(tmp_path / "run", callbacks=[third])
    assert [what for what, _ in third.told] == ["start", "end", "close"]


def test_callbacks_change_nothing_and_need_no_directory():
    recorder = Recorder()
    with_, without = search(None, 1, callbacks=[recorder]), search(None, 1)
    assert (with_.alphas["cell"] == without.alphas["cell"]).all()
    assert [what for what, _ in recorder.told] == ["start", "epoch", "end", "close"]
    recorder = Recorder()
    network = archgrad.create_model("pdarts", channels=2, cells=2, in_channels=1)
    archgrad.train(network, "digits", limit=320, epochs=1, callbacks=[recorder], **QUICK)
    assert [what for what, _ in recorder.told] == ["start", "epoch", "end", "close"]
    assert 0 <= recorder.told[2][1]["test"]["accuracy"] <= 1


def test_a_search_by_proxies_tells_of_every_architecture(tmp_path: Path):
    space = spaces.get("nasbench201", channels=2, cells=1)
    first, second = Recorder(stop_after=1), Recorder()
    for recorder in (first, second):
        with suppress(KeyboardInterrupt):
            scoring.search(space, "params", budget=4, out=tmp_path / "run", callbacks=[recorder], progress=False)
    assert [what for what, _ in first.told] == ["start", "epoch", "epoch", "close"]
    assert second.told[:3] == [("start", [0, 1]), ("epoch", 2), ("epoch", 3)]
    assert second.told[3][1]["scores"] == Run.open(tmp_path / "run").read_json("result.json")["scores"]


def test_what_is_no_callback_and_no_tracker_is_refused_before_anything_is_written(tmp_path: Path):
    with pytest.raises(ArchgradError, match="unknown tracker 'tensorbord': did you mean 'tensorboard'"):
        search(tmp_path / "run", track="tensorbord")
    with pytest.raises(ArchgradError, match=r"callbacks must be archgrad\.Callback objects, got function"):
        search(tmp_path / "run", callbacks=[lambda *_: None])
    assert not (tmp_path / "run").exists()
    pytest.importorskip("tensorboard")
    with pytest.raises(ArchgradError, match="tensorboard needs the directory of the run"):
        search(None, track="tensorboard")


def test_numbers_of_a_record():
    record = {"epoch": 3, "loss": 0.5, "text": "x", "flag": True, "inner": {"a": 1, "more": {"b": 2.0}}, "none": None}
    assert numbers(record) == {"loss": 0.5, "inner/a": 1, "inner/more/b": 2.0}


Read = Callable[[Path, str], list[tuple[int, float]]]


def of_tensorboard(run: Path, name: str) -> list[tuple[int, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(name)]


def of_mlflow(run: Path, name: str) -> list[tuple[int, float]]:
    import mlflow

    (found,) = mlflow.search_runs(experiment_names=["archgrad"], output_format="list")
    assert found.data.params["seed"] == "0"
    return [(point.step, point.value) for point in mlflow.MlflowClient().get_metric_history(found.info.run_id, name)]


def of_wandb(run: Path, name: str) -> list[tuple[int, float]]:
    """The records of all offline files of the run."""
    from wandb.proto import wandb_internal_pb2

    found, ids = [], set()
    for file in sorted(Path("wandb").glob("offline-run-*/*.wandb")):
        ids.add(file.stem)
        for data in leveldb(file.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            items = {item.key or "/".join(item.nested_key): item.value_json for item in record.history.item}
            if name in items:
                found.append((int(items["_step"]), float(json.loads(items[name]))))
    assert len(ids) == 1
    return found


def leveldb(content: bytes, block: int = 2**15) -> Iterator[bytes]:
    """The records of a log of LevelDB, in which offline runs are kept behind a header of seven bytes."""
    place, parts = 7, b""
    while place + 7 <= len(content):
        if block - place % block < 7:
            place += block - place % block
            continue
        length, kind = struct.unpack_from("<HB", content, place + 4)
        parts += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""


def of_trackio(run: Path, name: str) -> list[tuple[int, float]]:
    (file,) = Path("trackio").glob("archgrad*.db")
    with sqlite3.connect(file) as connection:
        rows = connection.execute("select run_name, step, metrics from metrics order by step").fetchall()
    assert {row[0] for row in rows} == {"run"}
    return [(step, value[name]) for _, step, text in rows if name in (value := json.loads(text))]


READ: dict[str, Read] = {
    "tensorboard": of_tensorboard,
    "mlflow": of_mlflow,
    "wandb": of_wandb,
    "trackio": of_trackio,
}


@pytest.mark.parametrize("kind", READ)
def test_a_tracker_writes_what_the_run_records(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Interrupted after two epochs and continued, it is one run there, with every epoch once."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))  # which it reads when it is imported
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    pytest.importorskip(TRACKERS[kind][0])
    if kind == "mlflow":
        pytest.importorskip("sqlalchemy")
    for name in ("WANDB_MODE", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_SILENT", "true")
    capsys.readouterr()
    with pytest.raises(KeyboardInterrupt):
        search(Path("run"), track=kind, callbacks=[Recorder(stop_after=1)])  # which is told first
    search(Path("run"), track=kind)
    search(Path("run"), track=kind)  # is at its end, and is told nothing twice
    assert capsys.readouterr().out == "", "standard output is for results"
    history = Run.open("run").history()
    told = READ[kind](Path("run"), "evaluation_loss")
    assert [step for step, _ in told] == [0, 1, 2]
    assert [value for _, value in told] == pytest.approx([record["evaluation_loss"] for record in history], rel=1e-6)
    ((_, parameters),) = READ[kind](Path("run"), "result/parameters")
    assert parameters == Run.open("run").read_json("result.json")["parameters"]
