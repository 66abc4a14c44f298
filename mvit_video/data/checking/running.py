"""Checking many videos with many processes."""

from collections.abc import Iterator, Sequence
from contextlib import closing

from mvit_video.data.checking.facts import VideoChecker, VideoFacts, file_state
from mvit_video.data.checking.journal import Journal
from mvit_video.data.loading.pool import Crash, WorkerPool
from mvit_video.data.video.opening import Decoding

_WAITING = 10_000  # small results, of which many may wait for a long video


def left_to_check(paths: Sequence[str], journal: Journal) -> list[str]:
    """The videos whose facts are not known, or were known before their files changed; each once."""
    return [path for path in dict.fromkeys(paths) if not journal.still_true(path)]


def check_videos(
    paths: Sequence[str],
    journal: Journal,
    *,
    decoding: Decoding,
    num_workers: int,
    timeout_seconds: float = 60.0,
) -> Iterator[VideoFacts]:
    """Decodes all frames of all videos; facts go into the journal as they come, in any order.

    Args:
        paths: Videos.
        journal: Is added to.
        decoding: How videos are opened.
        num_workers: Processes; 0 checks in this one, where a crash or hang is not survived.
        timeout_seconds: For a few frames: a video may take long, but not stand still for so long.

    Yields:
        The facts of each video, in order.
    """

    def note(path: str, result: VideoFacts | Crash) -> None:
        journal.add(_facts_of(path, result))

    pool = WorkerPool(
        VideoChecker(decoding),
        num_workers=min(num_workers, len(paths)),
        timeout_seconds=timeout_seconds,
        waiting=_WAITING,
    )
    with pool, closing(pool.run(paths, note)) as results:
        for path, result in results:
            yield _facts_of(path, result)


def _facts_of(path: str, result: VideoFacts | Crash) -> VideoFacts:
    if isinstance(result, Crash):
        return VideoFacts(path, file_state(path), "crashed", f"the decoder crashed or hung: {result.reason}")
    return result
