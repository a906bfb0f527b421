"""The search loop: the bilevel steps written out, kills and processes that leave no trace, and any network at all."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from archgrad import (
    ArchgradError,
    ArchgradWarning,
    Choice,
    InputChoice,
    Method,
    Mixture,
    Supernet,
    data,
    methods,
    spaces,
)
from archgrad import search as run_search
from archgrad.cli import main
from archgrad.context import Context
from archgrad.data import Batches, split
from archgrad.discretise import BestOfRandom
from archgrad.genotype import Genotype
from archgrad.gradient import FirstOrder, Plain
from archgrad.method import WeightOptimiser
from archgrad.randomness import derive, isolated, seed_torch
from archgrad.roles import ArchitectureGradient, Discretisation, Relaxation, Schedule, Score
from archgrad.runs import Run
from archgrad.schedules import ProgressiveDepth, WarmUp
from archgrad.search import Search, SearchResult
from archgrad.state import State

HERE = Path(__file__).parent


def points(shape: tuple[int, ...] = (4,), count: int = 48) -> data.Dataset:
    """Two classes of random inputs of any shape, apart by their mean."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(count) % 2
    x = torch.randn(count, *shape, generator=generator) + y.view(-1, *[1] * len(shape))
    return data.from_tensors(x, y, x[:8], y[:8], name="points")


def small(seed: int = 0) -> nn.Module:
    with isolated(seed, "weights"):
        return nn.Sequential(
            nn.Linear(4, 6),
            Choice({"linear": nn.Linear(6, 6), "tanh": nn.Tanh(), "skip": nn.Identity()}, group="body"),
            nn.Linear(6, 2),
        )


def noisy() -> nn.Module:
    """With dropout and batch statistics."""
    return nn.Sequential(nn.Dropout(0.4), nn.BatchNorm1d(4), *small())


DARTS = replace(methods.darts(), epochs=3, batch_size=8)
DEEPER = replace(DARTS, schedules=(ProgressiveDepth(cells=(2,), operations=(2,)),))


def find(network: Any = None, method: str | Method = DARTS, dataset: Any = None, **options: Any) -> SearchResult:
    """A search with small settings."""
    network = small() if network is None else network
    dataset = points() if dataset is None else dataset
    return run_search(network, method, dataset, **{"device": "cpu", "progress": False, **options})


# The way of the data


