"""Predictions as a table, JSON or CSV, written as they come; a file gets its name when it is complete.

JSON: a list with one object per video, one per line, with the fields
    path          the file
    clips         [{start_seconds, end_seconds, top}, ...] where clips were asked for, else []
    top           [{name, index, score}, ...], best first, score in [0, 1]; [] where the video failed
    num_views     how many views the scores are a mean of
    error         null, or why the video could not be read
    damage        null, or where the video is damaged: the answer is about what comes before
CSV: one row per video or clip and class, with `CSV_COLUMNS`; rows of whole videos have no seconds.
"""

import csv
import errno
import json
import os
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from mvit_video.inference.results import ClassScore, ClipPrediction, Prediction

FORMATS = ("table", "json", "csv")
CSV_COLUMNS = ("path", "start_seconds", "end_seconds", "rank", "name", "index", "score", "error", "damage")


class Report(ABC):
    """Takes ``start``, any number of ``clip``, ``finish`` or ``fail`` per video; ``close`` at the end."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._path = ""

    def start(self, path: str) -> None:
        """A video begins."""
        self._path = _printable(path)

    @abstractmethod
    def clip(self, clip: ClipPrediction) -> None:
        """One more clip of the video."""

    @abstractmethod
    def finish(self, prediction: Prediction) -> None:
        """The video as a whole."""

    @abstractmethod
    def fail(self, reason: str) -> None:
        """The video could not be read, or not to its end."""

    def close(self) -> None:
        """No more videos."""
        self._stream.flush()


class _TableReport(Report):
    """For people: percentages, one block of lines per video."""

    def start(self, path: str) -> None:
        super().start(path)
        self._has_clips = False
        self._print(self._path.replace("\n", "\\n"))

    def clip(self, clip: ClipPrediction) -> None:
        self._has_clips = True
        classes = "   ".join(f"{100 * entry.score:5.1f} % {entry.name}" for entry in clip.top)
        self._print(f"  {clip.start_seconds:8.2f} - {clip.end_seconds:8.2f} s  {classes}")

    def finish(self, prediction: Prediction) -> None:
        if self._has_clips:
            self._print("  all of it:")
        for entry in prediction.top:
            self._print(f"  {100 * entry.score:5.1f} %  {entry.name}")
        if prediction.damage is not None:
            self._print(f"  damaged: {_printable(prediction.damage)}")

    def fail(self, reason: str) -> None:
        self._print(f"  not readable: {_printable(reason)}")

    def _print(self, line: str) -> None:
        self._stream.write(f"{line}\n")
        self._stream.flush()  # somebody may be watching a long video


class _JsonReport(Report):
    """For programs: see the module's text for the fields."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._num_videos = self._num_clips = 0
        stream.write("[")

    def start(self, path: str) -> None:
        super().start(path)
        self._stream.write(
            f"{',' if self._num_videos else ''}\n" + '{"path": ' + _json(path) + ', "clips": ['
        )
        self._num_videos += 1
        self._num_clips = 0

    def clip(self, clip: ClipPrediction) -> None:
        seconds = {"start_seconds": round(clip.start_seconds, 6), "end_seconds": round(clip.end_seconds, 6)}
        self._stream.write((", " if self._num_clips else "") + _json({**seconds, "top": _plain(clip.top)}))
        self._num_clips += 1

    def finish(self, prediction: Prediction) -> None:
        self._end(prediction.top, prediction.num_views, None, prediction.damage)

    def fail(self, reason: str) -> None:
        self._end((), 0, reason, None)

    def _end(self, top: Sequence[ClassScore], num_views: int, error: str | None, damage: str | None) -> None:
        rest = _json({"top": _plain(top), "num_views": num_views, "error": error, "damage": damage})
        self._stream.write("], " + rest[1:])

    def close(self) -> None:
        self._stream.write("\n]\n")
        super().close()


class _CsvReport(Report):
    """For spreadsheets: see the module's text for the columns."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._writer = csv.writer(stream, lineterminator="\n")
        self._writer.writerow(CSV_COLUMNS)

    def clip(self, clip: ClipPrediction) -> None:
        self._rows((f"{clip.start_seconds:.3f}", f"{clip.end_seconds:.3f}"), clip.top)

    def finish(self, prediction: Prediction) -> None:
        self._rows(("", ""), prediction.top, _printable(prediction.damage or ""))

    def fail(self, reason: str) -> None:
        self._writer.writerow((self._path, "", "", "", "", "", "", _printable(reason), ""))

    def _rows(self, seconds: tuple[str, str], top: Sequence[ClassScore], damage: str = "") -> None:
        for rank, entry in enumerate(top, 1):
            score = f"{entry.score:.6f}"
            self._writer.writerow((self._path, *seconds, rank, entry.name, entry.index, score, "", damage))


_REPORTS: dict[str, type[Report]] = {"table": _TableReport, "json": _JsonReport, "csv": _CsvReport}


@contextmanager
def open_report(report_format: str, output: str | Path | None = None) -> Iterator[Report]:
    """A report to standard output, or to a file that gets its name only when everything is in it.

    Args:
        report_format: one of `FORMATS`.
        output: the file; None for standard output.

    Raises:
        OSError: The file cannot be written.
    """
    if output is None:
        report = _REPORTS[report_format](sys.stdout)
        yield report
        report.close()
        return
    with replace_when_complete(Path(output)) as stream:
        report = _REPORTS[report_format](stream)
        yield report
        report.close()


@contextmanager
def replace_when_complete(path: Path) -> Iterator[TextIO]:
    """A text file beside ``path`` that takes its place at the end, or vanishes when the block raises."""
    check_folder(path)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "w", encoding="utf-8", newline="") as stream:
            yield stream
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def check_folder(path: Path) -> None:
    """Make sure that a file can be written beside ``path``, before hours of work want to go there.

    Raises:
        OSError: There is no such folder, or it is not writable.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(
            errno.ENOENT, "there is no such folder to write to; make it first", str(path.parent)
        )
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "this folder is not writable; choose another", str(path.parent))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _plain(top: Sequence[ClassScore]) -> list[dict[str, object]]:
    return [{"name": entry.name, "index": entry.index, "score": round(entry.score, 6)} for entry in top]


def _json(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    # The bytes of a file name that is no UTF-8 survive as JSON's escapes, and nothing else needs those.
    return text if text == _printable(text) else json.dumps(value)


def _printable(text: str) -> str:
    """With escapes for the bytes of a file name that are no UTF-8: no stream would take them."""
    return text.encode("utf-8", "backslashreplace").decode()
