"""Options of the commands that are about data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from archgrad.cli import main
from archgrad.runs import Run

TINY = ["--channels", "2", "--cells", "1", "--epochs", "1", "--batch_size", "4", "--device", "cpu"]
TINY += ["--progress", "false"]


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory with images of two classes, one of which is torn."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for part in ("Training", "Testing"):
        for number in range(36):
            folder = Path("images") / part / ("cat" if number % 3 else "owl")
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(folder / f"{number:02}.png")
    Path("images/Testing/cat/torn.png").write_bytes(b"torn")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The last line on standard error, with which arguments are refused."""
    with pytest.raises(SystemExit) as stop:
        main([*arguments])
    assert stop.value.code == 2
    return capsys.readouterr().err.splitlines()[-1].removeprefix("archgrad: ")


@pytest.mark.filterwarnings("always::archgrad.errors.ArchgradWarning")
def test_a_search_of_real_data_and_its_training(capsys: pytest.CaptureFixture[str]):
    search = ["search", *TINY, "--data", "images", "--out", "run"]
    assert "torn.png: not a readable image" in refused(capsys, *search)
    search += ["--unreadable", "skip", "--limit", "16", "--class_weights", "balanced"]
    main(search)
    said = capsys.readouterr().err
    for words in ("2 classes (cat, owl)", "16 training images in Training", "36 test images in Testing", "torn.png"):
        assert words in said
    assert Run.open("run").config["limit"] == 16
    Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save("images/Training/cat/00.png")
    for number in range(24):
        Path(f"images/Training/cat/{number:02}.png").unlink(missing_ok=True)
    assert "begun with other data" in refused(capsys, *search)
    main([*search, "--changed", "accept"])
    assert "goes on with what changed" in capsys.readouterr().err
    train = ["train", "run", "--device", "cpu", "--progress", "false", "--epochs", "1", "--batch_size", "4"]
    main([*train, "--limit", "8", "--class_weights", "1,2"])  # reads the images as the search did
    assert Run.open("run/train/found").config["class_weights"] == "1,2"
    capsys.readouterr()
    main(["evaluate", "run", "--device", "cpu"])  # reads the data as the training did
    assert "36 inputs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--unreadable", "ignore", "unknown way with unreadable images 'ignore'"),
        ("--changed", "yes", "unknown way with changed data 'yes'"),
        ("--limit", "0", "limit must be a whole number, 1 or more, got 0"),
        ("--limit", "few", "--limit: expected a whole number, got 'few'"),
        ("--class_weights", "1,2", "2 class weights for 10 classes"),
        ("--class_weights", "even", "class_weights must be balanced, or numbers"),
    ],
)
def test_wrong_values_are_one_line(capsys: pytest.CaptureFixture[str], option: str, value: str, message: str):
    assert message in refused(capsys, "search", *TINY, option, value, "--out", "run")
    assert not Path("run").exists()


@pytest.mark.parametrize("key", ["data", "space", "method", "seed"])
def test_null_is_no_value(capsys: pytest.CaptureFixture[str], key: str):
    Path("run.yaml").write_text(f"{key}: null\n")
    assert refused(capsys, "search", "--config", "run.yaml") == f"--{key}: needs a value, and null is none"
