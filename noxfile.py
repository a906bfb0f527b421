"""The quick tests on every supported Python, with the oldest and the newest supported torch: ``make test-matrix``.

    nox --list                              # what there is
    nox -s "tests(3.11, oldest)"            # one of them

Every session installs its own torch: several GB to download and to store. A Python that is not on the machine is
skipped, and so is a pair for which there are no wheels.
"""

from __future__ import annotations

import nox

nox.options.sessions = ["tests"]
nox.options.default_venv_backend = "venv"

TORCH = {"oldest": ("torch==2.8.*", "torchvision==0.23.*"), "newest": ("torch", "torchvision")}
"""The oldest is that of pyproject.toml; a test holds them together."""

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
WITHOUT_WHEELS = {("3.14", "oldest")}
PAIRS = [(python, torch) for python in PYTHONS for torch in TORCH if (python, torch) not in WITHOUT_WHEELS]


@nox.session
@nox.parametrize(("python", "torch"), PAIRS, ids=[f"{python}, {torch}" for python, torch in PAIRS])
def tests(session: nox.Session, torch: str) -> None:
    """The quick tests."""
    session.install(*TORCH[torch])
    session.install("--editable", ".[dev]", *TORCH[torch])
    session.run("python", "-m", "pip", "check")
    session.run(
        "python", "-m", "pytest", "-n", "auto", "--maxprocesses", "8", "--dist", "worksteal", "-m", "not slow",
        *session.posargs, env={"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
