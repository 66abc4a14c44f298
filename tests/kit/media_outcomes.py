"""How a backend does on a file of the kit: read in several orders, and compared with the truth."""

import random
import sys
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from kit.media_file import MediaFile

from mvit_video.data.video.errors import IndexContradicted, VideoError
from mvit_video.data.video.opening import Decoding, open_reader
from mvit_video.data.video.reader import VideoReader

Outcome = Literal["right", "short", "wrong", "refused"]
BACKENDS = {"pyav": "av", "decord": "decord", "torchcodec": "torchcodec"}  # and the package that each needs


def installed_backends() -> list[str]:
    """Those of ``BACKENDS`` whose package is there."""
    return [backend for backend, package in BACKENDS.items() if find_spec(package)]


def outcome(path: Path, file: MediaFile, backend: str) -> Outcome:
    """What reading a file gives, with damage kept.

    Returns:
        "right": the true frames and their true number (of a damaged file: those before the damage; of what
            is no video: a VideoError). "short": true frames, fewer than there are, and a warning.
        "wrong": a frame that is not the one asked for, or a wrong number of frames, and no word about it.
        "refused": a VideoError.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with open_reader(path, Decoding(backend=backend)) as video:
                return _compared(video, file)
        except VideoError:
            return "right" if file.refused else "refused"


def orders(num_frames: int) -> Iterator[list[int]]:
    """Indices to ask for: the end first, backwards, repeated, unsorted, few and far apart."""
    last = num_frames - 1
    yield [last]
    yield list(range(last, max(-1, last - 5), -1))
    yield [last, 0, last, last // 2, 0]
    draw = random.Random(num_frames)
    yield [draw.randrange(num_frames) for _ in range(8)]
    yield list(range(0, num_frames, 7))


def read_to_the_end(video: VideoReader, file: MediaFile) -> list[int]:
    """The numbers of all frames, in one pass."""
    while True:
        found: dict[int, int] = {}
        try:
            for index, image in video.stream(range(sys.maxsize), until_end=True):
                found[index] = file.says(image)
        except IndexContradicted:
            continue  # once: it is not trusted any more
        assert list(found) == list(range(len(found)))
        return list(found.values())


def _compared(video: VideoReader, file: MediaFile) -> Outcome:
    found, truth = read_to_the_end(video, file), list(file.numbers)
    if file.refused or found[: len(truth)] != truth[: len(found)]:
        return "wrong"
    if file.damage != "hidden" and (len(found) > len(truth) or video.num_frames != len(found)):
        return "wrong"
    for indices in orders(min(len(found), len(truth))):
        if [file.says(image) for image in video.frames(indices)] != [truth[index] for index in indices]:
            return "wrong"
    if len(found) < len(truth):
        return "short" if video.damage else "wrong"
    return "right"