@pytest.mark.parametrize("order", ["alphas-first", "weights-first"])
def test_a_search_is_the_alternating_steps_written_out(order: str):
    optimiser = WeightOptimiser(lr=0.3, lr_min=0.1, momentum=0.9, weight_decay=0.01, nesterov=True, clip=0.5)
    method = replace(DARTS, order=order, weight_optimiser=optimiser)
    network, dataset = small(), points()
    result = find(network, method, dataset, seed=4, train_fraction=0.6)

    twin = Supernet(small(), seed=4)
    alpha = twin.alphas["body"]
    first, second = split(dataset.train, 0.6, derive(4, "split"))
    settings: dict[str, Any] = {"shuffle": True, "drop_last": True}
    weight_batches = Batches(first, 8, seed=derive(4, "weight batches"), **settings)
    alpha_batches = Batches(second, 8, seed=derive(4, "alpha batches"), **settings).stream()
    sgd = torch.optim.SGD(twin.weights(), lr=0.3, momentum=0.9, weight_decay=0.01, nesterov=True)
    adam = torch.optim.Adam([alpha], lr=3e-4, betas=(0.5, 0.999), weight_decay=1e-3)

    def loss(batch: tuple[Tensor, Tensor]) -> Tensor:
        return nn.functional.cross_entropy(twin(batch[0], Mixture({"body": alpha.softmax(-1)[None]})), batch[1])

    def alpha_step(batch: tuple[Tensor, Tensor]) -> None:
        (alpha.grad,) = torch.autograd.grad(loss(batch), [alpha])
        adam.step()

    def weight_step(batch: tuple[Tensor, Tensor]) -> None:
        gradients = torch.autograd.grad(loss(batch), twin.weights())
        norm = torch.cat([g.flatten() for g in gradients]).norm()
        for weight, gradient in zip(twin.weights(), gradients, strict=True):
            weight.grad = gradient * min(1.0, 0.5 / norm.item())
        sgd.step()

    expected = [alpha.detach().clone()]
    for epoch in range(3):
        rate = 0.1 + 0.1 * (1 + math.cos(math.pi * epoch / 3))
        sgd.param_groups[0]["lr"] = rate
        assert result.history[epoch]["weight_lr"] == pytest.approx(rate)
        for batch in weight_batches.epoch(epoch):
            other = next(alpha_batches)
            if order == "alphas-first":
                alpha_step(other)
                weight_step(batch)
            else:
                weight_step(batch)
                alpha_step(other)
        expected.append(alpha.detach().clone())
    torch.testing.assert_close(torch.from_numpy(result.alphas["body"]), torch.stack(expected), atol=1e-6, rtol=1e-5)
    for ours, theirs in zip(network.parameters(), twin.weights(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_alphas_rest_during_warm_up():
    result = find(method=replace(DARTS, schedules=(WarmUp(2),)))
    first, second, third, fourth = result.alphas["body"]
    assert np.array_equal(first, second)
    assert np.array_equal(first, third)
    assert not np.array_equal(third, fourth)
    assert "validation_loss" not in result.history[1]
    assert "validation_loss" in result.history[2]
    with pytest.raises(ArchgradError, match="epochs must be 0 or more"):
        WarmUp(-1)


@dataclass(frozen=True)
class StopAfter(Schedule):
    epochs: int

    def epoch_end(self, state: State, context: Context) -> None:
        if context.clock.epoch + 1 == self.epochs:
            state.stop = "enough"


def test_a_schedule_can_stop_the_search(tmp_path: Path):
    result = find(method=replace(DARTS, schedules=(StopAfter(2),)), out=tmp_path)
    assert len(result.history) == 2
    assert Run.open(tmp_path).read_json("result.json")["stopped"] == "enough"
    again = find(method=replace(DARTS, schedules=(StopAfter(2),)), out=tmp_path)  # it stays stopped
    assert again.history == result.history


@pytest.mark.parametrize(
    ("evaluate", "stop", "measured"), [(1, 9, [1, 2, 3, 4, 5]), (2, 9, [2, 4, 5]), (0, 9, [5]), (0, 3, [3])]
)
def test_the_supernet_is_measured_when_asked_and_at_the_end_and_the_search_is_the_same(
    tmp_path: Path, evaluate: int, stop: int, measured: list[int]
):
    method = replace(DARTS, epochs=5, schedules=(StopAfter(stop),))
    usual, asked = find(noisy(), method), find(noisy(), method, evaluate=evaluate, out=tmp_path)
    assert [record["epoch"] + 1 for record in asked.history if "evaluation_accuracy" in record] == measured
    assert np.array_equal(asked.alphas["body"], usual.alphas["body"])
    for a, b in zip(usual.supernet.state_dict().values(), asked.supernet.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    last = usual.history[-1]
    assert {name: asked.history[-1][name] for name in last if name != "seconds"} == {
        name: value for name, value in last.items() if name != "seconds"
    }
    assert Run.open(tmp_path).read_json("result.json")["validation_accuracy"] == last["evaluation_accuracy"]


def test_global_generators_are_seeded_as_torch_seeds_them():
    seed_torch(3, "forward", 1)
    ours = torch.rand(3)
    torch.manual_seed(derive(3, "forward", 1))
    assert torch.equal(ours, torch.rand(3))


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    state = torch.get_rng_state()
    one, two, other = find(small(), seed=1), find(small(), seed=1), find(small(), seed=2)
    assert torch.equal(torch.get_rng_state(), state), "the caller's random numbers"
    assert np.array_equal(one.alphas["body"], two.alphas["body"])
    for a, b in zip(one.supernet.state_dict().values(), two.supernet.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert not np.array_equal(one.alphas["body"], other.alphas["body"])


def test_a_space_starts_from_the_seed_alone():
    space, images = spaces.get("nasbench201", channels=2, cells=1), points((1, 8, 8))
    torch.manual_seed(1)
    one = find(space, "random_genotype", images, batch_size=8)
    torch.manual_seed(2)
    two = find(space, "random_genotype", images, batch_size=8)
    assert one.genotype == two.genotype
    for a, b in zip(one.supernet.parameters(), two.supernet.parameters(), strict=True):
        assert torch.equal(a, b)


# What a run leaves


def test_a_run_directory_holds_all_of_the_search(tmp_path: Path):
    result = find(spaces.get("nasbench201", channels=2, cells=1), DARTS, points((1, 8, 8)), out=tmp_path, epochs=2)
    present = {entry.name for entry in tmp_path.iterdir()}
    expected = {"config.yaml", "metrics.jsonl", "alphas.npz", "genotype.json", "result.json", "checkpoints"}
    assert expected <= present
    assert len(list((tmp_path / "checkpoints").glob("*.ckpt"))) == 2
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines == result.history
    assert [line["epoch"] for line in lines] == [0, 1]
    for line in lines:
        assert {"train_loss", "train_accuracy", "validation_loss", "validation_accuracy"} <= set(line)
        assert {"evaluation_loss", "evaluation_accuracy", "weight_lr", "seconds", "genotype"} <= set(line)
    run = Run.open(tmp_path)
    alphas = run.read_arrays("alphas.npz")
    assert alphas["cell"].shape == (3, 6, 5)
    assert np.array_equal(alphas["cell"][-1], result.supernet.alphas["cell"].detach().numpy())
    assert Genotype.from_dict(run.read_json("genotype.json")) == result.genotype
    written = run.read_json("result.json")
    assert written["genotype"] == lines[-1]["genotype"]
    assert written["parameters"] == sum(p.numel() for p in result.build().parameters())
    assert written["validation_accuracy"] == lines[-1]["evaluation_accuracy"]


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 8, 16)])
def test_the_found_network_is_built_in_the_size_that_was_searched(tmp_path: Path, shape: tuple[int, int, int]):
    """Also where that is not the published size of settled networks: DARTS has 36 channels and 20 cells."""
    result = find(spaces.get("darts", channels=2), "random_genotype", points(shape), batch_size=8, out=tmp_path)
    settled, written = spaces.get("darts", channels=2, cells=8), Run.open(tmp_path).read_json("result.json")
    cost = settled.cost(result.genotype, classes=2, in_channels=1, image_size=shape[1:])
    assert sum(p.numel() for p in result.build().parameters()) == cost.parameters == written["parameters"]
    assert written["flops"] == cost.flops
    assert result.build()(torch.zeros(2, *shape)).shape == (2, 2)


def test_settings_that_cannot_work_leave_no_run_behind(tmp_path: Path):
    with pytest.raises(ArchgradError, match="batch size 500 is larger"):
        find(out=tmp_path / "run", batch_size=500)
    assert not (tmp_path / "run").exists()
    assert find(out=tmp_path / "run").directory == tmp_path / "run"


# Faults


def untimed(value: Any) -> Any:
    """Plain data without how long things took, tensors as bits."""
    if isinstance(value, dict):
        return {key: untimed(item) for key, item in value.items() if key != "seconds"}
    if isinstance(value, list | tuple):
        return [untimed(item) for item in value]
    return (str(value.dtype), value.shape, value.numpy().tobytes()) if isinstance(value, Tensor) else value


def written(directory: Path) -> dict[str, Any]:
    """All that a search leaves: metrics, alphas, genotype, and the last checkpoint with weights and optimisers."""
    run = Run.open(directory)
    return untimed(
        {
            "history": run.history(),
            "alphas": {group: array.tobytes() for group, array in run.read_arrays("alphas.npz").items()},
            "genotype": run.read_json("genotype.json"),
            "result": run.read_json("result.json"),
            "checkpoint": run.load_checkpoint(),
        }
    )


@pytest.mark.slow
@pytest.mark.parametrize("method", ["darts", "random_search", "darts_second_order"])
def test_twenty_kills_leave_no_trace(tmp_path: Path, method: str):
    command = [sys.executable, HERE / "kill_search.py", tmp_path, method, "20"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    whole = written(tmp_path / "whole")
    rounds = list(tmp_path.glob("killed-*"))
    assert rounds
    for directory in rounds:
        assert written(directory) == whole


def test_the_checkpoint_before_a_damaged_one_is_used_and_the_end_is_the_same(tmp_path: Path):
    find(out=tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "damaged")
    newest = max((tmp_path / "damaged" / "checkpoints").glob("*.ckpt"))
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    (tmp_path / "damaged" / "result.json").unlink()
    with pytest.warns(ArchgradWarning, match=rf"damaged checkpoint {newest.name} .*; using \d+\.ckpt instead"):
        find(small(seed=9), out=tmp_path / "damaged")  # whose weights come from the checkpoint
    assert written(tmp_path / "damaged") == written(tmp_path / "whole")


def test_other_settings_are_not_mixed_into_a_run(tmp_path: Path):
    find(out=tmp_path)
    with pytest.raises(ArchgradError, match=r"other settings .*seed: 0 → 1"):
        find(out=tmp_path, seed=1)
    with pytest.raises(ArchgradError, match="already holds a run"):
        find(out=tmp_path, resume=False)


class Explodes(nn.Module):
    """Passes its input on, until it has seen a number of batches."""

    def __init__(self, after: float) -> None:
        super().__init__()
        self.after, self.seen = after, 0

    def forward(self, x: Tensor) -> Tensor:
        self.seen += self.training
        return x * float("nan") if self.seen > self.after else x


@pytest.mark.parametrize(("after", "epoch"), [(0, 0), (8, 1), (9, 1)])  # two forward passes per step, three steps
def test_a_loss_that_is_not_finite_stops_and_leaves_the_last_good_checkpoint(tmp_path: Path, after: int, epoch: int):
    with pytest.raises(
        ArchgradError, match=rf"^search darts: [^\n]* not finite in epoch {epoch}, [^\n]* checkpoint is kept in \S+$"
    ):
        find(nn.Sequential(Explodes(after), small()), out=tmp_path, checkpoint_seconds=0.0)
    run = Run.open(tmp_path)
    payload = run.load_checkpoint()
    assert len(run.history()) == epoch
    assert payload is not None
    assert payload["epoch"] == epoch
    assert all(tensor.isfinite().all() for tensor in payload["network"].values() if tensor.is_floating_point())
    healed = find(nn.Sequential(Explodes(math.inf), small()), out=tmp_path)
    assert len(healed.history) == 3


# Several processes

FACTORY = """
import os
from torch import nn
from archgrad import Choice

def conv(kernel):
    return nn.Sequential(nn.Conv2d(4, 4, kernel, padding=kernel // 2), nn.BatchNorm2d(4), nn.ReLU())

def block():
    return Choice({"one": conv(1), "three": conv(3), "skip": nn.Identity()}, group="block")

def net():
    stem = nn.Conv2d(1, 4, 3, 2, 1)
    stem.bias.data += int(os.environ.get("RANK", "0"))  # the main process's weights are the ones that count
    return nn.Sequential(stem, block(), block(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))
"""


def on_two_processes(*options: str) -> None:
    """``archgrad search`` as a user starts it on two processes."""
    start = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--rdzv_backend", "c10d"]
    start += ["--rdzv_endpoint", "127.0.0.1:0", "--local_addr", "127.0.0.1", "-m", "archgrad", "search", *options]
    hidden = {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, *start], capture_output=True, text=True, env=os.environ | hidden)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("run: ") == 1, "only the main process speaks"


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["--space", "own:net"], id="own network"),
        pytest.param(
            ["--space", "own:net", "--method", "darts_second_order"], marks=pytest.mark.slow, id="second order"
        ),
        pytest.param(["--channels", "2", "--cells", "1"], marks=pytest.mark.slow, id="nasbench201"),
    ],
)  # fmt: skip
def test_two_processes_with_half_a_batch_are_one_with_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
):
    (tmp_path / "own.py").write_text(FACTORY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own", raising=False)
    main(["search", *options, "--epochs", "2", "--batch_size", "128", "--out", "one", "--device", "cpu"])
    on_two_processes(*options, "--epochs", "2", "--batch_size", "64", "--out", "two")
    one, two = Run.open(tmp_path / "one"), Run.open(tmp_path / "two")
    assert two.config["processes"] == 2
    for a, b in zip(one.history(), two.history(), strict=True):
        for name in ("train_loss", "validation_loss", "evaluation_loss"):
            assert a[name] == pytest.approx(b[name], abs=1e-5)
        for name in ("train_accuracy", "validation_accuracy", "evaluation_accuracy"):
            assert a[name] == pytest.approx(b[name], abs=2 / 700)
    for group, array in one.read_arrays("alphas.npz").items():
        assert np.allclose(array, two.read_arrays("alphas.npz")[group], atol=1e-5)
    assert one.read_json("genotype.json") == two.read_json("genotype.json")


# Baselines


@dataclass(frozen=True)
class Recorded(Discretisation):
    """Keeps what the score said of every genotype of a space."""

    def __call__(self, alphas: Any, context: Context, score: Score | None = None) -> Genotype:
        assert context.supernet is not None
        if score is None:
            return context.supernet.random(context.generator())
        for number in range(3):
            genotype = Genotype.of({"body": [[("linear", "tanh", "skip")[number]]]})
            SCORES[genotype] = score(genotype)
            assert score(genotype) == SCORES[genotype], "the same genotype, the same score"
        return max(SCORES, key=lambda found: SCORES[found])


SCORES: dict[Genotype, float] = {}


def test_random_search_keeps_the_best_candidate_by_the_score_and_leaves_alphas_alone():
    random = replace(methods.random_search(), epochs=3, batch_size=8)
    SCORES.clear()
    best = find(noisy(), replace(random, discretisation=Recorded())).genotype
    result = find(noisy(), replace(random, discretisation=BestOfRandom(50)))  # 50 draws of 3: all of them
    assert SCORES[result.genotype] == SCORES[best] == max(SCORES.values())
    assert (result.alphas["body"] == result.alphas["body"][0]).all()
    assert all(record["genotype"] is None for record in result.history), "scored once, at the end"


def test_a_random_genotype_trains_nothing(tmp_path: Path):
    network = small()
    before = [parameter.detach().clone() for parameter in network.parameters()]
    result = find(network, "random_genotype", out=tmp_path, batch_size=8)
    assert result.history == []
    assert result.alphas["body"].shape == (1, 1, 3)
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))
    assert len({find(method="random_genotype", seed=seed, batch_size=8).genotype for seed in range(12)}) == 3


