"""The commands ``archgrad bench …``."""

from __future__ import annotations

import shlex
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from archgrad import console
from archgrad.bench.protocol import collect, driver
from archgrad.bench.protocol import merge as merging
from archgrad.bench.protocol import plan as planning
from archgrad.bench.protocol import workers as pools
from archgrad.bench.protocol.campaign import Campaign
from archgrad.bench.statistics.results import Results
from archgrad.console import print_table
from archgrad.errors import ArchgradError, require_whole
from archgrad.figures.numbers import duration
from archgrad.foreign import code
from archgrad.options import require_absent

SHOWN = 20


def plan(file: str, *, probe: bool = True, device: str | None = None, trust: bool = False) -> None:
    """Count the units of a campaign and estimate the time and the storage that they take; nothing is computed.

    Args:
        file: the campaign's YAML file, or its directory
        probe: time a step of every benchmark on this machine
        device: cpu, cuda, cuda:1, mps; the best there is by default
        trust: import and run the code that the campaign names; without it such a campaign is only counted
    """
    if not probe:
        require_absent("is where a step is timed, which --probe false leaves out", device=device)
    with code.trusting(trust):
        _plan(Campaign.load(file), probe, device)


def _plan(campaign: Campaign, probe: bool, device: str | None) -> None:
    campaign.require_all()
    if probe and (strange := code.refused(campaign.code)):
        console.say(f"times are left out, for timing would import and run {', '.join(strange)}: see --trust")
        probe = False
    found = planning.plan(campaign, probe, device)
    total = found.searches + found.trainings
    console.say(f"{campaign.suite.about or campaign.suite.name}: {campaign.directory}")
    console.give(campaign=campaign.directory, units=total, probed=probe, total_hours=found.total, **asdict(found))
    console.say(
        f"{total:,} units: {found.searches:,} searches and {found.trainings:,} trainings "
        f"({len(campaign.methods)} methods × {len(campaign.benchmarks)} benchmarks × {len(campaign.seeds)} seeds, "
        f"{_scored(campaign)}); {found.done:,} are complete"
    )
    if probe:
        kind = "time of one GPU" if found.device.startswith("cuda") else f"time of one worker on {found.device}"
        print_table(["Benchmark", kind], [[name, _time(hours)] for name, hours in found.hours.items()])
        methods = ", ".join(f"{name} {_time(hours)}" for name, hours in found.by_method.items())
        console.say(f"searches by method: {methods or 'none is left'}; all trainings: {_time(found.training_hours)}")
        console.say(f"about {_time(found.total)} in all; the largest search step takes {_size(found.largest_step)}")
    console.say(
        f"storage: {_size(found.storage)} at the end (keep: {campaign.keep}), {_size(found.working)} per running unit"
    )


def run(
    file: str,
    *,
    executor: str = "local",
    workers: int | None = None,
    threads: int | None = None,
    gpus: int | None = None,
    address: str | None = None,
    device: str | None = None,
    retry: bool = True,
    progress: bool = True,
    trust: bool = False,
) -> None:
    """Compute what is missing of a campaign; the same command, here or on another machine, goes on where it stopped.

    Args:
        file: the campaign's YAML file, or its directory
        executor: local (processes of this machine) or ray (a cluster)
        workers: units computed at once; as many as there are accelerators, or processors, by default
        threads: processor threads of a unit; an even share of the machine by default
        gpus: accelerators of a unit, which it needs `processes` in the campaign's file to use
        address: a Ray cluster (auto, host:port); without one, ray starts a cluster of this machine alone
        device: cpu, cuda, mps; the best there is by default
        retry: try units again that failed before
        progress: show a progress bar on terminals, and a line a minute elsewhere
        trust: import and run the code that the campaign names
    """
    options: dict[str, Any] = {"workers": workers, "threads": threads, "gpus": gpus}
    if address is not None:
        if executor != "ray":
            raise ArchgradError("bench run: --address belongs to --executor ray")
        options["address"] = address
    with code.trusting(trust):
        campaign = Campaign.load(file)
        campaign.require_trusted()
        campaign.require_all()
        campaign.suite.data.search()  # a download is for one process, and missing data is one line
        tally = _computed(campaign, executor, options, device, retry, progress)
    complete = [record for record in campaign.store.records().values() if "problem" not in record]
    if any(record.get("setting") or campaign.suite.table is not None for record in complete):
        collect.write_results(campaign)
    same = f", {tally.shared:,} more trainings are shared by searches that found the same" if tally.shared else ""
    console.say(f"{tally.computed:,} units computed{same}; archgrad bench report {shlex.quote(file)}")
    console.give(campaign=campaign.directory, **asdict(tally))
    if tally.problems:
        blocked = f", and {tally.blocked:,} wait for them" if tally.blocked else ""
        raise ArchgradError(
            f"{len(tally.problems):,} units failed{blocked}: archgrad bench status {file} lists them; "
            "the same command tries them again"
        )


