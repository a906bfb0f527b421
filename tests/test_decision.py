"""What can be known of a genotype from the alphas that it was read from."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from archgrad import spaces
from archgrad.context import Context
from archgrad.decision import Decision, decision, weights_of
from archgrad.relaxation import Composite, Dirichlet, Sigmoid, Softmax, StraightThroughGumbel
from archgrad.roles import Relaxation

LR, STEPS = 0.0417857, 140
SUPERNET = spaces.get("nasbench201", channels=4, cells=1).supernet()


def decided(
    alpha: Tensor, relaxation: Relaxation | None = None, mask: Tensor | None = None, **given: float
) -> Decision:
    context = Context(SUPERNET, masks={} if mask is None else {"cell": mask})
    lr, steps = given.get("lr", LR), int(given.get("steps", STEPS))
    found = decision(relaxation or Softmax(), {"cell": alpha}, context, lr, steps)
    assert found is not None
    return found


def test_alphas_that_stayed_where_they_started_decide_nothing() -> None:
    alpha = 0.0035 * torch.linspace(-1, 1, 30, dtype=torch.float64).view(6, 5)
    found = decided(alpha, lr=3e-4)
    assert found.verdict == "hardly moved"
    text = found.text(auto=LR) or ""
    assert text.startswith("The weights have hardly moved: the largest is 0.2001 where 0.2000 is uniform, and on half")
    assert "raise --alpha_lr (auto would be 0.0418 here, not 0.0003), or search longer" in text
    assert "auto" not in (found.text(auto=3e-4) or ""), "a remedy that changes nothing is none"
    for row in (0.279, 0.288):  # the largest of five weights passes 1.25 / 5 at ln(0.25 · 4 / 0.75)
        found = decided(row * torch.eye(6, 5, dtype=torch.float64))
        assert found.moved == (row > math.log(0.25 * 4 / 0.75))


@pytest.mark.parametrize(("ahead", "verdict"), [(1.0, None), (0.9, "within noise")])
def test_a_lead_counts_beside_what_noise_does_in_as_many_steps(ahead: float, verdict: str | None) -> None:
    alpha = torch.zeros(6, 5, dtype=torch.float64)
    alpha[:, 3] = ahead
    found = decided(alpha)
    assert 2 * found.noise == pytest.approx(2 * LR * math.sqrt(STEPS)) == pytest.approx(0.98885, abs=1e-4)
    assert found.verdict == verdict
    assert found.undecided == (0 if verdict is None else 6)
    share = math.exp(ahead) / (math.exp(ahead) + 4)
    assert (found.largest, found.uniform) == pytest.approx((share, 0.2))
    assert found.margin == found.smallest_margin == pytest.approx(share * (1 - math.exp(-ahead)))
    assert found.alpha_margin == pytest.approx(ahead)
    if verdict:
        assert (found.text() or "").startswith(
            "On 6 of 6 edges the winner is ahead by less than 140 noisy steps would put it (0.99 in alpha)."
        )
    else:
        assert found.text() is None


def test_half_of_the_edges_may_be_close() -> None:
    alpha = torch.zeros(6, 5, dtype=torch.float64)
    alpha[:3, 3] = 2
    assert decided(alpha).verdict is None
    alpha[2] = 0
    assert decided(alpha).verdict == "within noise"


def test_pruned_candidates_and_settled_edges_do_not_count() -> None:
    alpha, mask = torch.zeros(6, 5, dtype=torch.float64), torch.ones(6, 5, dtype=torch.bool)
    alpha[:, 0], mask[:, 0] = 9, False
    mask[0] = torch.tensor([False, True, False, False, False])
    found = decided(alpha, mask=mask)
    assert (found.edges, found.largest, found.uniform, found.alpha_margin) == pytest.approx((5, 0.25, 0.25, 0))
    mask[1:, 2:] = False
    context = Context(SUPERNET, masks={"cell": mask})
    assert decision(Softmax(), {"cell": alpha}, context, LR, STEPS) is None, "all is settled"
    assert decision(Softmax(), {"cell": alpha}, Context(SUPERNET), LR, 0) is None, "nothing was trained"


def test_what_may_not_win_takes_a_share_but_is_no_runner_up() -> None:
    space = spaces.get("darts", channels=4, cells=4)
    supernet = space.supernet()
    alphas = {name: torch.zeros(alpha.shape, dtype=torch.float64) for name, alpha in supernet.alphas.items()}
    for alpha in alphas.values():
        alpha[:, space.operations.index("none")] = 5
        alpha[:, space.operations.index("sep_conv_3x3")] = 3
    found = decision(Softmax(), alphas, Context(supernet), LR, STEPS)
    assert found is not None
    assert (found.edges, found.alpha_margin, found.uniform) == pytest.approx((28, 3, 1 / 8))
    assert found.largest == pytest.approx(math.exp(5) / (math.exp(5) + math.exp(3) + 6))


def test_weights_are_the_means_of_their_relaxation() -> None:
    alpha, left = torch.tensor([[1.0, -1.0, 0.0]], dtype=torch.float64), torch.tensor([[True, True, False]])
    assert weights_of(Sigmoid(), alpha, left)[0].tolist() == pytest.approx([0.731058579, 0.268941421, 0])
    concentration = [2, math.exp(-1), 0]
    expected = [c / sum(concentration) for c in concentration]
    assert weights_of(Dirichlet(), alpha, left)[0].tolist() == pytest.approx(expected)
    nested = Composite(inner=Dirichlet(), outer=StraightThroughGumbel())
    assert weights_of(nested, alpha, left)[0].tolist() == pytest.approx(expected)
    assert weights_of(StraightThroughGumbel(), alpha, left)[0].tolist() == pytest.approx([0.880797078, 0.119202922, 0])


def test_gates_move_from_one_half() -> None:
    alpha = torch.full((6, 5), 0.19, dtype=torch.float64)  # σ(0.19) = 0.5474
    found = decided(alpha, Sigmoid())
    assert (found.uniform, found.verdict) == (0.5, "hardly moved")
    alpha[0, 0] = -0.21  # σ(−0.21) = 0.4477
    assert decided(alpha, Sigmoid()).moved