# Any network


@dataclass(frozen=True)
class Squared(Relaxation):
    """A user's own relaxation."""

    def __call__(self, alphas: Any, sites: Any, context: Context | None = None) -> Mixture:
        weights = {group: (1 + alpha).square() for group, alpha in alphas.items()}
        return Mixture({g: (w / w.sum(-1, keepdim=True)).expand(sites[g], -1, -1) for g, w in weights.items()})


def test_a_users_own_relaxation_is_searched_with():
    one, two = find(), find(method=replace(DARTS, relaxation=Squared()))
    assert not np.array_equal(one.alphas["body"][-1], two.alphas["body"][-1])


def test_networks_for_volumes_are_searched_too():
    candidates = {"conv": nn.Conv3d(1, 1, 3, padding=1), "skip": nn.Identity()}
    net = nn.Sequential(Choice(candidates), nn.Flatten(), nn.Linear(27, 2))
    assert len(find(net, dataset=points((1, 3, 3, 3)), epochs=1).history) == 1


def leaf(kind: str, width: int) -> nn.Module:
    image = kind == "image"
    made: dict[str, Any] = {
        "skip": nn.Identity(),
        "tanh": nn.Tanh(),
        "affine": nn.Conv2d(width, width, 3, padding=1) if image else nn.Linear(width, width),
        "norm": nn.BatchNorm2d(width) if image else nn.BatchNorm1d(width),
        "drop": nn.Sequential(nn.Dropout(0.3), nn.Conv2d(width, width, 1) if image else nn.Linear(width, width)),
    }
    return nn.ModuleDict(made)


