"""A run in a few numbers: what state it is in, what its score is, and what is not read for it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import planted_runs as plant
import pytest

from archgrad.errors import ArchgradError
from archgrad.runs import Run
from archgrad.summary import Summary, found, summaries
from archgrad.tasks import Regression


def test_the_state_of_a_run(tmp_path: Path) -> None:
    with Run.start(tmp_path / "run", plant.settings(epochs=2)) as run:
        run.log(plant.record(0))
        running = Summary.read(run.directory)
        assert (running.state, running.done, running.planned, running.ended) == ("running", 1, 2, False)
    assert Summary.read(run.directory).state == "stopped", "nobody is writing it, and it has no result"
    with pytest.raises(KeyboardInterrupt), Run.start(tmp_path / "run", plant.settings(epochs=2)):
        raise KeyboardInterrupt
    assert Summary.read(run.directory).state == "stopped", "an interruption is no fault"
    with pytest.raises(ArchgradError), Run.start(tmp_path / "run", plant.settings(epochs=2)):
        raise ArchgradError("the loss is not finite")
    failed = Summary.read(run.directory)
    assert (failed.state, failed.problem) == ("failed", "the loss is not finite")
    with Run.start(tmp_path / "run", plant.settings(epochs=2)) as run:
        assert Summary.read(run.directory).state == "running", "it goes on, and the failure is forgotten"
    assert Summary.read(run.directory).state == "stopped"
    finished = Summary.read(plant.search(tmp_path / "run", epochs=2))
    assert (finished.state, finished.ended, finished.seconds, finished.done) == ("finished", True, 4.0, 2)


def test_a_run_that_is_extended_is_finished_at_its_new_end(tmp_path: Path) -> None:
    plant.search(tmp_path, epochs=3)
    with Run.start(tmp_path, plant.settings(epochs=5), longer=("method.init_args.epochs",)) as run:
        run.extended()
    assert Summary.read(tmp_path).state == "stopped"
    with Run.start(tmp_path, plant.settings(epochs=5)) as run:
        plant.finish(run, 5)
    assert Summary.read(tmp_path).state == "finished"
    early = Summary.read(plant.search(tmp_path / "early", epochs=9, done=9, result={"epochs": 4, "stopped": "skips"}))
    assert (early.state, early.problem) == ("finished", "stopped early: skips")


def test_a_search_by_proxies_counts_architectures(tmp_path: Path) -> None:
    whole = Summary.read(plant.proxy(tmp_path / "whole", [3.0, 7.5, 5.0]))
    assert (whole.kind, whole.state, whole.unit, whole.done) == ("proxy search", "finished", "architectures", 3)
    assert whole.score is not None
    assert (str(whole.score), whole.score.label, whole.score.merit) == ("7.5", "croze", 7.5)
    part = Summary.read(plant.proxy(tmp_path / "part", [3.0], budget=10))
    assert (part.state, part.done, part.planned, part.score) == ("stopped", 1, 10, None)


def test_the_score_is_that_of_the_trained_network_where_there_is_one(tmp_path: Path) -> None:
    untrained = Summary.read(plant.search(tmp_path / "a", accuracy=0.625))
    assert untrained.score is not None
    assert (untrained.score.value, untrained.score.label, untrained.parameters) == (0.625, "supernet accuracy", 1000)
    trained = Summary.read(plant.search(tmp_path / "b", tested=0.875))
    assert trained.score is not None
    assert (str(trained.score), trained.score.label) == ("87.50%", "test accuracy")
    assert (trained.parameters, trained.flops) == (20_000, 70_000), "of the network that has the score"
    alone = Summary.read(tmp_path / "b" / "train" / "found")
    assert (alone.kind, alone.score and alone.score.value, alone.seconds) == ("training", 0.875, 6.0)


def test_less_is_better_where_the_task_says_so(tmp_path: Path) -> None:
    task = Regression().reading.record()
    metric = task["primary"]
    with Run.start(tmp_path, plant.settings(task=task)) as run:
        run.log({"epoch": 0, f"evaluation_{metric}": 0.25})
    score = Summary.read(tmp_path).score
    assert score is not None
    assert (score.value, score.merit) == (0.25, -0.25)


def test_settings_that_were_edited_count_and_not_their_copy(tmp_path: Path) -> None:
    plant.search(tmp_path)
    config = tmp_path / "config.yaml"
    assert Summary.read(tmp_path).settings["method.lr"] == "0.025"
    config.write_text(config.read_text().replace("lr: 0.025", "lr: 0.5"))
    assert Summary.read(tmp_path).settings["method.lr"] == "0.5"
    (tmp_path / "config.json").unlink()
    assert Summary.read(tmp_path).settings["method.lr"] == "0.5"


def test_only_the_last_line_of_the_metrics_is_read(tmp_path: Path) -> None:
    plant.search(tmp_path, epochs=5)
    metrics = tmp_path / "metrics.jsonl"
    last = metrics.read_bytes().splitlines()[-1]
    for before in (b"", b"no JSON\n" * 10_000, json.dumps({"pad": "x" * 300_000}).encode() + b"\n"):
        metrics.write_bytes(before + last + b"\n" + b'{"torn')
        assert (Summary.read(tmp_path).state, Summary.read(tmp_path).done) == ("finished", 5)
    metrics.write_bytes(last + b"\n" + json.dumps({"epoch": 6, "pad": "x" * 300_000}).encode() + b"\n")
    assert Summary.read(tmp_path).done == 7, "however long it is"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("config.yaml", "a: [", "config.yaml: not YAML"),
        ("config.yaml", "a: !!python/object/apply:os.system ['touch ran']", "config.yaml: not YAML"),
        ("config.yaml", "", "expected a mapping"),
        ("result.json", "{", "result.json: not JSON"),
        ("result.json", "[1]", "expected a JSON object"),
        ("metrics.jsonl", "5\n", "expected a JSON object"),
    ],
)
def test_a_damaged_run_says_so_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    plant.search(tmp_path / "run")
    (tmp_path / "run" / name).write_text(text)
    damaged = Summary.read(tmp_path / "run")
    assert damaged.state == "damaged"
    assert said in damaged.problem
    assert "\n" not in damaged.problem
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("value", [None, True, [], {}, "x", -1, 1e300, {"a": {"b": 1}}, "\x1b[31mred\n" * 99])
def test_odd_values_are_no_end(tmp_path: Path, value: object) -> None:
    plant.search(tmp_path)
    names = ("space", "method", "data", "seed", "task", "epochs", "parameters", "seconds", "stopped", "scored", "test")
    config = {"command": "search", **dict.fromkeys(names, value)}
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    (tmp_path / "result.json").write_text(json.dumps(dict.fromkeys(names, value)))
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"epoch": value, "evaluation_accuracy": value}) + "\n")
    summary = Summary.read(tmp_path)
    json.dumps(summary.record(), allow_nan=False)
    assert all(str(part).isprintable() for part in (summary.space, summary.method, summary.data, summary.problem))


def test_links_are_not_followed(tmp_path: Path) -> None:
    secret = plant.search(tmp_path / "outside" / "run", method="secret", tested=0.99)
    runs = tmp_path / "runs"
    plant.search(runs / "own")
    (runs / "linked").symlink_to(secret)
    (runs / "loop").symlink_to(runs)
    for name in ("config.yaml", "result.json", "metrics.jsonl"):
        run = plant.search(runs / f"with {name}")
        (run / name).unlink()
        (run / name).symlink_to(secret / name)
    trained = plant.search(runs / "trained")
    (trained / "train").symlink_to(secret / "train")
    read = {run.directory.name: run for run in summaries(runs)}
    assert set(read) == {"own", "trained", *(f"with {n}" for n in ("config.yaml", "result.json", "metrics.jsonl"))}
    assert all(run.method != "secret" for run in read.values())
    assert all("it is a link" in run.problem for name, run in read.items() if name.startswith("with"))
    assert read["trained"].score is not None
    assert read["trained"].score.on == "supernet"


def test_what_is_found(tmp_path: Path) -> None:
    plant.search(tmp_path / "deep" / "er" / "run-2", tested=0.5)
    plant.search(tmp_path / "run-10")
    plant.search(tmp_path / ".hidden" / "run")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.yaml").write_text("model: resnet\n")
    (tmp_path / "other" / "checkpoints").mkdir()
    names = [str(run.directory.relative_to(tmp_path)) for run in summaries(tmp_path)]
    assert names == ["deep/er/run-2", "run-10"]
    inner = [str(path.relative_to(tmp_path)) for path in found(tmp_path, trainings=True)]
    assert "deep/er/run-2/train/found" in inner
    assert len(list(found(tmp_path / "deep/er/run-2"))) == 2, "of a run that is named, its trainings as well"
    with pytest.raises(ArchgradError, match="no such directory"):
        list(found(tmp_path / "nowhere"))


def test_a_thousand_runs_take_less_than_a_second(tmp_path: Path) -> None:
    first = plant.search(tmp_path / "0")
    files = {path.name: path.read_bytes() for path in first.iterdir() if path.is_file()}
    metrics = files.pop("metrics.jsonl") * 200  # 600 epochs
    for number in range(1, 1000):
        (tmp_path / str(number)).mkdir()
        for name, data in {**files, "metrics.jsonl": metrics}.items():
            (tmp_path / str(number) / name).write_bytes(data)
    times = []
    for _ in range(3):
        started = time.process_time()
        assert len(summaries(tmp_path)) == 1000
        times.append(time.process_time() - started)
    assert min(times) < 1
