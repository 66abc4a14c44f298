"""A training run: what a configuration says, from its lists to its last checkpoint."""

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mvit_video.api import load_weights
from mvit_video.config import Config, dump_config
from mvit_video.engine.checkpoints import files as checkpoints
from mvit_video.engine.device import choose_precision, describe_device, grad_scaler
from mvit_video.engine.errors import RunError
from mvit_video.engine.optimising.optimiser import build_optimiser, parameter_groups
from mvit_video.engine.randomness import random_states, restore_random_states, seed_everything
from mvit_video.engine.records.display import TrainingDisplay, counting
from mvit_video.engine.records.logs import Row, RunLog
from mvit_video.engine.resolve import resolve_statistics, resolve_test_batch
from mvit_video.engine.testing.evaluation import ViewScorer, evaluate
from mvit_video.engine.training.loop import TrainState, train_one_epoch
from mvit_video.engine.training.preparation import TrainInputs, prepare_training
from mvit_video.models import MViT
from mvit_video.weights import ZOO

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
    return fit(prepare_training(config))


def fit(inputs: TrainInputs) -> TrainResult:
    """Train with what :func:`prepare_training` put together; see :func:`train`."""
    config = inputs.config
    found = _resumable(config)
    seed_everything(config.rng_seed)
    state = _start(inputs, fresh=found is None)
    if found is not None:
        _restore(state, *found, config)
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

    # A sitting may have ended between a checkpoint and its evaluation.
    if state.epoch and due(train_config.eval_period) and not log.has("val", state.step):
        _validate(inputs, state, log)
    while state.epoch < max_epoch:
        troubles = train_one_epoch(state, inputs.loader, inputs.plan, log, display)
        for line in troubles.lines():
            _logger.warning("%s", line)
        if found := troubles.details:
            log.write("videos", step=state.step, epoch=float(state.epoch), details=found, **troubles.counts)
        if due(train_config.checkpoint_period):
            _save(inputs, state)
        if due(train_config.eval_period):
            _validate(inputs, state, log)


def _resumable(config: Config) -> tuple[Path, dict[str, Any]] | None:
    if config.train.auto_resume:
        found = checkpoints.last_resumable(config.output_dir)
        if found is None and checkpoints.list_checkpoints(config.output_dir):
            _logger.warning("no checkpoint in %s can be read: training starts at epoch 0", config.output_dir)
        return found
    if existing := checkpoints.list_checkpoints(config.output_dir):
        raise RunError(
            f"{existing[0]}: OUTPUT_DIR holds checkpoints of an earlier run and TRAIN.AUTO_RESUME is False: "
            "choose another OUTPUT_DIR, or remove them"
        )
    return None


def _start(inputs: TrainInputs, *, fresh: bool) -> TrainState:
    """The state before the first step; weights to start from are loaded only if that step is to come."""
    config = inputs.config
    model = MViT(inputs.architecture)
    if config.model.act_checkpoint:
        try:
            model.set_activation_checkpointing(config.model.act_checkpoint_blocks)
        except ValueError as error:
            raise RunError(f"MODEL.ACT_CHECKPOINT_BLOCKS: {error}") from error
    source = config.train.checkpoint_file_path or (config.model.name if config.model.name in ZOO else "")
    if source and fresh:
        _logger.info("%s", load_weights(model, source))
        _logger.info("training starts at epoch 0 from these weights, with a new optimiser")
    model.to(inputs.device)
    solver = config.solver
    groups = parameter_groups(
        model,
        weight_decay=solver.weight_decay,
        zero_decay_1d=solver.zero_wd_1d_param,
        zero_decay_positions=config.mvit.zero_decay_pos_cls,
    )
    optimiser = build_optimiser(
        groups,
        method=solver.optimizing_method,
        learning_rate=inputs.plan.schedule.learning_rate(0),
        momentum=solver.momentum,
        dampening=solver.dampening,
        nesterov=solver.nesterov,
        betas=solver.betas,
    )
    return TrainState(model, optimiser, grad_scaler(inputs.device, inputs.plan.precision))


def _restore(state: TrainState, path: Path, contents: dict[str, Any], config: Config) -> None:
    """Go on from a checkpoint.

    Raises:
        RunError: it is of another model or optimiser.
    """
    changed = checkpoints.changed_keys(contents["cfg"], config)
    if changed:
        _logger.warning(
            "%s was trained with other values of %s: the run goes on with those of now",
            path,
            ", ".join(changed),
        )
    try:
        state.model.load_state_dict(contents["model_state"])
        state.optimiser.load_state_dict(contents["optimizer_state"])
    except (RuntimeError, ValueError) as error:
        raise RunError(
            f"{path}: does not fit this configuration (changed: {', '.join(changed) or 'unknown'}): choose "
            "another OUTPUT_DIR to start a new run, or set those keys back"
        ) from error
    if contents["scaler_state"]:
        state.scaler.load_state_dict(contents["scaler_state"])
    restore_random_states(contents["random_states"])
    state.epoch, state.step = contents["epoch"], contents["step"]
    _logger.info("going on from %s: %d epochs done", path, state.epoch)


def _save(inputs: TrainInputs, state: TrainState) -> None:
    _check_finite(state)
    path = checkpoints.checkpoint_path(inputs.output_dir, state.epoch)
    checkpoints.save_checkpoint(
        path,
        {
            "model_state": state.model.state_dict(),
            "optimizer_state": state.optimiser.state_dict(),
            "scaler_state": state.scaler.state_dict(),
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


def _validate(inputs: TrainInputs, state: TrainState, log: RunLog) -> None:
    if inputs.validation is None:
        return
    config = inputs.config
    mean, std = resolve_statistics(config)
    scorer = ViewScorer(
        state.model,
        mean=mean,
        std=std,
        device=inputs.device,
        precision=choose_precision(config.test.precision, inputs.device, training=False),
        views_per_batch=resolve_test_batch(config),
        method=config.data.ensemble_method,
    )
    with counting("evaluating", len(inputs.validation), live=False) as progress:
        result = evaluate(
            scorer,
            inputs.validation,
            num_workers=inputs.num_workers,
            timeout_seconds=config.data.timeout_seconds,
            progress=progress,
        )
    log.write(
        "val",
        step=state.step,
        epoch=float(state.epoch),
        top1=result.top1,
        top5=result.top5,
        num_videos=result.num_videos,
        num_unreadable=len(result.unreadable),
        num_damaged=len(result.damaged),
    )
    _logger.info("epoch %d, one centre view of each val video: %s", state.epoch, result)


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
