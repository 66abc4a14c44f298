"""The frames of a trusted video: which time each has, and from which key packet it is decoded best."""

from bisect import bisect_left, bisect_right

import numpy as np

from mvit_video.data.video.packets import PacketFacts
from mvit_video.data.video.trust import MOVIE

# What opening the way from a key packet costs beyond decoding its group, in frames.
_SEEK_COST_FRAMES = 8


class SeekIndex:
    """Frame i is the packet with the i-th presentation time."""

    def __init__(self, facts: PacketFacts) -> None:
        """Takes the facts of a file that is trusted."""
        table = facts.table
        order = np.argsort(table.pts, kind="stable")  # nearly in order: stable is fast
        key_frames = np.flatnonzero(table.is_key[order])
        # Views, because every frame is looked up: arrays take three times as long, and lists have to be made.
        self._times = table.pts[order].data
        self._places = order.data
        self._key_frames = key_frames.data
        # In movies FFmpeg looks for the decoding time, counted from 0 where edit lists begin below it.
        sought_by = table.dts - min(0, int(table.dts[0])) if facts.container == MOVIE else table.pts
        self._targets = sought_by[order[key_frames]].data
        disposable = facts.pictures.is_disposable if facts.pictures else None
        self._is_disposable = None if disposable is None else disposable[order].data

    def __len__(self) -> int:
        return len(self._times)

    def frame_at(self, time: int | None) -> int | None:
        """The frame with exactly this presentation time, in ticks."""
        if time is None:
            return None
        frame = bisect_left(self._times, time)
        return frame if frame < len(self._times) and self._times[frame] == time else None

    def is_key(self, frame: int) -> bool:
        """Whether this frame can be sought."""
        place = bisect_left(self._key_frames, frame)
        return place < len(self._key_frames) and self._key_frames[place] == frame

    def place_of(self, frame: int) -> int:
        """Which packet this frame is, in the order of decoding."""
        return self._places[frame]

    def group_of(self, frame: int) -> int:
        """The key frame that this frame is decoded from: nothing in one group depends on another."""
        return self._key_frames[bisect_right(self._key_frames, frame) - 1]

    def may_be_left_out(self, frame: int) -> bool:
        """Whether other frames decode the same without this one."""
        return self._is_disposable is not None and bool(self._is_disposable[frame])

    def find_shortcut(self, position: int | None, frame: int) -> int | None:
        """Where to seek (ticks) on the way to a frame; None if going on from ``position`` is no longer."""
        key = bisect_right(self._key_frames, frame) - 1
        if position is not None and self._key_frames[key] - _SEEK_COST_FRAMES <= position <= frame:
            return None
        return self._targets[key]
