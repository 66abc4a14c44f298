"""One training step, against the same step written out by hand."""

import copy
import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F
from kit.tiny_runs import tiny_config

from mvit_video.data import Batch, Erasure, Mix
from mvit_video.data.augment.placements import Box
from mvit_video.engine.device import grad_scaler
from mvit_video.engine.optimising.schedule import Schedule
from mvit_video.engine.resolve import resolve_architecture
from mvit_video.engine.training.state import TrainState
from mvit_video.engine.training.step import TrainPlan, train_step
from mvit_video.models import MViT

CPU = torch.device("cpu")
MEAN, STD = (0.45, 0.4, 0.5), (0.225, 0.2, 0.25)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    # 8 frames, 4 steps of the token grid: of a grid of 2 steps, oneDNN's bf16 weight gradient is wrong.
    words = ("MVIT.DROPPATH_RATE", 0.0, "MODEL.DROPOUT_RATE", 0.0, "DATA.NUM_FRAMES", 8)
    config = tiny_config(tmp_path_factory.mktemp("model"), *words)
    torch.manual_seed(0)
    return MViT(resolve_architecture(config))


@pytest.fixture(scope="module")
def clips():
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (6, 3, 8, 16, 16), dtype=torch.uint8, generator=generator)


LABELS = torch.tensor([0, 1, 1, 0, 1, 1])


def _plain(part, labels, start):
    return Batch(part, labels, labels)


def _step(model, clips, sizes, *, precision="fp32", batch=_plain, **limits):
    """The gradients of a step whose passes have these sizes; learning rate 1 makes them visible."""
    model = copy.deepcopy(model)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimiser = torch.optim.SGD(model.parameters(), lr=1.0)
    plan = TrainPlan(
        Schedule(base_lr=1, max_epoch=1), global_batch=6, num_passes=len(sizes), precision=precision,
        mean=MEAN, std=STD, clip_value=None, clip_l2_norm=None, num_classes=2, smoothing=0.0, num_videos=6,
        bad_videos_limit=0.1, skipped_limit=0, seed=0, log_period=1,
    )  # fmt: skip
    plan = dataclasses.replace(plan, **limits)
    state = TrainState(model, optimiser, grad_scaler(CPU, precision))
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    batches = [
        batch(part, labels, start)
        for part, labels, start in zip(clips.split(sizes), LABELS.split(sizes), starts, strict=True)
    ]
    model.train()
    loss, norm = train_step(state, batches, plan)
    gradients = {name: before[name] - parameter.detach() for name, parameter in model.named_parameters()}
    return loss, norm, gradients


def _by_hand(model, clips):
    model = copy.deepcopy(model).train()
    mean, std = (torch.tensor(values).view(1, 3, 1, 1, 1) for values in (MEAN, STD))
    loss = F.cross_entropy(model((clips / 255 - mean) / std), LABELS)
    loss.backward()
    return loss.item(), {name: parameter.grad for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("sizes", [[6], [1, 2, 3], [4, 2], [1] * 6])
def test_passes_of_any_sizes_make_the_gradient_of_the_whole_batch(model, clips, sizes):
    expected_loss, expected = _by_hand(model, clips)
    loss, norm, gradients = _step(model, clips, sizes)
    assert loss == pytest.approx(expected_loss, abs=1e-6)
    assert norm == pytest.approx(_joint_norm(expected), rel=1e-4)
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6, msg=name)


MIXES = (Mix(0.3), Mix(1 - 4 * 8 / 256, Box(2, 8, 4, 8)), Mix())  # of groups of two clips
ERASED = Box(0, 4, 8, 4)


def _augmented(part, labels, start):
    erasures = [Erasure((ERASED,), "const", 0) if start + i == 3 else None for i in range(len(part))]
    mixes = MIXES[start // 2 : (start + len(part)) // 2]
    return Batch(part, labels, labels, erasures=erasures, mixes=mixes, group_size=2)


@pytest.mark.parametrize("sizes", [[6], [2, 4], [2, 2, 2]])
def test_erased_and_mixed_clips_with_smoothed_and_mixed_labels(model, clips, sizes):
    """However the batch is cut: mixup of the first pair, CutMix of the second, one clip of it erased."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1, 1) for values in (MEAN, STD))
    x = (clips / 255 - mean) / std
    x[3, :, :, :8, 4:8] = 0
    mixed = x.clone()
    mixed[0], mixed[1] = 0.3 * x[0] + 0.7 * x[1], 0.3 * x[1] + 0.7 * x[0]
    mixed[2, :, :, 2:6, 8:16], mixed[3, :, :, 2:6, 8:16] = x[3, :, :, 2:6, 8:16], x[2, :, :, 2:6, 8:16]
    on, off = 0.95, 0.05  # smoothed by 0.1 over two classes
    smooth = torch.tensor([[off, on] if label else [on, off] for label in LABELS])
    targets = smooth.clone()
    for i, j, lam in ((0, 1, 0.3), (2, 3, 1 - 32 / 256)):
        targets[i], targets[j] = (
            lam * smooth[i] + (1 - lam) * smooth[j],
            lam * smooth[j] + (1 - lam) * smooth[i],
        )
    by_hand = copy.deepcopy(model).train()
    expected_loss = -(targets * by_hand(mixed).log_softmax(1)).sum(1).mean()
    expected_loss.backward()
    loss, _, gradients = _step(model, clips, sizes, batch=_augmented, smoothing=0.1)
    assert loss == pytest.approx(expected_loss.item(), abs=1e-6)
    for name, parameter in by_hand.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad, rtol=1e-4, atol=1e-6, msg=name)


def _joint_norm(gradients):
    return math.sqrt(sum(gradient.square().sum().item() for gradient in gradients.values()))


def test_the_norm_is_clipped_over_all_passes_together(model, clips):
    whole = _joint_norm(_by_hand(model, clips)[1])
    _, norm, gradients = _step(model, clips, [4, 2], clip_l2_norm=whole / 4)
    assert norm == pytest.approx(whole, rel=1e-4)
    assert _joint_norm(gradients) == pytest.approx(whole / 4, rel=1e-3)


def test_values_are_clipped(model, clips):
    _, _, gradients = _step(model, clips, [6], clip_value=1e-3)
    assert max(gradient.abs().max().item() for gradient in gradients.values()) == pytest.approx(
        1e-3, rel=1e-3
    )


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precisions_clip_unscaled_gradients(model, clips, precision):
    """fp16 scales the loss by 65536; a norm taken before unscaling would show it."""
    expected_loss, expected = _by_hand(model, clips)
    loss, norm, gradients = _step(model, clips, [3, 3], precision=precision, clip_l2_norm=1e9)
    assert loss == pytest.approx(expected_loss, rel=0.02)
    assert norm == pytest.approx(_joint_norm(expected), rel=0.1)
    assert _joint_norm(gradients) == pytest.approx(_joint_norm(expected), rel=0.1)


def test_a_loss_that_is_no_number_changes_nothing(model, clips):
    broken = copy.deepcopy(model)
    with torch.no_grad():
        broken.head.projection.bias[0] = math.nan
    loss, _, gradients = _step(broken, clips, [6])
    assert math.isnan(loss)
    del gradients["head.projection.bias"]
    assert _joint_norm(gradients) == 0
