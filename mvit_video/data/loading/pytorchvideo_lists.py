"""PyTorchVideo's datasets as lists of ours: their videos and labels, without their decoding.

Nothing is decoded, and PyTorchVideo is not imported: what is taken from a dataset is the table of videos that
it was built from, in its order.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from numbers import Integral
from typing import Any

from mvit_video.data.lists.records import ListError, VideoList, VideoRecord
from mvit_video.data.video.frame_folder import list_frames

_PARTS = ("clip_start_sec", "clip_index")  # what datasets of parts of videos (json, AVA) say of a part
_NO_LABEL = -1  # LabeledVideoPaths, for a line without one

Info = Mapping[str, Any]


def read_pytorchvideo(
    dataset: Any,
    *,
    label: str | Callable[[Info], int | str | None] | None = "label",
    class_names: Sequence[str] | None = None,
) -> VideoList:
    """The videos and labels of a PyTorchVideo dataset, for ``TrainClips`` and ``TestVideos``.

    Args:
        dataset: A ``LabeledVideoDataset`` (``Kinetics``, ``Ucf101``, ``Hmdb51``, ``labeled_video_dataset``),
            the paths it takes (``LabeledVideoPaths``, ``Hmdb51LabeledVideoPaths``, pairs of a path and a
            dictionary), ``SSv2`` or ``Charades``.
        label: Where the label is in a video's dictionary, or what finds it there; None for none. Numbers stay
            as they are; names are numbered by ``class_names``.
        class_names: The classes by index; None sorts the names that occur.

    Raises:
        ListError: No videos, no single label of one kind per video, a class without a number, parts of
            videos, or frames that are not all the images of a folder.
        VideoError: A folder without images.
    """
    source = type(dataset).__name__
    if isinstance(dataset, Exception):  # Hmdb51LabeledVideoPaths returns its errors
        raise ListError(f"PyTorchVideo: {dataset}")
    rows = list(_rows(dataset, source))
    if not rows:
        raise ListError(f"{source}: there are no videos in it")
    labels = [_label(info, label, path) for path, info in rows]
    names = sorted({found for found in labels if isinstance(found, str)})
    if not names:
        numbered = [found for found in labels if not isinstance(found, str)]
    elif any(isinstance(found, int) for found in labels):
        raise ListError(
            f"{source}: some labels are numbers and some are names ({names[0]!r}); expected one kind"
        )
    else:
        class_names = names if class_names is None else class_names
        numbered = [None if found is None else _number(str(found), class_names, source) for found in labels]
    records = [VideoRecord(path, number) for (path, _), number in zip(rows, numbered, strict=True)]
    return VideoList(records, None if class_names is None else tuple(class_names), source)


def _rows(dataset: Any, source: str) -> Iterator[tuple[str, Info]]:
    """(path, what is said of it) of each video, in the dataset's order."""
    if hasattr(dataset, "_path_to_videos"):  # SSv2, Charades: lists of the paths of frames
        labels = getattr(dataset, "_video_labels", dataset._labels)
        for paths, found in zip(dataset._path_to_videos, labels, strict=True):
            yield _folder(paths), {"label": found}
        return
    table = getattr(dataset, "_labeled_videos", dataset)
    if not hasattr(table, "__len__") or not hasattr(table, "__getitem__"):
        raise ListError(
            f"{source}: expected a LabeledVideoDataset, SSv2, Charades or pairs of a path and a dictionary"
        )
    for index in range(len(table)):
        path, info = table[index]
        info = {} if info is None else info
        if any(key in info for key in _PARTS):
            raise ListError(
                f"{path}: the dataset is about parts of videos, and lists here are about whole ones"
            )
        yield os.fspath(path), info


def _label(info: Info, label: str | Callable[[Info], Any] | None, path: str) -> int | str | None:
    if label is None:
        return None
    if isinstance(label, str) and label not in info:
        raise ListError(
            f"{path}: has no {label!r}, only {', '.join(info) or 'nothing'}; say which with label="
        )
    found = info[label] if isinstance(label, str) else label(info)
    if found is None or isinstance(found, str):
        return found
    if not isinstance(found, Integral):
        raise ListError(
            f"{path}: the label is {found!r}, expected one number or name per video; choose one with "
            "label=function, or none with label=None"
        )
    return None if found == _NO_LABEL else int(found)


def _number(name: str, class_names: Sequence[str], source: str) -> int:
    if name not in class_names:
        raise ListError(f"{source}: the class {name!r} is none of the {len(class_names)} class names")
    return list(class_names).index(name)


def _folder(paths: Sequence[str]) -> str:
    """The folder that the frames of a video are, all of them and in order."""
    folder = os.path.dirname(paths[0])
    listed = [os.path.basename(path) for path in paths]
    if any(os.path.dirname(path) != folder for path in paths):
        raise ListError(f"{paths[0]}: the frames of its video lie in several folders, expected one per video")
    found = [os.path.basename(path) for path in list_frames(folder)]
    if found != listed:
        raise ListError(
            f"{folder}: the dataset lists {len(listed)} frames of it, which are not all its {len(found)} "
            "images in the order of their numbers; expected a folder per video with nothing but its frames"
        )
    return folder
