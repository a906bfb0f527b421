"""What pyproject.toml promises, `make test-matrix` tests, and `make dist` can check."""

from __future__ import annotations

import re
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
from programs import program

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_matrix_is_what_the_project_says_it_supports() -> None:
    matrix = (ROOT / "noxfile.py").read_text()
    (oldest,) = re.findall(r'"oldest": \("torch==([\d.]+)\.\*", "torchvision==([\d.]+)\.\*"\)', matrix)
    assert {f"torch>={oldest[0]}", f"torchvision>={oldest[1]}"} <= set(PROJECT["dependencies"])
    pythons = re.findall(r'"(3\.\d+)"', matrix.split("PYTHONS = ")[1].splitlines()[0])
    said = [c.rpartition(" ")[2] for c in PROJECT["classifiers"] if re.search(r"Python :: 3\.\d+$", c)]
    assert pythons[: len(said)] == said
    assert PROJECT["requires-python"] == f">={pythons[0]}"


@pytest.fixture(scope="module")
def check() -> ModuleType:
    return program("packaging/check.py")


@pytest.mark.parametrize(
    ("files", "said"), [({}, "missing in"), ({"archgrad/secret.txt": "x"}, "no part of the package")]
)
def test_a_wheel_that_lacks_a_file_or_has_one_too_many_is_refused(
    check: ModuleType, tmp_path: Path, files: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if files:
        monkeypatch.setattr(check, "package_files", list)
    (tmp_path / "archgrad-1.tar.gz").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "archgrad-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("archgrad-1.dist-info/METADATA", "Name: archgrad\n\n")
        for name, text in files.items():
            wheel.writestr(name, text)
    with pytest.raises(SystemExit, match=said):
        check.contents(tmp_path)


def test_every_extra_is_explained_where_installation_is() -> None:
    page = (ROOT / "docs/installation.md").read_text()
    assert [extra for extra in PROJECT["optional-dependencies"] if f"| `{extra}` |" not in page] == []
