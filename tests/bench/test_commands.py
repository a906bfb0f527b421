"""The commands: what they print, what they refuse, and that their options are read as they are typed."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archgrad import cli
from archgrad.bench import Campaign, commands
from archgrad.bench.protocol import workers
from archgrad.errors import ArchgradError

Make = Callable[..., Campaign]


def typed(*arguments: str) -> None:
    cli.main(["bench", *arguments])


@pytest.fixture
def file(make: Make, tmp_path: Path, Inline: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    make(seeds=1, settings=[1])
    monkeypatch.setattr(workers, "get", lambda name, **options: Inline())
    return str(tmp_path / "campaign.yaml")


def test_a_campaign_from_plan_to_status(file: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    typed("plan", file, "--probe", "false")
    planned = capsys.readouterr().out
    assert (
        "6 units: 3 searches and 3 trainings (3 methods × 1 benchmarks × 1 seeds, 1 training settings); 0 are"
        in planned
    )
    assert not (tmp_path / "campaign").exists(), "a plan leaves nothing behind"
    typed("status", file)
    assert "0 of 6 units complete" in capsys.readouterr().out
    typed("run", file, "--progress", "false")
    assert "6 units computed" in capsys.readouterr().out
    assert (tmp_path / "campaign" / "results.parquet").is_file()
    typed("report", file, "--resamples", "100")
    assert (tmp_path / "campaign" / "report.html").is_file()
    assert f"report: {tmp_path / 'campaign' / 'report.html'}" in capsys.readouterr().out
    typed("status", str(tmp_path / "campaign"))
    shown = capsys.readouterr().out
    assert "6 of 6 units complete (3/3 searches, 3/3 trainings); 0 running, 0 failed" in shown
    assert "2/2" in shown
    typed("run", file, "--progress", "false")
    assert "0 units computed" in capsys.readouterr().out
    typed("extend", file, "--methods", "[single_level]", "--seeds", "1")
    assert "10 units more, 16 in all" in capsys.readouterr().out
    typed("extend", file, "--settings", "[1, 2]")
    assert "8 units more, 24 in all" in capsys.readouterr().out
    typed("extend", file, "--methods", "gdas", "--settings", "2")
    assert "6 units more, 30 in all" in capsys.readouterr().out
    assert list(Campaign.load(file).methods)[:2] == ["darts", "single_level"]
    assert Campaign.load(file).seeds == (0, 1)
    shutil.copytree(tmp_path / "campaign", tmp_path / "part")
    typed("merge", file, str(tmp_path / "part"))
    assert "part: 0 units added, 0 unfinished ones" in capsys.readouterr().out
    typed("merge", file, f"[{tmp_path / 'part'}, {tmp_path / 'part'}]")
    assert capsys.readouterr().out.count("0 units added") == 2


def test_every_command_gives_its_result_as_data(file: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def given(*arguments: str) -> dict[str, Any]:
        typed(*arguments, "--json")
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    planned = given("plan", file, "--device", "cpu")
    assert (planned["units"], planned["searches"], planned["trainings"]) == (6, 3, 3)
    assert planned["total_hours"] == pytest.approx(sum(planned["hours"].values()))
    ran = given("run", file, "--progress", "false")
    assert (ran["computed"], ran["problems"]) == (6, {})
    status = given("status", file)
    assert {cell["method"]: cell["done"] for cell in status["cells"]}["darts"] == 2
    assert status["done"] == status["planned"] == {"search": 3, "train": 3}
    assert given("extend", file, "--seeds", "1")["more"] == 6
    shutil.copytree(tmp_path / "campaign", tmp_path / "part")
    assert given("merge", file, str(tmp_path / "part"))["sources"][str(tmp_path / "part")]["added"] == 0
    assert Path(given("report", file, "--resamples", "100")["report"]).is_file()


def test_a_plan_says_times_as_people_do(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    typed("plan", file, "--device", "cpu")
    out = capsys.readouterr().out
    assert "time of one worker on cpu" in out
    assert re.search(r"^one +(< )?\d+\.?\d* s$", out, re.MULTILINE)
    assert re.search(r"about .*\d+\.?\d* s in all", out)
    assert "0.00" not in out


def test_a_campaign_that_cannot_be_written_is_reported_elsewhere(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands.run(file, progress=False)
    (tmp_path / "campaign" / "results.parquet").unlink()
    (tmp_path / "campaign" / "results.parquet").mkdir()  # nobody can write a file there, not even root
    typed("report", file, "--out", str(tmp_path / "elsewhere"), "--resamples", "100")
    assert (tmp_path / "elsewhere" / "report.html").is_file()


def test_a_wrong_executor_leaves_nothing_behind(make: Make, tmp_path: Path) -> None:
    make()
    with pytest.raises(ArchgradError, match="unknown executor 'foo'"):
        commands.run(str(tmp_path / "campaign.yaml"), executor="foo")
    assert not (tmp_path / "campaign").exists()


def test_failed_units_are_lines_and_an_error_at_the_end(
    file: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    blocked = tmp_path / "campaign" / "search" / "one" / "darts"
    blocked.parent.mkdir(parents=True)
    blocked.write_text("")
    with pytest.raises(ArchgradError, match="1 units failed, and 1 wait for them"):
        commands.run(file, progress=False)
    assert caplog.messages[0].startswith("search/one/darts/seed-0: ")
    commands.status(file)
    assert "search/one/darts/seed-0: " in capsys.readouterr().out


def test_mistakes_are_one_line(file: str) -> None:
    for call, message in (
        (lambda: commands.extend(file), "say what is added"),
        (lambda: commands.extend(file, seeds=-1), "seeds must be 0 or more, got -1"),
        (lambda: commands.extend(file, methods=["dart"]), "unknown method 'dart'"),
        (lambda: commands.extend(file, settings=["7"]), "campaign: unknown setting '7'"),
        (lambda: commands.run(file, address="auto"), "--address belongs to --executor ray"),
        (lambda: commands.merge(file, "nowhere"), "nowhere is not the directory of a campaign"),
        (lambda: commands.reported(file), "nothing has a score yet: archgrad bench run .*campaign computes them"),
        (lambda: commands.status("nowhere.yaml"), r"nowhere\.yaml: no such campaign file"),
    ):
        with pytest.raises(ArchgradError, match=message) as error:
            call()
        assert "\n" not in str(error.value)
