"""What a test run found, and the files that say so per video. Axes: K classes."""

import csv
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from mvit_video.engine.errors import RunError
from mvit_video.engine.testing.metrics import top_classes

TOP_K = 5
_COLUMNS = ("path", "label", "label_name", "num_views", "error", "damage")  # before the best classes


@dataclass(frozen=True)
class VideoResult:
    """One video's outcome.

    Attributes:
        path: as the list has it, after the path prefix.
        label: the true class, or None where the list has none.
        scores: float32 (K,), the ensemble's scores divided by what a perfect answer would get: the mean
            probability over the views for "sum", the largest one for "max". None for an unreadable video.
        num_views: the number of views behind the scores.
        error: why the video could not be read, else None.
        damage: where the video is damaged: only what comes before was looked at; None for a whole one.
    """

    path: str
    label: int | None
    scores: Tensor | None
    num_views: int
    error: str | None = None
    damage: str | None = None


@dataclass(frozen=True)
class TestResult:
    """A test run's numbers.

    Attributes:
        top1: accuracy in percent over the videos that were read and have a label; None where none has.
        top5: likewise, label among the five best.
        num_videos: videos that were read and scored; accuracy stands over these, never over replacements.
        num_views: views scored, over all videos.
        unreadable: (path, reason) of each video that could not be read.
        rows: one result per video of the list, in its order, unreadable ones included.
    """

    __test__ = False  # pytest: not a test class

    top1: float | None
    top5: float | None
    num_videos: int
    num_views: int
    unreadable: tuple[tuple[str, str], ...]
    rows: tuple[VideoResult, ...]

    @property
    def damaged(self) -> tuple[tuple[str, str], ...]:
        """(path, what) of each video of which only the part before some damage was looked at; it counts."""
        return tuple((row.path, row.damage) for row in self.rows if row.damage is not None)

    @property
    def unreadable_lines(self) -> tuple[str, ...]:
        """What to tell of each video that could not be read."""
        return tuple(
            f"not read, and not counted: {reason if path in reason else f'{path}: {reason}'}"
            for path, reason in self.unreadable
        )

    def __str__(self) -> str:
        if self.top1 is not None and self.top5 is not None:
            accuracy = f"top-1 {self.top1:.2f} %, top-5 {self.top5:.2f} %"
        else:
            accuracy = f"{'no labels' if self.num_videos else 'no video could be read'}, so no accuracy"
        damaged = f", {len(self.damaged)} damaged" if self.damaged else ""
        return (
            f"{accuracy}; {self.num_videos} videos, {self.num_views} views, "
            f"{len(self.unreadable)} unreadable{damaged}"
        )


def write_results(path: str | Path, result: TestResult, class_names: Sequence[str] | None = None) -> None:
    """Write one row per video to a CSV or JSON file, by the path's ending; it appears whole or not at all.

    CSV columns: path, label, label_name, num_views, error, damage, then index, name and score of each of the
    five best classes. JSON: the run's numbers, and per video the same with ``scores``, one per class.

    Args:
        path: ends in .csv or .json.
        result: the test run.
        class_names: one name per class; without them the name fields stay empty.

    Raises:
        RunError: another ending, or the file cannot be written.
    """
    path = Path(path)
    check_results_path(path)
    temporary = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "w", newline="", encoding="utf-8") as file:
            if path.suffix.lower() == ".csv":
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(_csv_header())
                writer.writerows(_csv_row(_describe(row, class_names)) for row in result.rows)
            else:
                json.dump(_json_report(result, class_names), file, indent=1)
        os.replace(temporary, path)
    except OSError as error:
        raise RunError(f"{path}: the results could not be written ({error.strerror or error})") from error
    finally:
        temporary.unlink(missing_ok=True)


def check_results_path(path: str | Path) -> None:
    """Refuse a results file whose ending says neither CSV nor JSON.

    Raises:
        RunError: another ending.
    """
    if Path(path).suffix.lower() not in (".csv", ".json"):
        raise RunError(f"TEST.SAVE_RESULTS_PATH is {str(path)!r}, expected a path ending in .csv or .json")


def _name(index: int | None, class_names: Sequence[str] | None) -> str:
    known = index is not None and class_names is not None and index < len(class_names)
    return class_names[index] if known and class_names is not None and index is not None else ""


def _describe(row: VideoResult, class_names: Sequence[str] | None) -> dict[str, Any]:
    best = [] if row.scores is None else top_classes(row.scores, TOP_K)
    return {
        "path": row.path,
        "label": row.label,
        "label_name": _name(row.label, class_names),
        "num_views": row.num_views,
        "error": row.error,
        "damage": row.damage,
        "top": [
            {"index": index, "name": _name(index, class_names), "score": round(float(row.scores[index]), 6)}
            for index in best
            if row.scores is not None
        ],
    }


def _csv_header() -> list[str]:
    best = [f"top{place}_{field}" for place in range(1, TOP_K + 1) for field in ("index", "name", "score")]
    return [*_COLUMNS, *best]


def _csv_row(video: dict[str, Any]) -> list[Any]:
    cells = [video[key] for key in _COLUMNS]
    for entry in video["top"]:
        cells += [entry["index"], entry["name"], f"{entry['score']:.6f}"]
    return cells + [""] * (len(_csv_header()) - len(cells))


def _json_report(result: TestResult, class_names: Sequence[str] | None) -> dict[str, Any]:
    videos = [
        _describe(row, class_names)
        | {"scores": None if row.scores is None else [round(score, 6) for score in row.scores.tolist()]}
        for row in result.rows
    ]
    return {
        "top1": result.top1,
        "top5": result.top5,
        "num_videos": result.num_videos,
        "num_views": result.num_views,
        "unreadable": [{"path": path, "error": reason} for path, reason in result.unreadable],
        "class_names": None if class_names is None else list(class_names),
        "videos": videos,
    }
