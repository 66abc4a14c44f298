r"""Which videos come of one source: clips of one recording must not be learned from and measured with both.

The names tell, where they follow a pattern. Patterns of known data sets are looked for first; then folders
and numbers, which count only where they part every class into several sources: ``run_001``, ``run_002`` is
numbering, while ``party_001``, ``party_002``, ``trip_001`` are parts of two recordings.
"""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mvit_video.data import VideoList
from mvit_video.data.lists.files import looks_like_video
from mvit_video.finetuning.errors import FinetuneError

_COVERAGE = 0.9  # of the videos have names of a pattern, for it to count
_LEAST_SOURCES = 3  # that folders or numbers part most classes into, for them to count


@dataclass(frozen=True)
class Sources:
    """What each video comes of.

    Attributes:
        keys: One per video; equal for clips of one source.
        pattern: What they were told by, in words.
        advice: What else the names might mean; empty where nothing is doubtful.
    """

    keys: tuple[str, ...]
    pattern: str
    advice: str = ""

    @property
    def count(self) -> int:
        """How many sources there are."""
        return len(set(self.keys))


@dataclass(frozen=True)
class _Name:
    """A video's path below the folder all of them are in: its folder, its name without ending, its class."""

    folder: str
    stem: str
    class_name: str

    @property
    def whole(self) -> str:
        return os.path.join(self.folder, self.stem)


@dataclass(frozen=True)
class _Pattern:
    """How a name tells the source, or None; what is certain of a data set needs no other evidence."""

    words: str
    source: Callable[[_Name], str | None]
    is_certain: bool = False


def _kinetics(name: _Name) -> str | None:
    matched = re.fullmatch(r"([\w-]{11})_(\d{4,6})_(\d{4,6})", name.stem)
    return matched[1] if matched else None


def _hmdb(name: _Name) -> str | None:
    matched = re.fullmatch(r"(.+)_[fhlu]_(?:cm|nm)_np\d_(?:ba|fr|le|ri)_(?:bad|goo|med)_\d+", name.stem)
    return matched[1].removesuffix(f"_{name.class_name}") if matched else None


def _matching(pattern: str) -> Callable[[_Name], str | None]:
    """The first group of a pattern for the whole name without its ending."""
    compiled = re.compile(pattern, re.IGNORECASE)

    def source(name: _Name) -> str | None:
        matched = compiled.fullmatch(name.stem)
        return matched[1] if matched else None

    return source


def _in_its_folder(pattern: str) -> Callable[[_Name], str | None]:
    """As ``_matching``, where equal names in two folders are two sources."""
    find = _matching(pattern)

    def source(name: _Name) -> str | None:
        found = find(name)
        return None if found is None else os.path.join(name.folder, found)

    return source


def _interval(name: _Name) -> str | None:
    matched = re.fullmatch(r"(.+?)[_-](\d+(?:\.\d+)?)[_-](\d+(?:\.\d+)?)", name.stem)
    return (
        os.path.join(name.folder, matched[1]) if matched and float(matched[2]) < float(matched[3]) else None
    )


_PART = r"(?:part|pt|clip|segment|seg|scene|shot|chunk|take|split|[cpst])"
_PATTERNS = (
    _Pattern("Kinetics' names, ID_START_END: one source per ID", _kinetics, True),
    _Pattern("UCF101's names, v_CLASS_g01_c01: one source per group", _matching(r"(v_.+_g\d+)_c\d+"), True),
    _Pattern("HMDB51's names: one source per film", _hmdb, True),
    _Pattern(
        "NTU RGB+D's names: one source per performer", _matching(r"S\d{3}C\d{3}(P\d{3})R\d{3}A\d{3}.*"), True
    ),
    _Pattern("KTH's names: one source per person", _matching(r"(person\d\d)_.+_d\d.*"), True),
    _Pattern("folders: one source per folder", lambda name: name.folder),
    _Pattern("names that end in START_END: one source per beginning", _interval),
    _Pattern(
        "numbered parts (NAME_part1): one source per NAME", _in_its_folder(rf"(.+?)[ _.-]*{_PART}[ _.-]*\d+")
    ),
    _Pattern("numbered names (NAME_1): one source per NAME", _in_its_folder(r"(.+?)[ _.-]+\(?\d+\)?")),
)


