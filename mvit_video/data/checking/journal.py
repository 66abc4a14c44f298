"""What is known of a list's videos, line by line in a file, so that a check can go on after a stop."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mvit_video.data.checking.facts import FileState, VideoFacts, file_state
from mvit_video.data.video.opening import Decoding

_FORMAT = 1


class Journal:
    """A file of facts that grows as they come; a context manager.

    Facts count as known while the file they speak of has the same size and time of change, and the decoder is
    the same. A last line that was cut off is dropped.

    Args:
        path: The file; made if it is not there.
        decoding: How videos are decoded.
        fresh: Forget what is known.
    """

    def __init__(self, path: str | os.PathLike[str], decoding: Decoding, *, fresh: bool = False) -> None:
        self.path = Path(path)
        header = {"mvit_video_check": _FORMAT, "backend": decoding.backend}
        self._known: dict[str, VideoFacts] = {}
        good_bytes = 0
        if self.path.exists() and not fresh:
            self._known, good_bytes = _read(self.path, header)
        self._file = open(self.path, "r+b" if good_bytes else "wb")  # noqa: SIM115 -- closed by close()
        self._file.truncate(good_bytes)
        self._file.seek(good_bytes)
        if not good_bytes:
            self._write(header)

    @property
    def facts(self) -> Mapping[str, VideoFacts]:
        """By path, those of files that have changed since included."""
        return self._known

    def still_true(self, path: str) -> bool:
        """Whether the facts of a video are known, and its file is as it was.

        A crash or a hang may have had to do with the machine: such a video is tried again.
        """
        known = self._known.get(path)
        if known is None or known.status == "crashed" or not known.state.is_known:
            return False
        return file_state(path) == known.state

    def add(self, facts: VideoFacts) -> None:
        """Notes the facts of a video; they are on their way to the disk afterwards."""
        self._known[facts.path] = facts
        self._write(asdict(facts))

    def close(self) -> None:
        """Closes the file; safe to call twice."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _write(self, row: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(row).encode() + b"\n")
        self._file.flush()


def _read(path: Path, header: Mapping[str, Any]) -> tuple[dict[str, VideoFacts], int]:
    """Facts by path, and how many bytes of the file hold them; nothing where the header is another."""
    known: dict[str, VideoFacts] = {}
    good_bytes = 0
    for row, end in _rows(path):
        if not good_bytes and row != header:
            return {}, 0
        good_bytes = end
        if row != header:
            facts = VideoFacts(**{**row, "state": FileState(**row["state"])})
            known[facts.path] = facts
    return known, good_bytes


def _rows(path: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """The rows that are whole, each with where it ends."""
    end = 0
    with open(path, "rb") as file:
        for line in file:
            try:
                row = json.loads(line)
            except ValueError:
                return
            if not line.endswith(b"\n") or not isinstance(row, dict):
                return
            end += len(line)
            yield row, end
