"""Video data against its floor and against PyTorchVideo: the same frames and views, in one run, one thread.

    python benchmarks/data.py VIDEO... [--rounds 7] [--floor-only]

The floor is PyAV on one thread: decode to the last frame needed, convert the needed ones to RGB. Ours adds
everything else: opening, positions, scaling, cutting, and writing test views into memory that has been used
before, as the loader's workers do. PyTorchVideo is ``LabeledVideoDataset`` with either of its decoders, its
clips scaled and cut by torch. Where the two sides do not deliver the same views, the benchmark says so and
fails. Ratios are medians over the rounds, with the least and the largest.
"""

import argparse
import math
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import av
import numpy as np
import torch
from av.video.reformatter import VideoReformatter
from measuring import as_text, take_turns
from pytorchvideo.data import LabeledVideoDataset
from pytorchvideo.data.clip_sampling import ClipInfo, ClipSampler
from torch.nn import functional as F
from torch.utils.data import SequentialSampler

from mvit_video.data import (
    ClipSpec,
    SampleKey,
    TrainTransform,
    ViewPlan,
    decode_views,
    open_reader,
)
from mvit_video.data.augment.placements import Placement, place_test_crop
from mvit_video.data.loading.reading import ClipReader, ViewReader

FIVE_VIEWS = ViewPlan(16, 4, temporal_views=5, spatial_crops=1, crop_size=224, short_side=256)
THIRTY_VIEWS = ViewPlan(16, 4, temporal_views=10, spatial_crops=3, crop_size=224, short_side=224)
TRAINING = ClipReader(ClipSpec(16, 4), TrainTransform(224))
NUM_CLIPS = 8  # random training clips of a video
LARGEST_DIFFERENCE = 2  # of 255: the roundings of two resamplings
DECODERS = ("pyav", "decord")

Clip = tuple[np.ndarray, Sequence[Placement]]  # which frames, and how they are cut: one view per placement


class Told(ClipSampler):
    """Gives PyTorchVideo the clips that it is told, in seconds."""

    def __init__(self, path: str, clips: Sequence[Clip]) -> None:
        super().__init__(0)
        with open_reader(path) as video:
            rate = video.frame_rate
        self._seconds = [(int(frames[0]) / rate, (int(frames[-1]) + 1) / rate) for frames, _ in clips]

    def __call__(self, last_clip_end_time: object, video_duration: object, annotation: object) -> ClipInfo:
        """The next clip."""
        number = self._current_clip_index
        self._current_clip_index += 1
        return ClipInfo(*self._seconds[number], number, 0, number == len(self._seconds) - 1)


def peer_views(path: str, decoder: str, sampler: Told, clips: Sequence[Clip]) -> Iterator[torch.Tensor]:
    """What PyTorchVideo gives: float32 (3, T, S, S), view by view."""
    sampler.reset()
    sampler._current_clip_index = 0
    dataset = LabeledVideoDataset(
        [(path, {})], sampler, video_sampler=SequentialSampler, decode_audio=False, decoder=decoder
    )
    for (frames, placements), sample in zip(clips, dataset, strict=False):
        clip_TCHW = sample["video"][:, torch.from_numpy(frames - frames[0])].transpose(0, 1)
        for placement in placements:
            yield cut(clip_TCHW, placement).transpose(0, 1)


def cut(clip_TCHW: torch.Tensor, placement: Placement) -> torch.Tensor:
    """Cuts and scales a float clip, the straightforward way."""
    region, window = placement.region, placement.window
    part = clip_TCHW[..., region.top : region.top + region.height, region.left : region.left + region.width]
    if placement.scaled != (region.height, region.width):
        part = F.interpolate(part, placement.scaled, mode="bilinear")
    part = part[..., window.top : window.top + window.height, window.left : window.left + window.width]
    return part.flip(-1) if placement.flip else part


def floor(path: str, indices: set[int]) -> None:
    """One-thread PyAV: decode to the last index, convert the frames of ``indices``."""
    last, reformatter = max(indices), VideoReformatter()
    with av.open(path) as container:
        stream = max(container.streams.video, key=lambda stream: stream.width * stream.height)
        stream.codec_context.thread_count = 1
        for index, frame in enumerate(container.decode(stream)):
            if index in indices:
                reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()
            if index >= last:
                break


def our_views(path: str, plan: ViewPlan, room: bytearray) -> torch.Tensor:
    """What a worker of evaluation does, for one video after the other: uint8 (V, 3, T, S, S)."""
    with open_reader(path) as video:
        return decode_views(video, plan, room=room).views


def our_training_clips(path: str) -> torch.Tensor:
    """What a training worker does, once per epoch: uint8 (N, 3, T, S, S)."""
    return torch.cat([TRAINING.read(path, SampleKey(epoch, 0)).clips for epoch in range(NUM_CLIPS)])


def test_clips(path: str, plan: ViewPlan) -> list[Clip]:
    """The clips of a plan, as anybody would compute them."""
    with open_reader(path) as video:
        crops = (1,) if plan.spatial_crops == 1 else (0, 1, 2)
        sizes = {"short_side": plan.short_side, "crop_size": plan.crop_size}
        places = [place_test_crop(video.height, video.width, crop=crop, **sizes) for crop in crops]
        return [(frames, places) for frames in plan.frame_indices(video.num_frames, video.fps)]


def training_clips(path: str) -> list[Clip]:
    """The random clips that our training worker draws."""
    clips: list[Clip] = []
    for epoch in range(NUM_CLIPS):
        key = SampleKey(epoch, 0)
        draw = TRAINING.sampling.draw(TRAINING._generator(key, 0, 0))
        with open_reader(path) as video:
            frames = TRAINING.sampling.train_indices(draw, video.num_frames, video.fps)
            placement = TRAINING.transform.draw(video.height, video.width, TRAINING._generator(key, 0, 3))
        clips.append((frames, [placement]))
    return clips


