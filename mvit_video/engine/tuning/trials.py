"""One way to run a model on this machine, tried: how long a clip takes, and how much memory.

Letters: B clips, T H W frames, height and width.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch.nn import functional as F

from mvit_video.engine.device import Precision, autocast
from mvit_video.engine.tuning.peak_memory import PeakMemory, available_bytes
from mvit_video.models import THW, MViT


@dataclass(frozen=True)
class Setting:
    """What a user can choose without changing what is computed.

    Attributes:
        precision: of the forward pass.
        threads: of the CPU.
        batch: clips (views) in one forward pass.
        compiled: whether by ``torch.compile``.
        checkpointing: whether activations are computed again in the backward pass.
    """

    precision: Precision = "fp32"
    threads: int = 1
    batch: int = 1
    compiled: bool = False
    checkpointing: bool = False


@dataclass(frozen=True)
class Trial:
    """What came of a setting: seconds a clip (the quickest run), or why it did not run."""

    setting: Setting
    seconds: float | None = None
    extra_bytes: int | None = None
    problem: str = ""


class Gain(NamedTuple):
    """How many times as fast one setting is as another: median, least and largest of the rounds."""

    median: float
    least: float
    largest: float


class Workbench:
    """Tries settings on one model and one device, with random clips.

    Args:
        model: on the device; trained or not makes no difference to its speed.
        clip_size: frames, height and width of a clip.
        training: whether a run is a forward and a backward pass, or a forward pass.
        seconds: how long to repeat a run; it is repeated twice at least.
    """

    def __init__(self, model: MViT, clip_size: THW, *, training: bool = False, seconds: float = 3.0) -> None:
        self.model, self.clip_size, self.training, self.seconds = model, clip_size, training, seconds
        self.device = next(model.parameters()).device
        self._bytes_per_clip: dict[bool, float] = {}  # by checkpointing; the most that was seen

    def try_setting(self, setting: Setting) -> Trial:
        """Run with one setting; what fails, or would not fit into the memory that is free, says so."""
        free = available_bytes(self.device)
        needed = self._bytes_per_clip.get(setting.checkpointing, 0.0) * setting.batch
        if free is not None and needed > free:
            return Trial(setting, problem=f"needs {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free")
        try:
            return self._timed(setting)
        except (RuntimeError, MemoryError, OSError, ImportError) as error:  # out of memory; no compiler
            lines = str(error).strip().splitlines() or [type(error).__name__]
            return Trial(setting, problem=lines[0][:200])

    def compare(self, setting: Setting, plain: Setting, rounds: int) -> Gain:
        """How many times as fast clips go with a setting as with the plain one, run in turns."""
        runs = {each: self._run(each) for each in (setting, plain)}
        for run in runs.values():
            run()
        ratios = []
        for _ in range(rounds):
            mine, theirs = (_seconds(runs[each]) / each.batch for each in (setting, plain))
            ratios.append(theirs / mine)
        return Gain(statistics.median(ratios), min(ratios), max(ratios))

    def _timed(self, setting: Setting) -> Trial:
        run = self._run(setting)
        if setting.compiled:
            run()  # so that the compiler's memory does not count
        with PeakMemory(self.device) as memory:
            run()
        times: list[float] = []
        while len(times) < 2 or sum(times) < self.seconds:
            times.append(_seconds(run))
        if memory.extra_bytes is not None:
            seen = self._bytes_per_clip.get(setting.checkpointing, 0.0)
            self._bytes_per_clip[setting.checkpointing] = max(seen, memory.extra_bytes / setting.batch)
        return Trial(setting, min(times) / setting.batch, memory.extra_bytes)

    def _run(self, setting: Setting) -> Callable[[], None]:
        """What runs a setting once and waits for the device."""
        clips_BCTHW = torch.randn(setting.batch, 3, *self.clip_size, device=self.device)
        labels_B = torch.zeros(setting.batch, dtype=torch.long, device=self.device)
        model: Callable[[torch.Tensor], torch.Tensor] = (
            torch.compile(self.model) if setting.compiled else self.model
        )

        def run() -> None:
            torch.set_num_threads(setting.threads)
            self.model.train(self.training)
            self.model.set_activation_checkpointing(setting.checkpointing)
            with torch.inference_mode(not self.training), autocast(self.device, setting.precision):
                logits_BK = model(clips_BCTHW)
            if self.training:
                torch.autograd.backward(F.cross_entropy(logits_BK.float(), labels_B))
                self.model.zero_grad(set_to_none=True)
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)

        return run


def _seconds(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
