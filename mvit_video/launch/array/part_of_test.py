"""The program that tests the videos of one part; a process of its own.

    python -m mvit_video.launch.array.part_of_test FOLDER PART

FOLDER is the submission's, PART a number from 0.
"""

import hashlib
import json
import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from mvit_video.config import load_config
from mvit_video.data import DamagedVideoWarning
from mvit_video.engine.inputs import find_weights
from mvit_video.engine.testing.results import VideoResult
from mvit_video.engine.testing.testing import prepare_test, test
from mvit_video.launch.array.parts import result_path, share
from mvit_video.launch.job.sitting import log_to_stderr
from mvit_video.launch.submission import Submission


def main(words: Sequence[str]) -> None:
    """Test the videos of the part that the words name, and keep all that the numbers are made of."""
    submission, part = Submission(Path(words[0])), int(words[1])
    warnings.simplefilter("ignore", DamagedVideoWarning)  # the log names these videos
    config = load_config(submission.config_path)
    inputs = prepare_test(config)
    chosen = share(len(inputs.videos), submission.request().parts, part)
    report = submission.parts / f"{part:05d}.videos.json"
    mine = replace(inputs, videos=inputs.videos[chosen.start : chosen.stop], results_path=report)
    weights = describe_weights(find_weights(config)[0])
    result = test(config, mine)
    names = json.loads(report.read_text(encoding="utf-8"))["class_names"]
    write_rows(result_path(submission, part), result.rows, names, len(inputs.videos), weights)


def describe_weights(source: str) -> str:
    """The source, and for a file what is in it: one that was written again has another description."""
    if not Path(source).is_file():
        return source
    with open(source, "rb") as file:
        return f"{source} (SHA-256 {hashlib.file_digest(file, 'sha256').hexdigest()[:16]})"


def write_rows(
    path: Path,
    rows: Sequence[VideoResult],
    class_names: Sequence[str] | None,
    num_videos: int,
    weights: str,
) -> None:
    """Keep rows of a test, in full precision; the file appears when it is complete.

    Args:
        path: the file.
        rows: of this part.
        class_names: one per class, or None.
        num_videos: of the whole list, all parts together.
        weights: which ones they are of, as :func:`describe_weights` says.
    """
    temporary = path.with_suffix(".tmp")
    body = {"rows": [vars(row) for row in rows], "class_names": class_names, "num_videos": num_videos}
    torch.save({**body, "weights": weights}, temporary)
    os.replace(temporary, path)


if __name__ == "__main__":
    with log_to_stderr():
        main(sys.argv[1:])