class Several(nn.Module):
    """Reads a choice of its stages' outputs."""

    def __init__(self, stages: list[nn.Module], select: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.inputs = InputChoice(len(stages), select=select)

    def forward(self, x: Tensor) -> Tensor:
        outputs = []
        for stage in self.stages:
            x = stage(x)
            outputs.append(x)
        return self.inputs(*outputs)


@st.composite
def networks(draw: st.DrawFn) -> tuple[nn.Module, data.Dataset]:
    """Random compositions: several choices, nested ones, shared groups, choices of inputs; vectors or images."""
    kind = draw(st.sampled_from(["vector", "image"]))
    width = draw(st.integers(2, 4))

    def choice(depth: int, group: str) -> Choice:
        names = draw(
            st.lists(st.sampled_from(["skip", "tanh", "affine", "norm", "drop"]), min_size=1, max_size=3, unique=True)
        )
        candidates = {name: leaf(kind, width)[name] for name in names}
        if depth and draw(st.booleans()):
            candidates["nested"] = nn.Sequential(choice(depth - 1, ""), choice(0, ""))
        return Choice(candidates, group=group)

    stages: list[nn.Module] = [choice(2, "") for _ in range(draw(st.integers(1, 2)))]
    if draw(st.booleans()):
        names = ("skip", "affine", "norm")
        stages += [Choice({name: leaf(kind, width)[name] for name in names}, group="shared") for _ in range(2)]
    if draw(st.booleans()):
        stages = [Several(stages, draw(st.integers(1, len(stages))))]
    if kind == "image":
        head: list[nn.Module] = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 2)]
        return nn.Sequential(nn.Conv2d(1, width, 1), *stages, *head), points((1, 4, 4), 16)
    return nn.Sequential(*stages, nn.Linear(width, 2)), points((width,), 16)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(networks(), st.sampled_from(["darts", "darts_second_order", "random_search"]))
