"""A program of plain operators as a file that ``torch.export.load`` reads."""

import io
import json
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from mvit_video.export.description import Description

DESCRIPTION_FILE = "mvit_video.json"  # name of the extra file that holds the description


def write_torch(program: ExportedProgram, path: Path, description: Description) -> None:
    """Write a program with `torch.export.save`, the description as an extra file of JSON in it.

    Args:
        program: Of `trace`.
        path: Where to write.
        description: What is written beside the network.

    Raises:
        OSError: The file cannot be written.
    """
    _forget_examples(program)
    text = json.dumps(description.values(), ensure_ascii=False, indent=1)
    with _Writer(path, "w") as writer:
        torch.export.save(program, writer, extra_files={DESCRIPTION_FILE: text})
    if writer.error is not None:
        raise writer.error


def _forget_examples(program: ExportedProgram) -> None:
    """Have no example clips saved with the program."""
    try:
        program.example_inputs = None
    except ValueError:  # torch 2.6 wants some of that shape: one zero will do
        (clips,), named = program.example_inputs
        program.example_inputs = ((clips.new_zeros(()).expand_as(clips),), named)


class _Writer(io.FileIO):
    """A file that keeps the error of a write that fails, for later.

    torch's own writer aborts the whole process when it is cleared away after one.
    """

    error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all of it, or nothing any more after an error."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while self.error is None and rest:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.error = error
        return size
