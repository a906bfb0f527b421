"""`archgrad rm`: only runs, only those that rest, only what is inside, and only after asking."""

from __future__ import annotations

from pathlib import Path

import planted_runs as plant
import pytest

from archgrad.cli import main
from archgrad.errors import ArchgradError
from archgrad.follow.removal import remove
from archgrad.runs import Run


def test_runs_are_removed_whole_after_asking(tmp_path: Path) -> None:
    first, second = (plant.search(tmp_path / name, tested=0.5) for name in ("first", "second"))
    (first / "config.yaml").write_text("damaged: [")
    asked: list[str] = []

    def refuse(question: str) -> bool:
        asked.append(question)
        return False

    assert remove([first, second], confirm=refuse) == []
    assert first.exists()
    assert str(first) in asked[0]
    assert str(second) in asked[0]
    assert "MB" in asked[0]
    assert remove([first, second, first], confirm=lambda _: True) == [first, second]
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_run_stays(tmp_path: Path) -> None:
    plant.search(tmp_path / "runs" / "one")
    (tmp_path / "project" / "checkpoints").mkdir(parents=True)
    (tmp_path / "project" / "config.yaml").write_text("model: resnet\n")
    plant.search(tmp_path / "parent")
    plant.search(tmp_path / "parent" / "child")
    for name, said in {
        "runs": "is not a run directory",
        "project": "is not a run directory",
        "nowhere": "no such directory",
        "parent": "is a directory that no run has",
    }.items():
        with pytest.raises(ArchgradError, match=said):
            remove([tmp_path / "runs" / "one", tmp_path / name], confirm=None)
    assert (tmp_path / "runs" / "one" / "result.json").exists(), "all are looked at before anything goes"
    assert (tmp_path / "project" / "config.yaml").exists()
    assert (tmp_path / "parent" / "child" / "result.json").exists()


def test_a_run_that_is_being_written_stays(tmp_path: Path) -> None:
    search = plant.search(tmp_path / "run", tested=0.5)
    with (
        Run.start(tmp_path / "other", plant.settings()),
        pytest.raises(ArchgradError, match="is being written by another process"),
    ):
        remove([tmp_path / "other"], confirm=None)
    config = Run.open(search / "train" / "found").config
    with Run.start(search / "train" / "found", config), pytest.raises(ArchgradError, match="another process"):
        remove([search], confirm=None)
    assert (search / "result.json").exists()
    assert (tmp_path / "other" / "config.yaml").exists()


def test_links_lead_nowhere(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "thesis.tex").write_text("years of work")
    run = plant.search(tmp_path / "run")
    (run / "train").symlink_to(outside)
    (run / "report.html").symlink_to(outside / "thesis.tex")
    (tmp_path / "link").symlink_to(run)
    with pytest.raises(ArchgradError, match="is a link"):
        remove([tmp_path / "link"], confirm=None)
    assert run.exists()
    assert remove([run], confirm=None) == [run]
    assert (outside / "thesis.tex").read_text() == "years of work"


def test_files_of_others_are_named_and_need_an_answer(tmp_path: Path) -> None:
    run = plant.search(tmp_path / "run", tested=0.5)
    (run / "train" / "found" / "model.onnx").write_text("the only export")
    with pytest.raises(ArchgradError, match=r"model\.onnx is none of archgrad's files"):
        remove([run], confirm=None)
    assert run.exists()
    questions: list[str] = []
    remove([run], confirm=lambda question: bool(questions.append(question)) or True)
    assert "model.onnx" in questions[0]
    assert not run.exists()
    run = plant.search(tmp_path / "run", tested=0.5)
    (run / ".result.json.77.tmp").touch()  # what a kill left
    (run / "notes.tmp").touch()
    with pytest.raises(ArchgradError, match=r"/notes\.tmp is none of archgrad's files"):
        remove([run], confirm=None)


def test_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = plant.search(tmp_path / "run")
    with pytest.raises(SystemExit):
        main(["rm", str(run)])
    assert "say --yes" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: "n")
    main(["rm", str(run)])
    assert run.exists()
    monkeypatch.chdir(run)
    main(["rm", "--yes", "."])
    assert not run.exists()
