"""The command line: every command calls one public function."""

from __future__ import annotations

import argparse
import importlib
import inspect
import os
import re
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NoReturn

import jsonargparse
import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from torch import nn

import archgrad
from archgrad import comparison, complaints, discretise, evaluation, gradient, methods, spaces
from archgrad import data as datasets
from archgrad import modifiers as modifiers_
from archgrad import regularisers as regularisation
from archgrad import relaxation as relaxations
from archgrad import schedules as schedules_
from archgrad.errors import ArchgradError, unknown
from archgrad.genotype import Genotype
from archgrad.randomness import isolated
from archgrad.roles import (
    ArchitectureGradient,
    Discretisation,
    Modifier,
    Regulariser,
    Relaxation,
    Schedule,
    WeightGradient,
)
from archgrad.runs import Run, default_directory
from archgrad.space_options import with_fields
from archgrad.step_cost import step_cost

SECTIONS = ("spaces", "methods", "components", "datasets")
COMPONENTS = (relaxations, gradient, modifiers_, regularisation, schedules_, discretise)
"""The packages whose public classes are the library's components."""


def search(
    space: str = "nasbench201",
    method: str = "darts",
    data: str = "digits",
    out: str | None = None,
    image_size: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    alpha_lr: float | Literal["auto"] | None = None,
    weight_lr: float | None = None,
    flat_minima: float | None = None,
    order: str | None = None,
    train_fraction: float = 0.5,
    executor: str = "auto",
    relaxation: Relaxation | None = None,
    architecture_gradient: ArchitectureGradient | None = None,
    weight_gradient: WeightGradient | None = None,
    modifiers: list[Modifier] | None = None,
    regularisers: list[Regulariser] | None = None,
    schedules: list[Schedule] | None = None,
    discretisation: Discretisation | None = None,
    device: str | None = None,
    mixed_precision: str = "no",
    diagnose: int = 5,
    progress: bool = True,
    **fields: Any,
) -> None:
    """Search an architecture and write its run directory with a report.

    Args:
        space: a space (see `archgrad list spaces`), or `package.module:function` that returns a network with choices
        method: a method (see `archgrad list methods`); or a proxy such as croze, which has options of its own: see
            `archgrad search --method croze --help`
        data: a dataset (see `archgrad list datasets`), or the path of an image folder or of Parquet files
        out: run directory; `runs/SPACE-METHOD-DATA-SEED` by default; an interrupted run there is continued exactly
        image_size: bring the images to this many pixels first
        epochs: epochs of the search; the method's published number by default
        batch_size: images per batch and process; the method's by default
        seed: everything random follows from it
        alpha_lr: learning rate of alphas; the method's by default; auto lets alphas of a short search travel as far
            as in the published one
        weight_lr: first learning rate of the weights; the method's by default
        flat_minima: make any method seek flat minima (A²M), with an ascent step of this length
        order: alphas-first or weights-first; the method's by default
        train_fraction: share of the training set that trains weights; the rest trains alphas
        executor: how cells are computed; auto chooses by device
        relaxation: instead of the method's
        architecture_gradient: instead of the method's
        weight_gradient: instead of the method's
        modifiers: instead of the method's
        regularisers: instead of the method's
        schedules: instead of the method's
        discretisation: instead of the method's
        device: cpu, cuda, cuda:1, mps; the best there is by default
        mixed_precision: no or bf16
        diagnose: every how many epochs signs of collapse are looked for; 0 never
        progress: show a progress bar on terminals
    """
    network = _network(space, seed) if ":" in space else spaces.get(space, **fields)
    changes: dict[str, Any] = {
        "relaxation": relaxation,
        "architecture_gradient": architecture_gradient,
        "weight_gradient": weight_gradient,
        "modifiers": None if modifiers is None else tuple(modifiers),
        "regularisers": None if regularisers is None else tuple(regularisers),
        "schedules": None if schedules is None else tuple(schedules),
        "discretisation": discretisation,
        "order": order,
    }
    if method not in methods.names():
        from archgrad.proxies import library

        raise unknown("method", method, [*methods.names(), *library.names()])
    chosen = methods.get(method, space)
    chosen = replace(chosen, **{role: value for role, value in changes.items() if value is not None})
    if alpha_lr is not None:
        chosen = replace(chosen, alpha_optimiser=replace(chosen.alpha_optimiser, lr=alpha_lr))
    if weight_lr is not None:
        chosen = replace(chosen, weight_optimiser=replace(chosen.weight_optimiser, lr=weight_lr))
    if flat_minima is not None:
        chosen = methods.a2m(space, chosen, flat_minima)
    directory = Path(out) if out else default_directory(space, method, data, seed)
    result = archgrad.search(
        network,
        chosen,
        data,
        image_size=image_size,
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        train_fraction=train_fraction,
        executor=executor,
        out=directory,
        device=device,
        mixed_precision=mixed_precision,
        diagnose=diagnose,
        progress=progress,
    )
    if _main_process():
        from archgrad import report

        page = report.write(directory)
        print(result.genotype)
        print(f"run: {directory}   report: {page}")
        if result.undecided:
            print(result.undecided)


