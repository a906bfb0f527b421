"""Is what `make dist` has built ready for a package index?

    python packaging/check.py dist                # what the files hold
    python packaging/check.py dist --install      # and installed in a fresh environment, beside popular libraries

The wheel must hold the package, all of it, and nothing else; a wheel that is built from the sdist must be the same. In
the fresh environment nothing may contradict anything (`pip check`), and a search must run from its first command to
an exported network, away from the sources.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from email.parser import Parser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TORCH = ("torch", "torchvision")
BESIDE = ("transformers", "datasets", "lightning", "timm", "optuna", "opencv-python-headless")
"""What people have in the same environment."""

SEARCH = """
import archgrad
from archgrad.comparison import train_genotype
from archgrad.export import export

space = archgrad.spaces.get("nasbench201", channels=4, cells=1)
found = archgrad.search(space, "darts", "digits", epochs=1, out="run", progress=False)
train_genotype(space, found.genotype, "digits", epochs=1, out="trained", progress=False)
print(export(archgrad.load("trained"), "model.onnx"))
"""


def contents(folder: Path) -> Path:
    """The wheel, if it and the sdist hold what they should."""
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    sources = {str(path.relative_to(ROOT / "src")) for path in package_files()}
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
        metadata = Parser().parsestr(archive.read(next(n for n in names if n.endswith("/METADATA"))).decode())
    inside = {name for name in names if ".dist-info/" not in name}
    require(not sources - inside, f"missing in {wheel.name}: {sorted(sources - inside)[:5]}")
    strange = {name for name in inside - sources if Path(name).suffix not in (".so", ".dll", ".dylib")}
    require(not strange, f"no part of the package, but in {wheel.name}: {sorted(strange)[:5]}")
    require(metadata["Description-Content-Type"] == "text/markdown", "the README is the description")
    require("archgrad" in (metadata.get_payload() or ""), "the README is the description")
    require(any(name.endswith("licenses/LICENSE") for name in names), f"no licence in {wheel.name}")
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    for needed in ("pyproject.toml", "README.md", "LICENSE", "tests/conftest.py", "docs/index.md", "mkdocs.yml"):
        require(needed in held, f"{needed} is missing in {sdist.name}")
    with tempfile.TemporaryDirectory() as place:
        run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", place, str(sdist))
        (again,) = Path(place).glob("*.whl")
        with zipfile.ZipFile(again) as archive:
            second = {name for name in archive.namelist() if not name.endswith("/")}
    require(second == names, f"a wheel from the sdist differs: {sorted(second ^ names)[:5]}")
    print(f"{wheel.name}: {len(inside)} files of the package and nothing else; {sdist.name} makes the same wheel")
    return wheel


def package_files() -> list[Path]:
    """What belongs into a wheel: the files of the package that git knows."""
    listed = subprocess.run(["git", "ls-files", "-z", "src"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def installed(wheel: Path, beside: tuple[str, ...]) -> None:
    """Install the wheel in a fresh environment beside other libraries, and search with it."""
    with tempfile.TemporaryDirectory() as place:
        python = Path(place) / "venv/bin/python"
        run(sys.executable, "-m", "venv", str(python.parents[1]))
        pip = (str(python), "-m", "pip")
        run(*pip, "install", "--quiet", *TORCH)
        run(*pip, "install", "--quiet", *beside, f"{wheel}[export]")
        run(*pip, "check")
        run(str(python), "-m", "archgrad", "list", "methods", cwd=place)
        run(str(python), "-c", SEARCH, cwd=place)
    print(f"{wheel.name} works beside {', '.join(beside)}")


def run(*command: str, cwd: str | None = None) -> None:
    """Run a command, which must succeed."""
    require(subprocess.run(command, cwd=cwd).returncode == 0, f"failed: {' '.join(command)[:200]}")


def require(right: bool, otherwise: str) -> None:
    """End with a line where something is not right."""
    if not right:
        sys.exit(f"packaging: {otherwise}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--install", action="store_true")
    parser.add_argument("--beside", nargs="*", default=BESIDE)
    given = parser.parse_args()
    built = contents(given.folder)
    if given.install:
        installed(built.resolve(), tuple(given.beside))
