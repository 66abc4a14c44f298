"""Making a clean list: the annotated videos that are on disk, once each, and what was wrong with the rest."""

import os
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mvit_video.data.lists.annotations import Annotations, find_annotated, match_classes, number_classes
from mvit_video.data.lists.files import looks_like_video, scan_for
from mvit_video.data.lists.folders import read_folder
from mvit_video.data.lists.records import ListError, VideoList, VideoRecord
from mvit_video.data.lists.writing import can_be_written

Progress = Callable[[int], None]


@dataclass(frozen=True)
class MadeList:
    """A list of what is on disk, and what was found on the way.

    Attributes:
        videos: What is to be listed, in the order of the annotations (of the disk, for folders).
        num_annotated: How many videos the annotations name, each counted once.
        num_files: Videos on disk, annotated or not.
        missing: Annotated videos that are not on disk, as files are officially called.
        ambiguous: Videos of a list of which several files could be meant.
        repeated: Videos annotated more than once, alike.
        contradicted: Videos annotated again with another class; the first one counts.
        copies: (kept, other) files of one video.
        unwritable: Paths that a text file cannot hold: with line breaks, or names that are no UTF-8.
        num_outside: Videos on disk that no annotation names.
    """

    videos: VideoList
    num_annotated: int
    num_files: int
    missing: tuple[str, ...] = ()
    ambiguous: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    contradicted: tuple[str, ...] = ()
    copies: tuple[tuple[str, str], ...] = ()
    unwritable: tuple[str, ...] = ()
    num_outside: int = 0

    @property
    def empty_classes(self) -> tuple[str, ...]:
        """Classes without a video, where the classes have names."""
        return classes_without_videos(self.videos)


def classes_without_videos(videos: VideoList) -> tuple[str, ...]:
    """The names of the classes that no video of a list has."""
    names = videos.class_names or ()
    seen = set(videos.labels.tolist())
    return tuple(name for index, name in enumerate(names) if index not in seen)