def train(
    run: str | None = None,
    genotype: str | None = None,
    space: str = "nasbench201",
    data: str | None = None,
    random: int = 0,
    recipe: str = "quick",
    epochs: int | None = None,
    batch_size: int | None = None,
    validation: float = 0.0,
    seed: int = 0,
    out: str | None = None,
    device: str | None = None,
    mixed_precision: str = "no",
    progress: bool = True,
    **fields: Any,
) -> None:
    """Train what a search found, or a genotype, from scratch; with random genotypes beside it for comparison.

    Args:
        run: run directory of a search; results go to RUN/train/
        genotype: a genotype in the space's notation, instead of a run
        space: the space of the genotype; that of the run, with the fields that the search was given
        data: a dataset; that of the search by default
        random: how many random genotypes are trained alike
        recipe: darts, nasbench201, quick or adversarial
        epochs: instead of the recipe's
        batch_size: instead of the recipe's
        validation: share of the training set held out to choose the best epoch; 0 takes the last epoch
        seed: everything random follows from it
        out: run directory of a genotype's training
        device: cpu, cuda, cuda:1, mps; the best there is by default
        mixed_precision: no or bf16
        progress: show a progress bar on terminals
    """
    shared: dict[str, Any] = {
        "recipe": recipe,
        "epochs": epochs,
        "batch_size": batch_size,
        "validation": validation,
        "seed": seed,
        "device": device,
        "mixed_precision": mixed_precision,
        "progress": progress,
    }
    if (run is None) == (genotype is None):
        raise ArchgradError("train: give either the run directory of a search, or --genotype with its --space")
    if genotype is not None:
        result = comparison.train_genotype(spaces.get(space, **fields), genotype, data or "digits", out=out, **shared)
        if _main_process():
            print(f"test accuracy {result.test.accuracy:.2%}, {result.parameters:,} parameters")
        return
    assert run is not None
    found, *others = comparison.train_found(run, random=random, data=data, fields=fields, **shared)
    if not _main_process():
        return
    print(f"found: test accuracy {found.test.accuracy:.2%}, {found.parameters:,} parameters")
    if others:
        accuracies = torch.tensor([other.test.accuracy for other in others], dtype=torch.float64)
        better = int((accuracies > found.test.accuracy).sum())
        spread = f" ± {accuracies.std():.2%}" if len(others) > 1 else ""
        print(
            f"{len(others)} random genotype{'s' if len(others) > 1 else ''}: {accuracies.mean():.2%}{spread}, "
            f"best {accuracies.max():.2%}; {better} better than the found one"
        )
    from archgrad import report as reports

    print(f"report: {reports.write(run)}")


def evaluate(run: str, data: str | None = None, split: str = "test", device: str | None = None) -> None:
    """Evaluate a trained network.

    Args:
        run: run directory of a training, or of a search whose found network has been trained
        data: a dataset; that of the training by default
        split: test or train
        device: cpu, cuda, cuda:1, mps; the best there is by default
    """
    network = comparison.load(run)
    found = evaluation.evaluate(network, comparison.dataset_of(run) if data is None else data, split, device=device)
    if _main_process():
        print(f"{split}: {found}, {found.count:,} inputs")


def report(run: str) -> None:
    """Write the report of a run and print its path.

    Args:
        run: run directory of a search
    """
    from archgrad import report as reports

    print(reports.write(run))


def list_(section: str | None = None) -> None:
    """List spaces, methods, components and datasets.

    Args:
        section: one of them; all by default
    """
    if section is not None and section not in SECTIONS:
        raise unknown("section", section, SECTIONS)
    console = Console()
    for name in [section] if section else SECTIONS:
        table = Table(name.capitalize(), "", title_justify="left", box=None, header_style="bold", pad_edge=False)
        for entry, text in _entries(name):
            table.add_row(entry, escape(text))
        console.print(table)
        console.print()


