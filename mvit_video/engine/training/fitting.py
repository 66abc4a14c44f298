"""A training run: what a configuration says, from its lists to its last checkpoint."""

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from mvit_video.config import Config, dump_config
from mvit_video.data.lists.writing import write_lines
from mvit_video.engine.checkpoints import files as checkpoints
from mvit_video.engine.device import describe_device
from mvit_video.engine.errors import Stopped
from mvit_video.engine.processes.joining import joined
from mvit_video.engine.processes.starting import processes_to_start, run_together
from mvit_video.engine.randomness import seed_everything
from mvit_video.engine.records.display import TrainingDisplay
from mvit_video.engine.records.logs import Row, RunLog, shared_log
from mvit_video.engine.resolve import learning_rate_scale
from mvit_video.engine.stopping import signals_noted
from mvit_video.engine.training.boundary import Boundary
from mvit_video.engine.training.loop import Surroundings, train_one_epoch
from mvit_video.engine.training.preparation import TrainInputs, prepare_training
from mvit_video.engine.training.saving import Saver
from mvit_video.engine.training.starting import find_resumable, fresh_state, restore
from mvit_video.engine.training.state import TrainState
from mvit_video.engine.training.validation import validate
from mvit_video.engine.training.video_troubles import VideoTroubles

_logger = logging.getLogger("mvit_video.engine")


@dataclass(frozen=True)
class TrainResult:
    """What a training run left.

    Attributes:
        checkpoint: the last one.
        epochs: completed, by all sittings together.
        steps: optimiser steps, likewise.
        rows: the rows of ``train.jsonl``.
    """

    checkpoint: Path
    epochs: int
    steps: int
    rows: tuple[Row, ...]


def train(config: Config) -> TrainResult:
    """Train as the configuration says, whether or not TRAIN.ENABLE is set.

    With TRAIN.AUTO_RESUME a run goes on from the newest readable checkpoint of OUTPUT_DIR as if it had never
    stopped. Otherwise it starts from TRAIN.CHECKPOINT_FILE_PATH or a published model's weights, of which it
    takes the weights alone, or from random ones.

    Raises:
        ValueError: something the user can mend; the text says what.
    """
    if (count := processes_to_start(config)) > 1:
        return run_together(train, config, count)
    with joined(config) as group:
        return fit(prepare_training(config, group))


def fit(inputs: TrainInputs) -> TrainResult:
    """Train with what :func:`prepare_training` put together; see :func:`train`.

    Raises:
        RunError: it cannot go on; checkpoints stay as they were.
        Stopped: a signal asked for it; everything up to the last whole step is saved.
    """
    config = inputs.config
    with signals_noted("this step or video" if inputs.group.is_main else None), closing(inputs.loader):
        found = find_resumable(config, inputs.group)
        seed_everything(config.rng_seed)
        state = fresh_state(inputs, fresh=found is None)
        if found is not None:
            restore(state, *found, inputs)
        _announce(inputs, state)
        if inputs.group.is_main:
            write_lines(inputs.output_dir / "config.yaml", dump_config(config).splitlines())
        total_steps = inputs.steps_per_epoch * config.solver.max_epoch
        boundary = Boundary(inputs.group, config.train.checkpoint_minutes)
        with (
            shared_log(inputs.output_dir, state.step, inputs.group) as log,
            _interruption_said(state, inputs),
            TrainingDisplay(
                total_steps, config.solver.max_epoch, state.step, live=inputs.group.is_main
            ) as display,
        ):
            saver = Saver(inputs, state, log, boundary, found and found[0])
            skipped_dir = inputs.output_dir / "skipped"
            around = Surroundings(inputs.loader, inputs.plan, log, display, boundary, skipped_dir, saver.save)
            _run_epochs(inputs, state, around, saver)
    path = checkpoints.checkpoint_path(inputs.output_dir, state.epoch)
    return TrainResult(path, state.epoch, state.step, tuple(log.rows))


def _run_epochs(inputs: TrainInputs, state: TrainState, around: Surroundings, saver: Saver) -> None:
    config, max_epoch = inputs.config.train, inputs.config.solver.max_epoch

    def due(period: int) -> bool:
        return state.epoch % period == 0 or state.epoch == max_epoch

    if state.step == 0 and config.eval_at_start:
        _evaluate(inputs, state, around.log, saver)
    # A sitting may have ended between a checkpoint and its evaluation, or what follows from that.
    if state.epoch and not state.step_in_epoch and due(config.eval_period):
        _evaluate(inputs, state, around.log, saver)
    while state.epoch < max_epoch:
        _tell_troubles(state, train_one_epoch(state, around), around.log)
        if due(config.checkpoint_period):
            saver.save(lasting=True)
        elif around.boundary.save_due:
            saver.save()
        if around.boundary.signal_number is not None:
            raise Stopped(around.boundary.signal_number, f"after step {state.step}", saver.save())
        if due(config.eval_period):
            _evaluate(inputs, state, around.log, saver)


def _tell_troubles(state: TrainState, troubles: VideoTroubles, log: RunLog) -> None:
    for line in troubles.lines():
        _logger.warning("%s", line)
    if found := troubles.details:
        log.write("videos", step=state.step, epoch=float(state.epoch), details=found, **troubles.counts)


def _evaluate(inputs: TrainInputs, state: TrainState, log: RunLog, saver: Saver) -> None:
    """Score the val videos, unless an earlier sitting did; a signal meanwhile saves and leaves."""
    try:
        if not log.has("val", state.step):
            validate(inputs, state, log)
    except Stopped as stop:
        where = f"while evaluating after step {state.step}"
        raise Stopped(stop.signal_number, where, saver.save() if state.step else None) from stop
    saver.keep_if_best()


def _announce(inputs: TrainInputs, state: TrainState) -> None:
    batch, schedule, solver = inputs.batch, inputs.plan.schedule, inputs.config.solver
    _logger.info(
        "training %.2f M parameters on %s in %s",
        sum(parameter.numel() for parameter in state.model.parameters()) / 1e6,
        describe_device(inputs.device), inputs.plan.precision,
    )  # fmt: skip
    _logger.info(
        "%d epochs of %d steps; effective batch %d clips (%d videos x %d): %d videos at a time, %d times",
        solver.max_epoch, inputs.steps_per_epoch, batch.global_clips,
        batch.global_batch, batch.clips_per_video, batch.micro_batch, batch.accumulation_steps,
    )  # fmt: skip
    _logger.info(
        "%s, learning rate %.3g at the top (SOLVER.BASE_LR %s; %.3g at epoch 0, %.3g at the end), "
        "weight decay %g",
        solver.optimizing_method, schedule.base_lr, learning_rate_scale(inputs.config)[1],
        schedule.learning_rate(0), schedule.learning_rate(solver.max_epoch), solver.weight_decay,
    )  # fmt: skip


@contextmanager
def _interruption_said(state: TrainState, inputs: TrainInputs) -> Iterator[None]:
    """Say where a run that is stopped by hand stands; the interruption goes on."""
    try:
        yield
    except KeyboardInterrupt:
        if not inputs.group.is_main:
            raise
        saved = checkpoints.list_checkpoints(inputs.output_dir)
        rest = f"the same command goes on from {saved[0]}" if saved else "no checkpoint was saved yet"
        _logger.warning("stopped in epoch %d at step %d; %s", state.epoch + 1, state.step, rest)
        raise
