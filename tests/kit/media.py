"""The kit: small files of every kind, each with the truth about its frames; written when first asked for."""

from pathlib import Path

from kit.media_codecs import CODECS
from kit.media_damage import DAMAGED
from kit.media_file import MediaFile
from kit.media_pictures import PICTURES
from kit.media_refusals import REFUSALS
from kit.media_streams import STREAMS
from kit.media_timing import TIMING

WHOLE = (*CODECS, *PICTURES, *TIMING, *STREAMS)
READABLE = (*WHOLE, *DAMAGED)
ALL = (*READABLE, *REFUSALS)
BY_NAME = {file.name: file for file in ALL}
assert len(BY_NAME) == len(ALL), "two files share a name"


class Media:
    """A folder in which the files of the kit come to be when their path is asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: set[str] = set()

    def path(self, file: MediaFile | str) -> Path:
        """Where a file of the kit lies; do not change what lies there."""
        file = BY_NAME[file] if isinstance(file, str) else file
        path = self._folder / file.name
        if file.name not in self._written:
            file.write(path)
            self._written.add(file.name)
        return path
