"""One optimiser step. Axes: clips (B, 3, T, H, W) uint8, logits (B, K)."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mvit_video.data import Batch, finish_batch, soft_targets
from mvit_video.engine.device import Precision, autocast
from mvit_video.engine.optimising.optimiser import clip_gradients
from mvit_video.engine.optimising.schedule import Schedule
from mvit_video.engine.processes.group import ALONE, Group
from mvit_video.engine.processes.parallel import accumulating
from mvit_video.engine.randomness import seed_step
from mvit_video.engine.training.state import TrainState


@dataclass(frozen=True)
class TrainPlan:
    """What a training step needs to know, as plain numbers.

    Attributes:
        schedule: the learning rate by fractional epoch.
        global_batch: clips behind one optimiser step; the loss is their mean.
        num_passes: a process's batches that make up a step, one forward and backward pass each.
        precision: of the forward pass.
        mean: per channel, of values in 0-1.
        std: likewise.
        clip_value: SOLVER.CLIP_GRAD_VAL.
        clip_l2_norm: SOLVER.CLIP_GRAD_L2NORM.
        num_classes: the model's.
        smoothing: share of each label that is spread over all classes.
        num_videos: of the training list.
        bad_videos_limit: share of them that may be unreadable in one epoch: DATA.BAD_VIDEOS_LIMIT.
        skipped_limit: steps without a finite loss that may be left out: TRAIN.SKIPPED_STEPS_LIMIT.
        seed: dropout and drop path are drawn from (seed, step, pass).
        log_period: steps between two rows of the log; the last step of an epoch has one too.
        explosion_factor: TRAIN.KILL_LOSS_EXPLOSION_FACTOR.
    """

    schedule: Schedule
    global_batch: int
    num_passes: int
    precision: Precision
    mean: tuple[float, ...]
    std: tuple[float, ...]
    clip_value: float | None
    clip_l2_norm: float | None
    num_classes: int
    smoothing: float
    num_videos: int
    bad_videos_limit: float
    skipped_limit: int
    seed: int
    log_period: int
    explosion_factor: float = 0.0


def train_step(
    state: TrainState,
    batches: Iterable[Batch],
    plan: TrainPlan,
    group: Group = ALONE,
    *,
    sum_losses: Callable[[float], float] | None = None,
    see: Callable[[Tensor, Batch], None] | None = None,
) -> tuple[float, float | None]:
    """One optimiser step on the mean loss over the global batch, whatever the sizes of its passes.

    Pass p of process r is pass ``p * world_size + r`` of the step, so that its clips, its mixes and what is
    drawn inside the model do not depend on who computes it.

    Args:
        state: is changed, the weight average too, unless the loss or the gradients' joint norm is no number.
        batches: the passes of this process; those of all processes are ``plan.global_batch`` clips.
        plan: the numbers.
        group: the processes; all of them have to call this.
        sum_losses: makes the loss of all processes of that of this one; None asks the group alone.
        see: is shown the logits (B, K) of each pass, with its batch.

    Returns:
        The loss over all processes, NaN where the gradients alone are no numbers (of which float16's scaler
        takes care itself), and the gradients' joint norm before clipping, None where the loss is no number.
    """
    state.optimiser.zero_grad(set_to_none=True)
    total = torch.zeros((), device=state.device)
    for index, batch in enumerate(batches):
        seed_step(plan.seed, state.step, index * group.world_size + group.rank)
        clips, targets = _finish(batch, plan, state.device)
        with accumulating(state.network, more_follows=index + 1 < plan.num_passes):
            with autocast(state.device, plan.precision):
                logits = state.network(clips)
            # A sum over the pass divided by the global batch: passes of any size add up to the mean.
            loss = F.cross_entropy(logits.float(), targets, reduction="sum") / plan.global_batch
            # The gradients are averaged over the processes, and the loss is meant as their sum.
            torch.autograd.backward(state.scaler.scale(loss * group.world_size))
        total += loss.detach()
        if see is not None:
            see(logits.detach(), batch)
    value = sum_losses(float(total)) if sum_losses else group.sum([float(total)])[0]
    if not math.isfinite(value):
        return value, None
    state.scaler.unscale_(state.optimiser)
    grad_norm = clip_gradients(
        state.model.parameters(), max_value=plan.clip_value, max_l2_norm=plan.clip_l2_norm
    )
    if not math.isfinite(grad_norm) and not state.scaler.is_enabled():
        return math.nan, grad_norm
    scale = state.scaler.get_scale()
    state.scaler.step(state.optimiser)
    state.scaler.update()
    if state.average is not None and state.scaler.get_scale() >= scale:  # a step left out lowers it
        state.average.update()
    return value, grad_norm


def _finish(batch: Batch, plan: TrainPlan, device: torch.device) -> tuple[Tensor, Tensor]:
    """Clips (B, 3, T, S, S) as the model takes them, and how much each class (B, K) is asked for."""
    clips = finish_batch(
        batch.clips.to(device, non_blocking=True),
        mean=plan.mean,
        std=plan.std,
        erasures=batch.erasures,
        mixes=batch.mixes,
        group_size=batch.group_size,
    )
    targets = soft_targets(
        batch.labels.to(device, non_blocking=True),
        plan.num_classes,
        smoothing=plan.smoothing,
        mixes=batch.mixes,
        group_size=batch.group_size,
    )
    return clips, targets
