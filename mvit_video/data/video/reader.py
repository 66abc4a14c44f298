"""What every reader of frames does; where the frames come from is its subclasses' business.

Axes: N frames, H height, W width, C = 3 colours.
"""

import itertools
import operator
import sys
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from types import TracebackType
from typing import Any, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from mvit_video.data.sampling.clips import Duration
from mvit_video.data.video.errors import (
    Damage,
    DamagedVideoWarning,
    DamageFound,
    IndexContradicted,
    VideoError,
)

Image = NDArray[np.uint8]
_LOOK_AHEAD = 256  # indices
OnDamage = Literal["keep", "refuse"]
ON_DAMAGE: tuple[OnDamage, ...] = ("keep", "refuse")


class VideoFrames(Protocol):
    """A video whose frames are read by their index: what ``open_video`` and ``open_reader`` give."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def height(self) -> int: ...  # noqa: D102
    @property
    def width(self) -> int: ...  # noqa: D102
    @property
    def frame_rate(self) -> Fraction: ...  # noqa: D102
    @property
    def fps(self) -> float: ...  # noqa: D102
    @property
    def expected_frames(self) -> int: ...  # noqa: D102
    @property
    def num_frames(self) -> int: ...  # noqa: D102
    @property
    def is_trusted(self) -> bool: ...  # noqa: D102
    @property
    def damage(self) -> Damage | None: ...  # noqa: D102
    def frames(self, indices: Iterable[int]) -> Image: ...  # noqa: D102
    def stream(  # noqa: D102
        self, indices: Iterable[int], *, until_end: bool = False, no_more: bool = False
    ) -> Iterator[tuple[int, Image]]: ...


class FramePass(ABC):
    """A way through the frames of a video that stands at one of them; backends move it."""

    position: int = -1
    """The frame that ``image`` gives; -1 before the first."""

    def can_reach(self, index: int) -> bool:
        """Whether ``advance_to(index)`` is possible; passes only move forward unless they say otherwise."""
        return index >= self.position

    def expect(self, indices: Sequence[int], *, no_more: bool) -> None:  # noqa: B027 -- not all can use it
        """Says which indices will be asked for next: sorted, and none between them that is not among them.

        ``no_more``: Nor is any asked for after them, as far as is known.
        """

    @abstractmethod
    def advance_to(self, index: int) -> bool:
        """Moves to ``index``; False: the video ends before it, and this is its last frame.

        Raises:
            DamageFound: There is damage on the way; this is the last good frame.
            IndexContradicted: Frames were looked for where the packets promised them, and were not there.
        """

    @abstractmethod
    def image(self) -> Image:
        """The frame it stands at: uint8 (H, W, 3) RGB, display rotation applied."""

    def close(self) -> None:  # noqa: B027 -- not every pass holds something
        """Frees what the pass holds."""


class VideoReader(ABC):
    """A video whose frames are read by their index; a context manager.

    Subclasses set ``height`` and ``width`` in their ``__init__`` (and raise a VideoError there if not even
    the first frame can be read), and give ``frame_rate``, ``expected_frames`` and ``_open_pass``.

    Args:
        name: What messages call it.
        on_damage: "keep": a damaged video ends before the damage, with a DamagedVideoWarning; "refuse": a
            VideoError says where it is.
    """

    height: int
    width: int

    def __init__(self, name: str, *, on_damage: OnDamage = "keep") -> None:
        if on_damage not in ON_DAMAGE:
            raise ValueError(f"on_damage is {on_damage!r}, expected one of {', '.join(ON_DAMAGE)}")
        self.name = name
        self.damage: Damage | None = None
        self._on_damage = on_damage
        self._closed = False
        self._num_frames: int | None = None
        self._running: list[FramePass] = []
        self._idle: FramePass | None = None

    @property
    @abstractmethod
    def frame_rate(self) -> Fraction:
        """Frames per second; the average where the rate varies."""

    @property
    @abstractmethod
    def expected_frames(self) -> int:
        """How many frames the video promises, found without decoding: exact where it ``is_trusted``."""

    @property
    def is_trusted(self) -> bool:
        """Whether frames are counted and looked for by what the packets say; decoding checks it."""
        return False

    @property
    def num_frames(self) -> int:
        """How many good frames there are.

        What decoding finds (the first use decodes to the end, converting nothing), or what the packets say
        where they are trusted.

        Raises:
            VideoError: It is damaged, and damage is refused.
        """
        if self.is_trusted:
            return self.expected_frames
        if self._num_frames is None:
            for _ in self._positions([sys.maxsize], until_end=True):
                pass
        assert self._num_frames is not None
        return self._num_frames

    @property
    def fps(self) -> float:
        """Frames per second; the average where the rate varies."""
        return float(self.frame_rate)

    @property
    def duration(self) -> Duration:
        """Seconds, ``num_frames / fps``; a float that also carries the two."""
        return Duration(self.num_frames, self.frame_rate)

    def frames(self, indices: Iterable[int]) -> Image:
        """Decodes the frames at ``indices`` (any order, repeats allowed): uint8 (N, H, W, 3) RGB.

        Raises:
            VideoError: An index beyond the end, or damage on the way there that is refused.
        """
        order = [operator.index(index) for index in indices]
        places: dict[int, list[int]] = {}
        for place, index in enumerate(order):
            places.setdefault(index, []).append(place)
        frames_NHWC = np.empty((len(order), self.height, self.width, 3), np.uint8)
        while True:
            try:
                for index, image in self.stream(sorted(places)):
                    frames_NHWC[places[index]] = image
            except IndexContradicted:
                continue  # once: the index is not trusted any more
            return frames_NHWC

    def stream(
        self, indices: Iterable[int], *, until_end: bool = False, no_more: bool = False
    ) -> Iterator[tuple[int, Image]]:
        """Yields (index, uint8 (H, W, 3) RGB) going forward, holding one frame at a time.

        Args:
            indices: Non-decreasing; a repeated index yields the same array again.
            until_end: Do not raise at the first index beyond the end: yield the last frame (once more, if
                need be) under its own index, and stop.
            no_more: Nothing will be asked for after these. Close to the end of the file less is decoded then;
                what is asked for all the same is found on a longer way.

        Raises:
            VideoError: An index beyond the end, or damage on the way there that is refused.
            IndexContradicted: ``is_trusted`` was wrong; it no longer is. Compute positions anew, and stream
                again.
        """
        shown = -1
        image: Image | None = None
        for index, run in self._positions(indices, until_end=until_end, no_more=no_more):
            if index != shown or image is None:
                shown, image = index, run.image()
            yield index, image

    def walk(self) -> Iterator[int]:
        """Decodes every frame to the end and makes no images: yields the index of each as it comes.

        Raises:
            VideoError: Damage that is refused.
            IndexContradicted: ``is_trusted`` was wrong; it no longer is. Walk again.
        """
        for wanted, (index, _) in enumerate(self._positions(itertools.count(), until_end=True)):
            if index == wanted:  # the end is the last frame once more
                yield index

    def close(self) -> None:
        """Frees the decoder; safe to call twice."""
        self._closed = True
        for run in [*self._running, self._idle]:
            if run is not None:
                run.close()
        self._running.clear()
        self._idle = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self.width}x{self.height})"

    @abstractmethod
    def _open_pass(self) -> FramePass:
        """A new pass, before the first frame."""

    def _positions(
        self, indices: Iterable[int], *, until_end: bool, no_more: bool = False
    ) -> Iterator[tuple[int, FramePass]]:
        """A pass standing at one index after the other; each of several streams has a pass of its own."""
        run: FramePass | None = None
        shown, is_sound = -1, True
        trusted = self.is_trusted
        try:
            for index, following in _looking_ahead(map(operator.index, indices)):
                self._check_order(index, shown)
                if trusted and not self.is_trusted:
                    raise IndexContradicted(self.name)  # another stream found out
                run = run or self._start_pass(index)
                if following:  # fewer than asked for: all that is left
                    run.expect(following, no_more=no_more and len(following) < _LOOK_AHEAD)
                if index != shown and not self._advance(run, index):
                    if not until_end:
                        raise self._beyond_the_end(index)
                    if run.position >= 0:
                        yield run.position, run
                    return
                shown = index
                yield index, run
        except BaseException as error:
            is_sound = isinstance(error, GeneratorExit | VideoError | IndexContradicted)
            raise
        finally:
            if run is not None:
                self._end_pass(run, is_sound=is_sound)

    def _advance(self, run: FramePass, index: int) -> bool:
        """Moves a pass; whether it got there. What ends the video is settled here."""
        if self.damage and index >= self.damage.frame:
            self._refuse(self.damage)
        end = self.expected_frames if self.is_trusted else self._num_frames
        try:
            if run.advance_to(index if end is None else min(index, end - 1)):
                return end is None or index < end
        except DamageFound as found:
            self._settle(Damage(run.position + 1, str(found)))
        except IndexContradicted as contradiction:
            self._demote(str(contradiction))
            raise
        if not self.is_trusted:
            self._num_frames = run.position + 1
        return False

    def _demote(self, reason: str) -> None:  # noqa: B027 -- most readers trust nothing
        """Stops trusting the packets, and whatever passes rely on them."""

    def _settle(self, damage: Damage) -> None:
        """Ends the video at the damage, or refuses it."""
        known, self.damage = self.damage, damage
        self._refuse(damage)
        if known is None:
            text = f"{self._describe(damage)}; the video ends before it"
            warnings.warn(text, DamagedVideoWarning, stacklevel=2)

    def _refuse(self, damage: Damage) -> None:
        if self._on_damage == "refuse" or damage.frame == 0:
            raise VideoError(self._describe(damage))

    def _describe(self, damage: Damage) -> str:
        return f"{self.name}: damaged at frame {damage.frame}: {damage.reason}"

    def _check_order(self, index: int, shown: int) -> None:
        if index < 0:
            raise VideoError(f"{self.name}: frame {index} was asked for; frames are counted from 0")
        if index < shown:
            raise VideoError(f"{self.name}: frame {index} was asked for after {shown}; sort the indices")

    def _beyond_the_end(self, index: int) -> VideoError:
        frames = self.num_frames
        damage = f"; damaged there: {self.damage.reason}" if self.damage else ""
        return VideoError(
            f"{self.name}: frame {index} was asked for, but the video has only {frames} (0 to {frames - 1})"
            f"{damage}"
        )

    def _start_pass(self, first_index: int) -> FramePass:
        self._check_open()
        run, self._idle = self._idle, None
        if run is not None and not run.can_reach(first_index):
            run.close()
            run = None
        run = run or self._open_pass()
        self._running.append(run)
        return run

    def _end_pass(self, run: FramePass, *, is_sound: bool) -> None:
        """Keeps a pass for what will be asked next, unless it was broken off in the midst of decoding."""
        if run in self._running:
            self._running.remove(run)
        if self._idle is None and is_sound and not self._closed:
            self._idle = run
        else:
            run.close()

    def _check_open(self) -> None:
        if self._closed:
            raise VideoError(f"{self.name}: the video is closed; open it again")


def _looking_ahead(indices: Iterator[int]) -> Iterator[tuple[int, list[int]]]:
    """Each index; with every so many first of them, it and the next ones, as far as they ascend."""
    while group := list(itertools.islice(indices, _LOOK_AHEAD)):
        ascending = all(one <= other for one, other in itertools.pairwise(group))
        yield group[0], group if ascending else []
        for index in group[1:]:
            yield index, []


def oriented(image: NDArray[Any], matrix: tuple[int, int, int, int]) -> NDArray[Any]:
    """Turns and mirrors an image as a display matrix says, to the nearest quarter turn.

    Args:
        image: (H, W, ...).
        matrix: (a, b, c, d): a point is shown at x' = a x + c y, y' = b x + d y, with y downwards.
    """
    a, b, c, d = matrix
    if abs(a) + abs(d) < abs(b) + abs(c):
        image = np.swapaxes(image, 0, 1)
        a, d = c, b
    image = image[:, ::-1] if a < 0 else image
    return image[::-1] if d < 0 else image
