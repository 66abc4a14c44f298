"""The steps of an epoch."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from mvit_video.data import TrainLoader
from mvit_video.engine.errors import Stopped
from mvit_video.engine.optimising.optimiser import set_learning_rate
from mvit_video.engine.records.display import TrainingDisplay
from mvit_video.engine.records.logs import RunLog
from mvit_video.engine.training.boundary import Boundary
from mvit_video.engine.training.skipping import StepRecord, skip_step
from mvit_video.engine.training.state import TrainState
from mvit_video.engine.training.step import TrainPlan, train_step
from mvit_video.engine.training.video_troubles import VideoTroubles
from mvit_video.engine.training.window import Window


@dataclass(frozen=True)
class Surroundings:
    """What an epoch's steps work with, beside the state that they change.

    Attributes:
        loader: the training clips.
        plan: the numbers of a step.
        log: is told of every LOG_PERIOD steps.
        display: shows them.
        boundary: the processes' exchange in each step.
        skipped_dir: where skipped batches are noted.
        save: writes a checkpoint.
    """

    loader: TrainLoader
    plan: TrainPlan
    log: RunLog
    display: TrainingDisplay
    boundary: Boundary
    skipped_dir: Path
    save: Callable[[], Path]


def train_one_epoch(state: TrainState, around: Surroundings) -> VideoTroubles:
    """Run an epoch, or the rest of one, counted in ``state``.

    A signal that comes within the epoch ends it after a step; after its last step that is left to the caller.

    Returns:
        Which of its videos were damaged or could not be read.

    Raises:
        RunError: the loss was no number too often, or too many videos cannot be read.
        Stopped: a signal asked for it, and the state is saved.
    """
    plan = around.plan
    num_steps = around.loader.num_batches // plan.num_passes
    if state.step_in_epoch == 0 or state.troubles is None:
        state.window = Window()
        state.troubles = VideoTroubles(plan.bad_videos_limit, plan.num_videos, state.epoch)
    troubles = state.troubles
    batches = around.loader.epoch(state.epoch, state.step_in_epoch * plan.num_passes)
    batches = troubles.watch(state.window.timed(batches))
    state.model.train()
    while state.step_in_epoch < num_steps:
        learning_rate = plan.schedule.learning_rate(state.epoch + state.step_in_epoch / num_steps)
        set_learning_rate(state.optimiser, learning_rate)
        record = StepRecord()

        def meet(loss: float, record: StepRecord = record) -> float:
            record.own_loss = loss
            right = None if record.right is None else int(record.right)
            record.loss = around.boundary.meet(loss, troubles, right)
            return record.loss

        passes = record.watch(islice(batches, plan.num_passes))
        loss, grad_norm = train_step(
            state, passes, plan, around.boundary.group, sum_losses=meet, see=record.see
        )
        if not math.isfinite(loss):
            skip_step(state, plan, record, around.boundary.group, around.skipped_dir)
        state.step += 1
        state.step_in_epoch += 1
        state.window.refuse_explosion(loss, plan.explosion_factor, state.step - 1)
        state.window.add(loss, plan.global_batch, around.boundary.num_right)
        around.display.step(state.step, state.epoch)
        if state.step_in_epoch % plan.log_period == 0 or state.step_in_epoch == num_steps:
            _tell(state, around, num_steps, learning_rate, grad_norm)
        if state.step_in_epoch < num_steps:
            _leave_or_save(state, around)
    state.epoch, state.step_in_epoch = state.epoch + 1, 0
    return troubles


def _tell(
    state: TrainState,
    around: Surroundings,
    num_steps: int,
    learning_rate: float,
    grad_norm: float | None,
) -> None:
    assert state.troubles is not None
    numbers = state.window.close(state.device, lr=learning_rate, grad_norm=grad_norm)
    numbers |= state.troubles.counts | {"skipped": state.skipped}
    epoch = state.epoch + state.step_in_epoch / num_steps
    around.display.show(around.log.write("train", step=state.step, epoch=epoch, **numbers))


def _leave_or_save(state: TrainState, around: Surroundings) -> None:
    """Between two steps: what the processes agreed on in the one before."""
    signal_number = around.boundary.signal_number
    if signal_number is not None:
        raise Stopped(signal_number, f"after step {state.step}", around.save())
    if around.boundary.save_due:
        around.save()
