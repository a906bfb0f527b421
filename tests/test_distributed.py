"""Two processes with half a batch each compute what one computes with the whole batch."""

from __future__ import annotations

import copy
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchmetrics import SpearmanCorrCoef

from archgrad import data
from archgrad.distributed import SyncBatchNorm, World, _AllSum, synchronise_batch_norm
from archgrad.errors import ArchgradError
from archgrad.evaluation import evaluate_subset
from archgrad.recipes import Recipe
from archgrad.tasks import Classification, MultiLabel, NextToken, Regression, Segmentation
from archgrad.train import train


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def on_two_processes(directory: Path, function: Callable[[World], Any]) -> list[Any]:
    """What a function of this file returns on each of two processes, which run this file as a program."""
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    shared |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    command = [sys.executable, __file__, function.__name__, str(directory)]
    processes = [
        subprocess.Popen(command, env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(2)
    ]
    try:
        assert [process.wait(timeout=120) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return [torch.load(directory / f"{rank}.pt") for rank in range(2)]


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.Conv2d(5, 4, 3), nn.BatchNorm2d(4, affine=False),
        nn.Flatten(), nn.Linear(4 * 16, 6), nn.BatchNorm1d(6, momentum=None), nn.Tanh(),
        nn.Unflatten(1, (2, 3, 1, 1)), nn.BatchNorm3d(2, track_running_stats=False), nn.Flatten(), nn.Linear(6, 3),
    ).double()  # fmt: skip


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    # A mean far from 0 shows whether the variance cancels.
    return 100 + torch.randn(12, 2, 8, 8, dtype=torch.float64, generator=generator), torch.arange(12) % 3


def three_steps(world: World) -> dict[str, Any]:
    net = synchronise_batch_norm(network(), world)
    x, y = (part.chunk(world.size)[world.rank] for part in batch())
    result: dict[str, Any] = {}
    for step in range(3):
        loss = nn.functional.cross_entropy(net(x + step), y)
        gradients = torch.autograd.grad(loss, list(net.parameters()))
        result |= {f"loss {step}": [loss.detach().clone()], f"gradients {step}": list(gradients)}
        world.average(result[f"loss {step}"])
        world.average(result[f"gradients {step}"])
        with torch.no_grad():
            for parameter, gradient in zip(net.parameters(), result[f"gradients {step}"], strict=True):
                parameter -= 0.1 * gradient
    result["state"] = list(net.state_dict().values())
    net.eval()
    result["evaluation"] = [net[:8](batch()[0]).detach()]
    return result


def close(one: list[Tensor], other: list[Tensor]) -> None:
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=1e-10)


def test_two_half_batches_equal_one_whole(tmp_path: Path):
    whole = three_steps(World(0, 1, torch.device("cpu")))
    for half in on_two_processes(tmp_path, three_steps):
        for key in whole:
            close(half[key], whole[key])


def hessian_product(world: World) -> list[Tensor]:
    torch.manual_seed(0)
    norm = synchronise_batch_norm(nn.BatchNorm1d(3).double(), world)
    x = torch.randn(8, 3, dtype=torch.float64)[world.rank :: world.size].clone().requires_grad_()
    loss = (norm(x) ** 3).sum()
    if world.size == 2:  # the gradient of the sum over both processes is what one process differentiates
        loss = _AllSum.apply(loss)
    (gradient,) = torch.autograd.grad(loss / world.size, x, create_graph=True)
    inner = (gradient**3).sum()
    inner = _AllSum.apply(inner) / world.size if world.size == 2 else inner
    (second,) = torch.autograd.grad(inner, x)
    return [gradient.detach(), second]


@pytest.mark.slow
def test_second_derivatives_pass_through_the_synchronised_norm(tmp_path: Path):
    whole = hessian_product(World(0, 1, torch.device("cpu")))
    for rank, half in enumerate(on_two_processes(tmp_path, hessian_product)):
        close(half, [t[rank::2] for t in whole])


def trained(world: World) -> list[Tensor]:
    x, _ = batch()
    x = torch.cat([x, x.flip(-1), -x])
    y = torch.arange(len(x)) % 3
    dataset = data.from_tensors(x, y, x[:7], y[:7])
    recipe = Recipe(epochs=3, batch_size=12, lr=0.05, nesterov=True, clip=1)
    out = Path(sys.argv[2]) / "run" if world.size > 1 else None
    for _ in range(2):  # the second call resumes the finished run, from the main process's checkpoint
        net = network()
        with torch.no_grad():
            next(net.parameters()).mul_(1 + world.rank)  # the main process's weights are the ones that count
        result = train(net, dataset, recipe=recipe, out=out, validation=0.34, device="cpu", progress=False)
    records = [[v for k, v in record.items() if k != "seconds"] for record in result.history]
    return [*net.state_dict().values(), torch.tensor(records, dtype=torch.float64), torch.tensor(result.test.loss)]


def test_training_does_not_depend_on_the_number_of_processes(tmp_path: Path):
    whole = trained(World(0, 1, torch.device("cpu")))
    for half in on_two_processes(tmp_path, trained):
        for a, b in zip(half, whole, strict=True):
            torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-6)
    assert (tmp_path / "run" / "weights.safetensors").is_file()


