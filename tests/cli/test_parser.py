"""The parser of commands: what stands without its name, switches, words of Python's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonargparse
import pytest

from archgrad.cli.arguments import named, standing
from archgrad.cli.parser import Parser, may_stand
from archgrad.errors import ArchgradError


def path(
    a: str | None = None, b: str | None = "last", *, from_: str | None = None, cost: bool = False, count: int = 1
) -> dict[str, Any]:
    """Show a path.

    Args:
        a: one end
        b: the other end
        from_: a file
        cost: measure it
        count: how many
    """
    return dict(locals())


USUAL = {"a": None, "b": "last", "from_": None, "cost": False, "count": 1}


def parsed(*arguments: str) -> dict[str, Any]:
    """What of the command's defaults the arguments change."""
    found = jsonargparse.auto_cli(path, args=[*arguments], parser_class=Parser, exit_on_error=False)
    return {name: value for name, value in found.items() if value != USUAL[name]}


def test_what_is_not_keyword_only_stands_without_its_name():
    assert may_stand(path) == ["a", "b"]
    assert parsed() == {}
    assert parsed("010000") == {"a": "010000"}
    assert parsed("1", "2") == {"a": "1", "b": "2"}
    assert parsed("--count", "3", "1") == parsed("1", "--count=3") == {"a": "1", "count": 3}
    with pytest.raises(jsonargparse.ArgumentError, match="unrecognized arguments: 3"):
        parsed("1", "2", "3")


def test_a_switch_needs_no_value_and_takes_one():
    assert parsed("--cost") == parsed("--cost", "true") == parsed("--cost=true") == {"cost": True}
    assert parsed("--cost", "false") == {}
    assert parsed("--cost", "1") == {"a": "1", "cost": True}, "what follows is its value only if it can be one"
    assert parsed("1", "--cost", "--count", "2") == {"a": "1", "cost": True, "count": 2}


def test_an_underscore_at_the_end_is_not_typed():
    assert parsed("--from", "it.csv") == parsed("--from=it.csv") == {"from_": "it.csv"}


def test_a_configuration_file_gives_what_stands_too(tmp_path: Path):
    file = tmp_path / "it.yaml"
    file.write_text("a: one\ncount: 2\n")
    assert parsed("--config", str(file)) == {"a": "one", "count": 2}
    assert parsed("--config", str(file), "two") == {"a": "two", "count": 2}


def test_help_says_what_may_be_left_out(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        parsed("--help")
    shown = capsys.readouterr().out
    assert "[a] [b]" in shown
    assert "--from FROM" in shown
    assert "the other end" in shown


def test_what_arguments_tell_before_they_are_parsed(tmp_path: Path):
    typed = ["--count", "3", "run", "--space=darts", "--out", "else", "--space", "wide"]
    assert standing(typed) == "run"
    assert standing(["--count=3", "run"]) == "run"
    assert standing(typed[:2]) is None
    assert named(typed, "space") == "wide"
    assert named(typed[:4], "space") == "darts"
    file = tmp_path / "it.yaml"
    file.write_text("space: deep\n")
    assert named(["--config", str(file)], "space") == "deep"
    assert named(["--config", str(file), "--space", "wide"], "space") == "wide"
    assert named([], "space") is None
    with pytest.raises(ArchgradError, match=r"--config: .* is a directory"):
        named(["--config", str(tmp_path)], "space")
