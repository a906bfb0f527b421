"""Worker processes that fetch streaming data, and what is said where they cannot start."""

from __future__ import annotations

import ast
import multiprocessing
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from archgrad.errors import ArchgradError

GUARD = (
    "streaming data start worker processes, which import this script again: put what it does under "
    "`if __name__ == '__main__':`"
)


@contextmanager
def workers_told(workers: int) -> Iterator[None]:
    """A context in which workers run; what stops them is one line.

    Raises ArchgradError with a worker's own message, where a worker died, and where the script that started it has no
    main guard, which the start methods spawn and forkserver need.
    """
    if workers and _imports_main() and not _is_guarded():
        raise ArchgradError(GUARD)
    try:
        yield
    except ArchgradError as error:  # a worker's error arrives with its traceback as text, the message at the end
        raise ArchgradError(str(error).rpartition(f"{_NAME}: ")[2]) from None
    except (RuntimeError, EOFError, BrokenPipeError, ConnectionError) as error:
        text = str(error).strip()
        if getattr(multiprocessing.current_process(), "_inheriting", False):  # a worker that runs the script again
            raise ArchgradError(GUARD) from None
        if isinstance(error, RuntimeError) and not text.startswith("DataLoader worker"):
            raise
        cause = f"out of memory, or {GUARD}" if _imports_main() else "out of memory?"
        raise ArchgradError(f"a worker process that fetches data ended by itself: {cause}") from None


def _imports_main() -> bool:
    """Whether a new process imports the script that starts it."""
    chosen = multiprocessing.get_start_method(allow_none=True)  # asking for the default would choose it
    return (chosen or multiprocessing.get_all_start_methods()[0]) != "fork"


def _is_guarded() -> bool:
    """Whether the running script looks at its name at all; one that cannot be looked at may."""
    main = sys.modules.get("__main__")
    path = getattr(main, "__file__", None)
    if path is None or getattr(main, "__spec__", None) is not None:  # a session, or `python -m`
        return True
    try:
        tree = ast.parse(Path(path).read_bytes())
    except (OSError, ValueError, SyntaxError, RecursionError):
        return True
    return any(isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(tree))


_NAME = f"{ArchgradError.__module__}.{ArchgradError.__qualname__}"
