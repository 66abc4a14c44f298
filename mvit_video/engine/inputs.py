"""What a run needs before a model is built: its lists, its class names, its weights; all checked at once."""

import logging
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Literal

from torch import nn

from mvit_video.api import load_weights
from mvit_video.config import Config
from mvit_video.data import VideoList, read_list
from mvit_video.data.lists.content import read_names
from mvit_video.data.video.sources import is_address
from mvit_video.engine.checkpoints.files import list_checkpoints
from mvit_video.engine.errors import RunError
from mvit_video.engine.records.display import lasting
from mvit_video.engine.resolve import resolve_list
from mvit_video.weights import (
    CLASS_SETS,
    ZOO,
    Inflation,
    LoadReport,
    MismatchError,
    WeightsError,
    class_names,
)

Split = Literal["train", "val", "test"]

_LOOKED_FOR = 50  # videos of a list, to tell whether they are where it says

_logger = logging.getLogger("mvit_video.engine")


def read_split(
    config: Config, split: Split, num_classes: int, names: Sequence[str] | None = None
) -> VideoList:
    """Read the list of a split and check that its labels fit the model.

    Args:
        config: the configuration.
        split: which one.
        num_classes: the model's.
        names: the classes by index, where they are known: folders per class are matched to them by name.

    Raises:
        ValueError: there is no such list, it is empty or cannot be read, training lacks labels, or the
            classes do not fit; the text says which file and key.
    """
    own, key = getattr(config.data, f"{split}_list"), f"DATA.{split.upper()}_LIST"
    path = resolve_list(config, split)
    if not Path(path).exists():
        raise RunError(
            f"{path}: does not exist, and {key if own else 'DATA.PATH_TO_DATA_DIR'} says that it lists the "
            f"{split} videos: correct it{'' if own else f', or set {key}'}"
        )
    data = config.data
    with lasting(f"reading {path}"):
        videos = read_list(
            path,
            # The default would keep a list with commas from being understood.
            separator=data.path_label_separator if "path_label_separator" in data.model_fields_set else None,
            path_prefix=data.path_prefix,
            list_format=data.list_format,
            labels_path=data.labels_path,
            class_names=names,
        )
    if any(record.label is not None for record in videos):
        videos.check_labels(num_classes)
    elif split != "test":
        raise RunError(
            f"{path}: none of its videos has a label, which {split} videos need (DATA.LIST_FORMAT)"
        )
    _refuse_missing(path, videos)
    return videos


