"""What is imported before anything is asked for: modules, which do not depend on how busy the machine is."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import archgrad

HEAVY = ("torch", "numpy", "pandas", "sklearn", "scipy", "matplotlib", "pyarrow", "torchvision", "accelerate", "rich")
BESIDE_TORCH = ("pandas", "sklearn", "scipy", "matplotlib", "pyarrow", "torchvision", "accelerate", "torchmetrics")


def imported(program: str, wanted: tuple[str, ...]) -> list[str]:
    """Those modules that a process has imported at the end of a program."""
    code = f"""
import sys
try:
    {program}
except SystemExit:
    pass
print([module for module in {wanted} if module in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found: list[str] = json.loads(done.stdout.splitlines()[-1].replace("'", '"'))
    return found


@pytest.mark.parametrize(
    "program",
    [
        "import archgrad",
        "import archgrad; archgrad.ArchgradError, archgrad.Callback, archgrad.trusting, dir(archgrad)",
        "from archgrad.cli import main; main(['--help'])",
        "from archgrad.cli import main; main(['--version'])",
        "from archgrad.cli import main; main(['serch'])",
        "from archgrad.cli import main; main([])",
    ],
)
def test_nothing_heavy_is_imported_for_nothing(program: str):
    assert imported(program, HEAVY) == []


def test_the_embedded_data_need_no_more():
    assert imported("from archgrad import data; data.load('digits')", ("sklearn", "scipy", "pandas")) == []


def test_a_search_imports_torch_and_not_what_only_reports_and_tables_need():
    assert imported("import archgrad; archgrad.search, archgrad.train, archgrad.load", BESIDE_TORCH) == []


def test_public_names_are_there_whatever_was_imported_before():
    """`archgrad.search` is a function and a module of this name: the function stays."""
    program = "import archgrad.search, archgrad.train; print(callable(archgrad.search), callable(archgrad.train))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]
    assert sorted(archgrad.__all__) == sorted(archgrad._PLACES)
    for name in archgrad.__all__:
        assert getattr(archgrad, name).__name__ == name
        assert name in dir(archgrad)
    assert archgrad.spaces.get("darts").name == "darts"
    with pytest.raises(AttributeError, match="module 'archgrad' has no attribute 'serch'"):
        archgrad.serch  # noqa: B018


def test_no_module_stands_where_a_public_name_of_the_statistics_does():
    """A module takes the place of the function of its name as soon as it is imported."""
    program = (
        "from archgrad.bench import statistics\n"
        "from archgrad.bench.statistics import public\n"
        "print([n for n in public.__all__ if getattr(statistics, n) is not getattr(public, n)])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
