"""What a checkpoint costs: the whole state of a run as it saves it, beside torch.save of as much.

The peer writes the same tensors by torch.save and has them on the disk before it goes on, as ours has; it
looks at no weight for numbers that are not finite, and leaves half a file where it is interrupted.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from comparing import show
from measuring import as_text, table_head, table_row, take_turns

from costs.setups import Setup, digits, spread
from mvit_video.engine.checkpoints.files import list_checkpoints, read_resumable
from mvit_video.engine.optimising.weight_average import WeightAverage
from mvit_video.engine.processes.group import ALONE
from mvit_video.engine.processes.parallel import full_model_state
from mvit_video.engine.records.logs import RunLog
from mvit_video.engine.training.boundary import Boundary
from mvit_video.engine.training.preparation import prepare_training
from mvit_video.engine.training.saving import Saver
from mvit_video.engine.training.starting import fresh_state
from mvit_video.engine.training.state import TrainState

MINUTES = 15  # TRAIN.CHECKPOINT_MINUTES as it is by default
TITLES = [
    "model",
    "MB",
    "with averages, MB",
    "s to write",
    f"of {MINUTES} minutes",
    "torch.save on the same disk, s",
    "ours of it",
    "without a disk, s",
    "s to verify and read",
]


class Discarded:
    """A file that counts what is written to it."""

    def __init__(self) -> None:
        self.bytes = 0

    def write(self, data: Any) -> int:
        """Counts."""
        size = memoryview(data).nbytes
        self.bytes += size
        return size

    def flush(self) -> None:
        """Nothing waits."""


def run(setup: Setup) -> None:
    """Prints a table: a line for each model."""
    torch.set_num_threads(setup.threads)
    show("\n### Checkpoints\n\nWeights and AdamW's two moments, of all parameters.\n")
    show(table_head(TITLES))
    models = {"mvitv2_s_16x4": setup.rounds, "mvitv2_b_32x3": 1, "mvitv2_l_40x3": 1}
    for model, rounds in {"tiny": 1}.items() if setup.quick else models.items():
        show(table_row(_measure(setup, model, rounds)))


def _measure(setup: Setup, model: str, rounds: int) -> list[str]:
    output = setup.folder / "out"
    words = ["TRAIN.BATCH_SIZE", 2, "OUTPUT_DIR", output, "TRAIN.CHECKPOINT_MINUTES", MINUTES]
    inputs = prepare_training(setup.config(model, 2, *words))
    state = fresh_state(inputs, fresh=True)
    fill_moments(state)
    with RunLog(output, tensorboard=False) as log:
        saver = Saver(inputs, state, log, Boundary(ALONE, MINUTES), None)

        def ours() -> None:
            state.step += 1
            saver.save()

        sink = Discarded()
        ways: dict[str, Callable[[], object]] = {
            "ours": ours,
            "torch.save": lambda: _peer(output / "peer.pyth", state),
            "sink": lambda: torch.save(_contents(state), sink),
        }
        times = take_turns(ways, rounds, clock="wall", warm=True)
    (saved,) = list_checkpoints(output)
    reading = take_turns({"read": lambda: read_resumable(saved)}, rounds, clock="wall", warm=True)["read"]
    plain, own = saved.stat().st_size, times["ours"]
    more = _averages_bytes(state)
    shutil.rmtree(output)
    return [
        model,
        digits(plain / 1e6),
        digits((plain + more) / 1e6),
        spread(own.seconds),
        f"{digits(100 * own.median / (60 * MINUTES))}%",
        spread(times["torch.save"].seconds),
        as_text(own.ratio_to(times["torch.save"])),
        spread(times["sink"].seconds),
        spread(reading.seconds),
    ]


def fill_moments(state: TrainState) -> None:
    """A step of the optimiser with gradients of nothing: its state is there as in any run."""
    for parameter in state.model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    state.optimiser.step()
    state.optimiser.zero_grad(set_to_none=True)


def _contents(state: TrainState) -> dict[str, Any]:
    return {"model": state.model.state_dict(), "optimizer": state.optimiser.state_dict()}


def _peer(path: Path, state: TrainState) -> None:
    """A new file, and then the one before it goes, as ours does it."""
    older = path.with_suffix(".old")
    if path.exists():
        path.rename(older)
    with open(path, "wb") as file:
        torch.save(_contents(state), file)
        file.flush()
        os.fsync(file.fileno())
    older.unlink(missing_ok=True)


def _averages_bytes(state: TrainState) -> int:
    """What averaged weights add to a checkpoint."""
    sink = Discarded()
    torch.save(WeightAverage(state.model, 0.9999).state_dict(full_model_state), sink)
    return sink.bytes