def _entries(section: str) -> list[tuple[str, str]]:
    if section == "spaces":
        return [(name, f"{_first_line(made)} {_count(spaces.get(name).count)}") for name, made in spaces.SPACES.items()]
    if section == "methods":
        return [(name, _about_method(name)) for name in methods.names()]
    if section == "datasets":
        paths = "an image folder, or a directory of train-*.parquet and test-*.parquet files"
        return [*datasets.NAMES.items(), ("PATH", paths)]
    return [(f"{m.__name__}.{name}", _first_line(getattr(m, name))) for m in COMPONENTS for name in m.__all__]


def _count(genotypes: int) -> str:
    """How many, exactly as long as a person can read it."""
    return f"{genotypes:,} genotypes." if genotypes < 10**7 else f"{genotypes:.3e} genotypes."


def _about_method(name: str) -> str:
    try:
        return _first_line(methods.function(name))
    except ArchgradError as error:  # a broken plug-in must not hide the other methods
        return str(error)


def show(
    genotype: str | None = None,
    space: str = "nasbench201",
    cost: bool = False,
    batch_size: int = 16,
    **fields: Any,
) -> None:
    """Show a genotype: its decisions, notation, parameters and FLOPs; or what a search step costs.

    Args:
        genotype: in the space's notation or JSON, or a run directory of a search
        space: the space of the genotype; that of the run, with the fields that the search was given
        cost: also measure the time and peak memory of a search step in the space's supernet
        batch_size: images of that step
    """
    if genotype is None and not cost:
        raise ArchgradError("show: give a genotype or a run directory, or --cost for what a search step takes")
    if genotype is not None and Path(genotype).is_dir():
        run = Run.open(genotype)
        if "space" not in run.config:
            raise ArchgradError(f"{genotype} is not the run of a search")
        found, space = run.read_json("genotype.json"), run.config["space"]
        if space not in spaces.SPACES:  # a user's own network: it has no notation and no formula of its cost
            print(Genotype.from_dict(found))
            return
        genotype, where = str(found["text"]), spaces.recorded(run.config, **fields)
    else:
        where = spaces.get(space, **fields)
    if genotype is not None:
        parsed = where.parse(genotype)
        settled, size = where.cost(parsed, unreached=False), where.network_size
        print(parsed)
        print(where.format(parsed))
        print(
            f"{settled.parameters:,} parameters, {settled.flops / 1e6:,.2f} M FLOPs per 32×32 image "
            f"(channels {size.channels}, cells {size.cells})"
        )
    if cost:
        step, size = step_cost(where, batch_size=batch_size), where.supernet_size
        print(
            f"search step of {space}, batch {batch_size}, 32×32 images "
            f"(channels {size.channels}, cells {size.cells}): {step.seconds:.2f} s, "
            f"peak memory {step.peak / 2**20:,.0f} MiB beside {step.weights / 2**20:,.1f} MiB of weights"
        )


@dataclass(frozen=True)
class Elsewhere:
    """A command, or several by name, in a module that is imported only when one of them is asked for."""

    place: str
    """``module:name``."""
    help: str

    def load(self) -> Any:
        """The function, or the commands by name."""
        module, _, name = self.place.partition(":")
        return getattr(importlib.import_module(module), name)


COMMANDS: dict[str, Callable[..., Any] | Elsewhere] = {
    "search": search,
    "train": train,
    "evaluate": evaluate,
    "report": report,
    "list": list_,
    "show": show,
    "score": Elsewhere("archgrad.scoring.commands:score", "Score untrained networks of a space by proxies."),
    "correlate": Elsewhere("archgrad.scoring.commands:correlate", "Compare proxies with the accuracies in a table."),
    "robustness": Elsewhere("archgrad.robustness.commands:robustness", "Attack a trained network, corrupt its images."),
    "bench": Elsewhere("archgrad.bench.commands:COMMANDS", "Compare methods fairly: campaigns and their reports."),
    "table": Elsewhere("archgrad.tables.commands:COMMANDS", "Import tabular benchmarks, and look architectures up."),
    "landscape": Elsewhere("archgrad.landscape.commands:COMMANDS", "Look at the geometry of a space in a table."),
}


