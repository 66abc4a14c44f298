"""Something-Something-v2's official json files: labels, train, validation and test.

``labels.json`` numbers the 174 classes: {"Holding something": "16", ...}. The others list videos:
[{"id": "78687", "template": "Holding [something]", ...}, ...]; test.json has ids alone. Older downloads put
"something-something-v2-" before the names. The videos are ``<id>.webm``, or folders of frames named ``<id>``.

Source: SlowFast, slowfast/datasets/ssv2.py, which looks the template up without its brackets.
"""

import json
import os
from collections.abc import Sequence
from typing import Any

from mvit_video.data.lists.annotations import Annotations
from mvit_video.data.lists.content import read_text
from mvit_video.data.lists.records import ListError

_HINT = "put labels.json beside it, set DATA.LABELS_PATH to that file, or DATA.CLASS_NAMES to ssv2"
_PREFIXES = ("", "something-something-v2-")
_LABELS = "labels.json"
_WITH_CLASSES = ("train.json", "validation.json")


def read_ssv2(text: str, source: str, labels_path: str = "") -> Annotations:
    """The videos of train.json, validation.json or test.json, and the classes by labels.json.

    Args:
        text: The file.
        source: Its path.
        labels_path: labels.json or the folder it is in; empty looks beside the file.

    Raises:
        ListError: Not such a file, or the labels do not number the classes.
    """
    names, classes = _videos(_parse(text, source), source)
    wanted = set(names)
    return Annotations(
        source=source,
        names=names,
        classes=classes,
        lines=range(1, len(names) + 1),
        suffix=".webm",
        identify=lambda stem: stem if stem in wanted else None,
        class_names=_find_class_names(labels_path or os.path.dirname(source) or "."),
        hint=_HINT,
    )


def classes_of_videos(place: str) -> tuple[dict[str, str | None], tuple[str, ...] | None]:
    """The class of every video that train.json and validation.json name, and the classes by index.

    Args:
        place: The folder they are in, or labels.json in it.

    Raises:
        ListError: One of them is there and cannot be read.
    """
    folder = place if os.path.isdir(place) else os.path.dirname(place) or "."
    classes: dict[str, str | None] = {}
    for path in _existing(folder, _WITH_CLASSES):
        names, its_classes = _videos(_parse(read_text(path), path), path)
        classes.update(zip(names, its_classes, strict=True))
    return classes, _find_class_names(place)


def _videos(content: Any, source: str) -> tuple[list[str], list[str | None]]:
    if isinstance(content, dict):
        kind = "labels.json, which numbers the classes" if _numbers_classes(content) else "a single object"
        raise ListError(
            f"{source}: is {kind}; expected Something-Something-v2's train.json or validation.json, which "
            'list objects with "id" and "template" (of Kinetics, take the csv files)'
        )
    if not isinstance(content, list) or not content:
        raise ListError(f"{source}: holds no videos; expected a list of objects with an id each")
    names, classes = [], []
    for number, entry in enumerate(content, 1):
        name = entry.get("id") if isinstance(entry, dict) else None
        if not isinstance(name, str | int) or name == "" or "/" in str(name):
            raise ListError(f'{source}: entry {number} is {_brief(entry)}, expected an object with an "id"')
        template = entry.get("template")
        if not isinstance(template, str | None):
            raise ListError(f"{source}: entry {number}: the template is {_brief(template)}, expected a text")
        names.append(str(name))
        classes.append(template.replace("[", "").replace("]", "") if template else None)
    return names, classes


def read_labels(path: str) -> tuple[str, ...]:
    """The classes by index, from labels.json.

    Raises:
        ListError: It is no such file, or does not number each class once.
    """
    return _class_names(_parse(read_text(path), path), path)


def _find_class_names(place: str) -> tuple[str, ...] | None:
    """The classes by index, from labels.json itself or from the folder that it may be in."""
    if os.path.isdir(place):
        found = _existing(place, (_LABELS,))
        return read_labels(found[0]) if found else None
    if not os.path.exists(place):
        raise ListError(f"{place}: no such file or folder; expected Something-Something-v2's labels.json")
    return read_labels(place)


def _class_names(content: Any, source: str) -> tuple[str, ...]:
    if not isinstance(content, dict) or not _numbers_classes(content):
        raise ListError(f'{source}: expected classes with their numbers, {{"Holding something": "16", ...}}')
    by_index = {int(index): name for name, index in content.items()}
    if sorted(by_index) != list(range(len(content))):
        raise ListError(
            f"{source}: numbers {len(content)} classes, but not each once from 0 to {len(content) - 1}"
        )
    return tuple(by_index[index] for index in range(len(content)))


def _numbers_classes(content: dict[Any, Any]) -> bool:
    return bool(content) and all(str(index).isascii() and str(index).isdigit() for index in content.values())


def _existing(folder: str, names: Sequence[str]) -> list[str]:
    paths = [os.path.join(folder, prefix + name) for name in names for prefix in _PREFIXES]
    return [path for path in paths if os.path.isfile(path)]


def _parse(text: str, source: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ListError(
            f"{source}:{error.lineno}: is no JSON ({error.msg}); was the download cut off?"
        ) from error


def _brief(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
