"""Exact frames of a video file: decode and count.

Seeking by time returns other frames than asked for, without an error, in several common containers, and
headers lie about how many frames there are. So a frame's index is its place in the decoder's output, found by
decoding forward from the first frame. Where the packets prove to give the same answer (``trust``), frames are
counted and sought by them, and every decoded frame is checked.
"""

from dataclasses import replace
from fractions import Fraction

import numpy as np

from mvit_video.data.video.errors import DamageFound, VideoError
from mvit_video.data.video.looking import look_into_movie
from mvit_video.data.video.packets import KnownDamage, PacketFacts
from mvit_video.data.video.pyav import PyavPass
from mvit_video.data.video.reader import OnDamage, VideoReader
from mvit_video.data.video.seek_index import SeekIndex
from mvit_video.data.video.sources import Source, name_of, open_source
from mvit_video.data.video.trust import CODECS, CONTAINERS, MOVIE, find_damage, why_untrusted

_FALLBACK_RATE = Fraction(25)  # FFmpeg's own, for streams without a single timestamp


class PyavReader(VideoReader):
    """A video file decoded by FFmpeg through PyAV.

    The first frame is decoded on opening, so what opens is a video. One decoder thread by default: it is
    the fastest for small videos, and damaged streams look the same wherever they are decoded (with several,
    FFmpeg passes over damage in the last frames of some).
    """

    def __init__(self, source: Source, *, threads: int = 1, on_damage: OnDamage = "keep") -> None:
        """Opens ``source``: a path, an address, a seekable binary file object (it stays open), or bytes.

        Raises:
            VideoError: Nothing there, not a video, or its first frame does not decode.
        """
        super().__init__(name_of(source), on_damage=on_damage)
        self._threads = threads
        self._facts: PacketFacts | None = None
        self._objection: str | None = None
        self._index: SeekIndex | None = None
        self._damage_ahead: KnownDamage | None = None
        self._may_skip_probing = True  # as long as every frame will be held against the packets
        self._source = open_source(source)
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    @property
    def is_trusted(self) -> bool:
        """Whether frames are counted and looked for by what the packets say; decoding checks it."""
        self._known_facts()
        return self._index is not None

    @property
    def why_untrusted(self) -> str | None:
        """Why frames are counted by decoding them, in words; None where the packets are trusted."""
        self._known_facts()
        return self._objection

    @property
    def expected_frames(self) -> int:
        """How many frames the packets promise, without decoding: exact where they are trusted."""
        return len(self._known_facts().table)

    @property
    def frame_rate(self) -> Fraction:
        """Frames per second: the nominal rate if the times agree with it to a tick, else their average."""
        table = self._known_facts().table
        span = int(np.ptp(table.pts)) if len(table) else 0
        return _frame_rate(self._nominal_rates, len(table), span * table.time_base, table.time_base)

    def close(self) -> None:
        """Frees the decoder; safe to call twice."""
        super().close()
        self._source.close()

    def _open_pass(self) -> PyavPass:
        run = PyavPass(
            self._source,
            threads=self._threads,
            index=self._index,
            may_skip_probing=self._may_skip_probing,
        )
        run.expect_damage(self._damage_ahead)
        return run

    def _begin(self) -> None:
        """Decodes the first frame, and takes over what the container and it say."""
        first = self._decode_first()
        self._idle = first
        self._may_skip_probing = not first.is_probed
        self._first_time, self._nominal_rates = first.time, first.nominal_rates
        self.height, self.width = first.size()

    def _decode_first(self) -> PyavPass:
        run = self._open_pass()
        try:
            if not run.advance_to(0):
                raise VideoError(f"{self.name}: no frame could be decoded; it is cut off or damaged")
        except BaseException as error:
            run.close()
            if isinstance(error, DamageFound | VideoError) and not run.is_probed:
                self._may_skip_probing = False
                return self._decode_first()
            if isinstance(error, DamageFound):
                raise VideoError(f"{self.name}: damaged at frame 0: {error}") from error
            raise
        return run

    def _known_facts(self) -> PacketFacts:
        """What the packets say, found out once; and what follows from it."""
        if self._facts is None:
            self._check_open()
            facts = self._find_facts()
            self._objection = why_untrusted(facts)
            if self._objection and self._may_skip_probing:
                self._probe_after_all()
                facts = self._find_facts()
                self._objection = why_untrusted(facts)
            if self._objection is None:
                self._index = SeekIndex(facts)
            else:
                self._damage_ahead = find_damage(facts)
            if isinstance(self._idle, PyavPass):
                self._idle.move_by(self._index)
                self._idle.expect_damage(self._damage_ahead)
            self._facts = facts
        return self._facts

    def _probe_after_all(self) -> None:
        """Begins again with what FFmpeg finds out by probing."""
        self._may_skip_probing = False
        if self._idle is not None:
            self._idle.close()
            self._idle = None
        self._begin()

    def _find_facts(self) -> PacketFacts:
        """Of a movie by its tables; else by going through the packets, if possible with the idle pass."""
        idle, self._idle = self._idle, None
        run = idle if isinstance(idle, PyavPass) else self._open_pass()
        kind = run.kind
        if kind.container not in CONTAINERS or kind.codec not in CODECS:
            self._idle = run
            return self._read_packets(look_inside=False)
        if kind.container == MOVIE:
            with self._source.cursor() as file:
                facts = look_into_movie(file, kind, self._first_time)
            if facts is not None:
                self._idle = run
                return facts if facts.table.problem is None else self._without(facts)
        facts = run.read_packets(look_inside=True)
        if facts is not None and why_untrusted(facts) is None:
            self._idle = run
            return facts
        run.close()
        return facts or self._read_packets(look_inside=True)

    def _without(self, movie: PacketFacts) -> PacketFacts:
        """What FFmpeg finds in a movie whose tables promise something else."""
        facts = self._read_packets(look_inside=False)
        table = replace(facts.table, problem=movie.table.problem)
        return replace(facts, table=table, missing=movie.missing)

    def _read_packets(self, *, look_inside: bool) -> PacketFacts:
        with self._open_pass() as run:
            facts = run.read_packets(look_inside=look_inside)
        assert facts is not None  # it stood before the first
        return facts

    def _demote(self, reason: str) -> None:
        self._index = None
        self._may_skip_probing = False
        self._objection = self._objection or f"decoding contradicts the packets: {reason}"
        for run in [*self._running, self._idle]:
            if isinstance(run, PyavPass):
                run.is_stale = True


def _frame_rate(
    nominal_rates: tuple[Fraction, ...], count: int, seconds: Fraction, tick: Fraction
) -> Fraction:
    """A nominal rate if ``count`` times over so many seconds agree with it to a tick, else theirs."""
    if count < 2 or seconds <= 0:
        return nominal_rates[0] if nominal_rates else _FALLBACK_RATE
    for rate in nominal_rates:
        if abs((count - 1) / rate - seconds) <= tick:
            return rate
    return (count - 1) / seconds
