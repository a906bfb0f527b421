"""FirstOrder, Fixed and Plain against autograd."""

from __future__ import annotations

import torch
from torch import nn

from archgrad import Choice, Supernet
from archgrad.context import Context
from archgrad.gradient import FirstOrder, Fixed, Plain
from archgrad.method import Method
from archgrad.objective import Objective
from archgrad.relaxation import Softmax

X, Y = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)).double(), torch.arange(6) % 2


def supernet() -> Supernet:
    torch.manual_seed(0)
    choice = Choice({"linear": nn.Linear(3, 3), "tanh": nn.Tanh()}, group="block")
    return Supernet(nn.Sequential(choice, nn.Linear(3, 2))).double()


def objective(net: Supernet) -> Objective:
    return Method().objective((X, Y), Context(net))


def loss(net: Supernet) -> torch.Tensor:
    return nn.functional.cross_entropy(net(X, Softmax()(net.alphas, net.sites)), Y)


def test_first_order_is_the_gradient_at_the_present_weights() -> None:
    net = supernet()
    found = FirstOrder()(objective(net), net.alphas, Context(net))
    torch.testing.assert_close(found["block"], torch.autograd.grad(loss(net), net.alphas["block"])[0])


def test_fixed_says_nothing() -> None:
    net = supernet()
    assert Fixed()(objective(net), net.alphas, Context(net)) is None


def test_plain_is_the_gradient_of_the_loss_in_the_weights() -> None:
    net = supernet()
    found = Plain()(objective(net), net.alphas, Context(net))
    torch.testing.assert_close(found, list(torch.autograd.grad(loss(net), net.weights())))
    assert net.alphas["block"].grad is None


def test_weights_that_take_no_part_get_zeros() -> None:
    net = supernet()
    mask = {"block": torch.tensor([[False, True]])}
    found = Plain()(Method().objective((X, Y), Context(net, masks=mask)), net.alphas, Context(net))
    assert [bool(g.any()) for g in found] == [False, False, True, True]
