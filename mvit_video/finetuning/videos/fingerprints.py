"""A fingerprint of each video: what four of its frames look like, so that copies are found again.

Of each of four equal parts of the video the middle frame is shrunk to a grid of greys, and neighbouring greys
are compared: brighter, darker or alike. Encoding the video again, smaller or mirrored, leaves most of that
as it is.

Axes: T = 4 frames, C = 3 colours, F = T * 128 comparisons.
"""

import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from mvit_video.data import Decoding, TestVideos, VideoList, VideoRecord, ViewPlan, test_loader
from mvit_video.data.checking.facts import file_state
from mvit_video.engine.records.display import counting
from mvit_video.finetuning.whole_lines import cut_to_whole_lines

_FORMAT = 1
_PLAN = ViewPlan(
    num_frames=4,
    sampling_rate=1,
    temporal_views=1,
    spatial_crops=1,
    crop_size=32,
    short_side=32,
    sampling="segments",
)
_ALIKE = 2.0  # grey levels
_RED, _GREEN, _BLUE = 0.299, 0.587, 0.114

_logger = logging.getLogger("mvit_video.finetuning")


@dataclass(frozen=True)
class Fingerprint:
    """What a video looks like; or why it cannot be read.

    Attributes:
        path: As the list has it.
        marks: int8 (F,): 1 brighter than its neighbour, -1 darker, 0 alike; None where it cannot be read.
        mirrored: Those of the mirrored video.
        error: Why it cannot be read; empty: it can.
    """

    path: str
    marks: NDArray[np.int8] | None
    mirrored: NDArray[np.int8] | None
    error: str = ""


def take_fingerprints(
    videos: Sequence[VideoRecord],
    cache: Path,
    *,
    decoding: Decoding,
    num_workers: int,
    timeout_seconds: float,
) -> list[Fingerprint]:
    """The fingerprint of each video, in order; those known from before are not taken again.

    What cannot be read is tried again by the next call: a slow disk or a crashed worker passes.

    Args:
        videos: Any.
        cache: A file of known fingerprints, which grows as they are taken; made if it is not there.
        decoding: How videos are opened.
        num_workers: Processes that decode; 0 decodes in this one.
        timeout_seconds: A video that takes a worker longer counts as unreadable.
    """
    known = _read(cache)
    missing = [record for record in videos if known.get(record.path, (None,))[0] != _state(record.path)]
    if missing:
        cut_to_whole_lines(cache)
        with (
            counting("looking for copies", len(missing)) as progress,
            open(cache, "a", buffering=1, encoding="utf-8") as file,
        ):
            taken = _take(missing, decoding, num_workers, timeout_seconds)
            for number, fingerprint in enumerate(taken, 1):
                state = _state(fingerprint.path)
                known[fingerprint.path] = (state, fingerprint)
                if row := _packed(fingerprint, state):
                    file.write(json.dumps(row) + "\n")
                progress(number)
    return [known[record.path][1] for record in videos]


def marks_of(frames_CTHW: Tensor) -> NDArray[np.int8]:
    """The comparisons int8 (F,) of uint8 frames (3, T, H, W)."""
    weights = torch.tensor([_RED, _GREEN, _BLUE]).view(3, 1, 1, 1)
    grey_THW = (frames_CTHW.float() * weights).sum(dim=0)
    across = F.adaptive_avg_pool2d(grey_THW, (8, 9)).diff(dim=2)
    down = F.adaptive_avg_pool2d(grey_THW, (9, 8)).diff(dim=1)
    differences = torch.cat((across.flatten(1), down.flatten(1)), dim=1).flatten()
    marks: NDArray[np.int8] = (differences.sign() * (differences.abs() > _ALIKE)).to(torch.int8).numpy()
    return marks


def _take(
    videos: Sequence[VideoRecord], decoding: Decoding, num_workers: int, timeout_seconds: float
) -> Iterator[Fingerprint]:
    dataset = TestVideos(VideoList(videos), _PLAN, decoding=decoding)
    samples = test_loader(dataset, num_workers=num_workers, timeout_seconds=timeout_seconds)
    with closing(samples):
        for sample in samples:
            path = videos[sample.index].path
            if sample.views is None:
                yield Fingerprint(path, None, None, sample.error or "cannot be read")
            else:
                frames = sample.views[0]
                yield Fingerprint(path, marks_of(frames), marks_of(frames.flip(-1)))


def _state(path: str) -> tuple[int, int]:
    state = file_state(path)
    return state.size, state.mtime_ns


def _packed(fingerprint: Fingerprint, state: tuple[int, int]) -> dict[str, Any] | None:
    """What is kept of it; None: nothing, as it could not be read."""
    if fingerprint.marks is None or fingerprint.mirrored is None:
        return None
    return {
        "format": _FORMAT,
        "path": fingerprint.path,
        "size": state[0],
        "mtime_ns": state[1],
        "marks": _text(fingerprint.marks),
        "mirrored": _text(fingerprint.mirrored),
    }


def _read(cache: Path) -> dict[str, tuple[tuple[int, int], Fingerprint]]:
    """By path: of which state of the file, and the fingerprint; lines without one are passed over."""
    known = {}
    for line in cache.read_text(encoding="utf-8").splitlines() if os.path.exists(cache) else ():
        try:
            row = json.loads(line)
            if row["format"] != _FORMAT:
                continue
            found = Fingerprint(row["path"], _marks(row["marks"]), _marks(row["mirrored"]))
            known[found.path] = ((row["size"], row["mtime_ns"]), found)
        except (ValueError, KeyError, TypeError):
            continue
    return known


def _text(marks: NDArray[np.int8]) -> str:
    return np.packbits(marks > 0).tobytes().hex() + np.packbits(marks < 0).tobytes().hex()


def _marks(text: str) -> NDArray[np.int8]:
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8)).astype(np.int8)
    brighter, darker = np.split(bits, 2)
    return brighter - darker
