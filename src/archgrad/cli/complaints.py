"""What jsonargparse says about wrong options, in the words of a person who typed them."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any, get_args, get_origin, get_type_hints

from archgrad.errors import unknown
from archgrad.method import ROLES

KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def readable(text: str, command: str, function: Callable[..., Any] | None, components: Iterable[ModuleType]) -> str:
    """One line for a complaint of jsonargparse; its own words, on one line, where it is of an unknown kind."""
    text = " ".join(text.split())
    if found := re.search(r"unrecognized arguments: (.+)", text):
        return _unrecognised(found[1].split(), command, function)
    if found := re.search(r"does not accept option '(\w+)'", text):
        return _unrecognised([f"--{found[1]}"], command, function)
    if found := re.search(r"arguments are required: (?:\w+\.)?(\w+)", text):
        return f"{command}: {found[1].upper()} is missing"
    if found := re.search(r"argument (--\S+): expected one argument", text):
        return f"{found[1]}: expected a value"
    if found := re.search(r'Parser key "config": (.*)', text):
        return f"--config: {found[1]}"
    if found := re.search(r"Errors: - (.*?) - Expected a <class 'NoneType'> Given value type: .*Namespace", text):
        return found[1]  # what a component itself said of its settings
    # A component's own option is named inside the complaint about the component: the innermost key is the wrong one.
    keys = re.findall(r'Parser key "([\w.]+)"', text)
    if not keys:
        return text
    option, value = ".".join(keys), _value(text)
    hint = get_type_hints(function).get(keys[0]) if function else None
    if len(keys) > 1 or value is None:
        kind = re.findall(r"Expected an? <class '(\w+)'>", text)
        named = next((words for wanted, words in KINDS.items() if kind and wanted.__name__ == kind[0]), None)
        return f"--{option}: expected {named}, got {value!r}" if named and value is not None else f"--{option}: {text}"
    wanted = [kind for kind in get_args(hint) or (hint,) if kind is not type(None)]
    if wanted and wanted[0] in KINDS:
        return f"--{option}: expected {KINDS[wanted[0]]}, got {value!r}"
    return f"--{option}: {_component(text, option, value, wanted, components)}"


def _unrecognised(arguments: list[str], command: str, function: Callable[..., Any] | None) -> str:
    first = arguments[0]
    if not first.startswith("-"):
        return f"{command}: unexpected argument {first!r}"
    name = first.lstrip("-").partition("=")[0]
    options = {n.rstrip("_"): p for n, p in (inspect.signature(function).parameters if function else {}).items()}
    if name in options and options[name].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD:
        return f"{command}: write {name.upper()} without --{name}: archgrad {command} {name.upper()}"
    close = difflib.get_close_matches(name, [*options, "config", "print_config", "help"], n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(f'--{option}' for option in close)}?" if close else "it has no such option"
    return f"{command}: unknown option {first.partition('=')[0]}: {hint} (archgrad {command} --help)"


def _value(text: str) -> str | None:
    """What the user gave, as far as the complaint tells."""
    if found := re.findall(r"val='?([^')]*)'?\)", text):
        return str(found[-1])
    if found := re.findall(r"(?:Given value|Got value): (.*?)(?: - Expected|$)", text):
        return str(found[0]).strip()
    return None


def _component(text: str, role: str, value: str, wanted: list[Any], components: Iterable[ModuleType]) -> str:
    """Why a component could not be made of what the user gave."""
    if found := re.search(r"Problem with given class_path '[^']*': (.*?)(?: - Expected| Given value|$)", text):
        return found[1]
    kind = (get_args(wanted[0]) or tuple(wanted))[0] if wanted else object
    several = get_origin(wanted[0]) is list if wanted else False
    classes = [getattr(module, name) for module in components for name in module.__all__]
    known = [made.__name__ for made in classes if isinstance(kind, type) and issubclass(made, kind)]
    if value in known and several:
        return f"there may be several: write --{role}+={value}"
    if not known and kind in ROLES.values():
        return f"no class {value!r}: give it as package.module.Class"
    if not known:
        return f"cannot take {value!r}: {text}"
    return str(unknown(role.rstrip("s").replace("_", " "), value, known))