def test_any_composition_of_choices_searches_one_step(made: tuple[nn.Module, data.Dataset], method: str):
    network, dataset = made
    result = find(network, method, dataset, epochs=1, batch_size=8)
    assert len(result.history) == 1
    assert set(result.genotype.choices) == set(result.supernet.groups)
    settled = result.build(inherit=True).eval()
    assert settled(dataset.train.inputs).isfinite().all()


@dataclass(frozen=True)
class Counted(ArchitectureGradient):
    """First order, looking at the data so often that a step must not be disturbed by it."""

    evaluations: int

    def __call__(self, objective: Any, alphas: Any, context: Context) -> dict[str, Tensor]:
        for _ in range(self.evaluations):
            gradient = FirstOrder()(objective, alphas, context)
            Plain()(objective, alphas, context)
        return gradient


def test_steps_do_not_look_through_the_network_for_its_weights(monkeypatch: pytest.MonkeyPatch):
    walks: list[nn.Module] = []
    walked = nn.Module.parameters

    def counted(module: nn.Module, recurse: bool = True) -> Any:
        walks.append(module)
        return walked(module, recurse)

    monkeypatch.setattr(nn.Module, "parameters", counted)
    numbers = []
    for epochs in (1, 4):
        walks.clear()
        network = small()
        find(network, replace(DARTS, epochs=epochs))
        numbers.append(sum(module is network for module in walks))
    assert numbers[0] == numbers[1]


