"""The numbers of the steps since the last row of the log."""

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from mvit_video.data import Batch
from mvit_video.engine.errors import RunError
from mvit_video.engine.records.logs import memory_gb

_RECENT = 5  # losses whose mean another is measured by


@dataclass
class Window:
    """Sums over the steps since the last row of the log; a checkpoint carries them on.

    Attributes:
        losses: of the steps that were not skipped.
        num_steps: all of them.
        clips: that they took in.
        data_seconds: spent waiting for batches.
        right: clips that were told right, where labels are not mixed.
        counted: clips of the steps where that is known.
        recent: the last losses of the epoch, as many as an explosion is told by.
        earlier_seconds: of the window, in the sitting before this one.
        start: when this sitting's part of it began.
    """

    losses: list[float] = field(default_factory=list)
    num_steps: int = 0
    clips: int = 0
    data_seconds: float = 0.0
    right: int = 0
    counted: int = 0
    recent: list[float] = field(default_factory=list)
    earlier_seconds: float = 0.0
    start: float = field(default_factory=time.perf_counter)

    @classmethod
    def restored(cls, saved: Mapping[str, Any]) -> "Window":
        """The window of which this is the :meth:`state_dict`; its time goes on from now."""
        seconds = saved["seconds"]
        return cls(**{name: saved[name] for name in saved if name != "seconds"}, earlier_seconds=seconds)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return {
            "losses": list(self.losses),
            "num_steps": self.num_steps,
            "clips": self.clips,
            "data_seconds": self.data_seconds,
            "right": self.right,
            "counted": self.counted,
            "recent": list(self.recent),
            "seconds": self._seconds(),
        }

    def timed(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Pass batches on, counting the time spent waiting for them."""
        while True:
            asked = time.perf_counter()
            batch = next(batches, None)
            self.data_seconds += time.perf_counter() - asked
            if batch is None:
                return
            yield batch

    def add(self, loss: float, num_clips: int, num_right: int | None = None) -> None:
        """Count a step; the loss of one that was skipped is no number."""
        self.num_steps += 1
        self.clips += num_clips
        if num_right is not None:
            self.right += num_right
            self.counted += num_clips
        if math.isfinite(loss):
            self.losses.append(loss)
            self.recent = [*self.recent, loss][-_RECENT:]

    def refuse_explosion(self, loss: float, factor: float, step: int) -> None:
        """End the run where a loss towers over those before it; before it is added.

        Args:
            loss: of the step.
            factor: TRAIN.KILL_LOSS_EXPLOSION_FACTOR; 0 lets every loss pass.
            step: its number, for the message.

        Raises:
            RunError: it is more than `factor` times the mean of the five before it.

        Source: SlowFast, slowfast/utils/meters.py, TrainMeter.
        """
        if not factor or len(self.recent) < _RECENT:
            return
        mean = sum(self.recent) / _RECENT
        if loss > factor * mean:
            raise RunError(
                f"the loss is {loss:.4g} at step {step}, and was {mean:.4g} in the {_RECENT} before it: "
                f"training stops, as TRAIN.KILL_LOSS_EXPLOSION_FACTOR is {factor:g}, and checkpoints stay as "
                "they were"
            )

    def close(self, device: torch.device, *, lr: float, grad_norm: float | None) -> dict[str, Any]:
        """The window's numbers, means per step; starts the next window."""
        seconds = self._seconds()
        numbers = {
            "loss": sum(self.losses) / len(self.losses) if self.losses else None,
            **({"top1": 100 * self.right / self.counted} if self.counted else {}),
            "lr": lr,
            "grad_norm": grad_norm,
            "step_seconds": seconds / self.num_steps,
            "data_seconds": self.data_seconds / self.num_steps,
            "clips_per_second": self.clips / max(seconds, 1e-9),
            "memory_gb": memory_gb(device),
        }
        self.losses, self.num_steps, self.clips, self.data_seconds, self.earlier_seconds = [], 0, 0, 0.0, 0.0
        self.right = self.counted = 0
        self.start = time.perf_counter()
        return numbers

    def _seconds(self) -> float:
        return self.earlier_seconds + time.perf_counter() - self.start
