"""Text as plain data: JSON, and what Python would print, without evaluating anything."""

from __future__ import annotations

import ast
import itertools
import json
import re
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

from archgrad.errors import ArchgradError

LONGEST = 100_000
"""Characters of an architecture: the longest published ones have a few thousand."""
WIDEST = 1_000
"""Numbers that a range may stand for."""

OPENING, CLOSING = "([{", ")]}"
NAME = re.compile(r"[A-Za-z_][\w.]*\s*$")
BEHIND = " \t\r\n;,.'\""
"""What may stand behind an architecture."""
STARTS = 50
"""Places of a text at which an architecture is looked for: the line of a log has few brackets before it."""
UNSEEN = dict.fromkeys(map(ord, "\ufeff\u200b\u200c\u200d\u2060"), None)
TYPOGRAPHIC = str.maketrans("‘’‚“”„\u00a0\u2212", "'''\"\"\" -")
NUMBERS = re.compile(r"(u?int|float|bool|str|complex)\d*_?|item|array|tensor|Tensor")
"""Functions, by their last name, that only say of which kind a value is: ``np.int64(0)``, ``tensor([0])``."""


class Call(NamedTuple):
    """``name(arguments, name=value)`` as it stands there."""

    name: str
    arguments: tuple[Any, ...]
    fields: dict[str, Any]

    def __repr__(self) -> str:
        return f"{self.name}({'…' if self.arguments or self.fields else ''})"


class _NotPlainError(ValueError):
    """What Python could compute, but what says nothing by itself."""


def cleaned(text: str) -> str:
    """A text of bounded length without byte-order marks, typographic quotation marks and space around it."""
    if len(text) > LONGEST:
        raise ArchgradError(f"genotype: {len(text):,} characters are more than any genotype has")
    return text.translate(UNSEEN).translate(TYPOGRAPHIC).strip()


def unwrapped(text: str) -> str:
    """The text inside a list of one text, or inside quotation marks."""
    for _ in range(3):
        data = read(text) if text.startswith(("[", "(", "'", '"')) else None
        if isinstance(data, list) and len(data) == 1:
            (data,) = data
        if not isinstance(data, str):
            break
        text = data.strip()
    return text


def read(text: str) -> Any:
    """The plain data in a text (numbers, texts, None, lists, mappings, `Call`), or None where there are none.

    An architecture may stand behind something else, as in a log: ``03/27 genotype = Genotype(…)``.

    >>> found = read("INFO (main) best = Genotype(normal=[('skip', np.int64(0))], normal_concat=range(2, 4))")
    >>> found, found.fields
    (Genotype(…), {'normal': [['skip', 0]], 'normal_concat': [2, 3]})
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    for expression in _expressions(text):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return _plain(ast.parse(expression, mode="eval").body)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return None


def _expressions(text: str) -> Iterator[str]:
    """What may be one expression at the end of a text: first the whole, then from one bracket to its partner."""
    yield text.rstrip(BEHIND)
    starts = (place for place, character in enumerate(text) if character in OPENING)
    for place in itertools.islice(starts, STARTS):
        end = _end(text, place)
        if end and not text[end:].strip(BEHIND):
            name = NAME.search(text, max(0, place - 80), place)  # in front of it, as far as names go
            yield text[name.start() if name and text[place] == "(" else place : end]


def _end(text: str, start: int) -> int | None:
    """Behind the partner of the bracket that stands at a place."""
    depth, quote = 0, ""
    for place in range(start, len(text)):
        character = text[place]
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in OPENING:
            depth += 1
        elif character in CLOSING:
            depth -= 1
            if not depth:
                return place + 1
    return None


def _plain(node: ast.expr) -> Any:
    """The value of a literal; tuples are lists."""
    match node:
        case ast.Constant(value=None | bool() | int() | float() | str() as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Set(elts=parts):
            return [_plain(part) for part in parts]
        case ast.Dict(keys=keys, values=values) if None not in keys:
            return dict(zip(map(_key, keys), map(_plain, values), strict=True))
        case ast.Call(func=function, args=arguments, keywords=keywords):
            return _called(_name(function), arguments, keywords)
    raise _NotPlainError


def _key(node: ast.expr | None) -> Any:
    match node:
        case ast.Constant(value=int() | str() as value):
            return value
    raise _NotPlainError


def _name(function: ast.expr) -> str:
    """The last part of a dotted name."""
    match function:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    raise _NotPlainError


def _called(name: str, arguments: list[ast.expr], keywords: list[ast.keyword]) -> Any:
    if NUMBERS.fullmatch(name) and len(arguments) == 1:
        return _plain(arguments[0])
    if any(keyword.arg is None for keyword in keywords):
        raise _NotPlainError
    values = [_plain(argument) for argument in arguments]
    fields = {str(keyword.arg): _plain(keyword.value) for keyword in keywords}
    if name == "range" and 1 <= len(values) <= 3 and all(type(value) is int for value in values):
        numbers = range(*values)
        if len(numbers) > WIDEST:
            raise _NotPlainError
        return list(numbers)
    if name in ("list", "tuple", "set", "frozenset", "sorted") and len(values) == 1 and isinstance(values[0], list):
        return values[0]
    if name in ("dict", "OrderedDict"):
        return dict(*values, **fields)
    return Call(name, tuple(values), fields)
