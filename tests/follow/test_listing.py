"""`archgrad runs`: which runs are meant, in which order, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

import planted_runs as plant
import pytest

from archgrad.cli import main
from archgrad.follow.listing import runs


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    plant.search(tmp_path / "runs" / "a", "darts", 0, tested=0.8)
    plant.search(tmp_path / "runs" / "b", "gdas", 1, tested=0.9)
    plant.search(tmp_path / "runs" / "c", "darts", 2, epochs=10, done=4, accuracy=0.3)
    plant.proxy(tmp_path / "runs" / "d", [1.0, 2.0])
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("filter", "names"),
    [
        ("", "abcd"),
        ("state=finished", "abd"),
        ("state!=finished", "c"),
        ("method=DARTS", "ac"),
        ("method=*da*, seed>=1", "bc"),
        ("score>0.85", "bd"),
        ("score>=80%, of=test*", "ab"),
        ("of=test*", "ab"),
        ("gdas", "b"),
        ("method.epochs>=10", "c"),
        ("method.lr=0.025", "abc"),
        ("done<3", "d"),
        ("seed=1", "b"),
    ],
)
def test_filters(place: Path, filter: str, names: str) -> None:
    assert "".join(run.directory.name for run in runs("runs", filter=filter)) == names


@pytest.mark.parametrize(
    ("sort", "reverse", "names"),
    [
        ("run", False, "abcd"),
        ("run", True, "dcba"),
        ("score", False, "dbac"),
        ("score", True, "cabd"),
        ("seed", False, "adbc"),
        ("method", False, "dacb"),
        ("done", False, "dabc"),
    ],
)
def test_orders(place: Path, sort: str, reverse: bool, names: str) -> None:
    assert "".join(run.directory.name for run in runs("runs", sort=sort, reverse=reverse)) == names


def test_a_table_and_json(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "runs" / "b" / "result.json").write_text("{")
    main(["runs", "runs"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5, "a damaged run is one line"
    assert lines[0].split()[:3] == ["run", "state", "done"]
    assert lines[1].split()[:5] == ["runs/a", "finished", "3/3", "darts", "nasbench201"]
    assert "80.00%  test accuracy" in lines[1]
    assert lines[2].startswith("runs/b  damaged")
    assert "result.json: not JSON" in lines[2]
    main(["runs", "runs", "--sort", "score", "--json"])
    records = json.loads(capsys.readouterr().out)["runs"]
    assert [record["run"] for record in records] == ["runs/d", "runs/a", "runs/c", "runs/b"]
    assert records[1]["score"] == 0.8
    assert (records[1]["metric"], records[1]["on"], records[1]["unit"]) == ("accuracy", "test", "epochs")
    main(["runs", "runs", "--trainings"])
    assert "runs/a/train/found" in capsys.readouterr().out
    main(["runs", "runs", "--filter", "nothing like it"])
    assert capsys.readouterr().out == "no runs of that kind below runs\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "nowhere: there is no such directory"),
        (["runs", "--sort", "scor"], "unknown column to sort by 'scor': did you mean 'score'"),
        (["runs", "--filter", "scor>1"], "did you mean 'score'"),
        (["runs", "--filter", "score>high"], "compares with what is no number"),
    ],
)
def test_mistakes_are_one_line(
    place: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["runs", *arguments])
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert said in error
    assert error.count("\n") == 1


def test_names_are_not_obeyed_by_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plant.search(tmp_path / "evil \x1b]0;title\x07\n[red]name")
    main(["runs", str(tmp_path)])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\x07" not in out
    assert len(out.splitlines()) == 2
    assert "[red]name" in out
