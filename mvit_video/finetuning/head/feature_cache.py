"""Features on disk, a line of JSON for each video: whoever is stopped goes on behind the last whole line.

Axes: V views, C width.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mvit_video.data.checking.facts import FileState
from mvit_video.finetuning.errors import FinetuneError
from mvit_video.finetuning.whole_lines import cut_to_whole_lines
from mvit_video.models import MViT

_FORMAT = 1


class FeatureCache:
    """The features that one backbone gives of one kind of views.

    Args:
        folder: Of the caches of all backbones; made if it is not there.
        name: What tells this one apart; see :func:`describe_backbone`.
        shape: (V, C) of a video's features.
    """

    def __init__(self, folder: Path, name: str, shape: tuple[int, int]) -> None:
        self.path = folder / f"{name}.jsonl"
        self._shape = shape

    def read(self) -> Iterator[tuple[str, FileState, Tensor]]:
        """Path, the file's state then, and float32 (V, C) of each video; what is damaged is passed over."""
        if not self.path.exists():
            return
        with open(self.path, "rb") as file:
            for line in file:
                try:
                    row = json.loads(line)
                    values = np.frombuffer(base64.b64decode(row["features"], validate=True), "<f4")
                    features_VC = torch.from_numpy(values.reshape(self._shape).astype(np.float32))
                    yield row["path"], FileState(row["size"], row["mtime_ns"]), features_VC
                except (ValueError, KeyError, TypeError):
                    continue

    def add(self, path: str, state: FileState, features_VC: Tensor) -> None:
        """Remember the features of a video; a process that is killed right after loses nothing of it.

        Raises:
            FinetuneError: They cannot be written (a full disk, say); those before stay.
        """
        values = features_VC.numpy().astype("<f4").tobytes()
        row = {
            "path": path,
            "size": state.size,
            "mtime_ns": state.mtime_ns,
            "features": base64.b64encode(values).decode("ascii"),
        }
        try:
            with open(self.path, "ab") as file:
                file.write(json.dumps(row).encode() + b"\n")
        except OSError as error:
            raise self._unwritable(error) from error

    def make_ready(self) -> None:
        """Make the folder, and cut off the line that a killed process was about to write.

        Raises:
            FinetuneError: The folder or the file cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            cut_to_whole_lines(self.path)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> FinetuneError:
        return FinetuneError(
            f"{self.path}: features cannot be kept ({error.strerror}): check the disk; those that are there "
            "stay, and the same command goes on"
        )


def describe_backbone(model: MViT, *conditions: object) -> str:
    """A name that changes with any weight but the head's, and with anything else that changes features.

    Args:
        model: Its head does not matter.
        *conditions: What else matters; each must have a ``repr`` that says all of it.
    """
    anything = replace(model.architecture, num_classes=1, head_dropout_rate=0.0)
    digest = hashlib.sha256(repr((_FORMAT, anything, conditions)).encode())
    for name, tensor in model.state_dict().items():
        if not name.startswith("head."):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:16]