def evaluated(world: World) -> list[dict[str, float]]:
    """Every task, and a metric that keeps all it saw, on inputs that two processes cannot share evenly."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(7, 4, 3, 3, generator=draw)
    classes, masks = torch.arange(7) % 4, torch.randint(0, 4, (7, 3, 3), generator=draw)
    masks[:3, 0] = 255
    tokens = x.flatten(2).mT
    cases = [
        (x.mean((2, 3)), classes, Classification(4, class_weights=[1.0, 2.0, 3.0, 4.0])),
        (x.mean((2, 3)), x[:, :, 0, 0] > 0, MultiLabel()),
        (x.mean((2, 3)), x[:, :, 0, 0], Regression(metrics={"spearman": FirstSpearman})),
        (x, masks, Segmentation(4)),
        (tokens, masks.flatten(1) % 4, NextToken(4, ignored=3)),
    ]
    found = []
    for inputs, targets, task in cases:
        dataset = data.from_tensors(inputs, targets, inputs, targets, task=task)
        found.append(evaluate_subset(nn.Identity(), dataset.test, dataset.task, world, batch_size=6).record())
    return found


class FirstSpearman(SpearmanCorrCoef):
    """Of the first output."""

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        super().update(outputs[:, 0], targets[:, 0])


def test_metrics_do_not_depend_on_the_number_of_processes(tmp_path: Path):
    whole = evaluated(World(0, 1, torch.device("cpu")))
    for half in on_two_processes(tmp_path, evaluated):
        for mine, theirs in zip(half, whole, strict=True):
            assert mine == pytest.approx(theirs, rel=1e-6)


def helpers(world: World) -> dict[str, Any]:
    values = [
        torch.full((2,), float(world.rank)),
        torch.tensor(world.rank, dtype=torch.float64),
        torch.tensor(world.rank),
    ]
    mixed = [v.clone() for v in values[:2]]
    world.average(mixed)
    world.sum(values)
    calls: list[int] = []

    def once() -> dict[str, Tensor]:
        calls.append(world.rank)
        return {"w": torch.ones(2)}

    def fail() -> None:
        raise ArchgradError("the directory is full")

    shared = world.from_main(once)
    try:
        world.from_main(fail)
        message = ""
    except ArchgradError as error:
        message = str(error)
    return {
        "average": [m.tolist() for m in mixed], "sum": [v.tolist() for v in values], "calls": calls,
        "shared": shared["w"].tolist(), "message": message, "main": world.main, "size": world.size,
    }  # fmt: skip


def test_average_sum_and_the_main_process(tmp_path: Path):
    for rank, result in enumerate(on_two_processes(tmp_path, helpers)):
        assert result == {
            "average": [[0.5, 0.5], 0.5], "sum": [[1, 1], 1, 1], "calls": [0] if rank == 0 else [],
            "shared": [1, 1], "message": "the directory is full", "main": rank == 0, "size": 2,
        }  # fmt: skip


def test_conversion_keeps_tensors_names_and_mode():
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Sequential(nn.BatchNorm2d(2)), nn.BatchNorm2d(2, affine=False)).eval()
    before = dict(net.named_parameters()) | dict(net.named_buffers())
    assert synchronise_batch_norm(net, World(0, 1, torch.device("cpu"))) is net
    assert type(net[2]) is nn.BatchNorm2d
    synchronise_batch_norm(net, World(0, 2, torch.device("cpu")))
    after = dict(net.named_parameters()) | dict(net.named_buffers())
    assert list(after) == list(before)
    assert all(after[name] is before[name] for name in before)
    assert type(net[1][0]) is type(net[2]) is SyncBatchNorm
    assert not net[2].training
    x = torch.randn(3, 1, 2, 2)
    twin = copy.deepcopy(net)
    assert torch.equal(twin(x), net(x))


def test_one_process_needs_no_transfer():
    world = World.start("cpu")
    values = [torch.ones(2)]
    world.average(values)
    assert (world.rank, world.size, world.main, values[0].tolist()) == (0, 1, True, [1, 1])
    assert world.from_main(lambda: 3) == 3


def test_bf16_computes_products_in_bfloat16_and_leaves_losses_wide():
    with World.start("cpu", "bf16").autocast():
        assert nn.Linear(2, 2)(torch.ones(1, 2)).dtype == torch.bfloat16
    with World.start("cpu").autocast():
        assert nn.Linear(2, 2)(torch.ones(1, 2)).dtype == torch.float32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cpu", "fp16"), "loss scaling.*use bf16$"),
        (("cpu", "bf61"), "unknown mixed precision 'bf61': did you mean 'bf16'"),
        (("gpu",), "device 'gpu' cannot be used: [^\n]*$"),
    ],
)
def test_unusable_settings_are_one_line(arguments: tuple[str, ...], message: str):
    with pytest.raises(ArchgradError, match=message):
        World.start(*arguments)


if __name__ == "__main__":
    world = World.start("cpu")
    torch.save(globals()[sys.argv[1]](world), Path(sys.argv[2]) / f"{world.rank}.pt")
    torch.distributed.destroy_process_group()
