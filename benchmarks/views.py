"""Test views per second and core: ours against PyTorchVideo's EncodedVideo, on the same frames, in one run.

    python benchmarks/views.py VIDEO... [--repeats 5]

Five views of 16x4 at 224 pixels (short side 256) per video (with one video stream: PyTorchVideo reads the
first, not the largest); processor time on one thread, best of the repeats. The largest difference of the two
is printed, in 0-255: ours are rounded to uint8, so 0.5 is none.
"""

import argparse
import math
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from pytorchvideo.data.encoded_video import EncodedVideo

from mvit_video.data import ViewPlan, decode_views, open_reader

PLAN = ViewPlan(16, 4, temporal_views=5, spatial_crops=1, crop_size=224, short_side=256)


def our_views(path: str) -> torch.Tensor:
    """What evaluation does: uint8 (views, 3, T, S, S)."""
    with open_reader(path) as video:
        return decode_views(video, PLAN).views


def pytorchvideo_views(path: str, clips: list[tuple[float, float, torch.Tensor]]) -> torch.Tensor:
    """The same with PyTorchVideo's video: a seek, a clip, a resize and a crop per view, in float."""
    video = EncodedVideo.from_path(path, decode_audio=False, decoder="pyav")
    views = []
    for start, end, frames in clips:
        clip_CTHW = video.get_clip(start, end)["video"][:, frames]
        height, width = clip_CTHW.shape[-2:]
        scale = PLAN.short_side / min(height, width)
        size = (math.floor(height * scale), math.floor(width * scale))
        if size != (height, width):
            clip_CTHW = F.interpolate(clip_CTHW.transpose(0, 1), size, mode="bilinear").transpose(0, 1)
        top, left = (math.ceil((length - PLAN.crop_size) / 2) for length in size)
        views.append(clip_CTHW[..., top : top + PLAN.crop_size, left : left + PLAN.crop_size])
    video.close()
    return torch.stack(views)


def best_seconds(run: Callable[[], object], repeats: int) -> float:
    """Least processor time of a run."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    """Prints one line per video."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("videos", nargs="+")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for path in arguments.videos:
        with open_reader(path) as video:
            indices = PLAN.frame_indices(video.num_frames, video.fps)
            rate = video.frame_rate
        clips = [(int(i[0]) / rate, int(i[-1] + 1) / rate, torch.from_numpy(i - i[0])) for i in indices]
        difference = (our_views(path).float() - pytorchvideo_views(path, clips)).abs().max()
        ours = PLAN.num_views / best_seconds(lambda path=path: our_views(path), arguments.repeats)
        theirs = PLAN.num_views / best_seconds(
            lambda path=path, clips=clips: pytorchvideo_views(path, clips), arguments.repeats
        )
        print(
            f"{path}: {ours:.1f} views/s/core, PyTorchVideo {theirs:.1f}, ratio {ours / theirs:.1f} "
            f"(largest difference {difference:.1f})"
        )


if __name__ == "__main__":
    main()