def _refuse_missing(list_path: str, videos: VideoList) -> None:
    """Refuse a list of which no video is there; some of them, all over the list, stand for all."""
    step = -(-len(videos) // _LOOKED_FOR)
    paths = [record.path for record in videos[::step]]
    if not any(is_address(path) or Path(path).exists() for path in paths):
        some = (
            f"none of {len(paths)} of its videos that were looked for is" if step > 1 else "no video of it is"
        )
        raise RunError(
            f"{list_path}: {some} there, such as {paths[0]}: correct the list, or DATA.PATH_PREFIX, which "
            "stands before its paths"
        )


def known_names(config: Config, num_classes: int) -> tuple[str, ...] | None:
    """The class names that DATA.CLASS_NAMES means: a known set, or a text file with one name a line.

    Raises:
        ValueError: there is neither, or it has another number of names than the model has classes.
    """
    if not config.data.class_names:
        return None
    names = read_class_names(config.data.class_names)
    check_count(names, num_classes, f"DATA.CLASS_NAMES ({config.data.class_names})")
    return names


def read_class_names(name: str | PathLike[str]) -> tuple[str, ...]:
    """The names in a text file with one name a line, or those of a known set such as ``kinetics400``.

    Raises:
        ValueError: there is neither such a file nor such a set, or the file cannot be read as text.
    """
    path = Path(name)
    if path.is_file():
        return read_names(path)
    try:
        return class_names(str(name))
    except WeightsError as error:
        raise RunError(
            f"{name}: no such file of class names, nor a known set ({', '.join(CLASS_SETS)})"
        ) from error


def match_classes(
    config: Config, videos: VideoList, num_classes: int, checkpoint: Sequence[str] | None
) -> tuple[VideoList, tuple[str, ...] | None]:
    """Bring a test list and the classes of the weights together.

    Where both name the classes otherwise, that is warned of; folders per class are then matched by name if
    all of them are known to the checkpoint, and DATA.CLASS_NAMES is believed otherwise.

    Returns:
        The list, and the names by index: DATA.CLASS_NAMES, else the checkpoint's, else the list's, else None.

    Raises:
        RunError: the list's names are more or fewer than the model's classes.
    """
    configured = known_names(config, num_classes)
    if configured is not None:
        warn_if_names_differ(("the checkpoint", checkpoint), ("DATA.CLASS_NAMES", configured))
        return videos, configured
    listed = videos.class_names
    if checkpoint and listed and set(listed) <= set(checkpoint):
        if tuple(listed) != tuple(checkpoint):
            _logger.warning(
                "%s: its classes stand in another order than the checkpoint's; matched by name", videos.source
            )
            videos = videos.renumbered(checkpoint)
    else:
        check_count(listed, num_classes, videos.source)
        warn_if_names_differ(("the checkpoint", checkpoint), (videos.source, listed))
    names = checkpoint or listed
    return videos, None if names is None else tuple(names)


def warn_if_names_differ(
    one: tuple[str, Sequence[str] | None], other: tuple[str, Sequence[str] | None]
) -> None:
    """Warn when two sources, each a name and its classes, disagree; one without classes cannot."""
    (who, names), (who_else, names_else) = one, other
    if not names or not names_else or tuple(names) == tuple(names_else):
        return
    how = "in another order than" if sorted(names) == sorted(names_else) else "otherwise than"
    pairs = enumerate(zip(names, names_else, strict=False))
    example = next(
        (f"class {index} is {a!r} and {b!r}" for index, (a, b) in pairs if a != b),
        f"{len(names)} and {len(names_else)} names",
    )
    _logger.warning(
        "%s names the classes %s %s (%s): labels are counted by number, so the accuracy may mean nothing",
        who, how, who_else, example,
    )  # fmt: skip


def start_weights(config: Config) -> tuple[str, Inflation | None]:
    """The weights that training starts from, "" for random ones, and how those of images become a video's.

    They are TRAIN.CHECKPOINT_FILE_PATH's, else a published model's own.

    Raises:
        RunError: image weights are to be inflated, and no file of them is named.
    """
    train = config.train
    inflation: Inflation | None = None
    if train.checkpoint_inflate or train.checkpoint_in_init:
        inflation = "mean" if train.checkpoint_inflate else "repeat"
        if not train.checkpoint_file_path:
            key = "TRAIN.CHECKPOINT_INFLATE" if train.checkpoint_inflate else "TRAIN.CHECKPOINT_IN_INIT"
            raise RunError(
                f"{key} is True and TRAIN.CHECKPOINT_FILE_PATH is empty: name the image weights to start "
                f"from, or set {key} False"
            )
    return train.checkpoint_file_path or (config.model.name if config.model.name in ZOO else ""), inflation


def find_weights(config: Config) -> list[str]:
    """Where weights for a test lie, best first: a source for ``load_weights``.

    SlowFast's order: TEST.CHECKPOINT_FILE_PATH, the newest checkpoint of OUTPUT_DIR (older ones follow, in
    case the newest is damaged), TRAIN.CHECKPOINT_FILE_PATH; then a published model's own weights.

    Raises:
        RunError: there are none; a random model is not tested.
    """
    if config.test.checkpoint_file_path:
        return [config.test.checkpoint_file_path]
    if checkpoints := list_checkpoints(config.output_dir):
        return [str(path) for path in checkpoints]
    if config.train.checkpoint_file_path:
        return [config.train.checkpoint_file_path]
    if config.model.name in ZOO:
        return [config.model.name]
    raise RunError(
        "there are no weights to test: set TEST.CHECKPOINT_FILE_PATH, or MODEL.NAME to a published model "
        f"(as mvitv2_s_16x4.k400), or train into OUTPUT_DIR first ({config.output_dir} has no checkpoints)"
    )


def load_first(model: nn.Module, sources: Sequence[str], *, averaged: bool = False) -> LoadReport:
    """Load the first of several sources that can be read; damaged ones are passed over with a warning.

    Args:
        model: takes them.
        sources: best first.
        averaged: take the averaged weights (EMA) of each: TEST.USE_EMA.

    Raises:
        RunError: the weights are for another number of classes.
        WeightsError: the last source cannot be read, or one does not fit the model.
    """
    for source in sources[:-1]:
        try:
            return _load_with_head(model, source, averaged)
        except MismatchError:
            raise
        except WeightsError as error:
            _logger.warning("%s; trying the checkpoint before it", error)
    return _load_with_head(model, sources[-1], averaged)


def _load_with_head(model: nn.Module, source: str, averaged: bool) -> LoadReport:
    report = load_weights(model, source, averaged=averaged)
    if report.reinitialised:
        raise RunError(
            f"{source}: its classifier has another number of classes than the model, so it cannot be tested: "
            "set MODEL.NUM_CLASSES to the checkpoint's"
        )
    return report


def check_count(names: Sequence[str] | None, num_classes: int, source: str) -> None:
    """Raise where there are names, but not one per class."""
    if names is not None and len(names) != num_classes:
        raise RunError(
            f"{source}: names {len(names)} classes, and the model has {num_classes}: "
            f"set MODEL.NUM_CLASSES {len(names)}, or correct the names"
        )