def make_from_annotations(
    annotations: Annotations,
    folder: str,
    class_names: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> MadeList:
    """Lists the annotated videos that lie under a folder, at any depth and under any of their names.

    Args:
        annotations: From ``read_kinetics`` or ``read_ssv2``.
        folder: Where the videos are.
        class_names: The classes by index; None takes those the annotations came with.
        progress: Called with the number of videos seen so far, now and then.

    Raises:
        ListError: None of the videos is there, or classes cannot be numbered.
    """
    names = class_names if class_names is not None else annotations.class_names
    numbers = number_classes(annotations, names)
    labels = [None if found is None else numbers[found] for found in annotations.classes]
    scan = find_annotated(annotations, folder, progress)
    made = _assemble(annotations.names, labels, scan.found, names, annotations.source, annotations.suffix)
    if not len(made.videos):
        raise ListError(
            f"{folder}: holds none of the {made.num_annotated} videos of {annotations.source} "
            f"({scan.num_files} others); expected names like {annotations.names[0]}{annotations.suffix}"
        )
    wanted_files = sum(map(len, scan.found.values()))
    return replace(made, num_files=scan.num_files, num_outside=scan.num_files - wanted_files)


def make_from_folders(folder: str, class_names: Sequence[str] | None = None) -> MadeList:
    """Lists the videos of a folder per class; the classes are sorted by name, or numbered by ``class_names``.

    Raises:
        ListError: No videos, or a folder is none of the classes.
    """
    videos = read_folder(Path(folder), "folders", None)
    labels: Mapping[int | None, int] = {}
    if class_names is not None:
        folders = videos.class_names or ()
        numbers = match_classes({name: os.path.join(folder, name) for name in folders}, class_names)
        labels = {index: numbers[name] for index, name in enumerate(folders)}
    kept = [VideoRecord(path, labels.get(label, label)) for path, label, _ in videos if can_be_written(path)]
    names = tuple(class_names) if class_names is not None else videos.class_names
    return MadeList(
        VideoList(kept, names, folder),
        num_annotated=len(videos),
        num_files=len(videos),
        unwritable=tuple(record.path for record in videos if not can_be_written(record.path)),
    )


def make_from_list(videos: VideoList, folder: str, progress: Progress | None = None) -> MadeList:
    """Lists the videos of a list again as they lie under another folder.

    A video is known by its file's name, with any video ending; of several with that name, the one counts
    whose folders agree with the most of the listed path, from the right.

    Raises:
        ListError: None of the videos is there.
    """
    keys = {_key(record.path) for record in videos}
    scan = scan_for(folder, lambda stem: stem if stem in keys else None, progress)
    found: dict[str, list[str]] = {}
    ambiguous = []
    for record in videos:
        best = _closest(record.path, scan.found.get(_key(record.path), ()), folder)
        if len(best) > 1:
            ambiguous.append(record.path)
        elif best:
            found[record.path] = best
    paths, labels = [record.path for record in videos], [record.label for record in videos]
    made = _assemble(paths, labels, found, videos.class_names, videos.source, "")
    if not len(made.videos):
        raise ListError(
            f"{folder}: holds none of the {made.num_annotated} videos of {videos.source} ({scan.num_files} "
            f"others); expected names like {os.path.basename(videos[0].path)}"
        )
    return replace(
        made,
        num_files=scan.num_files,
        missing=tuple(path for path in made.missing if path not in set(ambiguous)),
        ambiguous=tuple(dict.fromkeys(ambiguous)),
        num_outside=scan.num_files - len({record.path for record in made.videos}),
    )


def split_off(videos: VideoList, share: float, seed: int) -> tuple[VideoList, VideoList]:
    """Parts a labelled list in two at random, class by class, so that both have every class.

    Args:
        videos: The list.
        share: Of each class, for the second part: at least one video, and not all (a class of one video stays
            in the first).
        seed: Of the draw, which depends on the paths and nothing else.
    """
    by_class: dict[int | None, list[VideoRecord]] = {}
    for record in videos:
        by_class.setdefault(record.label, []).append(record)
    taken: set[str] = set()
    for label, records in by_class.items():
        paths = sorted(record.path for record in records)
        random.Random(f"{seed} {label}").shuffle(paths)
        count = min(max(1, round(share * len(paths))), len(paths) - 1)
        taken.update(paths[:count])
    parts = ([r for r in videos if r.path not in taken], [r for r in videos if r.path in taken])
    first, second = (VideoList(part, videos.class_names, videos.source) for part in parts)
    return first, second


def _assemble(
    names: Iterable[str],
    labels: Iterable[int | None],
    found: Mapping[str, Sequence[str]],
    class_names: Sequence[str] | None,
    source: str,
    suffix: str,
) -> MadeList:
    seen: dict[str, int | None] = {}
    kept: list[VideoRecord] = []
    missing: list[str] = []
    unwritable: list[str] = []
    repeated: list[str] = []
    contradicted: list[str] = []
    for name, label in zip(names, labels, strict=True):
        if name in seen:
            (repeated if seen[name] == label else contradicted).append(name + suffix)
            continue
        seen[name] = label
        if name not in found:
            missing.append(name + suffix)
        elif can_be_written(found[name][0]):
            kept.append(VideoRecord(found[name][0], label))
        else:
            unwritable.append(found[name][0])
    return MadeList(
        VideoList(kept, None if class_names is None else tuple(class_names), source),
        num_annotated=len(seen),
        num_files=0,
        missing=tuple(missing),
        repeated=tuple(repeated),
        contradicted=tuple(contradicted),
        copies=tuple((paths[0], other) for paths in found.values() for other in paths[1:]),
        unwritable=tuple(unwritable),
    )


def _key(path: str) -> str:
    """A video's name: its file's without the ending, or its folder of frames'."""
    name = os.path.basename(path.rstrip("/"))
    return os.path.splitext(name)[0] if looks_like_video(name) else name


def _closest(path: str, candidates: Sequence[str], folder: str) -> list[str]:
    """The candidates whose folders agree with a path's the furthest, from the right."""
    listed = path.rstrip("/").split("/")[::-1]

    def agreement(candidate: str) -> tuple[int, bool]:
        inside = os.path.relpath(candidate, folder).split("/")[::-1]
        same = [one == other for one, other in zip(listed[1:], inside[1:], strict=False)]
        return [*same, False].index(False), listed[0] == inside[0]

    if len(candidates) < 2:
        return list(candidates)
    best = max(map(agreement, candidates))
    return [candidate for candidate in candidates if agreement(candidate) == best]
