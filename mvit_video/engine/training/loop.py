"""The training loop. Axes: clips (B, 3, T, H, W) uint8, logits (B, K)."""

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mvit_video.data import Batch, TrainLoader, finish_batch, soft_targets
from mvit_video.engine.device import Precision, autocast
from mvit_video.engine.errors import RunError
from mvit_video.engine.optimising.optimiser import clip_gradients, set_learning_rate
from mvit_video.engine.optimising.schedule import Schedule
from mvit_video.engine.randomness import seed_step
from mvit_video.engine.records.display import TrainingDisplay
from mvit_video.engine.records.logs import RunLog, memory_gb
from mvit_video.engine.training.video_troubles import VideoTroubles


@dataclass(frozen=True)
class TrainPlan:
    """What a training step needs to know, as plain numbers.

    Attributes:
        schedule: the learning rate by fractional epoch.
        global_batch: clips behind one optimiser step; the loss is their mean.
        num_passes: the loader's batches that make up a step, one forward and backward pass each.
        precision: of the forward pass.
        mean: per channel, of values in 0-1.
        std: likewise.
        clip_value: SOLVER.CLIP_GRAD_VAL.
        clip_l2_norm: SOLVER.CLIP_GRAD_L2NORM.
        num_classes: the model's.
        smoothing: share of each label that is spread over all classes.
        num_videos: of the training list.
        bad_videos_limit: share of them that may be unreadable in one epoch: DATA.BAD_VIDEOS_LIMIT.
        seed: dropout and drop path are drawn from (seed, step, pass).
        log_period: steps between two rows of the log; the last step of an epoch has one too.
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
    seed: int
    log_period: int


@dataclass
class TrainState:
    """What changes during training: everything a checkpoint holds."""

    model: nn.Module
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    epoch: int = 0
    step: int = 0

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device


def train_one_epoch(
    state: TrainState, loader: TrainLoader, plan: TrainPlan, log: RunLog, display: TrainingDisplay
) -> VideoTroubles:
    """Run one epoch, counted in ``state``; returns which of its videos were damaged or could not be read.

    Raises:
        RunError: the loss is not finite, or too many videos cannot be read.
    """
    num_steps = loader.num_batches // plan.num_passes
    troubles = VideoTroubles(plan.bad_videos_limit, plan.num_videos, state.epoch)
    window = _Window(state.device)
    batches = troubles.watch(window.timed(loader.epoch(state.epoch)))
    state.model.train()
    for index in range(num_steps):
        learning_rate = plan.schedule.learning_rate(state.epoch + index / num_steps)
        set_learning_rate(state.optimiser, learning_rate)
        loss, grad_norm = train_step(state, islice(batches, plan.num_passes), plan)
        if not math.isfinite(loss):
            raise RunError(
                f"the loss is {loss} at step {state.step} (epoch {state.epoch}, learning rate "
                f"{learning_rate:.3g}): training stops, and checkpoints stay as they were; lower "
                "SOLVER.BASE_LR, lengthen SOLVER.WARMUP_EPOCHS or set SOLVER.CLIP_GRAD_L2NORM"
            )
        state.step += 1
        window.add(loss, plan.global_batch)
        display.step(state.step, state.epoch)
        if (index + 1) % plan.log_period == 0 or index + 1 == num_steps:
            numbers = window.close(lr=learning_rate, grad_norm=grad_norm) | troubles.counts
            display.show(
                log.write("train", step=state.step, epoch=state.epoch + (index + 1) / num_steps, **numbers)
            )
    state.epoch += 1
    return troubles


def train_step(state: TrainState, batches: Iterable[Batch], plan: TrainPlan) -> tuple[float, float | None]:
    """One optimiser step on the mean loss over the global batch, whatever the sizes of its passes.

    Args:
        state: is changed, unless the loss is not finite.
        batches: the passes, together ``plan.global_batch`` clips.
        plan: the numbers.

    Returns:
        The loss, and the gradients' joint norm before clipping where it is known.
    """
    state.optimiser.zero_grad(set_to_none=True)
    total = torch.zeros((), device=state.device)
    for part, batch in enumerate(batches):
        seed_step(plan.seed, state.step, part)
        clips, targets = _finish(batch, plan, state.device)
        with autocast(state.device, plan.precision):
            logits = state.model(clips)
        # A sum over the pass divided by the global batch: passes of any size add up to the mean.
        loss = F.cross_entropy(logits.float(), targets, reduction="sum") / plan.global_batch
        torch.autograd.backward(state.scaler.scale(loss))
        total += loss.detach()
    value = float(total)
    if not math.isfinite(value):
        return value, None
    state.scaler.unscale_(state.optimiser)
    grad_norm = clip_gradients(
        state.model.parameters(), max_value=plan.clip_value, max_l2_norm=plan.clip_l2_norm
    )
    state.scaler.step(state.optimiser)
    state.scaler.update()
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


@dataclass
class _Window:
    """Sums since the last row of the log."""

    device: torch.device
    losses: list[float] = field(default_factory=list)
    clips: int = 0
    data_seconds: float = 0.0
    start: float = field(default_factory=time.perf_counter)

    def timed(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Pass batches on, counting the time spent waiting for them."""
        while True:
            asked = time.perf_counter()
            batch = next(batches, None)
            self.data_seconds += time.perf_counter() - asked
            if batch is None:
                return
            yield batch

    def add(self, loss: float, num_clips: int) -> None:
        self.losses.append(loss)
        self.clips += num_clips

    def close(self, *, lr: float, grad_norm: float | None) -> dict[str, Any]:
        """The window's numbers, means per step; starts the next window."""
        now = time.perf_counter()
        seconds, num_steps = now - self.start, len(self.losses)
        numbers = {
            "loss": sum(self.losses) / num_steps,
            "lr": lr,
            "grad_norm": grad_norm,
            "step_seconds": seconds / num_steps,
            "data_seconds": self.data_seconds / num_steps,
            "clips_per_second": self.clips / max(seconds, 1e-9),
            "memory_gb": memory_gb(self.device),
        }
        self.losses, self.clips, self.data_seconds, self.start = [], 0, 0.0, now
        return numbers
