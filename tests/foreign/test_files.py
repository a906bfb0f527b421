"""Whatever may stand in the place of a file, and names that lead elsewhere."""

from __future__ import annotations

import os
import socket
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from torch import nn

from archgrad import evaluation
from archgrad.errors import ArchgradError
from archgrad.foreign import files
from archgrad.runs import CHECKPOINTS, CONFIG, METRICS, Run


@pytest.fixture
def odd(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """What is no regular file, of every kind."""
    path = tmp_path / "odd"
    kind = request.param
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "socket":
        os.chdir(tmp_path)  # the name of a socket may be 100 characters long
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("odd")
    else:
        path.symlink_to("/dev/zero")
    return path


@pytest.mark.timeout(20)
@pytest.mark.parametrize("odd", ["pipe", "directory", "socket", "device"], indirect=True)
def test_what_is_no_regular_file_is_refused_at_once(odd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening a pipe would wait for ever, and a device may never end."""
    monkeypatch.chdir(tmp_path)
    for read in (files.contents, files.text, files.require_regular, files.opened):
        with pytest.raises(ArchgradError, match="cannot read"):
            read(odd)
    with pytest.raises(ArchgradError):
        evaluation.load_weights(nn.Linear(1, 1), odd)
    for name in (CONFIG, METRICS, f"{CHECKPOINTS}/000000000001.ckpt"):
        run = tmp_path / "run" / name.replace("/", "-")
        with Run.start(run, {"a": 1}) as made:
            made.log({"epoch": 0})
            made.save_checkpoint({"x": 1}, 1)
        (run / name).unlink()
        os.rename(odd, run / name)
        with pytest.raises(ArchgradError) as refused:
            read_again(run)
        assert len(str(refused.value).splitlines()) == 1
        os.rename(run / name, odd)


def read_again(run: Path) -> None:
    with Run.start(run, {"a": 1}) as again:
        again.history()
        again.load_checkpoint()


def test_a_file_is_read_up_to_a_size(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert files.contents(path, 5) == b"12345"
    with pytest.raises(ArchgradError, match="5 bytes, more than 4"):
        files.contents(path, 4)
    with path.open("wb") as file:
        file.truncate(1 << 43)  # takes no place on the disk
    with pytest.raises(ArchgradError, match=r"8,796,093,022,208 bytes, more than"):
        files.contents(path)
    with pytest.raises(files.MissingError):
        files.contents(tmp_path / "none")


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/passwd", "a\0b", ".."])
def test_no_name_leads_out_of_a_directory(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArchgradError, match="leads out of"):
        files.inside(tmp_path, name)


def test_no_link_leads_out_of_a_directory(tmp_path: Path) -> None:
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    for path in (inner / "real", outer):
        path.mkdir(parents=True)
    (inner / "out").symlink_to(outer)
    (inner / "in").symlink_to("real")
    (tmp_path / "linked").symlink_to(inner)
    assert files.inside(inner, "in/x") == inner / "in/x"
    assert files.inside(tmp_path / "linked", "new/x") == tmp_path / "linked/new/x", "the directory may be a link"
    with pytest.raises(ArchgradError, match=r"out/x is a link to .*outer/x"):
        files.inside(inner, "out/x")


@pytest.mark.parametrize("name", [CHECKPOINTS, METRICS, ".lock", CONFIG, "result.json"])
def test_nothing_is_written_through_a_link_in_a_run(tmp_path: Path, name: str) -> None:
    """The run of somebody else is resumed: what its links lead to stays as it is."""
    run, outside = tmp_path / "run", tmp_path / "outside"
    with Run.start(run, {"a": 1}) as made:
        made.log({"epoch": 0})
        made.write_json("result.json", {})
        made.save_checkpoint({"x": torch.zeros(2)}, 1)
    os.rename(run / name, outside)
    (run / name).symlink_to(outside)

    def everything() -> dict[str, bytes | None]:
        paths = [outside, *outside.rglob("*")]
        return {str(path): path.read_bytes() if path.is_file() else None for path in paths}

    before = everything()
    with pytest.raises(ArchgradError, match="link") if name not in (CONFIG, "result.json") else nullcontext():
        write_again(run)
    assert everything() == before


def write_again(run: Path) -> None:
    with Run.start(run, {"a": 1}) as again:
        again.log({"epoch": 1})
        again.write_json("result.json", {"new": 1})
        again.save_checkpoint({"x": torch.ones(2)}, 2)
