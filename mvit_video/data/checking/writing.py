"""A report as a file: JSON with everything, or CSV with a row per finding."""

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

from mvit_video.data.checking.report import KINDS, Report
from mvit_video.data.lists.records import ListError
from mvit_video.data.lists.writing import check_output, write_lines

_COLUMNS = ("kind", "path", "label", "detail")
_MARK = '{\n "mvit_video_check": '
_SUFFIXES = (".json", ".csv")


def check_report_path(path: str | os.PathLike[str], *, force: bool = False) -> None:
    """Makes sure, before any work, that a report can be written; older reports may be replaced.

    Raises:
        ListError: It ends neither in .json nor in .csv, something else is there, or it cannot be written.
    """
    place = Path(path)
    if place.suffix not in _SUFFIXES:
        raise ListError(f"{place}: a report's name ends in .json or .csv")
    check_output(place, force=force or _is_report(place))


def write_report(path: str | os.PathLike[str], report: Report) -> None:
    """Writes a report; its name's end says which kind.

    Raises:
        OSError: It cannot be written.
    """
    text = _as_csv(report) if Path(path).suffix == ".csv" else json.dumps(_as_dict(report), indent=1)
    write_lines(path, text.split("\n"))


def _as_dict(report: Report) -> dict[str, Any]:
    names = report.class_names
    return {
        "mvit_video_check": 1,
        "list": report.source,
        "videos": report.num_videos,
        "frames": report.num_frames,
        "hours": round(report.hours, 4),
        "bytes": report.num_bytes,
        "counts": {kind: len(report.of_kind(kind)) for kind in KINDS},
        "findings": [
            dict(zip(_COLUMNS, (kind, path, label, detail), strict=True))
            for kind, _, path, label, detail in report.findings
        ],
        "rates": [{"fps": fps, "videos": count} for fps, count in report.rates],
        "sizes": [{"size": size, "videos": count} for size, count in report.sizes],
        "classes": [
            {"label": label, "videos": report.classes.get(label, 0)}
            | ({"name": names[label]} if names is not None and 0 <= label < len(names) else {})
            for label in sorted({*report.classes, *range(len(names or ()))})
        ],
    }


def _as_csv(report: Report) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for kind, _, path, label, detail in report.findings:
        shown = path.encode("utf-8", "backslashreplace").decode()
        writer.writerow((kind, shown, "" if label is None else label, detail))
    return file.getvalue().removesuffix("\n")


def _is_report(path: Path) -> bool:
    try:
        with open(path, encoding="utf-8") as file:
            start = file.read(len(_MARK))
    except (OSError, ValueError):
        return False
    return start in (_MARK, (",".join(_COLUMNS) + "\n")[: len(_MARK)])
