"""From a model to a file, whole or not at all."""

import errno
import os
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from mvit_video.export.description import Description
from mvit_video.export.errors import ExportError
from mvit_video.models import MViT

if TYPE_CHECKING:
    from torch.export import ExportedProgram

FORMATS = {"onnx": ".onnx", "torch-export": ".pt2"}  # and the ending that goes with each


def export_model(
    model: MViT,
    path: str | PathLike[str],
    description: Description,
    *,
    file_format: str = "onnx",
    force: bool = False,
) -> None:
    """Write a model to a file that runs without this package.

    Args:
        model: Any model; its mode and its weights are left as they are.
        path: Where to write: one file.
        description: What a reader must know; its views give the size of the clips. The number of clips is
            left open.
        file_format: "onnx" (onnxruntime and others) or "torch-export" (`torch.export.load`).
        force: Replace a file that is there.

    Raises:
        ExportError: The format is unknown, a package is missing, the description does not fit the model, or
            the file is there already or cannot be written.
    """
    path = Path(path)
    check_target(path, file_format, force=force)
    description.check_classes(model.architecture.num_classes)
    from mvit_video.export.tracing import trace

    write_program(trace(model, description.views), path, description, file_format)


def write_program(program: "ExportedProgram", path: Path, description: Description, file_format: str) -> None:
    """Write a traced model to a file, which appears when it is complete.

    Args:
        program: Of `mvit_video.export.tracing.trace`.
        path: Where to write; a file that is there is replaced.
        description: What a reader must know.
        file_format: "onnx" or "torch-export".

    Raises:
        ExportError: The file cannot be written; none is left behind.
    """
    part = path.with_name(f".{path.stem}.part{FORMATS[file_format]}")  # torch warns of another ending
    try:
        if file_format == "onnx":
            from mvit_video.export.onnx_file import write_onnx

            write_onnx(program, part, description)
        else:
            from mvit_video.export.torch_file import write_torch

            write_torch(program, part, description)
        part.replace(path)
    except OSError as error:
        raise ExportError(f"{path}: cannot be written ({error.strerror or error})") from None
    finally:
        part.unlink(missing_ok=True)


def check_target(path: Path, file_format: str, *, force: bool) -> None:
    """Check what can be known before a model is built and traced: format, packages, folder and file.

    Raises:
        ExportError: As in `export_model`.
    """
    if file_format not in FORMATS:
        raise ExportError(f"unknown format {file_format!r}, expected {' or '.join(FORMATS)}")
    if file_format == "onnx":
        from mvit_video.export.onnx_file import require_onnx

        require_onnx()
    folder = path.parent
    if path.is_dir():
        raise ExportError(f"{path}: is a folder, expected a name for the file to write")
    if not folder.is_dir():
        raise ExportError(f"{folder}: there is no such folder to write to; make it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ExportError(
            f"{folder}: {os.strerror(errno.EACCES)}, this folder is not writable; choose another"
        )
    if path.exists() and not force:
        raise ExportError(f"{path}: is there already; choose another name, or replace it with --force")
