"""What the terminal says at the end of a search: what was found, how good and how sure that is, and what comes next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from archgrad import console, spaces
from archgrad.figures.numbers import count, duration
from archgrad.genotype import Genotype
from archgrad.report.comparison import ordinal
from archgrad.report.measure import Measure
from archgrad.report.tabular import known_accuracy
from archgrad.rundir import GENOTYPE, RESULT
from archgrad.runs import Run
from archgrad.tasks import Reading


@dataclass(frozen=True)
class Ending:
    """A finished search, read from its run directory.

    ``own``: how a network of the user's own was named, ``--space`` of further commands. ``trust``: whether they need
    ``--trust``, since a function of the user's gives the data.
    """

    run: Run
    own: str | None = None
    trust: bool = False

    def lines(self) -> list[str]:
        """For people, a line each."""
        result = self._result
        stopped = f"the search stopped early: {result['stopped']}" if result.get("stopped") else None
        parts = [self._known(), _margin(result), _cost(result), result.get("undecided"), stopped]
        return [*self.genotype().splitlines(), *filter(None, parts)]

    def record(self) -> dict[str, Any]:
        """For programs."""
        return {
            "run": self.run.directory,
            **{name: value for name, value in self._result.items() if name != "groups"},
            "choices": self._found.get("choices"),
            "known": known_accuracy(self._text(), self.run.config) if self._of_space() else None,
            "next": self.commands(),
        }

    def genotype(self) -> str:
        """The decisions with their edges, and the notation of the space."""
        genotype = Genotype.from_dict(self._found)
        told = genotype.told(self._edges())
        return f"{told}\n{self._text()}" if self._of_space() else told

    def commands(self) -> list[str]:
        """What can be done next with this run, as it is typed."""
        run = shlex.quote(str(self.run.directory))
        own = f" --space {shlex.quote(self.own)}" if self.own else ""
        trust = " --trust" if self.trust else ""
        return [
            f"archgrad train {run} --random 10{own}{trust}",
            f"archgrad predict {run} FILES{own}",
            f"archgrad export {run}{own}",
        ]

    def next_lines(self) -> list[str]:
        """The same for people."""
        why = ("train it, and ten random ones beside it", "then let it answer", "or write it for other programs")
        commands = self.commands()
        width = max(map(len, commands))
        return ["next:", *(f"  {command:{width}}  # {reason}" for command, reason in zip(commands, why, strict=True))]

    @cached_property
    def _result(self) -> dict[str, Any]:
        found: dict[str, Any] = self.run.read_json(RESULT)
        return found

    @cached_property
    def _found(self) -> dict[str, Any]:
        found: dict[str, Any] = self.run.read_json(GENOTYPE)
        return found

    def _of_space(self) -> bool:
        return self.run.config.get("space") in spaces.SPACES

    def _text(self) -> str:
        return str(self._found.get("text", ""))

    def _edges(self) -> Mapping[str, Sequence[tuple[int, int]]]:
        groups = self._result.get("groups")
        if groups is None:  # of a search by proxies
            found = spaces.recorded(self.run.config).edges
            return {name: [(edge.source, edge.target) for edge in edges] for name, edges in found.items()}
        return {name: [(int(s), int(t)) for s, t in group["edges"]] for name, group in groups.items()}

    def _known(self) -> str | None:
        """How good it is, as far as that is known before it has been trained."""
        parts = []
        reading = Reading.of(self.run.config.get("task"))
        measure = Measure(reading, reading.primary)
        history = self.run.history()
        value = history[-1].get(f"evaluation_{measure.name}") if history else None
        if isinstance(value, int | float):
            parts.append(f"{measure.label} of the supernet {measure.written(value)} on the validation part")
        known = known_accuracy(self._text(), self.run.config) if self._of_space() else None
        if known:
            place = f"{ordinal(known['rank'])} of {known['of']:,}"
            parts.append(f"{known['metric']} {known['value']:.2f} % in the table {known['table']}, {place}")
        return "; ".join(parts) or None


def _margin(result: Mapping[str, Any]) -> str | None:
    """How far the winner is ahead of the runner-up."""
    if (scores := result.get("scores")) and "scored" in result:
        shown = ", ".join(f"{name} {value:.5g}" for name, value in scores.items() if value is not None)
        ahead = result.get("ahead")
        margin = "" if ahead is None else f", {ahead:.3g} ahead of the runner-up"
        return f"{shown}: best of {result['scored']:,} scored{margin}"
    if not (decision := result.get("decision")):
        return None
    return (
        f"ahead of the runner-up by {decision['margin']:.3g} in weight on half of the {decision['edges']} edges, "
        f"by {decision['smallest_margin']:.2g} where it is closest (uniform weights are {decision['uniform']:.3g})"
    )


def _cost(result: Mapping[str, Any]) -> str:
    """Parameters, FLOPs and latency of what was found, and the time of the search."""
    parts = [f"{result['parameters']:,} parameters"]
    if result.get("flops") is not None:
        parts.append(f"{count(result['flops'])} FLOPs per input")
    if result.get("latency_ms") is not None:
        parts.append(f"{result['latency_ms']:.3g} ms per input on {result.get('device', 'this machine')}")
    return f"{', '.join(parts)}, at the size of the search; searched in {duration(result.get('seconds'))}"


def tell(
    directory: Path | str, page: Path | str, own: str | None = None, trust: bool = False, front: int | None = None
) -> None:
    """Say what a search found, for people or as data; ``page``: its report; ``front``: architectures on its front."""
    ending = Ending(Run.open(directory), own, trust)
    if console.reads_json():
        console.give(**ending.record(), report=page, **({} if front is None else {"front": front}))
        return
    console.say(*ending.lines(), *([] if front is None else [f"{front:,} on the Pareto front"]))
    console.say(f"run: {directory}   report: {page}", *ending.next_lines())