def test_extra_evaluations_within_a_step_disturb_nothing():
    once, thrice = (find(noisy(), replace(DARTS, architecture_gradient=Counted(n))) for n in (1, 3))
    assert np.array_equal(once.alphas["body"], thrice.alphas["body"])
    for a, b in zip(once.supernet.state_dict().values(), thrice.supernet.state_dict().values(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        (nn.Linear(4, 2), {}, "Linear has no open choice"),
        (small(), {"method": DEEPER}, "ProgressiveDepth needs a space, .*: a network of your own is as it is"),
        ("nasbench", {}, "unknown space 'nasbench': did you mean 'nasbench201'"),
        (7, {}, "expected a space, its name or a torch.nn.Module, got int"),
        (small(), {"method": "dart"}, "unknown method 'dart': did you mean 'darts'"),
        (small(), {"dataset": "digit"}, "unknown dataset 'digit': did you mean 'digits'"),
        (small(), {"dataset": "digits"}, r"cannot take inputs of digits, of shape \[1, 8, 8\]"),
        (small(), {"train_fraction": 1.0}, "fraction must lie between 0 and 1"),
        (small(), {"epochs": -1}, "epochs must be a whole number, 0 or more, got -1"),
        (small(), {"batch_size": 2.5}, "batch_size must be a whole number, 1 or more, got 2.5"),
        (small(), {"method": Method}, "^search: method must be a Method or the name of one, got <class"),
        (small(), {"evaluate": -1}, "^search: evaluate must be a whole number, 0 or more, got -1"),
        (small(), {"diagnose": -1}, "^search: diagnose must be a whole number, 0 or more, got -1"),
        (small(), {"diagnose": "often"}, "^search: diagnose must be a whole number, 0 or more, got 'often'"),
        (Choice({"a": nn.Flatten(), "b": nn.Identity()}), {"dataset": points((2,))}, "no weights to train"),
    ],
)
def test_what_cannot_be_searched_is_one_line(network: Any, options: dict[str, Any], message: str):
    with pytest.raises(ArchgradError, match=message) as error:
        find(network, **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("executor", ["auto", "loop"])
def test_cells_that_compute_again_find_the_same(executor: str) -> None:
    x = torch.randn(32, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    images = data.from_tensors(x, torch.arange(32) % 2, x[:2], torch.tensor([0, 1]))
    space, settings = spaces.get("nasbench201", channels=4, cells=1), {"batch_size": 8, "epochs": 2, "progress": False}
    kept, again = (
        run_search(space, "darts", images, executor=executor, checkpoint_cells=flag, **settings)
        for flag in (False, True)
    )
    assert (kept.alphas["cell"] == again.alphas["cell"]).all()
    for name, value in kept.supernet.state_dict().items():
        assert torch.equal(again.supernet.state_dict()[name], value), name


@pytest.mark.parametrize("first", ["plain", "loop", "batched"])
def test_executors_may_change_in_mid_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str) -> None:
    """Bit for bit within one executor; another one continues from the same state and differs by rounding alone."""

    class StopError(Exception):
        pass

    def interrupted(self: Search) -> None:
        end(self)
        raise StopError

    end = Search._close_epoch
    x = torch.randn(32, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    images = data.from_tensors(x, torch.arange(32) % 2, x[:2], torch.tensor([0, 1]))

    def run(executor: str, out: Path | None = None) -> SearchResult:
        space, settings = spaces.get("nasbench201", channels=4, cells=1), {"batch_size": 8, "epochs": 3}
        return run_search(space, "darts", images, executor=executor, out=out, progress=False, **settings)

    whole = run(first).alphas["cell"]
    monkeypatch.setattr(Search, "_close_epoch", interrupted)
    with pytest.raises(StopError):
        run(first, tmp_path / "half")
    monkeypatch.undo()
    for second in ("plain", "loop", "batched"):
        shutil.copytree(tmp_path / "half", tmp_path / second)
        found = run(second, tmp_path / second).alphas["cell"]
        if second == first:
            assert (found == whole).all()
        else:
            np.testing.assert_allclose(found, whole, rtol=0, atol=1e-5)
