"""Annotations: what the official files of a data set say of its videos, and where those lie.

Such files name videos and classes, but no paths and no numbers. The videos are found by their names under a
folder; the numbers are positions in a sequence of class names.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from mvit_video.data.lists.files import Scan, join_prefix, scan_for
from mvit_video.data.lists.records import ListError, VideoList

_logger = logging.getLogger("mvit_video.data")


@dataclass(frozen=True)
class Annotations:
    """An annotation file: columns of one entry per video, in the order of the file.

    Attributes:
        source: Its path.
        names: What the file of each video is officially called, without the ending.
        classes: The class of each video; None where the file does not say.
        lines: The line (or the number of the entry) each stands in.
        suffix: The ending that the official files of the videos have.
        identify: From a file's name without its ending to the annotated video it is, else None.
        class_names: The classes by index, where a file beside it says so.
        hint: Where class names can be had, for the message when there are none.
    """

    source: str
    names: Sequence[str]
    classes: Sequence[str | None]
    lines: Sequence[int]
    suffix: str
    identify: Callable[[str], str | None]
    class_names: tuple[str, ...] | None
    hint: str


def read_annotated(
    annotations: Annotations, path_prefix: str, class_names: Sequence[str] | None
) -> VideoList:
    """The videos of an annotation file, found under a folder, with numbers for their classes.

    Videos that are not there get the path where they would be expected.

    Args:
        annotations: The file.
        path_prefix: The folder with the videos, at any depth.
        class_names: The classes by index; None takes those the annotations came with.

    Raises:
        ListError: No folder, none of the videos in it, or classes that cannot be numbered.
    """
    names = class_names if class_names is not None else annotations.class_names
    numbers = number_classes(annotations, names)
    found = _find(annotations, path_prefix)
    paths = [
        found[name][0] if name in found else join_prefix(path_prefix, name + annotations.suffix)
        for name in annotations.names
    ]
    labels = [None if class_name is None else numbers[class_name] for class_name in annotations.classes]
    return VideoList.from_columns(paths, labels, class_names=names, source=annotations.source)


def number_classes(annotations: Annotations, names: Sequence[str] | None) -> dict[str, int]:
    """The index of every class that occurs, by the name it occurs under.

    Raises:
        ListError: There are no names to count in, or a class is none of them.
    """
    lines = dict(zip(reversed(annotations.classes), reversed(annotations.lines), strict=True))
    places = {
        name: f"{annotations.source}:{line}"
        for name, line in sorted(lines.items(), key=lambda item: item[1])
        if name is not None
    }
    if places and names is None:
        raise ListError(
            f"{annotations.source}: names classes ({next(iter(places))!r}, ...), and their numbers are not "
            f"known: {annotations.hint}"
        )
    return match_classes(places, names or ())


def match_classes(places: Mapping[str, str], names: Sequence[str]) -> dict[str, int]:
    """The index in ``names`` of every class, which may be spelled with underscores or in another case.

    Args:
        places: Where each class was met first, for messages.
        names: The classes by index.

    Raises:
        ListError: A class is none of them.
    """
    known = {name: index for index, name in enumerate(names)}
    loosely = {spell_loosely(name): index for name, index in known.items()}
    numbers: dict[str, int] = {}
    for name, place in places.items():
        index = known.get(name, loosely.get(spell_loosely(name)))
        if index is None:
            close = get_close_matches(name, known, n=1)
            raise ListError(
                f"{place}: the class {name!r} is none of the {len(known)} known ones"
                + (f"; did you mean {close[0]!r}?" if close else "; are they those of another data set?")
            )
        numbers[name] = index
    return numbers


def find_annotated(
    annotations: Annotations, folder: str, progress: Callable[[int], None] | None = None
) -> Scan:
    """Where under a folder the annotated videos lie; of copies, replacements and official names go first."""
    official = set(annotations.names)

    def rank(path: str) -> tuple[bool, bool, str]:
        parent, _, name = path.rpartition("/")
        # Kinetics-400 comes with a folder of replacements for videos that are damaged in the archives.
        return "/replacement" not in parent, name.rpartition(".")[0] not in official, path

    scan = scan_for(folder, annotations.identify, progress)
    for paths in scan.found.values():
        if len(paths) > 1:
            paths.sort(key=rank)
    return scan


def spell_loosely(name: str) -> str:
    """A class name without what files and folders change in it: quotes, underscores, upper case."""
    return " ".join(name.replace("_", " ").replace('"', "").casefold().split())


def _find(annotations: Annotations, folder: str) -> dict[str, list[str]]:
    if "://" in folder:
        return {}
    if not folder:
        raise ListError(
            f"{annotations.source}: names videos, not paths: set DATA.PATH_PREFIX to the folder they are in"
        )
    scan = find_annotated(annotations, folder)
    total = len(annotations.names)
    if not scan.found:
        raise ListError(
            f"{folder}: holds none of the {total} videos of {annotations.source}, only {scan.num_files} "
            f"others; expected names like {annotations.names[0]}{annotations.suffix}: set DATA.PATH_PREFIX "
            "to the folder they are in"
        )
    num_missing = sum(name not in scan.found for name in annotations.names)
    if num_missing:
        _logger.warning(
            "%s: %d of its %d videos are not in %s and will count as unreadable "
            "(mvit-video data make-list writes a list without them)",
            annotations.source, num_missing, total, folder,
        )  # fmt: skip
    return scan.found
