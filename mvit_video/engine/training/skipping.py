"""Steps whose loss or gradients are no numbers: left out, counted, and noted; too many end the run."""

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mvit_video.data import Batch
from mvit_video.engine.errors import RunError
from mvit_video.engine.processes.group import Group
from mvit_video.engine.training.state import TrainState
from mvit_video.engine.training.step import TrainPlan

_logger = logging.getLogger("mvit_video.engine")


@dataclass
class StepRecord:
    """What went into a step, in case its loss is no number, and how many of its clips were told right.

    Attributes:
        batches: what there is to note of each pass.
        own_loss: this process's share of the loss.
        loss: that of all processes.
        right: clips with the right class on top, of this process; None where labels are mixed.
    """

    batches: list[dict[str, Any]] = field(default_factory=list)
    own_loss: float = math.nan
    loss: float = math.nan
    right: Tensor | None = None

    def watch(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Pass batches on, noting all of them but their clips."""
        for batch in batches:
            self.batches.append(
                {
                    "indices": batch.indices,
                    "labels": batch.labels,
                    "mixes": [repr(mix) for mix in batch.mixes],
                    "erasures": [repr(erasure) for erasure in batch.erasures],
                }
            )
            yield batch

    def see(self, logits_BK: Tensor, batch: Batch) -> None:
        """Count the clips of a pass that are told right, on the device; mixed labels have no right class."""
        if not batch.mixes:
            labels_B = batch.labels.to(logits_BK.device, non_blocking=True)
            right = (logits_BK.argmax(dim=1) == labels_B).sum()
            self.right = right if self.right is None else self.right + right


def skip_step(state: TrainState, plan: TrainPlan, record: StepRecord, group: Group, folder: Path) -> None:
    """Count a step that was left out, and write what was in it to ``folder``; before it is counted as a step.

    ``step_00000123_rank_0.pt`` is for ``torch.load``: ``step`` (steps before it), ``epoch``, ``seed`` (the
    run's), ``loss`` (this process's share) and ``learning_rate``; under ``batches`` for each pass of this
    process the ``indices`` of its videos in the training list, ``labels``, ``mixes`` and ``erasures``, and
    ``part``, which with seed and step gave the model its random numbers.

    Raises:
        RunError: more were left out than TRAIN.SKIPPED_STEPS_LIMIT allows.
    """
    state.skipped += 1
    first = state.optimiser.param_groups[0]
    learning_rate = first["lr"] / first.get("lr_scale", 1.0)
    path = folder / f"step_{state.step:08d}_rank_{group.rank}.pt"
    contents = {
        "step": state.step,
        "epoch": state.epoch,
        "seed": plan.seed,
        "loss": record.own_loss,
        "learning_rate": learning_rate,
        "batches": [
            noted | {"part": index * group.world_size + group.rank}
            for index, noted in enumerate(record.batches)
        ],
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(contents, path)
        rest = f"its batch is noted in {path}"
    except (OSError, RuntimeError) as error:
        rest = f"its batch could not be noted in {path} ({error})"
    what = "the gradients are" if math.isfinite(record.loss) else "the loss is"
    where = f"{what} no number at step {state.step} (epoch {state.epoch}, learning rate {learning_rate:.3g})"
    if state.skipped <= plan.skipped_limit:
        _logger.warning(
            "%s: step skipped, %d of at most %d; %s", where, state.skipped, plan.skipped_limit, rest
        )
        return
    raise RunError(
        f"{where}, for the {_ordinal(state.skipped)} time, and TRAIN.SKIPPED_STEPS_LIMIT is "
        f"{plan.skipped_limit}: training stops, and checkpoints stay as they were; lower SOLVER.BASE_LR, "
        f"lengthen SOLVER.WARMUP_EPOCHS or set SOLVER.CLIP_GRAD_L2NORM; {rest}"
    )


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