def main(arguments: list[str] | None = None) -> None:
    """Run a command; a mistake is one line on standard error and exit code 2."""
    arguments = sys.argv[1:] if arguments is None else arguments
    command, function = "", None
    if os.getcwd() not in sys.path:  # where a user's own components and networks lie
        sys.path.insert(0, os.getcwd())
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            if arguments == ["--version"]:
                print(archgrad.__version__)
                return
            path, commands, rest = _descend(arguments)
            name = rest[0] if rest and not rest[0].startswith("-") else None
            if name is not None:
                command = " ".join([*path, name])
                function = _by_proxies(rest) if command == "search" else commands[name]
                function = commands[name] = with_fields(function, _as_typed(rest, command, function))
            jsonargparse.auto_cli(
                _shown(commands if name is None else {name: commands[name]}),
                args=_as_typed(rest, command, function),
                as_positional=True,
                exit_on_error=False,
                prog=" ".join(["archgrad", *path]),
                description="Gradient-based neural architecture search.",
            )
    except ArchgradError as error:
        _fail(str(error))
    except (argparse.ArgumentError, jsonargparse.ArgumentError) as error:
        _fail(complaints.readable(str(error), command, function, COMPONENTS))
    except ValueError as error:
        if "Does not validate" not in str(error):
            raise
        # A component that refuses its settings: jsonargparse makes components outside its own error handling.
        _fail(complaints.readable(str(error), command, function, COMPONENTS))
    except KeyboardInterrupt:
        print("archgrad: interrupted; the same command continues the run", file=sys.stderr)
        sys.exit(130)
    finally:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _by_proxies(arguments: list[str]) -> Callable[..., None]:
    """The search that is meant: that of a method, or that by proxies, which trains nothing and has its own options."""
    for argument, after in zip(arguments, [*arguments[1:], ""], strict=True):
        name = after if argument == "--method" else argument.removeprefix("--method=")
        if name != argument and name not in methods.names():
            from archgrad.scoring import commands

            return commands.search if commands.is_method(name) else search
    return search


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
        entry = commands[name]
        entry = entry.load() if isinstance(entry, Elsewhere) else entry
        if not isinstance(entry, Mapping):
            return path, {**commands, name: entry}, arguments
        path, commands, arguments = [*path, name], dict(entry), arguments[1:]


def _shown(commands: Mapping[str, Any]) -> dict[str, Any]:
    """Commands as jsonargparse takes them; those elsewhere are not imported for a line of help."""
    return {name: _line_of_help(entry) if isinstance(entry, Elsewhere) else entry for name, entry in commands.items()}


def _line_of_help(entry: Elsewhere) -> Callable[[], None]:
    def nothing() -> None: ...

    nothing.__doc__ = entry.help
    return nothing


OPTIONAL_FIRST = {
    "train": ("run",),
    "list": ("section",),
    "show": ("genotype",),
    "bench report": ("campaign",),
    "landscape neighbourhood": ("architecture",),
    "landscape path": ("a", "b"),
}
"""What may stand first, without its name, although it can be left out."""


def _as_typed(arguments: list[str], command: str, function: Callable[..., Any] | None) -> list[str]:
    """What a person types, in the form that the parser knows: ``train RUN``, and switches such as ``--cost``."""
    if function is None:
        return arguments
    name, *given = (re.sub("^--from(?==|$)", "--from_", argument) for argument in arguments)  # a word of Python's own
    named = []
    for option in OPTIONAL_FIRST.get(command, ()):
        if not given or given[0].startswith("-"):
            break
        named += [f"--{option}", given.pop(0)]
    parameters = inspect.signature(function).parameters.items()
    switches = {f"--{option}" for option, parameter in parameters if parameter.annotation in ("bool", bool)}
    followed = [*given[1:], "-"]
    typed = [
        f"{argument}=true" if argument in switches and after.startswith("-") else argument
        for argument, after in zip(given, followed, strict=False)
    ]
    return [name, *named, *typed]


def _fail(message: str) -> NoReturn:
    if _speaks():
        print(f"archgrad: {message}", file=sys.stderr)
    sys.exit(2)


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    """Ours as one line; those of libraries are for their developers."""
    if issubclass(category, archgrad.ArchgradWarning) and _speaks():
        print(f"archgrad: {message}", file=sys.stderr)


def _main_process() -> bool:
    return os.environ.get("RANK", "0") == "0"


def _speaks() -> bool:
    """Whether this process reports problems: one per machine, since what is missing may be missing on one of them."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def _first_line(thing: Any) -> str:
    return (getattr(thing, "__doc__", None) or "").strip().split("\n\n")[0].replace("\n    ", " ").replace("``", "`")


def _network(path: str, seed: int) -> nn.Module:
    """The network of ``package.module:function``, with weights that follow from the seed."""
    module, _, name = path.partition(":")
    try:
        imported = importlib.import_module(module)
    except ImportError as error:
        raise ArchgradError(f"space {path!r}: {error}") from None
    if not hasattr(imported, name):
        raise unknown(f"function of {module}", name, [n for n, made in vars(imported).items() if callable(made)])
    made = getattr(imported, name)
    if callable(made) and not isinstance(made, nn.Module):
        with isolated(seed, "weights"):
            made = made()
    if not isinstance(made, nn.Module):
        raise ArchgradError(f"space {path!r}: expected a function that returns a torch.nn.Module, got {made!r}")
    return made
