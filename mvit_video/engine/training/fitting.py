"""A training run: what a configuration says, from its lists to its last checkpoint."""

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from mvit_video.config import Config, dump_config
from mvit_video.engine.checkpoints import files as checkpoints
from mvit_video.engine.device import describe_device
from mvit_video.engine.errors import RunError
from mvit_video.engine.processes.joining import joined
from mvit_video.engine.processes.parallel import full_model_state
from mvit_video.engine.randomness import random_states, seed_everything
from mvit_video.engine.records.display import TrainingDisplay
from mvit_video.engine.records.logs import Row, RunLog
from mvit_video.engine.training.loop import train_one_epoch
from mvit_video.engine.training.preparation import TrainInputs, prepare_training
from mvit_video.engine.training.starting import find_resumable, fresh_state, restore
from mvit_video.engine.training.state import TrainState
from mvit_video.engine.training.validation import validate

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
    with joined(config) as group:
        return fit(prepare_training(config, group))


def fit(inputs: TrainInputs) -> TrainResult:
    """Train with what :func:`prepare_training` put together; see :func:`train`."""
    config = inputs.config
    found = find_resumable(config)
    seed_everything(config.rng_seed)
    state = fresh_state(inputs, fresh=found is None)
    if found is not None:
        restore(state, *found, config)
    _announce(inputs, state)
    (inputs.output_dir / "config.yaml").write_text(dump_config(config), encoding="utf-8")
    total_steps = inputs.steps_per_epoch * config.solver.max_epoch
    with (
        closing(inputs.loader),
        RunLog(inputs.output_dir, resume_step=state.step) as log,
        _interruption_said(state, inputs),
        TrainingDisplay(total_steps, config.solver.max_epoch, state.step) as display,
    ):
        _run_epochs(inputs, state, log, display)
    path = checkpoints.checkpoint_path(inputs.output_dir, state.epoch)
    return TrainResult(path, state.epoch, state.step, tuple(log.rows))


def _run_epochs(inputs: TrainInputs, state: TrainState, log: RunLog, display: TrainingDisplay) -> None:
    train_config, max_epoch = inputs.config.train, inputs.config.solver.max_epoch

    def due(period: int) -> bool:
        return state.epoch % period == 0 or state.epoch == max_epoch

    if state.step == 0 and train_config.eval_at_start:
        validate(inputs, state, log)
    # A sitting may have ended between a checkpoint and its evaluation.
    if state.epoch and due(train_config.eval_period) and not log.has("val", state.step):
        validate(inputs, state, log)
    while state.epoch < max_epoch:
        troubles = train_one_epoch(state, inputs.loader, inputs.plan, log, display, inputs.group)
        for line in troubles.lines():
            _logger.warning("%s", line)
        if found := troubles.details:
            log.write("videos", step=state.step, epoch=float(state.epoch), details=found, **troubles.counts)
        if due(train_config.checkpoint_period):
            _save(inputs, state)
        if due(train_config.eval_period):
            validate(inputs, state, log)


def _save(inputs: TrainInputs, state: TrainState) -> None:
    _check_finite(state)
    path = checkpoints.checkpoint_path(inputs.output_dir, state.epoch)
    checkpoints.save_checkpoint(
        path,
        {
            "model_state": state.model.state_dict(),
            "optimizer_state": state.optimiser.state_dict(),
            "scaler_state": state.scaler.state_dict(),
            "ema_state": None if state.average is None else state.average.state_dict(full_model_state),
            "epoch": state.epoch,
            "step": state.step,
            "random_states": random_states(),
            "class_names": None if inputs.class_names is None else list(inputs.class_names),
            "cfg": dump_config(inputs.config),
        },
    )
    _logger.info("epoch %d: saved %s", state.epoch, path)


def _check_finite(state: TrainState) -> None:
    """Refuse to keep weights that a gradient of the last step has spoilt; the next loss would tell too late.

    Raises:
        RunError: a weight is not finite.
    """
    for name, parameter in state.model.named_parameters():
        if not bool(parameter.isfinite().all()):
            raise RunError(
                f"{name} is not finite after step {state.step} (epoch {state.epoch}): training stops, and "
                "checkpoints stay as they were; lower SOLVER.BASE_LR or set SOLVER.CLIP_GRAD_L2NORM"
            )


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
        "%s, learning rate %.3g at the top (%.3g at epoch 0, %.3g at the end), weight decay %g",
        solver.optimizing_method, schedule.base_lr, schedule.learning_rate(0),
        schedule.learning_rate(solver.max_epoch), solver.weight_decay,
    )  # fmt: skip


@contextmanager
def _interruption_said(state: TrainState, inputs: TrainInputs) -> Iterator[None]:
    """Say where a run that is stopped by hand stands; the interruption goes on."""
    try:
        yield
    except KeyboardInterrupt:
        saved = checkpoints.list_checkpoints(inputs.output_dir)
        rest = f"the same command goes on from {saved[0]}" if saved else "no checkpoint was saved yet"
        _logger.warning("stopped in epoch %d at step %d; %s", state.epoch + 1, state.step, rest)
        raise
