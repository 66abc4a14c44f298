"""Which packets of a trusted video are not decoded, because nothing that is asked for depends on them.

Those are pictures that no other refers to; and of each group (a key packet and what follows it) all that
comes, in the order of decoding, after the last picture that is asked for, unless more may be asked of it.
"""

from collections.abc import Iterable, Sequence

from mvit_video.data.video.seek_index import SeekIndex

# A picture comes out when later ones drive it out, or the file is at its end. So close to that, in frames,
# the rest is read and not decoded; further away reading it would cost more than decoding those few.
_NEAR_END = 16


class Omission:
    """Decides packet by packet, in the order of decoding, and knows what a decoder has missed for it.

    Frames stand for their packets here.
    """

    def __init__(self, index: SeekIndex) -> None:
        self.index = index
        self.forget()
        self.expect_anything()

    def forget(self) -> None:
        """A decoder begins anew, at a key packet: nothing after that is missed."""
        self._single: set[int] = set()
        self._cuts: dict[int, int] = {}  # the place from which on a group is missed

    def expect_anything(self) -> None:
        """From now on whatever comes may be asked for."""
        self._expected: frozenset[int] = frozenset()
        self._until = -1  # nothing is known of this frame and later ones; of all, at the number of frames
        self._open_group = -1  # nor of what comes late in its group
        self._last_places: dict[int, int] = {}

    def expect(self, frames: Sequence[int], *, no_more: bool) -> None:
        """From now on these are asked for, none between them, and ``no_more``: none after them either."""
        self._expected = frozenset(min(frame, len(self.index) - 1) for frame in frames)
        self._last_places = {}
        for frame in self._expected:
            group, place = self.index.group_of(frame), self.index.place_of(frame)
            self._last_places[group] = max(place, self._last_places.get(group, -1))
        self._until = max(self._expected)
        self._open_group = self.index.group_of(self._until)
        if no_more and self._until + _NEAR_END >= len(self.index):
            self._until, self._open_group = len(self.index), -1

    def expects(self, frame: int) -> bool:
        """Whether it has been said that this frame is asked for."""
        return frame in self._expected

    def omits(self, frame: int) -> bool:
        """Whether this packet is not needed; then it is not decoded."""
        if self.has_missed(frame):
            return True
        if frame in self._expected or frame >= self._until:
            return False
        if self.index.may_be_left_out(frame):
            self._single.add(frame)
            return True
        group, place = self.index.group_of(frame), self.index.place_of(frame)
        if group == self._open_group or place <= self._last_places.get(group, -1):
            return False
        self._cuts[group] = place
        return True

    def forget_singles(self, frames: Iterable[int]) -> None:
        """These lie behind: the decoder only gets there again by beginning anew."""
        self._single.difference_update(frames)

    def has_missed(self, frame: int) -> bool:
        """Whether a decoder that goes on does not give this frame, or not as it should be."""
        if frame in self._single:
            return True
        cut = self._cuts.get(self.index.group_of(frame))
        return cut is not None and self.index.place_of(frame) >= cut
