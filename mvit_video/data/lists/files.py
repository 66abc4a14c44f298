"""Which files and folders are videos, and where they lie; no file is opened."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from mvit_video.data.lists.records import ListError

VIDEO_SUFFIXES = (
    ".3gp", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts",
    ".ogv", ".ts", ".webm", ".wmv",
)  # fmt: skip
IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")
_SUFFIXES = frozenset(VIDEO_SUFFIXES)
_PROGRESS_EVERY = 5000  # files


@dataclass
class Scan:
    """What of the wanted videos lies under a folder.

    Attributes:
        found: The files and frame folders of each wanted video: more than one where there are copies.
        num_files: Video files and frame folders seen, wanted or not.
    """

    found: dict[str, list[str]] = field(default_factory=dict)
    num_files: int = 0


def join_prefix(prefix: str, path: str) -> str:
    """A path as it is meant: under ``prefix``, unless it is absolute or an address such as ``s3://...``."""
    return path if not prefix or path.startswith("/") or "://" in path else os.path.join(prefix, path)


def looks_like_video(name: str) -> bool:
    """Whether a file's name ends like a video's."""
    return os.path.splitext(name)[1].lower() in _SUFFIXES


def find_videos(folder: str | os.PathLike[str]) -> list[str]:
    """All files under a folder whose name ends like a video's, sorted folder by folder."""
    return [
        os.path.join(root, name)
        for root, files in _walk(folder)
        for name in sorted(files)
        if looks_like_video(name)
    ]


def find_frame_folders(folder: str | os.PathLike[str]) -> list[str]:
    """All folders below a folder that hold images, sorted: a video each, as its frames."""
    top = os.fspath(folder)
    return [
        root
        for root, files in _walk(folder)
        if root != top and any(os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES for name in files)
    ]


def scan_for(
    folder: str | os.PathLike[str],
    identify: Callable[[str], str | None],
    progress: Callable[[int], None] | None = None,
) -> Scan:
    """Looks for videos under a folder in one walk, however deep they lie.

    Args:
        folder: Where to look.
        identify: From a file's name without its ending, or a folder's name, to the wanted video it is.
        progress: Called with the number of videos seen so far, now and then.

    Raises:
        ListError: A folder cannot be looked into.
    """
    scan = Scan()
    seen_links = {os.path.realpath(folder)}
    folders = [os.fspath(folder)]
    while folders:
        are_frames: bool | None = None  # the folders here that are named like wanted videos
        with _entries(folders.pop()) as entries:
            for entry in entries:
                stem, dot, suffix = entry.name.rpartition(".")
                is_file = dot + suffix.lower() in _SUFFIXES and _is_file(entry)
                if not is_file and (entry.name.startswith(".") or not _is_folder(entry)):
                    continue
                name = identify(stem if is_file else entry.name)
                if name is not None and not is_file and are_frames is None:
                    are_frames = _holds_frames(entry.path)
                if not is_file and (name is None or are_frames is False):
                    if _is_new(entry, seen_links):
                        folders.append(entry.path)
                    continue
                scan.num_files += 1
                if progress is not None and scan.num_files % _PROGRESS_EVERY == 0:
                    progress(scan.num_files)
                if name is not None:
                    scan.found.setdefault(name, []).append(entry.path)
    return scan


def _entries(folder: str) -> AbstractContextManager[Iterator[os.DirEntry[str]]]:
    try:
        return os.scandir(folder)
    except OSError as error:
        raise ListError(f"{folder}: cannot be looked into: {error.strerror}") from error


def _holds_frames(folder: str) -> bool | None:
    """Whether a folder holds images, or else videos or folders (of a part of the videos); None: neither."""
    with _entries(folder) as entries:
        for entry in entries:
            suffix = os.path.splitext(entry.name)[1].lower()
            if suffix in IMAGE_SUFFIXES:
                return True
            if suffix in _SUFFIXES or _is_folder(entry):
                return False
    return None


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link to itself
        return False


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_new(entry: os.DirEntry[str], seen_links: set[str]) -> bool:
    """Whether a folder is to be entered: a link to one only once, so that circles end."""
    if not entry.is_symlink():
        return True
    target = os.path.realpath(entry.path)
    if target in seen_links:
        return False
    seen_links.add(target)
    return True


def _walk(folder: str | os.PathLike[str]) -> Iterator[tuple[str, list[str]]]:
    """(folder, names of its files) of a folder and all below it, sorted; hidden folders are passed over."""
    seen_links = {os.path.realpath(folder)}
    folders = [os.fspath(folder)]
    while folders:
        root = folders.pop()
        with _entries(root) as entries:
            inside = sorted(entries, key=lambda entry: entry.name)
        deeper = [entry for entry in inside if _is_folder(entry) and not entry.name.startswith(".")]
        yield root, [entry.name for entry in inside if not _is_folder(entry)]
        folders += [entry.path for entry in reversed(deeper) if _is_new(entry, seen_links)]
