"""What came of a fine-tuning, as files: to read, for programs, as tables and as a picture."""

import csv
import io
import json
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvit_video.engine.testing.results import TestResult
from mvit_video.finetuning.reporting.accuracy import (
    ClassAccuracy,
    Share,
    by_class,
    confusion,
    mean_of_classes,
    overall,
)
from mvit_video.finetuning.reporting.pictures import draw_confusion

REPORT = "report.md"
_SHOWN = 12  # classes in report.md


@dataclass(frozen=True)
class Report:
    """What the report says.

    Attributes:
        share: Accuracy over the videos that measure.
        top5: In percent; None with five classes or fewer, where it means nothing.
        classes: Of each class.
        counts: int (K, K), how often each class was given as each.
        num_unreadable: Videos that should have been measured and could not be read.
        predict: The command that uses the model.
        facts: How it came about.
    """

    share: Share
    top5: float | None
    classes: Sequence[ClassAccuracy]
    counts: NDArray[np.int64]
    num_unreadable: int
    predict: str
    facts: Mapping[str, Any]

    @property
    def caveat(self) -> str:
        """What the accuracy is not, one line; empty where nothing is wrong with it."""
        if self.facts["is_shared"]:
            return (
                "the same videos chose the best weights, so the figure flatters a little: there were too "
                "few to spare "
                "others for it"
            )
        return ""


def predict_line(folder: str) -> str:
    """The command that uses what was trained into a folder."""
    return f"mvit-video predict VIDEO --cfg {shlex.quote(os.path.join(folder, 'config.yaml'))}"


def make_report(result: TestResult, names: Sequence[str], facts: Mapping[str, Any], folder: str) -> Report:
    """What a test found, and how it came about."""
    counts = confusion(result, len(names))
    return Report(
        share=overall(counts),
        top5=result.top5 if len(names) > 5 else None,
        classes=by_class(counts, names),
        counts=counts,
        num_unreadable=len(result.unreadable),
        predict=predict_line(folder),
        facts=facts,
    )


def write_report(folder: Path, report: Report) -> None:
    """Write report.md and .json, per_class.csv, confusion.csv and .png, each whole or not at all."""
    names = [one.name for one in report.classes]
    title = f"accuracy {report.share}"
    picture = io.BytesIO()
    draw_confusion(report.counts, names, title).save(picture, "PNG")
    _replace(folder / "confusion.png", picture.getvalue())
    _replace(
        folder / "confusion.csv",
        _table(["", *names], [[n, *row] for n, row in zip(names, report.counts.tolist(), strict=True)]),
    )
    rows = [
        [one.name, one.share.correct, one.share.total, *_rounded(one.share), one.taken_for, one.times]
        for one in report.classes
    ]
    header = ["class", "correct", "videos", "accuracy", "from", "to", "most_often_taken_for", "times"]
    _replace(folder / "per_class.csv", _table(header, rows))
    _replace(folder / "report.json", (json.dumps(_content(report), indent=1) + "\n").encode())
    _replace(folder / REPORT, _text(report).encode())


def _content(report: Report) -> dict[str, Any]:
    percent, low, high = _rounded(report.share)
    return {
        "accuracy": {
            "top1": percent,
            "interval_95": [low, high],
            "correct": report.share.correct,
            "videos": report.share.total,
            "top5": report.top5,
            "mean_of_classes": round(mean_of_classes(report.classes), 2),
            "unreadable": report.num_unreadable,
            "caveat": report.caveat,
        },
        "classes": [
            {"name": one.name, "correct": one.share.correct, "videos": one.share.total}
            for one in report.classes
        ],
        "facts": dict(report.facts),
        "predict": report.predict,
    }


def _text(report: Report) -> str:
    facts = report.facts
    lines = [
        f"# {facts['model']}, fine-tuned on {facts['videos']}",
        "",
        f"**Accuracy {report.share}**"
        + (f", top-5 {report.top5:.1f} %" if report.top5 is not None else "")
        + f", mean of the classes {mean_of_classes(report.classes):.1f} %.",
    ]
    lines += [f"Mind: {line}." for line in (report.caveat, *facts["warnings"]) if line]
    lines += ["", "Use it:", "```sh", report.predict, "```", "", "## How it came about"]
    lines += [f"- {line}" for line in facts["words"]]
    if report.num_unreadable:
        lines.append(f"- {report.num_unreadable} videos that should have been measured could not be read")
    lines += [
        "",
        "## Classes",
        "| class | accuracy | 95 % interval | most often taken for |",
        "|---|---|---|---|",
    ]
    worst = sorted(report.classes, key=lambda one: (one.share.percent, one.name))
    for one in worst[:_SHOWN]:
        _, low, high = _rounded(one.share)
        taken = f"{one.taken_for} ({one.times})" if one.times else ""
        lines.append(
            f"| {one.name} | {one.share.correct} of {one.share.total} | {low:.0f} to {high:.0f} | {taken} |"
        )
    if len(worst) > _SHOWN:
        lines.append(f"\nThe {_SHOWN} worst of {len(worst)}; all are in per_class.csv.")
    lines += ["", "![confusion](confusion.png)", ""]
    return "\n".join(lines)


def _rounded(share: Share) -> tuple[float, float, float]:
    low, high = share.interval
    return round(share.percent, 2), round(low, 2), round(high, 2)


def _table(header: Sequence[Any], rows: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode("utf-8", "surrogateescape")


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_bytes(content)
    os.replace(temporary, path)
