"""What ``archgrad table`` prints is what the public functions return."""

from __future__ import annotations

from pathlib import Path

import pytest

from archgrad import tables
from archgrad.cli import main
from archgrad.errors import ArchgradError
from archgrad.tables import commands

CSV = "index,cifar10_test_200,cifar10_fog_s1,cifar10_fog_s2\n9930,0.94,0.5,0.3\n0,0.86,0.7,0.6\n12,0.10,0.2,\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ARCHGRAD_DATA", str(tmp_path / "home"))
    (tmp_path / "small.csv").write_text(CSV)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_import_show_best(capsys: pytest.CaptureFixture[str], home: Path):
    main(["table", "import", "small.csv", "--name", "mine", "--scale", "100"])
    assert lines(capsys) == ["table mine: 3 architectures of nasbench201, 3 columns", f"kept in {home / 'tables'}"]
    assert tables.load("mine").value(9930, "cifar10_test_200") == pytest.approx(94)

    main(["table", "show", "333133", "--table", "mine"])
    text = tables.load("mine").text(0)
    assert lines(capsys) == [
        f"9930 {text}",
        "metric value rank percentile",
        "cifar10_test_200 94.00 1 of 3 100.0",
        "cifar10_fog_s1 50.00 2 of 3 66.7",
        "cifar10_fog_s2 30.00 2 of 2 50.0",
    ]
    main(["table", "show", "9930", "--table", "mine", "--metrics", "*_fog_*"])
    assert len(lines(capsys)) == 4
    main(["table", "show", text, "--table", "mine"])  # the long notation, which has | and + in it
    assert lines(capsys)[0] == f"9930 {text}"

    main(["table", "best", "--table", "mine", "--count", "2", "--lowest"])
    assert [line.split()[:2] for line in lines(capsys)] == [
        ["index", "cifar10_test_200"],
        ["12", "10.00"],
        ["0", "86.00"],
    ]
    main(["table", "best", "--table", "small.csv", "--metric", "cifar10_fog_s?"])
    assert lines(capsys)[1].startswith("0 65.00 |")


def test_a_pattern_without_a_match_is_refused_by_name(home: Path):
    with pytest.raises(ArchgradError, match="unknown metric of the table 'small' 'cifar1O_\\*'"):
        commands.show("9930", table="small.csv", metrics="cifar1O_*")
