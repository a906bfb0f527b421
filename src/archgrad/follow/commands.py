"""Commands that follow and find runs; every one calls one public function."""

from __future__ import annotations

import sys

from archgrad import console
from archgrad.errors import ArchgradError


def list_runs(
    directory: str = ".", *, filter: str = "", sort: str = "run", reverse: bool = False, trainings: bool = False
) -> None:
    """List the runs below a directory: their state, method, data, score and time.

    Args:
        directory: where runs are looked for
        filter: conditions that hold for what is listed, separated by commas: `state=running`, `method=darts*`,
            `score>0.9`, `method.epochs>=50`; a word alone stands in any of the texts
        sort: a column: run, state, done, kind, method, space, data, seed, score, of, parameters, flops, time, started,
            changed
        reverse: the other way round
        trainings: also list the trainings within searches
    """
    from archgrad.follow import listing

    found = listing.runs(directory, filter=filter, sort=sort, reverse=reverse, trainings=trainings)
    if found:
        console.print_table(*listing.table(found))
    else:
        console.say(f"no runs{' of that kind' if filter else ''} below {directory}")
    console.give(directory=directory, runs=[run.record() for run in found])


def compare(runs: list[str], *, html: str | None = None) -> None:
    """Compare runs: settings that differ, scores, curves, what was found, and tests where seeds were repeated.

    Args:
        runs: run directories, or directories of runs
        html: also write a page with charts and cells into this file
    """
    from archgrad.follow import terminal
    from archgrad.follow.comparing import Comparison

    comparison = Comparison.of(runs)
    if console.reads_json():
        console.give(**comparison.record())
    else:
        terminal.print_comparison(comparison)
    if html is not None:
        from archgrad.follow import sections

        page = sections.write(comparison, html)
        console.say(f"page: {page}")
        console.give(page=page)


def watch(run: str) -> None:
    """Follow a run on the terminal until it ends; the exit code is 2 where it fails or stops.

    Args:
        run: run directory of a search, a training or a search by proxies
    """
    from archgrad.follow import watching

    console.give(**watching.watch(run).record())


def rm(runs: list[str], *, yes: bool = False) -> None:
    """Remove runs, after asking.

    Args:
        runs: run directories
        yes: do not ask
    """
    from archgrad.follow import removal

    removed = removal.remove(runs, confirm=None if yes else _confirmed)
    console.give(removed=removed)


def _confirmed(question: str) -> bool:
    """What a person answers; whoever cannot be asked has to say ``--yes``."""
    if not sys.stdin.isatty() or console.reads_json():
        raise ArchgradError(f"rm: {question} Nobody can be asked here: say --yes")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def serve(directory: str = ".", *, host: str = "127.0.0.1", port: int = 8642, trainings: bool = False) -> None:
    """Show all runs below a directory on one local page that follows them.

    Args:
        directory: where runs are looked for
        host: the address to listen on; with another one than the default, others can see the runs
        port: the port to listen on; 0 takes a free one
        trainings: also list the trainings within searches
    """
    from archgrad.follow.serve import serve as serve_runs

    serve_runs(directory, host=host, port=port, trainings=trainings, say=console.say)
