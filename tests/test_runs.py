"""Run directories: exclusive, atomic, checked, and never overwritten."""

from __future__ import annotations

import errno
import io
import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archgrad import runs
from archgrad.errors import ArchgradError, ArchgradWarning
from archgrad.runs import Run, atomic_write

CONFIG = {"seed": 0, "epochs": 3, "optimiser": {"lr": 0.025, "betas": (0.9, 0.999)}}


@pytest.fixture
def run(tmp_path: Path):
    with Run.start(tmp_path / "run", CONFIG) as run:
        yield run


def checkpoints(run: Run) -> list[str]:
    return sorted(path.name for path in (run.directory / "checkpoints").iterdir())


def test_same_settings_resume_and_others_are_named(tmp_path: Path):
    Run.start(tmp_path, CONFIG).close()
    Run.start(tmp_path, CONFIG).close()
    changed = {"seed": 1, "epochs": 3, "optimiser": {"lr": 0.05, "betas": (0.9, 0.999)}, "clip": 5}
    with pytest.raises(ArchgradError, match=r"seed: 0 → 1; optimiser.lr: 0.025 → 0.05; clip: \(not set\) → 5"):
        Run.start(tmp_path, changed)
    with pytest.raises(ArchgradError, match="already holds a run"):
        Run.start(tmp_path, CONFIG, resume=False)


def test_a_refused_start_frees_the_lock(tmp_path: Path):
    Run.start(tmp_path, CONFIG).close()
    with pytest.raises(ArchgradError, match="other settings"):
        Run.start(tmp_path, {})
    Run.start(tmp_path, CONFIG).close()


def test_a_directory_with_other_files_is_not_taken(tmp_path: Path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ArchgradError, match=r"thesis\.tex"):
        Run.start(tmp_path, CONFIG)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_two_writers_are_refused_and_readers_are_not(run: Run):
    with pytest.raises(ArchgradError, match="another process"):
        Run.start(run.directory, CONFIG)
    reader = Run.open(run.directory)
    assert reader.config["optimiser"] == {"lr": 0.025, "betas": [0.9, 0.999]}
    with pytest.raises(ArchgradError, match="reading only"):
        reader.log({"epoch": 0})


