"""One job, done by us or by torchvision: a model, clips, a number format; inference, or a training step."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from importlib import import_module

import torch
from torch.nn import functional as F

from mvit_video.engine.tuning.peak_memory import PeakMemory
from mvit_video.models import Architecture, MViT, architecture, count_flops, depthwise

MODELS = {
    "s": "mvitv2_s_16x4",
    "b": "mvitv2_b_32x3",
    "l": "mvitv2_l_40x3",
    "v1": "mvitv1_b_16x4",
}
PRECISIONS = ("fp32", "bf16", "bf16-weights")  # bf16 is autocast, as torch's documentation has it
OURS, THEIRS = "ours", "torchvision"


@dataclass(frozen=True)
class Job:
    """What one side does. ``frames`` and ``crop`` are the model's own size unless given."""

    model: str
    side: str = OURS
    precision: str = "fp32"
    batch: int = 1
    device: str = "cpu"
    threads: int = 1
    frames: int | None = None
    crop: int | None = None
    training: bool = False
    compiled: bool = False
    checkpointing: bool | str = False
    own_pooling: bool = False  # our gradients of the pooling on a GPU too, where torch's are used otherwise

    @property
    def architecture(self) -> Architecture:
        """The model's numbers."""
        own = architecture(MODELS[self.model])
        frames, crop = self.frames or own.num_frames, self.crop or own.crop_size
        return replace(own, num_frames=frames, crop_size=crop)

    @property
    def flops(self) -> int:
        """Two for each multiply-add; the backward pass is counted as two forward ones."""
        forward = 2 * count_flops(self.architecture).multiply_adds * self.batch
        return 3 * forward if self.training else forward

    def prepare(self) -> Callable[[], object]:
        """Makes model and clips; the result runs once and waits for the device.

        A training step is forward, cross entropy and backward, with gradients made anew each time; there is
        no optimiser.
        """
        torch.set_num_threads(self.threads)
        torch.manual_seed(0)
        model = self._model().train(self.training)
        if self.training:  # an optimiser loads this, 150 MB of code; without one, checkpointing would
            import_module("torch._dynamo")
        clips = self._clips()
        labels = torch.arange(self.batch, device=self.device) % self.architecture.num_classes

        def forward() -> torch.Tensor:
            with self._autocast():
                logits: torch.Tensor = model(clips)
            return logits

        def step() -> None:
            (depthwise.DEVICES.add if self.own_pooling else depthwise.DEVICES.discard)("cuda")
            F.cross_entropy(forward().float(), labels).backward()
            model.zero_grad(set_to_none=True)
            self._wait()

        def infer() -> None:
            with torch.inference_mode():
                forward()
            self._wait()

        return step if self.training else infer

    def _model(self) -> torch.nn.Module:
        model: torch.nn.Module
        if self.side == OURS:
            model = MViT(self.architecture)
        else:
            from peers import torchvision_mvit  # takes seconds, which our side does without

            model = torchvision_mvit(self.architecture)
        if self.side == OURS and self.checkpointing:
            model.set_activation_checkpointing(self.checkpointing)
        model = model.to(self.device, torch.bfloat16 if self.precision == "bf16-weights" else torch.float32)
        return torch.compile(model) if self.compiled else model

    def _clips(self) -> torch.Tensor:
        numbers = self.architecture
        shape = (self.batch, numbers.in_channels, numbers.num_frames, numbers.crop_size, numbers.crop_size)
        dtype = torch.bfloat16 if self.precision == "bf16-weights" else torch.float32
        return torch.randn(shape, device=self.device).to(dtype)

    def _autocast(self) -> torch.autocast | nullcontext[None]:
        return torch.autocast(self.device, torch.bfloat16) if self.precision == "bf16" else nullcontext()

    def _wait(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()


def extra_memory(job: Job) -> int | None:
    """Bytes that the first run takes at most above what model and clips occupy; for a fresh process."""
    run = job.prepare()
    with PeakMemory(torch.device(job.device)) as memory:
        run()
    return memory.extra_bytes


def agreement(job: Job) -> float:
    """How far the two sides' logits are apart with the same weights, relative to the largest logit."""
    from peers import same_outputs

    theirs = replace(job, side=THEIRS)
    torch.manual_seed(0)
    return same_outputs(job._model(), theirs._model(), job._clips())
