"""The state that a run starts from: fresh, from given weights, or from a checkpoint."""

import logging
from pathlib import Path
from typing import Any

from mvit_video.api import load_weights
from mvit_video.config import Config
from mvit_video.engine.checkpoints import files as checkpoints
from mvit_video.engine.checkpoints.changes import changed_keys
from mvit_video.engine.checkpoints.keeping import best_path, remove_leftovers
from mvit_video.engine.device import grad_scaler
from mvit_video.engine.errors import RunError
from mvit_video.engine.inputs import start_weights
from mvit_video.engine.optimising.optimiser import build_optimiser, parameter_groups
from mvit_video.engine.optimising.weight_average import WeightAverage
from mvit_video.engine.processes.group import ALONE, Group
from mvit_video.engine.processes.parallel import distribute, load_model_state, load_optimiser_state
from mvit_video.engine.randomness import restore_random_states
from mvit_video.engine.records.display import lasting
from mvit_video.engine.training.preparation import TrainInputs
from mvit_video.engine.training.saving import describe_position
from mvit_video.engine.training.state import TrainState
from mvit_video.engine.training.video_troubles import VideoTroubles
from mvit_video.engine.training.window import Window
from mvit_video.models import MViT

_logger = logging.getLogger("mvit_video.engine")


@lasting("reading the last checkpoint")
def find_resumable(config: Config, group: Group = ALONE) -> tuple[Path, dict[str, Any]] | None:
    """The checkpoint that TRAIN.AUTO_RESUME goes on from, and its contents; None: a new run.

    The first process chooses for all. What killed runs have left half-written is removed.

    Raises:
        RunError: OUTPUT_DIR holds another run's checkpoints, and AUTO_RESUME is off; or none of them can be
            read; or only the best is left.
    """
    found = None
    if group.is_main:
        best = best_path(config.output_dir)
        existing = checkpoints.list_checkpoints(config.output_dir) or [best] * best.exists()
        if existing and not config.train.auto_resume:
            raise RunError(
                f"{existing[0]}: OUTPUT_DIR holds checkpoints of an earlier run and TRAIN.AUTO_RESUME is "
                "False: choose another OUTPUT_DIR, or remove them"
            )
        remove_leftovers(config.output_dir)
        found = checkpoints.last_resumable(config.output_dir)
        if found is None and existing:
            raise RunError(
                f"{best}: is the only checkpoint there, and a new run would write over it: to go on from it "
                f"rename it as {checkpoints.checkpoint_path('', 10).name} with the epochs it is of; "
                "otherwise move it away, or choose another OUTPUT_DIR"
            )
    path = group.broadcast(None if found is None else found[0])
    if path is None or found is not None:
        return found
    return path, checkpoints.read_resumable(path, verify=False)  # the first process has verified it


@lasting("building the model")
def fresh_state(inputs: TrainInputs, *, fresh: bool) -> TrainState:
    """The state before the first step; weights to start from are loaded only if that step is to come."""
    config = inputs.config
    model = MViT(inputs.architecture)
    if config.model.act_checkpoint:
        try:
            model.set_activation_checkpointing(config.model.act_checkpoint_blocks)
        except ValueError as error:
            raise RunError(f"MODEL.ACT_CHECKPOINT_BLOCKS: {error}") from error
    source, inflation = start_weights(config)
    if source and fresh:
        _logger.info("%s", load_weights(model, source, inflation=inflation))
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


def restore(state: TrainState, path: Path, contents: dict[str, Any], inputs: TrainInputs) -> None:
    """Go on from a checkpoint.

    Raises:
        RunError: it is of another model or optimiser.
    """
    changed = changed_keys(contents["cfg"], inputs.config)
    if changed:
        _logger.warning(
            "%s was trained with other values of %s: the run goes on with those of now",
            path,
            ", ".join(changed),
        )
    try:
        load_model_state(state.model, contents["model_state"])
        load_optimiser_state(state.model, state.optimiser, contents["optimizer_state"])
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
    if contents["format"] >= 2:
        _restore_place(state, contents, inputs)
    _logger.info("going on from %s: %s", path, describe_position(state))


def _restore_place(state: TrainState, contents: dict[str, Any], inputs: TrainInputs) -> None:
    """Where in its epoch the run was, and what the log was going to be told of it."""
    plan = inputs.plan
    state.skipped = contents["skipped"]
    # A batch of another size, which is a changed configuration, goes on behind the same videos.
    state.step_in_epoch = min(
        contents["step_in_epoch"] * contents["global_batch"] // plan.global_batch, inputs.steps_per_epoch
    )
    if state.step_in_epoch:
        state.window = Window.restored(contents["window"])
        state.troubles = VideoTroubles(plan.bad_videos_limit, plan.num_videos, state.epoch)
        state.troubles.load_state_dict(contents["troubles"])


def _restore_average(average: WeightAverage, saved: dict[str, Any] | None, path: Path) -> None:
    if saved is None:
        _logger.warning("%s: has no averaged weights: TRAIN.EMA_DECAY averages from here on", path)
        average.restart()
    else:
        average.load_state_dict(saved, load_model_state)
