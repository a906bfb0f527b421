"""The program: from arguments to a command, and from mistakes to one line."""

from __future__ import annotations

import argparse
import importlib
import inspect
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import jsonargparse

import archgrad
from archgrad import console
from archgrad.cli import complaints
from archgrad.cli.arguments import named, require_trusted
from archgrad.cli.output import handled_level, with_output
from archgrad.cli.parser import Parser
from archgrad.cli.trust import with_trust
from archgrad.errors import ArchgradError, ArchgradWarning, no_room, out_of_memory, unknown
from archgrad.options import without_null
from archgrad.ranks import first_of_machine


@dataclass(frozen=True)
class Elsewhere:
    """A command, or several by name, in a module that is imported only when one of them is asked for.

    So that `--help`, and commands that need no networks, start without torch.
    """

    place: str
    """``module:name``."""
    help: str

    def load(self) -> Any:
        """The function, or the commands by name."""
        module, _, name = self.place.partition(":")
        return getattr(importlib.import_module(module), name)


COMMANDS: dict[str, Elsewhere] = {
    "search": Elsewhere("archgrad.cli.search:search", "Search an architecture and write its run directory."),
    "train": Elsewhere("archgrad.cli.train:train", "Train what a search found, or a genotype, from scratch."),
    "evaluate": Elsewhere("archgrad.cli.evaluate:evaluate", "Evaluate a trained network."),
    "predict": Elsewhere("archgrad.cli.predict:predict", "Let a trained network answer."),
    "export": Elsewhere("archgrad.cli.export:export", "Write a trained network for other programs."),
    "push": Elsewhere("archgrad.cli.push:push", "Publish a trained network on the Hugging Face Hub."),
    "report": Elsewhere("archgrad.cli.report:report", "Write the report of a run and print its path."),
    "runs": Elsewhere("archgrad.follow.commands:list_runs", "List the runs below a directory."),
    "compare": Elsewhere("archgrad.follow.commands:compare", "Compare runs, and test groups of them."),
    "watch": Elsewhere("archgrad.follow.commands:watch", "Follow a run on the terminal until it ends."),
    "serve": Elsewhere("archgrad.follow.commands:serve", "Show all runs on one local page that follows them."),
    "rm": Elsewhere("archgrad.follow.commands:rm", "Remove runs, after asking."),
    "list": Elsewhere("archgrad.cli.listing:list_", "List spaces, methods, published models and other names."),
    "show": Elsewhere("archgrad.cli.show:show", "Show a genotype, or what a search step costs."),
    "score": Elsewhere("archgrad.scoring.commands:score", "Score untrained networks of a space by proxies."),
    "correlate": Elsewhere("archgrad.scoring.commands:correlate", "Compare proxies with the accuracies in a table."),
    "robustness": Elsewhere("archgrad.robustness.commands:robustness", "Attack a trained network, corrupt its images."),
    "bench": Elsewhere("archgrad.bench.commands:COMMANDS", "Compare methods fairly: campaigns and their reports."),
    "table": Elsewhere("archgrad.tables.commands:COMMANDS", "Import tabular benchmarks, and look architectures up."),
    "landscape": Elsewhere("archgrad.landscape.commands:COMMANDS", "Look at the geometry of a space in a table."),
    "completion": Elsewhere("archgrad.cli.completion:completion", "Print a script that completes what one types."),
}