def _computed(
    campaign: Campaign, executor: str, options: dict[str, Any], device: str | None, retry: bool, progress: bool
) -> driver.Tally:
    with pools.get(executor, **options) as chosen:
        campaign.save()
        return driver.run(campaign, chosen, device=device, retry=retry, progress=progress)


def status(file: str) -> None:
    """Show how far a campaign is: complete units by method and benchmark, what runs, what failed.

    Args:
        file: the campaign's YAML file, or its directory
    """
    campaign = Campaign.load(file)
    found = collect.status(campaign)
    rows = [
        [method, *("{}/{}".format(*found.cells[method, benchmark]) for benchmark in campaign.benchmarks)]
        for method in campaign.methods
    ]
    print_table(["", *campaign.benchmarks], rows)
    done = sum(found.done.values())
    counts = [(found.done[kind], found.planned[kind], name) for kind, name in _KINDS.items()]
    kinds = ", ".join(f"{complete:,}/{planned:,} {name}" for complete, planned, name in counts if planned)
    console.say(
        f"{done:,} of {found.total:,} units complete ({kinds}); {len(found.running):,} running, "
        f"{len(found.problems):,} failed; {duration(found.seconds)} computed"
    )
    units = [{"method": m, "benchmark": b, "done": d, "planned": p} for (m, b), (d, p) in found.cells.items()]
    console.give(campaign=campaign.directory, done=found.done, planned=found.planned, cells=units)
    console.give(running=found.running, problems=found.problems, seconds=found.seconds)
    for unit, problem in list(found.problems.items())[:SHOWN]:
        console.say(f"{unit}: {_printable(problem)}")
    if len(found.problems) > SHOWN:
        console.say(f"… and {len(found.problems) - SHOWN:,} more failed units")


_KINDS = {"search": "searches", "train": "trainings"}


def extend(
    file: str,
    *,
    methods: str | list[str] | None = None,
    benchmarks: str | list[str] | None = None,
    seeds: int = 0,
    settings: str | int | list[str | int] | None = None,
) -> None:
    """Add methods, benchmarks, seeds or settings to a campaign; what has been computed stays and counts.

    A method with settings of its own is added in the campaign's YAML file instead, and `bench run` takes it from there.

    Args:
        file: the campaign's YAML file, or its directory
        methods: a method, or several as [gdas, drnas]
        benchmarks: benchmarks of its suite
        seeds: how many seeds more
        settings: training settings of its suite, as 3 or [1, 2]
    """
    campaign = Campaign.load(file)
    if seeds < 0:
        raise ArchgradError(f"bench extend: seeds must be 0 or more, got {seeds}")
    if not (methods or benchmarks or seeds or settings):
        raise ArchgradError("bench extend: say what is added: --methods, --benchmarks, --seeds or --settings")
    larger = campaign.with_more(_listed(methods), _listed(benchmarks), seeds, _listed(settings))
    larger.require_all()
    larger.save()
    more, command = len(larger) - len(campaign), f"archgrad bench run {shlex.quote(str(larger.directory))}"
    console.say(f"{more:,} units more, {len(larger):,} in all; {command}")
    console.give(campaign=larger.directory, more=more, units=len(larger), next=[command])


