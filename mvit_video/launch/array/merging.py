"""Results of parts, in order, as one result: the same file that one job for all videos would have written."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

from mvit_video.launch.errors import LaunchError


def merge_parts(parts: Sequence[Path], output: Path) -> tuple[int, str]:
    """Join the results of parts into one file, which appears when it is complete.

    Args:
        parts: ``.pt`` files of a test, or reports of a prediction, ``.json`` or ``.csv``; in order.
        output: ends in .csv or .json.

    Returns:
        1 if some video could not be read, else 0; and the result in a line.

    Raises:
        LaunchError: a part is missing or not whole, or belongs to another list.
    """
    for path in parts:
        if not path.exists():
            raise LaunchError(f"{path}: is missing, so its part is not done: --retry does it")
    if parts[0].suffix == ".pt":
        return _merge_tests(parts, output)
    text = (_merge_json if parts[0].suffix == ".json" else _merge_csv)(parts)
    _write(output, text)
    num_videos, num_failed = _count(text, parts[0].suffix)
    return int(num_failed > 0), f"{output}: {num_videos - num_failed} of {num_videos} videos answered"


def _merge_tests(parts: Sequence[Path], output: Path) -> tuple[int, str]:
    import torch

    from mvit_video.engine.testing.evaluation import summarise
    from mvit_video.engine.testing.results import VideoResult, write_results

    found = [torch.load(path, weights_only=True) for path in parts]
    rows = [VideoResult(**row) for part in found for row in part["rows"]]
    if {part["num_videos"] for part in found} != {len(rows)}:
        raise LaunchError(
            f"{parts[0].parent}: the parts hold {len(rows)} videos of lists of "
            f"{', '.join(str(part['num_videos']) for part in found)}: the list has changed meanwhile; submit "
            "anew"
        )
    weights = list(dict.fromkeys(part["weights"] for part in found))
    if len(weights) > 1:
        raise LaunchError(
            f"{parts[0].parent}: the parts were tested with different weights: "
            f"{', '.join(weights)}; submit anew"
        )
    result = summarise(rows)
    write_results(output, result, found[0]["class_names"])
    return int(bool(result.unreadable)), f"{result}; results in {output}"


def _merge_json(parts: Sequence[Path]) -> str:
    bodies = []
    for path in parts:
        text = path.read_text(encoding="utf-8")
        if not (text.startswith("[\n") and text.endswith("\n]\n")):
            raise LaunchError(f"{path}: is no report of a prediction: remove it, and --retry writes it again")
        bodies.append(text[2:-3])
    return "[\n" + ",\n".join(bodies) + "\n]\n"


def _merge_csv(parts: Sequence[Path]) -> str:
    texts = [path.read_text(encoding="utf-8") for path in parts]
    header = texts[0].partition("\n")[0]
    for path, text in zip(parts, texts, strict=True):
        if text.partition("\n")[0] != header:
            raise LaunchError(f"{path}: has other columns: remove it, and --retry writes it again")
    return header + "\n" + "".join(text.partition("\n")[2] for text in texts)


def _count(text: str, suffix: str) -> tuple[int, int]:
    """(videos, those that could not be read)."""
    if suffix == ".json":
        videos = json.loads(text)
        return len(videos), sum(video["error"] is not None for video in videos)
    rows = list(csv.DictReader(text.splitlines(keepends=True)))
    failed = {row["path"] for row in rows if row["error"]}
    return len({row["path"] for row in rows}), len(failed)


def _write(path: Path, text: str) -> None:
    from mvit_video.inference.reports import replace_when_complete

    with replace_when_complete(path) as stream:
        stream.write(text)
