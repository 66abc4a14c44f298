"""Which videos there are to learn from, and of which classes; nothing is decoded."""

import logging
import os
from collections import Counter
from collections.abc import Callable, Sequence

from mvit_video.data import VideoList, VideoRecord
from mvit_video.data.lists.annotations import spell_loosely
from mvit_video.data.lists.making import classes_without_videos
from mvit_video.data.lists.writing import can_be_written
from mvit_video.finetuning.errors import FinetuneError

ReadList = Callable[[str, Sequence[str] | None], VideoList]
"""From a list or folder, and the classes it must be of (None: it has its own), to its videos."""

_SHOWN = 5
_logger = logging.getLogger("mvit_video.finetuning")


def gather(path: str, read: ReadList, names: Sequence[str] | None = None) -> VideoList:
    """The videos of a list or folder, each once, with absolute paths, labels and class names.

    Args:
        path: The list, or a folder of one folder of videos per class.
        read: Reads it.
        names: The classes that they must be of, for a list beside the one that classes come from. None:
            classes without a video are left out, with a warning, and the others are numbered anew.

    Raises:
        ValueError: No such list, videos without a class, fewer than two classes, or two classes whose names
            are the same but for capitals, blanks and underscores.
    """
    videos = _named(read(path, names), path)
    videos = _once(_writable(videos))
    if names is None:
        videos = _used_classes(videos, path)
        _check_names(videos.class_names or (), path)
    return videos


def describe(names: Sequence[str], most: int = _SHOWN) -> str:
    """Names in a sentence: the first few, and how many more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _named(videos: VideoList, path: str) -> VideoList:
    """With class names; numbers serve as names where there are none."""
    unlabelled = [record.path for record in videos if record.label is None]
    if len(unlabelled) == len(videos):
        raise FinetuneError(
            f"{path}: none of its {len(videos)} videos has a class: put them into one folder per class, or "
            f"give a "
            "list with a path and a label in each line"
        )
    if unlabelled:
        raise FinetuneError(
            f"{path}: {unlabelled[0]} has no label ({len(unlabelled)} of {len(videos)} videos): label all, "
            f"or take "
            "them out"
        )
    if videos.class_names is not None:
        videos.check_labels(len(videos.class_names))
        return videos
    names = tuple(str(number) for number in range(videos.num_classes))
    return VideoList(list(videos), names, videos.source)


def _writable(videos: VideoList) -> VideoList:
    """Absolute paths, but for addresses; names that a list cannot hold are left out, with a warning."""
    records = [
        record._replace(path=record.path if "://" in record.path else os.path.abspath(record.path))
        for record in videos
    ]
    odd = [ascii(record.path) for record in records if not can_be_written(record.path)]
    if odd:
        _logger.warning("left out, as a list cannot hold their names: %s", describe(odd))
    kept = [record for record in records if can_be_written(record.path)]
    return VideoList(kept, videos.class_names, videos.source)


def _once(videos: VideoList) -> VideoList:
    """Each video once.

    Raises:
        FinetuneError: One is listed with two classes.
    """
    found: dict[str, VideoRecord] = {}
    for record in videos:
        first = found.setdefault(record.path, record)
        if first.label != record.label:
            names = [
                str((videos.class_names or ())[label]) for label in (first.label or 0, record.label or 0)
            ]
            raise FinetuneError(
                f"{videos.source}: {record.path} is listed as {names[0]!r} and as {names[1]!r}: keep one "
                f"of the two"
            )
    if len(found) < len(videos):
        _logger.warning("%s: %d videos are listed more than once", videos.source, len(videos) - len(found))
    return VideoList(list(found.values()), videos.class_names, videos.source)


def _used_classes(videos: VideoList, path: str) -> VideoList:
    names = videos.class_names or ()
    if empty := classes_without_videos(videos):
        _logger.warning("%s: left out, as no video is of it: %s", path, describe(empty))
    kept = [name for name in names if name not in set(empty)]
    if len(kept) < 2:
        found = f"only one class ({kept[0]!r})" if kept else "no class"
        raise FinetuneError(
            f"{path}: has videos of {found}, expected two or more: one folder of videos per class, or a "
            f"list with a "
            "label in each line"
        )
    places = {name: place for place, name in enumerate(kept)}
    records = [record._replace(label=places[names[record.label or 0]]) for record in videos]
    return VideoList(records, tuple(kept), videos.source)


def _check_names(names: Sequence[str], path: str) -> None:
    by_spelling: dict[str, list[str]] = {}
    for name in names:
        by_spelling.setdefault(spell_loosely(name), []).append(name)
    clash = next((same for same in by_spelling.values() if len(same) > 1), None)
    if clash:
        raise FinetuneError(
            f"{path}: the classes {clash[0]!r} and {clash[1]!r} are one name, written in two ways: join "
            f"them, or call "
            "one otherwise"
        )


def check_sizes(videos: VideoList, *, held_out_given: bool) -> None:
    """Every class has enough videos: one to learn from, and one to measure with unless those are given.

    Raises:
        FinetuneError: Names the class.
    """
    if held_out_given:
        return
    counts = Counter(record.label for record in videos)
    single = [name for label, name in enumerate(videos.class_names or ()) if counts[label] < 2]
    if single:
        raise FinetuneError(
            f"{videos.source}: of {describe(single)} there is one video, expected two or more for each "
            f"class, one to "
            "learn from and one to measure with: add some, take the class out, or give others with --val"
        )
