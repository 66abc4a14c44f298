"""Which parameters decay, and what the optimisers do with the recipe's numbers."""

import math

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
from mvit_video.models import MViT, architecture


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
    weight.grad = torch.tensor([0.5, -1.2])
    assert clip_gradients([weight], max_value=1.0, max_l2_norm=None) == pytest.approx(1.3)
    assert weight.grad.tolist() == [0.5, -1.0]
    assert clip_gradients([weight], max_value=None, max_l2_norm=None) == pytest.approx(1.25**0.5)
    assert weight.grad.tolist() == [0.5, -1.0]


def test_clipping_in_both_ways_measures_what_the_first_has_left():
    weight = nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([3.0, -40.0])
    norm = clip_gradients(iter([weight]), max_value=4.0, max_l2_norm=1.0)
    assert norm == pytest.approx(1609**0.5)
    torch.testing.assert_close(weight.grad, torch.tensor([0.6, -0.8]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("words", [(None, None), (1.0, None), (None, 1.0), (1.0, 1.0)])
def test_gradients_that_are_no_numbers_are_told_however_they_are_clipped(bad, words):
    weights = [nn.Parameter(torch.zeros(2)) for _ in range(3)]
    for weight in weights[:2]:
        weight.grad = torch.tensor([1.0, 1.0])
    weights[1].grad[0] = bad
    assert not math.isfinite(clip_gradients(weights, max_value=words[0], max_l2_norm=words[1]))


def test_what_cannot_be_is_refused():
    weight = nn.Parameter(torch.ones(1))
    groups = [{"params": [weight], "weight_decay": 0.0}]
    with pytest.raises(RunError, match=r"SOLVER.OPTIMIZING_METHOD is 'lion', expected sgd, adam or adamw"):
        build_optimiser(groups, method="lion", learning_rate=0.1)
    with pytest.raises(RunError, match=r"SOLVER.NESTEROV is True with SOLVER.MOMENTUM 0.0"):
        build_optimiser(groups, method="sgd", learning_rate=0.1, momentum=0.0, nesterov=True)


class _Layered(nn.Module):
    """The top-level names of an MViT with two blocks, and every name of a block that counts."""

    def __init__(self):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, 4))
        self.pos_embed_spatial = nn.Parameter(torch.zeros(1, 9, 4))
        self.pos_embed_temporal = nn.Parameter(torch.zeros(1, 2, 4))
        self.pos_embed_class = nn.Parameter(torch.zeros(1, 1, 4))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv3d(3, 4, 1)})
        self.norm_stem = nn.LayerNorm(4)
        self.blocks = nn.ModuleList([nn.Module(), nn.Module()])
        for block in self.blocks:
            block.attn = nn.Module()
            block.attn.rel_pos_h = nn.Parameter(torch.zeros(5, 4))
            block.attn.qkv = nn.Linear(4, 12)
            block.norm1 = nn.LayerNorm(4)
        self.norm = nn.LayerNorm(4)
        self.head = nn.ModuleDict({"projection": nn.Linear(4, 2)})


# lr factors with decay 0.5 and depth 2: 0.5 ** (depth + 1 - layer), the layer by SlowFast's optimizer.py
FACTORS = {
    "cls_token": 1 / 8,
    "pos_embed_spatial": 1 / 8,
    "pos_embed_temporal": 1 / 8,
    "pos_embed_class": 1 / 8,
    "patch_embed.proj.weight": 1 / 8,
    "patch_embed.proj.bias": 1 / 8,
    "norm_stem.weight": 1.0,
    "norm_stem.bias": 1.0,
    "blocks.0.attn.rel_pos_h": 1 / 4,
    "blocks.0.attn.qkv.weight": 1 / 4,
    "blocks.0.attn.qkv.bias": 1 / 4,
    "blocks.0.norm1.weight": 1 / 4,
    "blocks.0.norm1.bias": 1 / 4,
    "blocks.1.attn.rel_pos_h": 1 / 2,
    "blocks.1.attn.qkv.weight": 1 / 2,
    "blocks.1.attn.qkv.bias": 1 / 2,
    "blocks.1.norm1.weight": 1 / 2,
    "blocks.1.norm1.bias": 1 / 2,
    "norm.weight": 1.0,
    "norm.bias": 1.0,
    "head.projection.weight": 1.0,
    "head.projection.bias": 1.0,
}
# What the branch for layer decay leaves without weight decay: top-level names alone match.
EXEMPT_POSITIONS = {"cls_token", "pos_embed_spatial", "pos_embed_temporal", "pos_embed_class"}
EXEMPT_1D = {name for name in FACTORS if name.endswith(".bias") or "norm" in name}


@pytest.mark.parametrize("zero_1d", [False, True])
@pytest.mark.parametrize("zero_positions", [False, True])
def test_layer_decay(zero_1d, zero_positions):
    model = _Layered()
    groups = parameter_groups(
        model, weight_decay=0.05, zero_decay_1d=zero_1d, zero_decay_positions=zero_positions, layer_decay=0.5
    )
    optimiser = build_optimiser(groups, method="adamw", learning_rate=1.0)
    set_learning_rate(optimiser, 0.4)
    name_of = {parameter: name for name, parameter in model.named_parameters()}
    rates = {name_of[p]: group["lr"] for group in optimiser.param_groups for p in group["params"]}
    assert rates == {name: pytest.approx(0.4 * factor) for name, factor in FACTORS.items()}
    exempt = {
        name_of[p] for group in optimiser.param_groups for p in group["params"] if not group["weight_decay"]
    }
    assert exempt == (EXEMPT_1D if zero_1d else set()) | (EXEMPT_POSITIONS if zero_positions else set())
    names = [group["name"] for group in optimiser.param_groups]
    assert len(set(names)) == len(names)


def test_without_layer_decay_relative_positions_are_exempt_too():
    model = _Layered()
    groups = parameter_groups(model, weight_decay=0.05, zero_decay_1d=False, zero_decay_positions=True)
    (exempt,) = [group["params"] for group in groups if group["name"] == "no_decay"]
    name_of = {parameter: name for name, parameter in model.named_parameters()}
    tables = {"blocks.0.attn.rel_pos_h", "blocks.1.attn.rel_pos_h"}
    assert {name_of[p] for p in exempt} == EXEMPT_POSITIONS | tables
    assert [group["lr_scale"] for group in groups] == [1.0, 1.0]


def test_layer_decay_of_the_published_fine_tuning():
    """Depth 16, decay 0.75: the embedding learns at 0.75 ** 17 of the rate, the last block at 0.75."""
    model = MViT(architecture("mvitv2_s_16x4"))
    groups = parameter_groups(
        model, weight_decay=0.05, zero_decay_1d=True, zero_decay_positions=False, layer_decay=0.75
    )
    name_of = {parameter: name for name, parameter in model.named_parameters()}
    scale = {name_of[p]: group["lr_scale"] for group in groups for p in group["params"]}
    assert scale["patch_embed.proj.weight"] == pytest.approx(0.007516954, rel=1e-6)
    assert scale["blocks.0.attn.rel_pos_t"] == pytest.approx(0.010022605, rel=1e-6)
    assert scale["blocks.15.mlp.fc2.weight"] == 0.75
    assert scale["head.projection.weight"] == 1
    assert len(groups) == 2 * 18