def merge(file: str, sources: str | list[str]) -> None:
    """Bring together what several machines have computed of a campaign; merging again changes nothing.

    Args:
        file: the campaign's YAML file, or its directory: where everything comes together
        sources: the directory of another machine, or several as [part1, part2]
    """
    campaign = Campaign.load(file)
    problems: dict[str, str] = {}
    told = {}
    for source in _listed(sources):
        found = merging.merge(campaign, source)
        campaign = Campaign.open(campaign.directory)
        told[source] = found
        console.give(campaign=campaign.directory, sources=told)
        console.say(f"{source}: {found.added:,} units added, {found.unfinished:,} unfinished ones to go on with")
        if found.passed_over:
            console.LOGGER.warning(f"{source}: {found.passed_over:,} lines are no records of units")
        if found.differing:
            console.say(
                f"{source}: {len(found.differing):,} units differ from those here, which stay: {found.differing[0]}"
                + (", …" if len(found.differing) > 1 else "")
            )
        problems |= found.problems
    for unit, problem in list(problems.items())[:SHOWN]:
        console.LOGGER.warning(f"{unit}: {_printable(problem)}")
    if problems:
        raise ArchgradError(f"{len(problems):,} units could not be copied; the same command tries them again")


def _listed(given: Any) -> list[str]:
    """What a list option was given: nothing, one, or several."""
    return [str(item) for item in (given if isinstance(given, list) else [] if given is None else [given])]


def _printable(text: str) -> str:
    """A text that others have written, without what a terminal would obey."""
    return "".join(character if character.isprintable() else " " for character in text)


def _scored(campaign: Campaign) -> str:
    scores = campaign.suite.table
    if scores is None:
        return f"{len(campaign.settings)} training settings"
    return f"{len(scores.values)} scores of each from the table {scores.table.name}"


def _time(hours: float) -> str:
    return duration(3600 * hours)


def _size(count: int) -> str:
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:,.3g} {unit}"
        value /= 1000
    return f"{value:,.3g} TB"


def report(
    campaign: str | None = None,
    *,
    from_: str | None = None,
    out: str | None = None,
    alpha: float = 0.05,
    resamples: int = 2000,
    seed: int = 0,
) -> None:
    """Write the statistical report of a campaign, or of results from a file, and print its path.

    Args:
        campaign: the campaign's YAML file or directory
        from_: instead of a campaign, a Parquet or CSV file of results, or the CSV file of the published runs
        out: the HTML file, or a directory for it; by default in the campaign's directory, or named after the file
        alpha: level of the tests; intervals are of 1 − alpha
        resamples: of the bootstrap
        seed: of the bootstrap
    """
    from archgrad.bench.report.page import write  # with statistics and figures, which the other commands do without

    if (campaign is None) == (from_ is None):
        raise ArchgradError("bench report: give either a campaign, or --from with a .parquet or .csv file of results")
    if campaign is not None:
        results, directory = reported(campaign)
        target = Path(out) if out else directory / "report.html"
    else:
        results = Results.load(str(from_))
        target = Path(out) if out else Path(f"{Path(str(from_)).stem}-report.html")
    require_whole("bench report", 1, resamples=resamples)
    page, tables = write(results, target, alpha=alpha, resamples=resamples, seed=seed)
    console.say(f"report: {page}")
    console.say(f"tables: {tables[0].parent} ({len(tables)} files, CSV and LaTeX)")
    console.give(report=page, tables=tables)


def reported(file: str) -> tuple[Results, Path]:
    """The results that a report shows, of a campaign or from a results file, and the directory that they are of."""
    path = Path(file)
    if path.suffix in (".csv", ".parquet"):
        return Results.load(path), path.parent
    campaign = Campaign.load(path)
    found = collect.scored(campaign)
    with suppress(ArchgradError):  # a campaign that cannot be written can be read nevertheless
        found.save(campaign.directory / collect.RESULTS)
    return found, campaign.directory


COMMANDS = {"plan": plan, "run": run, "status": status, "extend": extend, "merge": merge, "report": report}
