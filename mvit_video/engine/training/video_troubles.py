"""Videos of an epoch that were not as they should be: counted, told, and too many of them refused."""

from collections.abc import Iterator
from typing import Any

from mvit_video.data import BadVideoCount, BadVideosError, Batch
from mvit_video.engine.errors import RunError

_MOST_LINES = 20  # of the log, per epoch and kind of trouble


class VideoTroubles:
    """The videos of one epoch that could not be read, or only up to a damaged place.

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

    def watch(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Pass batches on, and note what was wrong with their videos.

        Raises:
            RunError: more videos cannot be read than the limit allows.
        """
        for batch in batches:
            self._num_replaced += batch.num_replaced
            self._damaged.update(batch.damaged)
            try:
                self._bad.add(batch.bad)
            except BadVideosError as error:
                raise RunError(
                    f"epoch {self._epoch + 1}: {error}; training stops, and checkpoints stay as they were"
                ) from error
            yield batch

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
