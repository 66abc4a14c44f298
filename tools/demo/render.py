"""Renders the demo's data set as real h264 files: python tools/demo/render.py FOLDER.

FOLDER/{train,val,test}/CLASS/NUMBER.mp4, 30 frames a second, 96 x 96 pixels, 56 frames each.
A split gets its name only when it is whole; run again, what is there is kept.
"""

import argparse
import shutil
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import av
import numpy as np
from motions import CLASSES, FPS, SIZE_PIXELS, render
from rich.progress import track

VIDEOS_PER_CLASS = {"train": 64, "val": 6, "test": 16}


def write_h264(path: Path, frames_THWC: np.ndarray) -> None:
    """Encodes uint8 RGB frames as h264 in mp4."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "18", "preset": "veryfast"})
        stream.width = stream.height = SIZE_PIXELS
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        for picture in frames_THWC:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def render_video(job: tuple[Path, str, str, int]) -> None:
    """Draws and encodes one video of (folder, split, label, index)."""
    folder, split, label, index = job
    write_h264(folder / label / f"{index:03d}.mp4", render(split, label, index))


def render_split(folder: Path, split: str, per_class: int) -> None:
    """Renders one split, unless it is there."""
    if (folder / split).is_dir():
        print(f"{folder / split}: there already")
        return
    unfinished = folder / f"{split}.part"
    shutil.rmtree(unfinished, ignore_errors=True)
    for label in CLASSES:
        (unfinished / label).mkdir(parents=True)
    wanted = [(unfinished, split, label, index) for label in CLASSES for index in range(per_class)]
    with ProcessPoolExecutor() as workers:
        for _ in track(workers.map(render_video, wanted), f"rendering {split}", total=len(wanted)):
            pass
    unfinished.rename(folder / split)
    print(f"{folder / split}: {len(wanted)} videos of {len(CLASSES)} classes")


def main() -> None:
    """Renders all splits into the folder named on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    folder = parser.parse_args().folder
    try:
        for split, per_class in VIDEOS_PER_CLASS.items():
            render_split(folder, split, per_class)
    except KeyboardInterrupt:
        sys.exit(130)  # what is whole is kept


if __name__ == "__main__":
    main()
