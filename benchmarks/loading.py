"""Training clips a second out of a loader with worker processes, and the memory of a worker, side by side.

    python benchmarks/loading.py VIDEO... [--workers 2] [--rounds 5] [--clips 64]

Batches of eight random 16x4 clips, cut, scaled to 224 pixels and mirrored by the same code, as uint8. Ours is
``TrainLoader``; the others are torch's ``DataLoader`` with as many persistent workers over PyTorchVideo's
``LabeledVideoDataset`` with either of its decoders, and over a data set that asks decord for the 16 frames.
An epoch of each in turns; the first is not counted. Wall time and processor time (of the parent and its
workers) are per clip; ratios are medians over the rounds, with the least and the largest. Memory is a
worker's share (PSS, in which what several processes share counts once) after the last epoch.
"""

import argparse
import os
import platform
import time
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import torch
from measuring import Timing, as_text
from pytorchvideo.data import LabeledVideoDataset, RandomClipSampler
from torch.utils.data import DataLoader, Dataset, RandomSampler

from mvit_video.data import (
    ClipSpec,
    SampleTransform,
    TrainClips,
    TrainLoader,
    TrainTransform,
    VideoList,
    VideoRecord,
)

CLIP = ClipSpec(16, 4)
TRANSFORM = TrainTransform(224)
BATCH_SIZE = 8
SHAPE = (BATCH_SIZE, 3, 16, 224, 224)


class DecordClips(Dataset[torch.Tensor]):
    """The frames of a random clip by decord, the rest by our transform."""

    def __init__(self, paths: list[str]) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        import decord

        generator = np.random.default_rng(int(torch.randint(2**63 - 1, ())))
        video = decord.VideoReader(self._paths[index], num_threads=1)
        indices = CLIP.train_indices(CLIP.draw(generator), len(video), video.get_avg_fps())
        return TRANSFORM(video.get_batch(indices).asnumpy(), generator)


class Ours:
    """``TrainLoader``."""

    def __init__(self, paths: list[str], num_workers: int) -> None:
        records = VideoList([VideoRecord(path, 0) for path in paths])
        dataset = TrainClips(records, CLIP, TRANSFORM)
        self._loader = TrainLoader(dataset, batch_size=BATCH_SIZE, num_workers=num_workers)
        self._epoch = 0

    def __iter__(self) -> Iterator[torch.Tensor]:
        self._epoch += 1
        return (batch.clips for batch in self._loader.epoch(self._epoch))


def torch_loader(paths: list[str], num_workers: int) -> Iterable[torch.Tensor]:
    """Torch's ``DataLoader`` over decord."""
    return DataLoader(
        DecordClips(paths),
        BATCH_SIZE,
        shuffle=True,
        num_workers=num_workers,
        persistent_workers=True,
        drop_last=True,
    )


def pytorchvideo_loader(paths: list[str], num_workers: int, decoder: str) -> Iterable[torch.Tensor]:
    """Torch's ``DataLoader`` over PyTorchVideo."""
    dataset = LabeledVideoDataset(
        [(path, {"label": 0}) for path in paths],
        RandomClipSampler(clip_duration=CLIP.seconds),
        video_sampler=RandomSampler,
        transform=SampleTransform(TRANSFORM, CLIP.num_frames),
        decode_audio=False,
        decoder=decoder,
    )
    return DataLoader(
        dataset,
        BATCH_SIZE,
        num_workers=num_workers,
        persistent_workers=True,
        drop_last=True,
        collate_fn=_stack_videos,
    )


def _stack_videos(samples: list[dict[str, torch.Tensor]]) -> torch.Tensor:
    return torch.stack([sample["video"] for sample in samples])


@dataclass
class Way:
    """A loader and what was measured of it, per clip."""

    loader: Iterable[torch.Tensor]
    pids: list[int] = field(default_factory=list)
    wall_seconds: list[float] = field(default_factory=list)
    processor_seconds: list[float] = field(default_factory=list)

    def run(self) -> None:
        """An epoch."""
        before, known = self._processor_seconds(), set(active_children())
        start, clips = time.perf_counter(), 0
        for batch in self.loader:
            assert batch.shape == SHAPE, batch.shape
            assert batch.dtype == torch.uint8, batch.dtype
            clips += len(batch)
        wall = time.perf_counter() - start
        if not self.pids:
            self.pids = [child.pid for child in set(active_children()) - known if child.pid]
            return
        self.wall_seconds.append(wall / clips)
        self.processor_seconds.append((self._processor_seconds() - before) / clips)

    def memory_mb(self) -> float:
        """The largest worker's."""
        return max(_pss_mb(pid) for pid in self.pids)

    def _processor_seconds(self) -> float:
        return time.process_time() + sum(map(_processor_seconds, self.pids))


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _pss_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().split("\n")
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def main() -> None:
    """Prints a line per loader."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("videos", nargs="+")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clips", type=int, default=64, help="a loader and epoch (64)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", module="torch.utils.data")  # it counts an iterable's samples otherwise
    paths = [arguments.videos[number % len(arguments.videos)] for number in range(arguments.clips)]
    ways = {
        "mvit_video TrainLoader": Way(Ours(paths, arguments.workers)),
        "DataLoader, decord": Way(torch_loader(paths, arguments.workers)),
        "DataLoader, PyTorchVideo (pyav)": Way(pytorchvideo_loader(paths, arguments.workers, "pyav")),
        "DataLoader, PyTorchVideo (decord)": Way(pytorchvideo_loader(paths, arguments.workers, "decord")),
    }
    for _ in range(arguments.rounds + 1):
        for way in ways.values():
            way.run()
    ours = next(iter(ways.values()))
    print(f"{platform.machine()}, {os.cpu_count()} cores, {arguments.workers} workers, {len(paths)} clips")
    print(f"{'':36}clips/s  time of ours          processor ms/clip  of ours               worker MB")
    for name, way in ways.items():
        wall, processor = Timing(tuple(way.wall_seconds)), Timing(tuple(way.processor_seconds))
        against = [
            as_text(theirs.ratio_to(Timing(tuple(mine))))
            for theirs, mine in ((wall, ours.wall_seconds), (processor, ours.processor_seconds))
        ]
        print(
            f"{name:36}{1 / wall.median:7.1f}  {against[0]:20}  {1000 * processor.median:17.1f}  "
            f"{against[1]:20}  {way.memory_mb():9.0f}"
        )


if __name__ == "__main__":
    main()
