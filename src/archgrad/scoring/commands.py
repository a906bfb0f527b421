"""Commands of the command line that have to do with proxies; every one calls one public function."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table as Rich

from archgrad import console, spaces, tables
from archgrad.errors import ArchgradError, require_whole
from archgrad.figures.files import save
from archgrad.genotype import Genotype
from archgrad.options import gathers, options_of, require_absent
from archgrad.proxies import library
from archgrad.runs import default_directory
from archgrad.scoring import scores as scoring
from archgrad.scoring import searching, strategies
from archgrad.scoring.correlation import Study, heat_map
from archgrad.scoring.correlation import correlate as study_of
from archgrad.tables import Table

ALIASES = {
    "nasbench201-robustness": ("nb201_robustness", "robustness"),
    "nasbench201-adversarial": ("nb201_robbench_advtrained", "nas_robbench_201"),
}
"""Names of the two robustness tables → the names that their files may have."""


WIDTH = 150
"""Characters of a line where there is no terminal."""


@gathers(settings=options_of(scoring.score, leaving_out=("architectures", "count", "out")))
def score(
    *,
    proxy: str = "croze,synflow,nwot",
    space: str = "nasbench201",
    sample: int = 200,
    data: str = "digits",
    out: str = "scores.parquet",
    settings: dict[str, Any],
    **fields: Any,
) -> None:
    """Score a random sample of a space by proxies and write a table.

    Args:
        proxy: proxies, separated by commas, or all
        space: a space (see `archgrad list spaces`)
        sample: how many different architectures
        data: a dataset (see `archgrad list datasets`), or the path of an image folder or of Parquet files
        out: file of the scores, Parquet or CSV; a Parquet file of the same settings is continued
        image_size: bring the images to this many pixels first
        unreadable: refuse images that cannot be read, or skip them
        batch_size: images that the proxies see
        seed: everything random follows from it
        unreached: networks have operations that reach no output, too, as those of published tables have
        progress: show a progress bar on terminals
    """
    table = scoring.score(spaces.get(space, **fields), proxy, data, count=sample, out=out, **settings)
    shown = Rich("Proxy", "least", "median", "most", "best architecture", box=None, header_style="bold", pad_edge=False)
    summary = {}
    for name, values in table.columns.items():
        best = table.text(int(np.argmax(np.nan_to_num(values, nan=-np.inf))))
        numbers = {"least": values.min(), "median": np.median(values), "most": values.max()}
        shown.add_row(name, *(f"{value:.4g}" for value in numbers.values()), best)
        summary[name] = {**numbers, "best": best}
    console.show(shown)
    console.say(f"{len(table):,} architectures: {out}")
    console.give(file=out, architectures=len(table), proxies=summary)


def correlate(
    *,
    proxies: str = "all",
    table: str = "nasbench201-robustness",
    sample: int | None = None,
    data: str | None = None,
    scores: str | None = None,
    dataset: str = "cifar10",
    out: str = "correlation",
    bootstrap: int = 500,
    batch_size: int | None = None,
    seed: int = 0,
    unreached: bool = False,
    progress: bool = True,
    **fields: Any,
) -> None:
    """Correlate the ranks that proxies give to cells with their measured accuracy and robustness.

    Args:
        proxies: proxies, separated by commas, or all; parameters and FLOPs are always among them
        table: nasbench201-robustness, nasbench201-adversarial, or the name or path of any table
        sample: how many architectures are scored, 500 by default
        data: the images that the proxies see, cifar10 by default
        scores: a file that `archgrad score` has written, instead of scoring
        dataset: the data set of the table: cifar10, cifar100 or in16
        out: directory of scores.parquet, correlation.csv and correlation.png
        bootstrap: samples for the 95 % intervals
        batch_size: images that the proxies see, 8 by default
        seed: everything random follows from it
        unreached: networks have operations that reach no output, too, as those of published tables have
        progress: show a progress bar on terminals
    """
    if scores is not None:
        why = "is for scoring, and --scores holds scores that are there"
        require_absent(why, sample=sample, data=data, batch_size=batch_size, unreached=unreached, **fields)
    require_whole("correlate", 1, bootstrap=bootstrap, **({} if sample is None else {"sample": sample}))
    measured = load_table(table)
    directory = Path(out)
    if scores is None:
        scored = scoring.score(
            replace(measured.space, **fields),
            proxies,
            data or "cifar10",
            architectures=_sample(measured, sample or 500, seed),
            batch_size=batch_size or 8,
            seed=seed,
            unreached=unreached,
            out=_made(directory) / "scores.parquet",
            progress=progress,
        )
        names = list(scored.columns)
    else:
        scored = tables.load(scores)
        names = list(scored.columns) if proxies == "all" else library.parse(proxies)
    study = study_of(scored, measured, dataset=dataset, proxies=names, bootstrap=bootstrap, seed=seed)
    file = study.write(_made(directory) / "correlation.csv")
    picture = save(heat_map(study), directory / "correlation.png")
    console.show(_shown(study), WIDTH)
    console.say(f"{study.cells:,} cells; all targets: {file}   figure: {picture}")
    console.give(cells=study.cells, file=file, figure=picture, targets=study.targets, proxies=study.proxies)
    console.give(spearman=study.spearman, kendall=study.kendall, given_size=study.partial)


@gathers(
    settings=options_of(
        searching.search, leaving_out=("strategy", "supernet", "out", "numbered", "resume", "callbacks")
    )
)
def search(
    *,
    method: str = "croze",
    space: str = "nasbench201",
    data: str = "digits",
    out: str | None = None,
    settings: dict[str, Any],
    **fields: Any,
) -> None:
    """Search an architecture by proxies, without any training, and write its run directory with a report.

    Args:
        method: PROXY or PROXY:STRATEGY, with strategies move, evolution, random; PROXY+PROXY:pareto for a front
        space: a space (see `archgrad list spaces`)
        data: a dataset (see `archgrad list datasets`), or the path of an image folder or of Parquet files
        out: run directory; `runs/SPACE-METHOD-DATA-SEED` by default, with a number behind it where another run is
            there; an interrupted run of the same settings is continued exactly
        budget: how many architectures are scored
        image_size: bring the images to this many pixels first
        batch_size: images that the proxies see
        seed: everything random follows from it
        max_parameters: architectures with more are not scored
        max_flops: architectures with more multiply-accumulates are not scored
        unreadable: refuse images that cannot be read, or skip them
        changed: refuse to continue a run with other data or another network, or accept them
        extend: the search has been there with a smaller budget, and goes on to this one
        progress: show a progress bar on terminals, and a line a minute elsewhere
        track: tell an experiment tracker of it: tensorboard, wandb (offline), mlflow or trackio
    """
    proxies, strategy = parse_method(method)
    directory = Path(out) if out else default_directory(space, method, data, settings["seed"])
    where = spaces.get(space, **fields)
    numbered = out is None and not settings["extend"]
    result = searching.search(where, proxies, data, strategy=strategy, out=directory, numbered=numbered, **settings)
    from archgrad import report

    assert result.directory is not None
    page = report.write(result.directory)
    trust = ":" in data and not data.startswith("folder:")
    report.tell(result.directory, page, trust=trust, front=len(result.front) if strategy == "pareto" else None)


def is_method(method: str) -> bool:
    """Whether a name of a method means a search by proxies."""
    return all(part in library.names() for part in method.partition(":")[0].split("+"))


def parse_method(method: str) -> tuple[list[str], str]:
    """The proxies and the strategy that ``nwot+croze:pareto`` names; ``move`` by default, ``pareto`` for several."""
    listed, _, strategy = method.partition(":")
    proxies = library.parse(listed.split("+"))
    strategy = strategy or ("pareto" if len(proxies) > 1 else "move")
    strategies.get(strategy)  # refuses unknown ones
    return proxies, strategy


def load_table(name: str) -> Table:
    """A table by its name, its path, or one of the two names of robustness tables."""
    for file in ALIASES.get(name, ()):
        if file in tables.available():
            return tables.load(file)
    if name in ALIASES:
        raise ArchgradError(
            f"no table {name!r}: {tables.directory()} has none of {', '.join(ALIASES[name])}; "
            "import the published files with archgrad table import, or set ARCHGRAD_DATA"
        )
    return tables.load(name)


def _sample(table: Table, count: int, seed: int) -> list[Genotype]:
    """Genotypes of the table, each network once."""
    rows = np.unique(table.class_rows)
    chosen = np.random.default_rng(seed).permutation(rows)[:count]
    return [table.genotype(int(row)) for row in chosen]


def _made(directory: Path) -> Path:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArchgradError(f"{directory}: cannot be made ({error.strerror})") from None
    return directory


def _shown(study: Study) -> Rich:
    """Spearman with its interval, τ, what is left given size, and the bands, for a few targets."""
    wanted = ("clean", "pgd_eps1", "pgd_eps8", "autoattack", "aa_apgd-ce_eps1", "aa_square_eps1", "corruptions")
    names = [name for name in wanted if name in study.targets] or study.targets[:4]
    bands = [f"≤ {high / 1e6:.2f} M ({count})" for (_, high), count in zip(study.edges, study.counts, strict=True)]
    shown = Rich("Target", "proxy", "Spearman", "95 %", "Kendall", "given size", "95 %", *bands, box=None)
    for target in names:
        j = study.targets.index(target)
        for i in np.argsort(-np.nan_to_num(study.spearman.value[:, j], nan=-2), kind="stable"):
            rho, tau, partial = study.spearman, study.kendall, study.partial
            shown.add_row(
                target,
                study.proxies[i],
                _number(rho.value[i, j]),
                f"{_number(rho.low[i, j])} to {_number(rho.high[i, j])}",
                _number(tau.value[i, j]),
                _number(partial.value[i, j]),
                f"{_number(partial.low[i, j])} to {_number(partial.high[i, j])}",
                *(_number(band[i, j]) for band in study.bands),
            )
            target = ""
    return shown


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.2f}"
