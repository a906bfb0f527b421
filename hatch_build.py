"""Wheels with compiled kernels, for machines without a C++ compiler.

``ARCHGRAD_PREBUILT="x86-64-v3 x86-64-v4"`` (or ``arm64``, or ``all`` that this machine's processor has) asks for them;
``ARCHGRAD_CXX`` names the compiler, a cross compiler for another machine. Otherwise the wheel holds sources alone, as
ever: any machine can install it, and compiles them itself.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NATIVE = "archgrad/engine/native"


class Prebuilt(BuildHookInterface):
    """Compiles the kernels for the targets that are asked for, into the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before a wheel is put together; ``version`` is standard or editable."""
        asked = os.environ.get("ARCHGRAD_PREBUILT", "").split()
        if not asked or version == "editable":
            return
        compiler = _compiler(Path(self.root) / "src" / NATIVE / "compiler.py")
        machine = platform.machine()
        if asked == ["all"]:
            asked = [target for target, (machines, _) in compiler.TARGETS.items() if machine in machines]
        if not asked or (unknown := sorted(set(asked) - set(compiler.TARGETS))):
            what = ", ".join(unknown) if asked else f"this machine ({machine})"
            raise SystemExit(f"ARCHGRAD_PREBUILT: {what}: there are {', '.join(compiler.TARGETS)}")
        kinds = {compiler.TARGETS[target][0] for target in asked}
        if len(kinds) > 1:
            raise SystemExit("ARCHGRAD_PREBUILT: a wheel is for one kind of machine, x86-64 or arm64")
        (machines,) = kinds
        self.made = tempfile.TemporaryDirectory()
        found = compiler.find(os.environ.get("ARCHGRAD_CXX") or os.environ.get("CXX"))
        for target in asked:
            path = compiler.prebuild(found, target, Path(self.made.name))
            build_data["force_include"][str(path)] = f"{NATIVE}/prebuilt/{path.name}"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{_platform(machines)}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Called when the wheel is there."""
        if hasattr(self, "made"):
            self.made.cleanup()


def _compiler(path: Path) -> ModuleType:
    """The module that compiles; it cannot be imported, since the package needs torch."""
    spec = importlib.util.spec_from_file_location("archgrad_compiler", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _platform(machines: tuple[str, ...]) -> str:
    """The wheel's platform: any Linux, which `auditwheel` makes more exact."""
    if platform.system() != "Linux":
        raise SystemExit(
            "ARCHGRAD_PREBUILT: wheels with compiled kernels are made on Linux; elsewhere they compile them"
        )
    return f"linux_{machines[0]}"
