"""Videos that could not be read: what is said about each, and how many of them a run bears."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

_EXAMPLES = 3


class BadVideosError(ValueError):
    """More videos of an epoch are unreadable than DATA.BAD_VIDEOS_LIMIT allows."""


class BadVideo(NamedTuple):
    """A video and what is wrong with it; as text ``path: reason``."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def bad_video(path: str, text: str) -> BadVideo:
    """The bad video that an error's text speaks of, which usually begins with the path."""
    return BadVideo(path, text.removeprefix(f"{path}: "))


class BadVideoCount:
    """Counts an epoch's unreadable videos, each once however often it was met, and says when to stop.

    Make a new one for every epoch and ``add`` every batch's ``bad``.

    Args:
        limit_share: DATA.BAD_VIDEOS_LIMIT, the share of an epoch's videos that may be unreadable; 1 allows
            all.
        num_videos: Videos in an epoch (of this process).
    """

    def __init__(self, limit_share: float, num_videos: int) -> None:
        if not 0 <= limit_share <= 1:
            raise ValueError(
                f"DATA.BAD_VIDEOS_LIMIT is {limit_share}, expected a share of the videos, 0 to 1"
            )
        self._share = limit_share
        self._num_videos = num_videos
        self._reasons: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._reasons)

    @property
    def reasons(self) -> Mapping[str, str]:
        """By path, in the order they were met."""
        return self._reasons

    def add(self, bad: Iterable[BadVideo]) -> None:
        """Counts these too.

        Raises:
            BadVideosError: There are now more than the limit.
        """
        for path, reason in bad:
            self._reasons.setdefault(path, reason)
        if len(self._reasons) <= self._share * self._num_videos:
            return
        examples = [str(BadVideo(*item)) for item in list(self._reasons.items())[:_EXAMPLES]]
        raise BadVideosError(
            f"{len(self._reasons)} of {self._num_videos} videos of this epoch could not be read so far, and "
            f"DATA.BAD_VIDEOS_LIMIT is {self._share:g}: {'; '.join(examples)}; mvit-video data check LIST "
            "finds them all, --clean writes a list without them"
        )
