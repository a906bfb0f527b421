"""What jsonargparse says about wrong options, in the words of a person who typed them."""

from __future__ import annotations

import difflib
import inspect
import re
import sys
from collections.abc import Callable
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from archgrad.errors import shortened, shown, unknown

KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def readable(text: str, command: str, function: Callable[..., Any] | None) -> str:
    """One line for a complaint of jsonargparse; its own words, on one line, where it is of an unknown kind."""
    text = " ".join(text.split())
    if found := re.search(r"unrecognized arguments: (.+)", text):
        return unrecognised(found[1].split(), command, function)
    if found := re.search(r"does not accept option '(\w+)'", text):
        return unrecognised([f"--{found[1]}"], command, function)
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
    if len(keys) > 1 or (value is None and "Exceeds the limit" not in text):
        kind = re.findall(r"Expected an? <class '(\w+)'>", text)
        named = next((words for wanted, words in KINDS.items() if kind and wanted.__name__ == kind[0]), None)
        return f"--{option}: expected {named}, got {value}" if named and value is not None else f"--{option}: {text}"
    wanted = _kinds(hint)
    if words := [word for kind in wanted if (word := _words(kind))]:
        return f"--{option}: expected {' or '.join(words)}, got {value or 'a number of thousands of digits'}"
    return f"--{option}: {_component(text, option, value or '', wanted)}"


def _kinds(hint: Any) -> list[Any]:
    """The types of which a value may be, but for none at all."""
    union = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return [kind for kind in union if kind is not type(None)]


def _words(kind: Any) -> str | None:
    """What a person would type for a type; None for components."""
    if get_origin(kind) is Literal:
        return " or ".join(map(str, get_args(kind)))
    if get_origin(kind) in (list, tuple) and get_args(kind)[0] in KINDS:
        return "a list such as [a, b]"
    return KINDS.get(kind)


def unrecognised(arguments: list[str], command: str, function: Callable[..., Any] | None) -> str:
    """What to say of the first of some arguments; ``command``: empty where it stands before any."""
    where, program = f"{command}: " if command else "", " ".join(filter(None, ["archgrad", command]))
    first = shortened(arguments[0])
    if not first.startswith("-"):
        return f"{where}unexpected argument {first!r}"
    option = first.partition("=")[0]
    if function is None:
        return f"{where}unknown option {option}: give a command first ({program} --help)"
    typed = {n.rstrip("_"): _typed(n, p) for n, p in inspect.signature(function).parameters.items()}
    typed |= {name: f"--{name}" for name in ("config", "print_config", "help")}
    name = option.lstrip("-")
    if typed.get(name) == name.upper():
        return f"{where}write {name.upper()} without --{name}: {program} {name.upper()}"
    close = [typed[n] for n in difflib.get_close_matches(name, typed, n=3, cutoff=0.5) if typed[n] != option]
    hint = f"did you mean {' or '.join(close)}?" if close else "it has no such option"
    return f"{where}unknown option {option}: {hint} ({program} --help)"


def _typed(name: str, parameter: inspect.Parameter) -> str:
    """How a parameter is typed: an option, or the capitals of what stands without a name."""
    stands = parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    return name.upper() if stands else f"--{name.rstrip('_')}"


def _value(text: str) -> str | None:
    """What the user gave, as far as the complaint tells and as a message repeats it."""
    if found := re.findall(r"val='?([^')]*)'?\)", text):
        return shown(found[-1])
    if found := re.findall(r"(?:Given value|Got value): (.*?)(?: - Expected|$)", text):
        return shown(found[0].strip())
    return None


def _component(text: str, role: str, value: str, wanted: list[Any]) -> str:
    """Why a component could not be made of what the user gave."""
    from archgrad.cli.listing import COMPONENTS
    from archgrad.method import ROLES

    if found := re.search(r"class_path '([^']*)': Option '([^']*)' is not accepted", text):
        module, _, name = found[1].rpartition(".")
        settings = inspect.signature(getattr(sys.modules[module], name)).parameters
        return str(unknown(f"setting of {name}", found[2], settings))
    if found := re.search(r"Problem with given class_path '[^']*': (.*?)(?: - Expected| Given value|$)", text):
        return found[1]
    value = value.strip("'\"")
    kind = (get_args(wanted[0]) or tuple(wanted))[0] if wanted else object
    several = get_origin(wanted[0]) is list if wanted else False
    classes = [getattr(module, name) for module in COMPONENTS for name in module.__all__]
    known = [made.__name__ for made in classes if isinstance(kind, type) and issubclass(made, kind)]
    if value in known and several:
        return f"there may be several: write --{role}+={value}"
    if not known and kind in ROLES.values():
        return f"no class {value!r}: give it as package.module.Class"
    if not known:
        return f"cannot take {value!r}: {text}"
    return str(unknown(role.rstrip("s").replace("_", " "), value, known))
