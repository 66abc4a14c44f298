"""The steps of an epoch, and the numbers that the log is told of them."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch

from mvit_video.data import Batch, TrainLoader
from mvit_video.engine.errors import RunError
from mvit_video.engine.optimising.optimiser import set_learning_rate
from mvit_video.engine.processes.group import ALONE, Group
from mvit_video.engine.records.display import TrainingDisplay
from mvit_video.engine.records.logs import RunLog, memory_gb
from mvit_video.engine.training.state import TrainState
from mvit_video.engine.training.step import TrainPlan, train_step
from mvit_video.engine.training.video_troubles import VideoTroubles


def train_one_epoch(
    state: TrainState,
    loader: TrainLoader,
    plan: TrainPlan,
    log: RunLog,
    display: TrainingDisplay,
    group: Group = ALONE,
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
        loss, grad_norm = train_step(state, islice(batches, plan.num_passes), plan, group)
        if not math.isfinite(loss):
            raise RunError(
                f"the loss is {loss} at step {state.step} (epoch {state.epoch}, learning rate "
                f"{learning_rate:.3g}): training stops, and checkpoints stay as they were; lower "
                "SOLVER.BASE_LR, lengthen SOLVER.WARMUP_EPOCHS or set SOLVER.CLIP_GRAD_L2NORM"
            )
        if state.average is not None:
            state.average.update()
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
