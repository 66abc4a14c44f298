"""Videos read ahead of the model, in threads, in memory that does not depend on how many there are.

A video gives its clips, all at once or (along a long file) one after the other, and then how it ended.
"""

import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, BinaryIO, cast

from torch import Tensor

from mvit_video.data import (
    ClipTimes,
    Decoding,
    VideoError,
    ViewPlan,
    Views,
    decode_views,
    iter_clips,
    open_reader,
)
from mvit_video.data.loading.read_ahead import ReadAhead
from mvit_video.data.video.reader import Image, VideoFrames, VideoReader

Source = str | PathLike[str] | BinaryIO

_PATIENCE_SECONDS = 2.0  # for a decoder on its way to a distant frame, where nothing can stop it


@dataclass(frozen=True, slots=True)
class Clips:
    """Clips of a video; their views come with this."""

    video: str
    times: tuple[ClipTimes, ...]


@dataclass(frozen=True, slots=True)
class End:
    """A video has ended; ``damage`` says where it is damaged."""

    video: str
    damage: str | None


Event = Clips | End | VideoError  # the error ends a video too


@dataclass(frozen=True)
class VideoFeed:
    """How videos are read for the model.

    Attributes:
        plan: the views.
        decoding: how the files are decoded.
        every_seconds: clips along the whole file instead of the plan's; None for the plan's.
        readers: videos that are read at the same time.
        views_ahead: about as many views of each may wait for the model, and always those of one video.
    """

    plan: ViewPlan
    decoding: Decoding
    every_seconds: float | None = None
    readers: int = 1
    views_ahead: int = 4

    def read(self, sources: Sequence[Source]) -> Generator[tuple[Event, Tensor | None], None, None]:
        """What there is of the videos, in their order: clips with their views (V, 3, T, S, S), and ends."""
        stop = threading.Event()
        readers = min(self.readers, len(sources))
        lanes = [
            ReadAhead(
                self._read_all(sources[first::readers], stop),
                self._depth,
                stop.set,
                patience_seconds=_PATIENCE_SECONDS,
            )
            for first in range(readers)
        ]
        try:
            for number in range(len(sources)):
                for event, views in lanes[number % readers]:
                    yield event, views
                    if not isinstance(event, Clips):
                        break
        finally:
            stop.set()
            for lane in lanes:
                lane.close()

    @property
    def _depth(self) -> int:
        """Events that may wait; a video has two of them at least, its clips and its end."""
        views = self.plan.num_views if self.every_seconds is None else self.plan.spatial_crops
        return 2 * max(1, self.views_ahead // views)

    def _read_all(
        self, sources: Sequence[Source], stop: threading.Event
    ) -> Iterator[tuple[Event, Tensor | None]]:
        for source in sources:
            try:
                with open_reader(source, self.decoding) as video:
                    for found in self._views(cast(VideoFrames, Stoppable(video, stop))):
                        yield Clips(video.name, found.clips), found.views
                    yield End(video.name, _damage_of(video)), None
            except VideoError as error:
                yield error, None

    def _views(self, video: VideoFrames) -> Iterable[Views]:
        if self.every_seconds is None:
            return (decode_views(video, self.plan),)
        return iter_clips(video, self.plan, self.every_seconds)


class StoppedError(Exception):
    """Nobody waits for this video any more."""


class Stoppable:
    """A video that gives no more frames once ``stop`` is set."""

    def __init__(self, video: VideoReader, stop: threading.Event) -> None:
        self._video, self._stop = video, stop

    def __getattr__(self, name: str) -> Any:
        return getattr(self._video, name)

    def stream(
        self, indices: Iterable[int], *, until_end: bool = False, no_more: bool = False
    ) -> Iterator[tuple[int, Image]]:
        """The video's frames; StoppedError when there are to be no more."""
        for found in self._video.stream(indices, until_end=until_end, no_more=no_more):
            if self._stop.is_set():
                raise StoppedError(self._video.name)
            yield found


def _damage_of(video: VideoReader) -> str | None:
    damage = video.damage
    return None if damage is None else f"good up to frame {damage.frame}, then {damage.reason}"