def compare(
    name: str,
    path: str,
    ours: Callable[[], torch.Tensor],
    clips: list[Clip],
    rounds: int,
    decoders: Sequence[str],
) -> bool:
    """Prints one line for the floor and one per peer; False where no peer gives the same views as ours.

    Several test views share one pass over the video; random training clips are one visit each.
    """
    apart = name.startswith("training")
    needed = [set(frames.tolist()) for frames, _ in clips]
    needed = needed if apart else [set().union(*needed)]
    # By themselves: whoever comes after PyTorchVideo finds the caches full of its floats.
    times = take_turns({"ours": ours, "floor": lambda: [floor(path, indices) for indices in needed]}, rounds)
    print(
        f"| {name} | floor | {times['floor'].median * 1e3:.0f} ms "
        f"| ours takes {as_text(times['ours'].ratio_to(times['floor']))} of it |"
    )
    if not decoders:
        return True
    visits = [[clip] for clip in clips] if apart else [clips]
    peers = peers_with_the_same_views(name, path, ours().to(torch.float32), visits, decoders)
    times = take_turns({"ours": ours, **peers}, rounds)
    for peer in peers:
        ratio = as_text(times[peer].ratio_to(times["ours"]))
        print(f"| {name} | {peer} | {times[peer].median * 1e3:.0f} ms | takes {ratio} times ours |")
    return bool(peers)


def peers_with_the_same_views(
    name: str, path: str, ours: torch.Tensor, visits: list[list[Clip]], decoders: Sequence[str]
) -> dict[str, Callable[[], object]]:
    """What to call for each decoder of PyTorchVideo; prints a line for each that gives something else."""
    peers: dict[str, Callable[[], object]] = {}
    for decoder in decoders:
        samplers = [Told(path, visit) for visit in visits]

        def theirs(decoder: str = decoder, samplers: Sequence[Told] = samplers) -> list[torch.Tensor]:
            return [
                view
                for visit, sampler in zip(visits, samplers, strict=True)
                for view in peer_views(path, decoder, sampler, visit)
            ]

        try:
            difference = float((ours - torch.stack(theirs())).abs().max())
        except Exception as error:  # whatever a decoder raises
            print(f"| {name} | PyTorchVideo, {decoder} | fails: {type(error).__name__} | |")
            continue
        if difference > LARGEST_DIFFERENCE:
            print(f"| {name} | PyTorchVideo, {decoder} | other frames (difference {difference:.0f}) | |")
            continue
        peers[f"PyTorchVideo, {decoder}"] = theirs
    return peers


def lengthen(path: str, target: Path, seconds: float) -> None:
    """Writes the packets of a video again and again, one after the other, without encoding."""
    with av.open(path) as source, av.open(str(target), "w") as sink:
        stream = max(source.streams.video, key=lambda stream: stream.width * stream.height)
        copy = sink.add_stream_from_template(stream)
        step = int(1 / stream.average_rate / stream.time_base)
        packets = [packet for packet in source.demux(stream) if packet.size]
        span = step * len(packets)
        data = [(bytes(packet), packet.pts, packet.dts, packet.is_keyframe) for packet in packets]
        for turn in range(math.ceil(seconds / float(span * stream.time_base))):
            for content, pts, dts, is_key in data:
                packet = av.Packet(content)
                packet.pts, packet.dts = pts + turn * span, dts + turn * span
                packet.time_base, packet.is_keyframe, packet.stream = stream.time_base, is_key, copy
                sink.mux(packet)


def compare_lengths(path: str, rounds: int) -> None:
    """A random training clip of a long file against one of a short one."""
    with tempfile.TemporaryDirectory() as folder:
        short, long = Path(folder) / "short.mp4", Path(folder) / "long.mp4"
        lengthen(path, short, 10)
        lengthen(path, long, 600)
        for target in (short, long):
            with open_reader(str(target)) as video:
                print(f"| {target.stem}: {video.duration:.0f} s, trusted: {video.is_trusted} | | | |")
        times = take_turns(
            {name: partial(our_training_clips, str(name)) for name in (short, long)},  # type: ignore[misc]
            rounds,
        )
        ratio = as_text(times[long].ratio_to(times[short]))  # type: ignore[index]
        print(f"| training clip of 600 s | the same of 10 s | | takes {ratio} times it |")


def main() -> int:
    """Prints a table; 1 where somebody's views are not the same."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("videos", nargs="+", help="real clips; for PyTorchVideo with one video stream each")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--long", metavar="VIDEO", help="also compare 600 seconds of this one with 10")
    parser.add_argument("--floor-only", action="store_true", help="leave out PyTorchVideo, which is slow")
    arguments = parser.parse_args()
    decoders = () if arguments.floor_only else DECODERS
    torch.set_num_threads(1)
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}, PyAV {av.__version__}")
    same = True
    for path in arguments.videos:
        with open_reader(path) as video:
            size = f"{video.width}x{video.height}, {video.num_frames} frames, trusted: {video.is_trusted}"
            print(f"\n{path}: {size}\n\n| | | | |\n|---|---|---|---|")
        for name, plan in (("5 views", FIVE_VIEWS), ("30 views", THIRTY_VIEWS)):
            clips = test_clips(path, plan)
            ours = partial(our_views, path, plan, bytearray(ViewReader(plan).result_bytes))
            same &= compare(name, path, ours, clips, arguments.rounds, decoders)
        clips = training_clips(path)
        same &= compare(
            "training clip", path, partial(our_training_clips, path), clips, arguments.rounds, decoders
        )
    if arguments.long:
        compare_lengths(arguments.long, arguments.rounds)
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
