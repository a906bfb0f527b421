"""Diagnostics against closed forms, and their place in a run."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from archgrad import Choice, Supernet, data, methods, search, spaces
from archgrad.context import Context
from archgrad.diagnostics import diagnose, dominant_eigenvalue, entropy, quality, saturation
from archgrad.gradient.layer_alignment import alignment
from archgrad.method import Method
from archgrad.objective import Objective
from archgrad.regularisers import ZeroOne
from archgrad.relaxation import Dirichlet, Softmax
from archgrad.report.diagnostics import OVERALL, PER_GROUP
from archgrad.roles import Regulariser
from archgrad.schedules import Diagnose


def supernet() -> Supernet:
    torch.manual_seed(0)
    net = spaces.get("nasbench201", channels=4, cells=1).supernet().double()
    with torch.no_grad():
        net.alphas["cell"].copy_(torch.randn(6, 5, generator=torch.Generator().manual_seed(1)))
    return net


def objective(net: Supernet, *regularisers: Regulariser) -> Objective:
    generator = torch.Generator().manual_seed(0)
    batch = torch.randn(8, 3, 8, 8, generator=generator).to(net.alphas["cell"]), torch.arange(8)
    return Method(regularisers=regularisers).objective(batch, Context(net))


def dense(net: Supernet) -> Tensor:
    """The whole Hessian, column by column."""
    ell = objective(net)
    alpha = net.alphas["cell"].detach().flatten()

    def loss(flat: Tensor) -> Tensor:
        from archgrad.engine import forced

        with forced("plain"):
            return ell({"cell": flat.view(6, 5)})

    return torch.autograd.functional.hessian(loss, alpha)


def test_the_eigenvalue_is_that_of_the_dense_hessian() -> None:
    net = supernet()
    expected = float(torch.linalg.eigvalsh(dense(net))[-1])
    assert expected > 0
    exact = dominant_eigenvalue(objective(net), net.alphas, tolerance=0)
    assert exact == pytest.approx(expected, rel=1e-8)
    assert dominant_eigenvalue(objective(net), net.alphas) == pytest.approx(expected, rel=0.03), "as by default"
    single = supernet().float()
    assert dominant_eigenvalue(objective(single), single.alphas) == pytest.approx(expected, rel=0.03)


def test_differences_of_gradients_agree_where_nothing_has_kinks() -> None:
    torch.manual_seed(0)
    blocks = [Choice({"a": nn.Linear(4, 4), "b": nn.Tanh(), "c": nn.Identity()}, group=g) for g in "xy"]
    net = Supernet(nn.Sequential(*blocks, nn.Linear(4, 2))).double()
    ell = Method().objective((torch.randn(8, 4).double(), torch.arange(8) % 2), Context(net))
    one = dominant_eigenvalue(ell, net.alphas, tolerance=0)
    assert dominant_eigenvalue(ell, net.alphas, exact=False, epsilon=1e-3, tolerance=0) == pytest.approx(one, rel=1e-5)
    assert dominant_eigenvalue(ell, net.alphas, exact=False) == pytest.approx(one, rel=1e-2)


def test_the_largest_eigenvalue_and_not_the_largest_in_size() -> None:
    """ℓ = Σ_i c_i a_i²/2 through an objective whose gradient is known."""

    class Known:
        def gradient(self, alphas: Any) -> dict[str, Tensor]:
            return {"g": torch.tensor([[1.0, -9.0, 4.0]]).double() * alphas["g"]}

    import archgrad.diagnostics as module

    known: Any = Known()
    bare = module._bare
    try:
        module._bare = lambda objective: objective
        found = dominant_eigenvalue(known, {"g": torch.zeros(1, 3).double()}, exact=False)
    finally:
        module._bare = bare
    assert found == pytest.approx(4.0)


def test_a_relaxation_without_second_derivatives_has_an_eigenvalue_too() -> None:
    net = supernet()
    generator = torch.Generator().manual_seed(0)
    batch = torch.randn(8, 3, 8, 8, generator=generator).double(), torch.arange(8)
    ell = Method(relaxation=Dirichlet()).objective(batch, Context(net), observing=True)
    one = dominant_eigenvalue(ell, net.alphas)
    assert one == dominant_eigenvalue(ell, net.alphas, exact=False)
    assert math.isfinite(one)


def test_regularisers_are_left_out() -> None:
    net = supernet()
    one = dominant_eigenvalue(objective(net, ZeroOne(1e3)), net.alphas)
    assert one == pytest.approx(dominant_eigenvalue(objective(net), net.alphas))


def test_saturation_and_entropy_by_hand() -> None:
    blocks = [Choice({"a": nn.Linear(4, 4), "b": nn.Identity()}, group="block") for _ in range(2)]
    net = Supernet(nn.Sequential(*blocks, nn.Linear(4, 2)))
    with torch.no_grad():
        net.alphas["block"].copy_(torch.tensor([[math.log(3.0), 0.0]]))
    mixture = Softmax()(dict(net.alphas.items()), net.sites)
    group = net.groups["block"]
    assert float(saturation(mixture, group)) == pytest.approx(0.75)
    assert float(entropy(mixture, group)) == pytest.approx(-0.75 * math.log(0.75) - 0.25 * math.log(0.25))
    decided = net.one_hot(net.random(torch.Generator()))
    assert float(saturation(decided, group)) == 1
    assert float(entropy(decided, group)) == 0


def test_all_of_them_on_a_supernet() -> None:
    net = supernet()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    found = diagnose(lambda: objective(net).observer(), net.alphas, Context(net))
    names = {f"{measure}/cell" for measure in PER_GROUP} | set(OVERALL)
    assert set(found) == names, "the report knows all of them"
    ell = objective(net).observer()
    gradient = ell.gradient(net.alphas)["cell"]
    assert found["gradient_norm/cell"] == pytest.approx(float(gradient.norm()))
    assert found["alignment/cell"] == pytest.approx(float(alignment(ell.trace.site_gradients["cell"].flatten(1))))
    skips = sum(int(row.argmax()) == 1 for row in net.alphas["cell"])
    assert found["skips/cell"] == skips
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())


def test_the_gap_is_what_settling_costs() -> None:
    net = supernet()
    genotype = spaces.get("nasbench201").random(torch.Generator().manual_seed(0))
    mixture = net.one_hot(genotype)
    ell = objective(net).observer()
    x, y = ell.batch
    with torch.no_grad():
        expected = float((net(x, mixture).argmax(1) == y).double().mean())
    assert quality(ell, mixture) == expected
    with torch.no_grad():
        net.alphas["cell"].copy_(1e4 * mixture["cell"][0])
    found = diagnose(lambda: objective(net).observer(), net.alphas, Context(net), eigenvalue=False)
    assert found["discretisation_gap"] == 0, "a mixture that is decided already"
    assert "eigenvalue" not in found


def images() -> data.Dataset:
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(48) % 2
    x = torch.randn(48, 1, 8, 8, generator=generator) + y.view(-1, 1, 1, 1)
    return data.from_tensors(x, y, x[:8], y[:8], name="images")


def test_a_run_records_them_and_is_not_disturbed(tmp_path: Path) -> None:
    plain = replace(methods.darts(), epochs=5, batch_size=8)
    watched = replace(plain, schedules=(Diagnose(every=2),))
    space = spaces.get("nasbench201", channels=2, cells=1)
    one = search(space, watched, images(), out=tmp_path, device="cpu", progress=False)
    two = search(space, plain, images(), device="cpu", progress=False)
    assert [("eigenvalue" in record) for record in one.history] == [False, True, False, True, True]
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines == one.history
    for a, b in zip(one.supernet.state_dict().values(), two.supernet.state_dict().values(), strict=True):
        assert torch.equal(a, b)
