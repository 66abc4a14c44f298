"""When a run writes its state, and what is in it."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from mvit_video.config import dump_config
from mvit_video.engine.checkpoints.files import checkpoint_path, save_checkpoint
from mvit_video.engine.checkpoints.keeping import drop_older, keep_as_best
from mvit_video.engine.errors import RunError
from mvit_video.engine.processes.parallel import full_model_state, full_optimiser_state
from mvit_video.engine.randomness import random_states
from mvit_video.engine.records.display import lasting
from mvit_video.engine.records.logs import RunLog
from mvit_video.engine.training.boundary import Boundary
from mvit_video.engine.training.preparation import TrainInputs
from mvit_video.engine.training.state import TrainState

_logger = logging.getLogger("mvit_video.engine")


class Saver:
    """Writes the checkpoints of a run; all processes call it together, the first one writes.

    Args:
        inputs: of the run.
        state: what is saved.
        log: is on the disk before a checkpoint of the same step is.
        boundary: is told of every checkpoint.
        saved: the checkpoint that the state was restored from, if it was.
    """

    def __init__(
        self, inputs: TrainInputs, state: TrainState, log: RunLog, boundary: Boundary, saved: Path | None
    ) -> None:
        self._inputs, self._state, self._log, self._boundary = inputs, state, log, boundary
        self._last = None if saved is None else (state.step, saved)

    def save(self, *, lasting: bool = False) -> Path:
        """Save the state of now, unless that was done.

        Args:
            lasting: for an epoch's end whose checkpoint stays; others go when there is a newer one.

        Raises:
            RunError: the file cannot be written, or a weight is not finite; in all processes alike, and the
                checkpoints before it stay as they were.
        """
        state = self._state
        path = checkpoint_path(self._inputs.output_dir, state.epoch, None if lasting else state.step)
        if self._last is not None and self._last[0] == state.step:
            path = self._last[1]
        else:
            self._write(path)
            self._last = state.step, path
        self._boundary.saved()
        return path

    def keep_if_best(self) -> None:
        """Keep the state that was evaluated just now as the best, if none did better on the val list."""
        group = self._inputs.group
        if not group.broadcast(_is_best(self._log, self._state.step)):
            return
        path = self.save()
        self._together(lambda: keep_as_best(path))

    def _write(self, path: Path) -> None:
        def write() -> None:
            _check_finite(contents["model_state"], self._state)
            self._log.sync()
            save_checkpoint(path, contents)
            drop_older(path, self._inputs.config.train.checkpoints_kept)

        with lasting(f"saving {path}"):
            contents = _contents(self._state, self._inputs)
            self._together(write)
        _logger.info("%s: saved %s", describe_position(self._state), path)

    def _together(self, write: Callable[[], None]) -> None:
        """Have the first process do something, and raise in all of them what goes wrong with it."""
        group, failed = self._inputs.group, None
        if group.is_main:
            try:
                write()
            except RunError as error:
                failed = error
        text = group.broadcast(None if failed is None else str(failed))
        if failed is not None:
            raise failed
        if text is not None:
            raise RunError(text)


def describe_position(state: TrainState) -> str:
    """How far a run is."""
    rest = f" and {state.step_in_epoch} steps of the next" if state.step_in_epoch else ""
    return f"{state.epoch} epochs{rest} done"


def _contents(state: TrainState, inputs: TrainInputs) -> dict[str, Any]:
    return {
        "model_state": full_model_state(state.model),
        "optimizer_state": full_optimiser_state(state.model, state.optimiser),
        "scaler_state": state.scaler.state_dict(),
        "ema_state": None if state.average is None else state.average.state_dict(full_model_state),
        "epoch": state.epoch,
        "step": state.step,
        "step_in_epoch": state.step_in_epoch,
        "global_batch": inputs.plan.global_batch,
        "skipped": state.skipped,
        "window": state.window.state_dict(),
        "troubles": None if state.troubles is None else state.troubles.state_dict(),
        "random_states": random_states(),
        "class_names": None if inputs.class_names is None else list(inputs.class_names),
        "cfg": dump_config(inputs.config),
    }


def _check_finite(model_state: Mapping[str, Tensor], state: TrainState) -> None:
    """Refuse to keep weights that a gradient of the last step has spoilt; the next loss would tell too late.

    Raises:
        RunError: a weight is not finite.
    """
    for name, tensor in model_state.items():
        # A sum takes a sixth of the time and is not finite where a weight is not; large weights overflow it.
        if not bool(tensor.sum().isfinite()) and not bool(tensor.isfinite().all()):
            raise RunError(
                f"{name} is not finite after step {state.step} ({describe_position(state)}): training stops, "
                "and checkpoints stay as they were; lower SOLVER.BASE_LR or set SOLVER.CLIP_GRAD_L2NORM"
            )


def _is_best(log: RunLog, step: int) -> bool:
    """Whether the last evaluation did better than all before it."""
    scores = [row["top1"] for row in log.rows if row["kind"] == "val" and row["step"]]
    here = [row["top1"] for row in log.rows if row["kind"] == "val" and row["step"] == step]
    return bool(step and here and here[-1] is not None) and all(
        score is None or score < here[-1] for score in scores[:-1]
    )
