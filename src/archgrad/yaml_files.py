"""Mappings from YAML, which never runs code: of runs, suites, campaigns. Mistakes are one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from archgrad.errors import ArchgradError


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML in which no key stands twice: the second would silently replace the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.YAMLError(f"line {key.start_mark.line + 1}: the key {key.value!r} stands there twice")
            if isinstance(key, yaml.ScalarNode):
                seen.add(key.value)
        made: dict[Any, Any] = super().construct_mapping(node, deep)
        return made


def parsed(text: str, where: str) -> dict[str, Any]:
    """A mapping from YAML, or one line on why there is none."""
    try:
        raw = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ArchgradError(f"{where}: not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(raw, dict):
        raise ArchgradError(f"{where}: expected a mapping, got {type(raw).__name__}")
    return raw


def read(path: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping, or one line on why it does not."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ArchgradError(f"cannot read {path}: {reason}") from None
    return parsed(text, str(path))
