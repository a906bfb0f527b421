"""The command ``archgrad report``."""

from __future__ import annotations

from archgrad import console


def report(run: str) -> None:
    """Write the report of a run and print its path.

    Args:
        run: run directory of a search
    """
    from archgrad import report as reports

    page = reports.write(run)
    console.say(page)
    console.give(run=run, report=page)