def main(arguments: list[str] | None = None) -> None:
    """Run a command; a mistake is one line on standard error and exit code 2."""
    arguments = sys.argv[1:] if arguments is None else arguments
    command, function = "", None
    os.environ.setdefault("PYTHONSAFEPATH", "1")  # no process that is started from here imports from where it stands
    try:
        with console.logged(handled_level()) as handler, warnings.catch_warnings():
            warnings.showwarning = _show_warning
            if arguments == ["--version"]:
                print(archgrad.__version__)
                return
            require_trusted(arguments)
            path, commands, rest = _descend(arguments)
            command = " ".join(path)
            name = rest[0] if rest and not rest[0].startswith("-") else None
            if rest and name is None and rest[0] not in ("-h", "--help"):
                _fail(complaints.unrecognised(rest, command, None))
            if name is not None:
                command = " ".join([*path, name])
                function = _search(rest) if command == "search" else commands[name]
                function = commands[name] = with_output(with_options(function, rest[1:]), handler)
            jsonargparse.auto_cli(
                _shown(commands if name is None else {name: commands[name]}),
                args=rest,
                parser_class=Parser,
                exit_on_error=False,
                prog=" ".join(["archgrad", *path]),
                description="Gradient-based neural architecture search.",
            )
    except ArchgradError as error:
        _fail(str(error))
    except BrokenPipeError:
        _seen_enough()
    except (argparse.ArgumentError, jsonargparse.ArgumentError) as error:
        _fail(complaints.readable(str(error), command, function))
    except KeyboardInterrupt:
        print("archgrad: interrupted; the same command continues the run", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if out_of_memory(error):
            _fail(f"{command}: {no_room(error)}: try a smaller batch or network")
        if isinstance(error, OSError):  # a name that no file can have, a full disk, a directory that may not be read
            _fail(f"{error.filename or command}: {error.strerror or error}")
        if not isinstance(error, ValueError) or "Does not validate" not in str(error):
            raise
        # A component that refuses its settings: jsonargparse makes components outside its own error handling.
        _fail(complaints.readable(str(error), command, function))
    finally:
        _leave_processes()


def _search(arguments: list[str]) -> Callable[..., None]:
    """The search that is meant: that of a method, or that by proxies, which trains nothing and has its own options."""
    from archgrad import methods
    from archgrad.cli.search import search

    method = named(arguments, "method")
    if method is None or method in methods.names():
        return search
    from archgrad.scoring import commands

    return commands.search if commands.is_method(method) else search


def with_options(function: Callable[..., None], arguments: list[str]) -> Callable[..., None]:
    """The command with the options that depend on what it is about."""
    if "fields" in inspect.signature(function).parameters:
        from archgrad.cli.fields import with_fields

        function = with_fields(function, arguments)
    return with_trust(without_null(function))


def _leave_processes() -> None:
    """Leave the group of processes that a command has joined, if it has."""
    if (torch := sys.modules.get("torch")) is not None:
        distributed = torch.distributed
        if distributed.is_available() and distributed.is_initialized():
            distributed.destroy_process_group()


def _descend(arguments: list[str]) -> tuple[list[str], dict[str, Any], list[str]]:
    """Through groups of commands: the groups' names, the commands of the last one, and the arguments from there on."""
    path: list[str] = []
    commands: dict[str, Any] = dict(COMMANDS)
    while True:
        if not arguments:
            called = " ".join(["archgrad", *path, "COMMAND"])
            where = f"{' '.join(path)}: " if path else ""
            raise ArchgradError(f"{where}give a command: {', '.join(commands)}; {called} --help tells its options")
        name = arguments[0]
        if name.startswith("-"):
            return path, commands, arguments
        if name not in commands:
            raise unknown(" ".join([*path, "command"]), name, commands)
        entry = loaded(commands[name])
        if not isinstance(entry, Mapping):
            return path, {**commands, name: entry}, arguments
        path, commands, arguments = [*path, name], dict(entry), arguments[1:]


def loaded(entry: Any) -> Any:
    """A command, or commands by name, wherever they are."""
    return entry.load() if isinstance(entry, Elsewhere) else entry


def _shown(commands: Mapping[str, Any]) -> dict[str, Any]:
    """Commands as jsonargparse takes them; those elsewhere are not imported for a line of help."""
    return {name: _line_of_help(entry) if isinstance(entry, Elsewhere) else entry for name, entry in commands.items()}


def _line_of_help(entry: Elsewhere) -> Callable[[], None]:
    def nothing() -> None: ...

    nothing.__doc__ = entry.help
    return nothing


def _fail(message: str) -> NoReturn:
    if first_of_machine():
        print(f"archgrad: {ArchgradError(message)}", file=sys.stderr)
    sys.exit(2)


def _seen_enough() -> NoReturn:
    """End because whoever reads has gone, as in ``archgrad runs | head``."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python still writes at its end
    sys.exit(141)


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    """Ours as one line; those of libraries are for their developers."""
    if issubclass(category, ArchgradWarning):
        console.LOGGER.warning("%s", message)
