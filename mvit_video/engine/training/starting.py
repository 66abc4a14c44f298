"""The state that a run starts from: fresh, from given weights, or from a checkpoint."""

import logging
from pathlib import Path
from typing import Any

from mvit_video.api import load_weights
from mvit_video.config import Config
from mvit_video.engine.checkpoints import files as checkpoints
from mvit_video.engine.device import grad_scaler
from mvit_video.engine.errors import RunError
from mvit_video.engine.optimising.optimiser import build_optimiser, parameter_groups
from mvit_video.engine.optimising.weight_average import WeightAverage
from mvit_video.engine.processes.parallel import distribute, load_model_state
from mvit_video.engine.randomness import restore_random_states
from mvit_video.engine.training.preparation import TrainInputs
from mvit_video.engine.training.state import TrainState
from mvit_video.models import MViT
from mvit_video.weights import ZOO

_logger = logging.getLogger("mvit_video.engine")


def find_resumable(config: Config) -> tuple[Path, dict[str, Any]] | None:
    """The checkpoint that TRAIN.AUTO_RESUME goes on from, and its contents; None: a new run.

    Raises:
        RunError: OUTPUT_DIR holds another run's checkpoints, and AUTO_RESUME is off.
    """
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


def fresh_state(inputs: TrainInputs, *, fresh: bool) -> TrainState:
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
    network = distribute(model, inputs.group, config.distributed.strategy)
    solver = config.solver
    groups = parameter_groups(
        model,
        weight_decay=solver.weight_decay,
        zero_decay_1d=solver.zero_wd_1d_param,
        zero_decay_positions=config.mvit.zero_decay_pos_cls,
        layer_decay=solver.layer_decay,
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
    average = WeightAverage(model, config.train.ema_decay) if config.train.ema_decay else None
    scaler = grad_scaler(inputs.device, inputs.plan.precision)
    return TrainState(model, optimiser, scaler, average=average, wrapped=network)


def restore(state: TrainState, path: Path, contents: dict[str, Any], config: Config) -> None:
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
    if state.average is not None:
        _restore_average(state.average, contents.get("ema_state"), path)
    restore_random_states(contents["random_states"])
    state.epoch, state.step = contents["epoch"], contents["step"]
    _logger.info("going on from %s: %d epochs done", path, state.epoch)


def _restore_average(average: WeightAverage, saved: dict[str, Any] | None, path: Path) -> None:
    if saved is None:
        _logger.warning("%s: has no averaged weights: TRAIN.EMA_DECAY averages from here on", path)
        average.restart()
    else:
        average.load_state_dict(saved, load_model_state)
