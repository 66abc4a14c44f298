"""Videos that look alike on both sides of a split: what was learned from is measured again.

Axes: N videos of one side, M of the other, F comparisons of a fingerprint.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mvit_video.data import VideoList
from mvit_video.finetuning.videos.fingerprints import Fingerprint
from mvit_video.finetuning.videos.sources import Sources

Kind = Literal["the same pictures", "mirrored"]

_LIKENESS = 0.8  # cosine of two fingerprints from which on videos count as alike
_LEAST_MARKS = 48  # comparisons that are not "alike"; a plain picture tells nothing
_ROWS = 1024  # at a time


@dataclass(frozen=True)
class Pair:
    """Two videos that look alike, one from each side.

    Attributes:
        path: Of the side that is measured or chooses.
        other: Of the side that is learned from.
        likeness: 0.8 to 1: the cosine of their fingerprints.
        kind: In which way they are alike.
    """

    path: str
    other: str
    likeness: float
    kind: Kind


def join_copies(videos: VideoList, sources: Sources) -> tuple[Sources, int]:
    """Sources of which files with equal content have one; and how many files are copies of others."""
    joined: dict[str, str] = {}

    def root(key: str) -> str:
        while joined.get(key, key) != key:
            key = joined[key]
        return key

    num_copies = 0
    number_of = {record.path: number for number, record in enumerate(videos)}
    for same in copies([record.path for record in videos]):
        num_copies += len(same) - 1
        keys = [root(sources.keys[number_of[path]]) for path in same]
        for key in keys:
            joined[root(key)] = keys[0]
    keys_now = tuple(root(key) for key in sources.keys)
    return Sources(keys_now, sources.pattern, sources.advice), num_copies


def copies(paths: Sequence[str]) -> list[list[str]]:
    """Groups of files with equal content; only files of equal size are read."""
    by_size: dict[int, list[str]] = defaultdict(list)
    for path in dict.fromkeys(paths):
        if os.path.isfile(path):
            by_size[os.path.getsize(path)].append(path)
    found = []
    for same_size in by_size.values():
        by_digest: dict[bytes, list[str]] = defaultdict(list)
        for path in same_size if len(same_size) > 1 else ():
            by_digest[_digest(path)].append(path)
        found += [same for same in by_digest.values() if len(same) > 1]
    return found


def find_pairs(held_out: Sequence[Fingerprint], learned: Sequence[Fingerprint]) -> list[Pair]:
    """For each held-out video the one learned from that it looks most like, where it looks alike at all.

    Videos of one plain colour tell nothing, and are left out.
    """
    ours = [print_ for print_ in held_out if _tells(print_.marks)]
    theirs = [print_ for print_ in learned if _tells(print_.marks)]
    if not ours or not theirs:
        return []
    straight, mirrored = (
        _unit([marks for print_ in theirs if (marks := getattr(print_, name)) is not None])
        for name in ("marks", "mirrored")
    )
    pairs = []
    for start in range(0, len(ours), _ROWS):
        part = ours[start : start + _ROWS]
        own_MF = _unit([print_.marks for print_ in part if print_.marks is not None])
        pairs += list(_alike(part, theirs, own_MF @ straight.T, own_MF @ mirrored.T))
    return pairs


def _alike(
    ours: Sequence[Fingerprint],
    theirs: Sequence[Fingerprint],
    straight_MN: NDArray[np.float32],
    mirrored_MN: NDArray[np.float32],
) -> Iterator[Pair]:
    for row, print_ in enumerate(ours):
        is_mirrored = mirrored_MN[row].max() > straight_MN[row].max()
        likeness_N = (mirrored_MN if is_mirrored else straight_MN)[row]
        best = int(likeness_N.argmax())
        if likeness_N[best] >= _LIKENESS:
            kind: Kind = "mirrored" if is_mirrored else "the same pictures"
            yield Pair(print_.path, theirs[best].path, round(float(min(likeness_N[best], 1.0)), 3), kind)


def _tells(marks: NDArray[np.int8] | None) -> bool:
    return marks is not None and int(np.count_nonzero(marks)) >= _LEAST_MARKS


def _unit(rows: Sequence[NDArray[np.int8]]) -> NDArray[np.float32]:
    together = np.stack(rows).astype(np.float32)
    unit: NDArray[np.float32] = together / np.linalg.norm(together, axis=1, keepdims=True)
    return unit


def _digest(path: str) -> bytes:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest()
