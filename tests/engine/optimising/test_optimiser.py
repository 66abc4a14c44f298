"""Which parameters decay, and what the optimisers do with the recipe's numbers."""

import pytest
import torch
from torch import nn

from mvit_video.engine.errors import RunError
from mvit_video.engine.optimising.optimiser import (
    build_optimiser,
    clip_gradients,
    parameter_groups,
    set_learning_rate,
)


class _Named(nn.Module):
    """One parameter of every kind an MViT has, under its name."""

    def __init__(self):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, 4))
        self.pos_embed_spatial = nn.Parameter(torch.zeros(1, 9, 4))
        self.attn = nn.Module()
        self.attn.rel_pos_h = nn.Parameter(torch.zeros(5, 4))
        self.attn.qkv = nn.Linear(4, 12)
        self.attn.norm_q = nn.LayerNorm(4)
        self.bias_table = nn.Parameter(torch.zeros(3, 3))
        self.head = nn.Module()
        self.head.bias = nn.Parameter(torch.zeros(2, 2))  # a bias of two axes is a bias still
        self.frozen = nn.Parameter(torch.zeros(2, 2), requires_grad=False)


POSITIONS = {"cls_token", "pos_embed_spatial", "attn.rel_pos_h"}
ONE_D = {"attn.qkv.bias", "attn.norm_q.weight", "attn.norm_q.bias", "head.bias"}


@pytest.mark.parametrize("zero_1d", [False, True])
@pytest.mark.parametrize("zero_positions", [False, True])
def test_decay_rules(zero_1d, zero_positions):
    model = _Named()
    groups = parameter_groups(
        model, weight_decay=0.05, zero_decay_1d=zero_1d, zero_decay_positions=zero_positions
    )
    name_of = {parameter: name for name, parameter in model.named_parameters()}
    found = {group["weight_decay"]: {name_of[p] for p in group["params"]} for group in groups}
    exempt = (ONE_D if zero_1d else set()) | (POSITIONS if zero_positions else set())
    assert found.get(0.0, set()) == exempt
    assert found[0.05] == set(name_of.values()) - {"frozen"} - exempt


def test_adamw_decays_apart_from_the_gradient():
    weight, norm = nn.Parameter(torch.ones(1, 1)), nn.Parameter(torch.ones(1))
    model = nn.ParameterDict({"weight": weight, "norm": norm})
    groups = parameter_groups(model, weight_decay=0.5, zero_decay_1d=True, zero_decay_positions=False)
    optimiser = build_optimiser(groups, method="adamw", learning_rate=9.0)
    set_learning_rate(optimiser, 0.1)
    weight.grad, norm.grad = torch.full((1, 1), 3.0), torch.full((1,), 3.0)
    optimiser.step()
    # Adam's first step is lr * sign(gradient); the decayed one also shrinks by lr * decay.
    assert norm.item() == pytest.approx(1 - 0.1, abs=1e-6)
    assert weight.item() == pytest.approx(1 - 0.1 * 0.5 - 0.1, abs=1e-6)


@pytest.mark.parametrize(
    ("nesterov", "dampening", "expected"),
    [
        # two steps with gradient 1, momentum 0.5, lr 0.1: velocity 1, then 0.5 * 1 + (1 - dampening) * 1
        (False, 0.0, 1 - 0.1 * 1 - 0.1 * 1.5),
        (False, 0.4, 1 - 0.1 * 1 - 0.1 * 1.1),
        (True, 0.0, 1 - 0.1 * (1 + 0.5 * 1) - 0.1 * (1 + 0.5 * 1.5)),
    ],
)
def test_sgd_momentum(nesterov, dampening, expected):
    weight = nn.Parameter(torch.ones(1, 1))
    optimiser = build_optimiser(
        [{"params": [weight], "weight_decay": 0.0}],
        method="sgd", learning_rate=0.1, momentum=0.5, dampening=dampening, nesterov=nesterov,
    )  # fmt: skip
    for _ in range(2):
        weight.grad = torch.ones(1, 1)
        optimiser.step()
    assert weight.item() == pytest.approx(expected, abs=1e-6)


def test_clipping_by_norm_and_by_value():
    weight = nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([3.0, 4.0])
    assert clip_gradients([weight], max_value=None, max_l2_norm=1.0) == pytest.approx(5)
    torch.testing.assert_close(weight.grad, torch.tensor([0.6, 0.8]), rtol=0, atol=1e-5)
    weight.grad = torch.tensor([0.5, -4.0])
    assert clip_gradients([weight], max_value=1.0, max_l2_norm=None) is None
    assert weight.grad.tolist() == [0.5, -1.0]
    assert clip_gradients([weight], max_value=None, max_l2_norm=None) is None
    assert weight.grad.tolist() == [0.5, -1.0]


def test_what_cannot_be_is_refused():
    weight = nn.Parameter(torch.ones(1))
    groups = [{"params": [weight], "weight_decay": 0.0}]
    with pytest.raises(RunError, match=r"SOLVER.OPTIMIZING_METHOD is 'lion', expected sgd, adam or adamw"):
        build_optimiser(groups, method="lion", learning_rate=0.1)
    with pytest.raises(RunError, match=r"SOLVER.NESTEROV is True with SOLVER.MOMENTUM 0.0"):
        build_optimiser(groups, method="sgd", learning_rate=0.1, momentum=0.0, nesterov=True)
