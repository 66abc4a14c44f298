"""Videos of an epoch that were not as they should be: counted, told, and too many of them refused."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from mvit_video.data import BadVideo, BadVideoCount, BadVideosError, Batch
from mvit_video.engine.errors import RunError

Trouble = tuple[Literal["bad", "damaged"], BadVideo]

_MOST_LINES = 20  # of the log, per epoch and kind of trouble


class VideoTroubles:
    """The videos of one epoch that could not be read, or only up to a damaged place.

    Each process notes those of its batches; all of them count what all have noted.

    Args:
        limit: share of the videos that may be unreadable: DATA.BAD_VIDEOS_LIMIT.
        num_videos: of the epoch.
        epoch: its number, from 0.
    """

    def __init__(self, limit: float, num_videos: int, epoch: int) -> None:
        self._bad = BadVideoCount(limit, num_videos)
        self._damaged: dict[str, str] = {}
        self._num_videos, self._epoch = num_videos, epoch
        self._num_replaced = 0
        self._news: list[Trouble] = []

    def watch(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Pass this process's batches on, and note what was wrong with their videos, for :meth:`news`."""
        for batch in batches:
            self._news += [("bad", bad) for bad in batch.bad]
            self._news += [("damaged", damaged) for damaged in batch.damaged]
            yield batch

    def news(self) -> list[Trouble]:
        """What this process has met with since the last time this was called."""
        news, self._news = self._news, []
        return news

    def take(self, news: Iterable[Trouble]) -> None:
        """Count what the processes have met with.

        Raises:
            RunError: more videos cannot be read than the limit allows.
        """
        bad = []
        for kind, video in news:
            if kind == "damaged":
                self._damaged[video.path] = video.reason
            else:
                bad.append(video)
        self._num_replaced += len(bad)
        self._count(bad)

    def _count(self, bad: Iterable[BadVideo]) -> None:
        try:
            self._bad.add(bad)
        except BadVideosError as error:
            raise RunError(
                f"epoch {self._epoch + 1}: {error}; training stops, and checkpoints stay as they were"
            ) from error

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return {
            "bad": dict(self._bad.reasons),
            "damaged": dict(self._damaged),
            "replaced": self._num_replaced,
        }

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave.

        Raises:
            RunError: it is more than the limit, which must have been lowered since.
        """
        self._damaged, self._num_replaced = dict(saved["damaged"]), saved["replaced"]
        self._count(BadVideo(path, reason) for path, reason in saved["bad"].items())

    @property
    def counts(self) -> dict[str, int]:
        """``bad`` and ``damaged`` videos so far, and how often another one was taken (``replaced``)."""
        return {"bad": len(self._bad), "damaged": len(self._damaged), "replaced": self._num_replaced}

    @property
    def details(self) -> dict[str, Any]:
        """Path and reason of each video, for the log of the run; empty where nothing was wrong."""
        kinds = {"bad_videos": self._bad.reasons, "damaged_videos": self._damaged}
        return {
            kind: [{"path": path, "reason": reason} for path, reason in videos.items()]
            for kind, videos in kinds.items()
            if videos
        }

    def lines(self) -> Iterator[str]:
        """What to tell a person: how many, and for the first of them path and reason."""
        times = "once" if self._num_replaced == 1 else f"{self._num_replaced} times"
        what = {
            f"could not be read; {times} another one was taken instead": self._bad.reasons,
            "are damaged; what comes before the damage was used": self._damaged,
        }
        for said, videos in what.items():
            if not videos:
                continue
            yield f"epoch {self._epoch + 1}: {len(videos)} of {self._num_videos} videos {said}"
            yield from (f"  {path}: {reason}" for path, reason in list(videos.items())[:_MOST_LINES])
            if len(videos) > _MOST_LINES:
                yield f"  and {len(videos) - _MOST_LINES} more: train.jsonl names them all"
