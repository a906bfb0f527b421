"""Whether the library copes: what it makes of many inputs, in a process of bounded memory, each in bounded time.

An input is coped with if the library answers, or says in one line what is wrong. Everything else is a fault: another
exception, several lines, a process that dies, waits or takes all memory.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import resource
import signal
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from archgrad.cli import main
from archgrad.errors import ArchgradError

SECONDS = 30  # of one input; the machine may be busy
MEMORY = 6 << 30  # bytes of address space beside what the process has already
LONGEST = 2000  # characters of a line that a person reads

Case = tuple[str, Callable[[], Any]]
"""What the input is, for the message about a fault, and what is done with it."""


class TookTooLongError(BaseException):
    """Passes through what catches exceptions."""


def judge(cases: Iterable[Case]) -> tuple[Counter[str], list[str]]:
    """How many cases ended in which way, and what is to be said of those that are faults.

    Cases run one after the other in a child process, which the library cannot take along when it dies.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reading)
            with open(writing, "wb") as pipe:
                _run(cases, pipe)
            code = 0
        except BaseException:  # of the case's own making: no fault of the library
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writing)
    counts: Counter[str] = Counter()
    faults: list[str] = []
    last = ""
    with open(reading, "rb") as pipe, contextlib.suppress(EOFError):
        while True:
            what, kind, said = pickle.load(pipe)
            last = what
            if kind:
                counts[kind] += 1
                faults += [f"{what}: {said}"] if kind == "fault" else []
    _, status = os.waitpid(child, 0)
    if status:
        counts["fault"] += 1
        faults.append(f"{last}: the process died ({status})")
    return counts, faults


def _run(cases: Iterable[Case], pipe: Any) -> None:
    signal.signal(signal.SIGALRM, _stop)
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    warnings.simplefilter("ignore")
    for what, call in cases:
        _tell(pipe, what, "", "")  # so that it is known of which input a process died
        kind, said = _outcome(call)
        _tell(pipe, what, kind, said)


def _tell(pipe: Any, what: str, kind: str, said: str) -> None:
    pickle.dump((what[:500], kind, said), pipe)
    pipe.flush()


def _outcome(call: Callable[[], Any]) -> tuple[str, str]:
    signal.alarm(SECONDS)
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            call()
    except ArchgradError as error:
        return _line(str(error))
    except SystemExit as ended:
        if not ended.code:
            return "right", ""  # help, or settings that were printed
        text = err.getvalue().strip()
        return _line(text) if ended.code == 2 and text.startswith("archgrad: ") else ("fault", f"{ended.code}: {text}")
    except TookTooLongError:
        return "fault", f"took longer than {SECONDS} s"
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return "fault", f"{type(error).__name__}: {str(error)[:200]} ({place.filename}:{place.lineno})"
    finally:
        signal.alarm(0)
    return "right", ""


def _line(text: str) -> tuple[str, str]:
    if len(text.splitlines()) != 1 or len(text) > LONGEST:
        return "fault", f"no line for a person ({len(text)} characters): {text[:300]!r}"
    return "one line", text


def _stop(*_: Any) -> None:
    raise TookTooLongError


def command(*arguments: str) -> Callable[[], None]:
    """A command of the program, in this process."""

    def run() -> None:
        path = list(sys.path)
        try:
            main(list(arguments))
        finally:
            sys.path[:] = path

    return run
