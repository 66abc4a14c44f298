"""What a folder of a fine-tuning remembers: what was asked, what was decided, and whether it is done.

``DIR/finetune.json`` is written when the lists are drawn and everything is decided. The same command then
goes on with those lists, whatever has been added to the folder of videos since.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mvit_video.config import Config, load_config
from mvit_video.config.overrides import parse_overrides
from mvit_video.finetuning.errors import FinetuneError
from mvit_video.finetuning.planning import Mode

FILE_NAME = "finetune.json"
_FORMAT = 1
# What may change between two sittings: neither data nor plan (the micro batch changes what dropout draws).
_FREE_KEYS = re.compile(
    r"DATA_LOADER\..*|LOG_PERIOD|DEVICE|NUM_GPUS|DATA\.(TIMEOUT_SECONDS|BAD_VIDEOS_LIMIT)|TEST\.BATCH_SIZE|"
    r"TRAIN\.(MICRO_BATCH_SIZE|CHECKPOINT_MINUTES|CHECKPOINTS_KEPT)"
)
_FLAGS = {
    "videos": "FOLDER_OR_LIST",
    "model": "--model",
    "cfg": "--cfg",
    "weights": "--weights",
    "val": "--val",
    "test": "--test",
    "group_by": "--group-by",
    "mode": "--frozen or --full",
    "overrides": "KEY VALUE",
}


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line.

    Attributes:
        videos: A folder per class, or a list.
        output: The folder of everything that is written.
        model: A name of ``mvit-video models``; empty: ``cfg`` says it.
        cfg: Configuration files.
        weights: "none", a file, an address or a name; None: those the model comes with.
        val: Videos that choose the best weights.
        test: Videos that measure them.
        group_by: A regular expression for the source of a video; "none"; None: the names are looked at.
        mode: None: "frozen" without a GPU, else "full".
        overrides: ``KEY VALUE`` as typed.
        look_for_copies: Whether to look for videos that are on both sides of the split.
    """

    videos: str
    output: str
    model: str | None = None
    cfg: tuple[str, ...] = ()
    weights: str | None = None
    val: str | None = None
    test: str | None = None
    group_by: str | None = None
    mode: Mode | None = None
    overrides: tuple[str, ...] = ()
    look_for_copies: bool = True


@dataclass(frozen=True)
class Record:
    """What ``finetune.json`` holds.

    Attributes:
        request: What was asked for, with absolute paths, as ``describe_request`` has it.
        mode: What was decided.
        facts: For the report: how many videos, sources and copies, how the split came about, what was
            planned.
        is_done: Whether the report is written.
    """

    request: Mapping[str, Any]
    mode: Mode
    facts: Mapping[str, Any] = field(default_factory=dict)
    is_done: bool = False


def read_record(folder: Path) -> Record | None:
    """What the folder remembers; None: nothing.

    Raises:
        FinetuneError: The file is damaged, or of a newer version.
    """
    path = folder / FILE_NAME
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] > _FORMAT:
            raise FinetuneError(f"{path}: was written by a newer version of mvit_video; use that one")
        return Record(content["request"], content["mode"], content["facts"], content["is_done"])
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise FinetuneError(
            f"{path}: is damaged ({error}); choose another --output, or remove that folder"
        ) from error


def write_record(folder: Path, record: Record) -> None:
    """Write ``finetune.json``, whole or not at all."""
    content = {
        "format": _FORMAT,
        "request": dict(record.request),
        "mode": record.mode,
        "facts": dict(record.facts),
        "is_done": record.is_done,
    }
    temporary = folder / f"{FILE_NAME}.tmp"
    temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, folder / FILE_NAME)


def describe_request(request: Request) -> dict[str, Any]:
    """What decides what is trained, to compare two commands: paths absolute, free keys left out."""
    described: dict[str, Any] = {
        name: _absolute(getattr(request, name)) for name in ("videos", "weights", "val", "test")
    }
    described |= {"model": request.model, "group_by": request.group_by, "mode": request.mode}
    described["cfg"] = [_absolute(name) for name in request.cfg]
    settings = {setting.key: str(setting.value) for setting in parse_overrides(request.overrides)}
    described["overrides"] = {
        key: value for key, value in sorted(settings.items()) if not _FREE_KEYS.fullmatch(key)
    }
    return described


def check_same(record: Record, request: Request) -> None:
    """Refuse to go on with something else than what was begun.

    Raises:
        FinetuneError: Names what is another now.
    """
    now = describe_request(request)
    if now["mode"] is None:
        now["mode"] = record.request["mode"]
    changed = [flag for name, flag in _FLAGS.items() if now[name] != record.request.get(name)]
    if not changed:
        return
    name = next(name for name, flag in _FLAGS.items() if flag == changed[0])
    raise FinetuneError(
        f"{request.output}: holds a fine-tuning with another {' and '.join(changed)} "
        f"({_show(record.request.get(name))} then, {_show(now[name])} now): choose another --output, or "
        f"remove that "
        "folder"
    )


def read_config(folder: Path, request: Request) -> Config:
    """The configuration of a run that was begun, with what may change between sittings as typed now."""
    free = [
        word
        for setting in parse_overrides(request.overrides)
        if _FREE_KEYS.fullmatch(setting.key)
        for word in (setting.key, str(setting.value))
    ]
    return load_config([folder / "config.yaml"], free)


def _absolute(path: str | None) -> str | None:
    return os.path.abspath(path) if path is not None and os.path.exists(path) else path


def _show(value: Any) -> str:
    if value in (None, [], {}):
        return "nothing"
    return json.dumps(value) if isinstance(value, dict | list) else str(value)