def test_a_killed_process_frees_the_lock_though_its_forked_child_lives(tmp_path: Path):
    code = (
        "import os, sys, time\nfrom archgrad.runs import Run\nrun = Run.start(sys.argv[1], {})\n"
        "child = os.fork()\nif child == 0:\n    print(os.getpid(), flush=True)\ntime.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, tmp_path / "run"], stdout=subprocess.PIPE, text=True)
    child = int(process.stdout.readline())
    try:
        with pytest.raises(ArchgradError, match="another process"):
            Run.start(tmp_path / "run", {})
        process.kill()
        process.wait()
        Run.start(tmp_path / "run", {}).close()
    finally:
        os.kill(child, signal.SIGKILL)
        process.stdout.close()


def test_not_a_run(tmp_path: Path):
    with pytest.raises(ArchgradError, match="not a run directory"):
        Run.open(tmp_path)


def test_files_come_back(run: Run):
    run.write_json("result.json", {"accuracy": 0.5, "loss": float("nan"), "path": Path("a/b"), "shape": (1, 2)})
    assert run.read_json("result.json") == {"accuracy": 0.5, "loss": None, "path": "a/b", "shape": [1, 2]}
    run.write_arrays("alphas.npz", {"normal": np.arange(6.0).reshape(2, 3)})
    assert run.read_arrays("alphas.npz")["normal"].tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(ArchgradError, match=r"has no genotype\.json"):
        run.read_json("genotype.json")
    (run.directory / "alphas.npz").write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(ArchgradError, match=r"cannot read .*alphas\.npz"):
        run.read_arrays("alphas.npz")


def test_config_must_be_plain_data(tmp_path: Path):
    with pytest.raises(ArchgradError, match=r"config\.optimiser\.weight must be plain data.*Tensor"):
        Run.start(tmp_path / "run", {"optimiser": {"weight": torch.ones(1)}})


def test_history_survives_a_torn_line(run: Run):
    for epoch in range(3):
        run.log({"epoch": epoch, "loss": 1 / (epoch + 1)})
    with open(run.directory / "metrics.jsonl", "ab") as file:
        file.write(b'{"epoch": 3, "lo')
    assert [record["epoch"] for record in run.history()] == [0, 1, 2]
    run.close()
    with Run.start(run.directory, CONFIG) as again:
        again.log({"epoch": 3})
        assert [record["epoch"] for record in again.history()] == [0, 1, 2, 3]
        again.truncate_history(1)
        assert again.history() == [{"epoch": 0, "loss": 1.0}]


def test_damage_inside_the_history_is_named(run: Run):
    (run.directory / "metrics.jsonl").write_text('{"epoch": 0}\n{"epo\n{"epoch": 2}\n')
    with pytest.raises(ArchgradError, match=r"metrics\.jsonl line 2"):
        run.history()


def test_last_two_checkpoints_are_kept_and_the_newest_is_loaded(run: Run):
    assert run.load_checkpoint() is None
    for position in range(5):
        run.save_checkpoint({"weights": torch.full((2,), position), "extra": [1, (None, "a")]}, position)
    assert checkpoints(run) == ["000000000003.ckpt", "000000000004.ckpt"]
    payload = run.load_checkpoint()
    assert payload["weights"].tolist() == [4, 4]
    assert payload["extra"] == [1, (None, "a")]


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_flipped_or_missing_bytes_are_noticed(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    with Run.start(tmp_path_factory.mktemp("run"), CONFIG) as run:
        run.save_checkpoint({"step": 1, "w": torch.arange(10.0)}, 1)
        run.save_checkpoint({"step": 2, "w": torch.arange(10.0)}, 2)
        newest = run.directory / "checkpoints" / "000000000002.ckpt"
        content = bytearray(newest.read_bytes())
        place = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            content[place] ^= data.draw(st.integers(1, 255))
        else:
            del content[place:]
        newest.write_bytes(content)
        with pytest.warns(ArchgradWarning, match=r"damaged checkpoint 000000000002.*using 000000000001"):
            assert run.load_checkpoint()["step"] == 1
        # The run goes on from 1: the damaged 2 must neither be kept instead of a good one nor be found again.
        run.save_checkpoint({"step": 2}, 2)
        assert run.load_checkpoint()["step"] == 2


def test_a_damaged_later_checkpoint_does_not_count_as_kept(run: Run):
    for position in (10, 20):
        run.save_checkpoint({"step": position}, position)
    (run.directory / "checkpoints" / "000000000020.ckpt").write_bytes(b"")
    run.save_checkpoint({"step": 15}, 15)
    assert checkpoints(run) == ["000000000010.ckpt", "000000000015.ckpt"]
    assert run.load_checkpoint()["step"] == 15


def test_all_damaged_is_an_error_not_a_new_start(run: Run):
    run.save_checkpoint({"step": 1}, 1)
    (run.directory / "checkpoints" / "000000000001.ckpt").write_bytes(b"")
    with pytest.raises(ArchgradError, match="all checkpoints are damaged"):
        run.load_checkpoint()


class Harmful:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_a_checkpoint_cannot_execute_code(run: Run, tmp_path: Path):
    buffer = io.BytesIO()
    torch.save({"step": 1, "harm": Harmful(tmp_path / "harmed")}, buffer)
    body = buffer.getvalue()
    digest = runs.hashlib.sha256(body).hexdigest().encode()  # a valid checksum: whoever writes the file can compute it
    (run.directory / "checkpoints" / "000000000001.ckpt").write_bytes(runs.MAGIC + digest + b"\n" + body)
    with pytest.raises(ArchgradError, match="not plain data"):
        run.load_checkpoint()
    assert not (tmp_path / "harmed").exists()
    pickle.loads(pickle.dumps(Harmful(tmp_path / "harmed")))
    assert (tmp_path / "harmed").exists(), "the test's own trap must work"


def test_what_could_not_be_read_back_is_refused_at_saving(run: Run):
    with pytest.raises(ArchgradError, match=r"checkpoint\.state\[1\] must be a tensor.*ndarray"):
        run.save_checkpoint({"state": [1, np.zeros(2)]}, 1)
    assert checkpoints(run) == []


def test_a_full_disk_is_one_line_and_leaves_the_old_file(run: Run, monkeypatch: pytest.MonkeyPatch):
    run.write_json("result.json", {"accuracy": 1})

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ArchgradError, match=r"cannot write .*result\.json: No space left on device$"):
        run.write_json("result.json", {"accuracy": 2})
    monkeypatch.undo()
    assert run.read_json("result.json") == {"accuracy": 1}
    assert not list(run.directory.glob(".*.tmp"))


def test_a_path_that_cannot_be_a_directory(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(ArchgradError, match="cannot write"):
        Run.start(tmp_path / "file" / "run", CONFIG)


def rewrite_for_ever(path: Path) -> None:
    count = 0
    while True:
        count += 1
        atomic_write(path, json.dumps([count] * 20_000).encode())


def test_a_file_is_whole_after_a_kill_at_any_moment(tmp_path: Path):
    path = tmp_path / "file.json"
    context = multiprocessing.get_context("fork")
    for delay in np.linspace(0.02, 0.1, 8):
        process = context.Process(target=rewrite_for_ever, args=(path,))
        process.start()
        time.sleep(float(delay))
        process.kill()
        process.join()
        if path.exists():
            values = json.loads(path.read_bytes())
            assert len(values) == 20_000
            assert len(set(values)) == 1
    assert path.exists()
