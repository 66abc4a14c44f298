"""The frames of a trusted video: which time each has, and from which key packet it is decoded best."""

import numpy as np

from mvit_video.data.video.packets import PacketTable

# What opening the way from a key packet costs beyond decoding its group, in frames.
_SEEK_COST_FRAMES = 8


class SeekIndex:
    """Frame i is the packet with the i-th presentation time."""

    def __init__(self, table: PacketTable, *, by_dts: bool) -> None:
        """Takes a table that is trusted, and which of the times the container seeks by."""
        order = np.argsort(table.pts)
        self._times = table.pts[order]
        self._key_frames = np.flatnonzero(table.is_key[order])
        self._targets = (table.dts if by_dts else table.pts)[order][self._key_frames]

    def __len__(self) -> int:
        return len(self._times)

    def time_of(self, frame: int) -> int | None:
        """The presentation time of a frame in ticks; None where there is none."""
        return int(self._times[frame]) if 0 <= frame < len(self._times) else None

    def frame_at(self, time: int | None) -> int | None:
        """The frame with exactly this presentation time."""
        if time is None:
            return None
        frame = int(np.searchsorted(self._times, time))
        return frame if self.time_of(frame) == time else None

    def is_key(self, frame: int) -> bool:
        """Whether this frame can be sought."""
        place = int(np.searchsorted(self._key_frames, frame))
        return place < len(self._key_frames) and int(self._key_frames[place]) == frame

    def find_shortcut(self, position: int | None, frame: int) -> int | None:
        """Where to seek (ticks) on the way to a frame; None if going on from ``position`` is no longer."""
        key = int(np.searchsorted(self._key_frames, frame, side="right")) - 1
        if position is not None and int(self._key_frames[key]) - _SEEK_COST_FRAMES <= position <= frame:
            return None
        return int(self._targets[key])
