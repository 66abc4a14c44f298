"""Writing lists, so that reading them gives the same records."""

import os
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path

from mvit_video.data.lists.records import ListError, VideoList

# Paths that need quotes, as their beginning or end would be taken for something else; and without a label.
_UNCLEAR = re.compile(r"""\s|[\[{"'\ufeff]|.*(?:\s[+-]?[0-9]+|\s)\Z""", re.DOTALL)
_UNCLEAR_ALONE = re.compile(r"""[\[{"'\ufeff]|.*(?:\s|[0-9]\Z)""", re.DOTALL)


def can_be_written(path: str) -> bool:
    """Whether a line of a text file can hold a path: it has no line break, and is UTF-8."""
    try:
        return "\n" not in path and (path.isascii() or bool(path.encode("utf-8")))
    except UnicodeEncodeError:
        return False


def check_output(path: str | os.PathLike[str], *, force: bool = False) -> None:
    """Makes sure, before any work, that a file can be written.

    Raises:
        ListError: It is there already (and ``force`` does not allow to replace it), or its folder is not
            there or not writable.
    """
    place = Path(path)
    if place.is_dir():
        raise ListError(f"{place}: is a folder; choose another name")
    if place.exists() and not force:
        raise ListError(f"{place}: is there already; choose another name, or replace it with --force")
    if not place.parent.is_dir():
        raise ListError(f"{place.parent}: there is no such folder to write to; make it first")
    if not os.access(place.parent, os.W_OK | os.X_OK):
        raise ListError(f"{place.parent}: this folder is not writable; choose another")


def write_lines(path: str | os.PathLike[str], lines: Iterable[str]) -> None:
    """Writes a text file, which appears when it is complete.

    Raises:
        OSError: It cannot be written.
    """
    place = Path(path)
    handle, temporary = tempfile.mkstemp(prefix=f".{place.name}.", dir=place.parent)
    try:
        with open(handle, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{line}\n" for line in lines)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp's is for nobody else
        os.replace(temporary, place)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_list(
    path: str | os.PathLike[str],
    videos: VideoList,
    *,
    relative_to: str | os.PathLike[str] | None = None,
) -> None:
    """Writes a list of paths and labels (paths alone where there are no labels), as ``read_list`` reads it.

    Args:
        path: The file; it appears when it is complete.
        videos: What to write; frame counts, which are only claims, are left out.
        relative_to: Write paths relative to this folder.

    Raises:
        ListError: Some videos have a label and some have none.
        OSError: It cannot be written.
    """
    labelled = videos.is_labelled
    if not labelled and any(record.label is not None for record in videos):
        raise ListError(f"{videos.source}: some videos have a label and some have none; label all or none")
    lines = []
    for record in videos:
        shown = record.path if relative_to is None else os.path.relpath(record.path, relative_to)
        if (_UNCLEAR if labelled else _UNCLEAR_ALONE).match(shown):
            shown = f'"{shown}"'
        lines.append(f"{shown} {record.label}" if labelled else shown)
    write_lines(path, lines)