def find_sources(videos: VideoList, group_by: str | None = None) -> Sources:
    """What each video comes of.

    Args:
        videos: With class names.
        group_by: A regular expression that is looked for in each path below the folder that all videos are
            in: where its groups (the whole match, if it has none) are equal, the source is. "none": every
                video
            is a source of its own. None: the names are looked at.

    Raises:
        FinetuneError: The expression is none, or fits no video.
    """
    names = _names(videos)
    if group_by == "none":
        return Sources(_alone(names), "nothing (--group-by none): every video is a source of its own")
    if group_by is not None:
        return _by_expression(names, group_by)
    labels = [record.label or 0 for record in videos]
    advice = ""
    for pattern in _PATTERNS:
        found = [pattern.source(name) for name in names]
        if sum(key is not None for key in found) < _COVERAGE * len(found):
            continue
        keys = _filled(found, names)
        if pattern.is_certain or _parts_classes(keys, labels):
            return Sources(keys, pattern.words)
        if not advice and len(labels) > len(set(keys)) > len(set(labels)):
            advice = (
                f"by {pattern.words}, there would be {len(set(keys))} sources, too few to tell them from "
                f"mere "
                "numbering; if that is what they are, say so with --group-by REGEX"
            )
    words = "nothing: the names follow no known pattern, and every video counts as a source of its own"
    return Sources(_alone(names), words, advice)


def _parts_classes(keys: Sequence[str], labels: Sequence[int]) -> bool:
    """Whether keys look like sources: some hold several videos, and most classes have several of them."""
    of_class: dict[int, set[str]] = defaultdict(set)
    for key, label in zip(keys, labels, strict=True):
        of_class[label].add(key)
    several = sum(len(found) >= _LEAST_SOURCES for found in of_class.values())
    return len(of_class) * 2 <= len(set(keys)) < len(keys) and several >= 0.8 * len(of_class)


def _by_expression(names: Sequence[_Name], group_by: str) -> Sources:
    try:
        expression = re.compile(group_by)
    except re.error as error:
        raise FinetuneError(f"--group-by {group_by}: is no regular expression ({error})") from error
    found = []
    for name in names:
        matched = expression.search(name.whole)
        found.append(None if matched is None else "|".join(map(str, matched.groups() or (matched[0],))))
    missed = [name.whole for name, key in zip(names, found, strict=True) if key is None]
    if len(missed) == len(names):
        raise FinetuneError(
            f"--group-by {group_by}: fits none of the {len(names)} videos; it is looked for in paths such as "
            f"{names[0].whole!r}"
        )
    advice = f"--group-by does not fit {len(missed)} videos, such as {missed[0]!r}" if missed else ""
    return Sources(_filled(found, names), f"--group-by {group_by}", advice)


def _alone(names: Sequence[_Name]) -> tuple[str, ...]:
    return tuple(name.whole for name in names)


def _filled(found: Sequence[str | None], names: Sequence[_Name]) -> tuple[str, ...]:
    """Keys for all; what the pattern does not fit is a source of its own."""
    return tuple(name.whole if key is None else key for key, name in zip(found, names, strict=True))


def _names(videos: VideoList) -> list[_Name]:
    """Names below the folder that holds all videos, so that keys do not change when it is moved."""
    paths = [record.path for record in videos]
    top = os.path.commonpath([os.path.dirname(path) for path in paths]) if _are_files(paths) else ""
    classes = videos.class_names or ()
    names = []
    for record in videos:
        path = os.path.relpath(record.path, top) if top else record.path
        folder, last = os.path.split(path)
        stem = os.path.splitext(last)[0] if looks_like_video(last) else last
        names.append(_Name(folder, stem, classes[record.label or 0]))
    return names


def _are_files(paths: Sequence[str]) -> bool:
    return all(path.startswith("/") for path in paths)
