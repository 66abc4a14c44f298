"""The model that a configuration means."""

import re
from typing import Any

from mvit_video.config import Config, ConfigError, Problem
from mvit_video.models import Architecture, architecture
from mvit_video.models.architecture import ArchitectureError, field_names
from mvit_video.weights import ZOO

# Fields of an architecture whose key is not the same name in MVIT.
_KEYS = {
    "num_frames": "DATA.NUM_FRAMES",
    "crop_size": "DATA.TRAIN_CROP_SIZE",
    "num_classes": "MODEL.NUM_CLASSES",
    "head_dropout_rate": "MODEL.DROPOUT_RATE",
}


def resolve_architecture(config: Config) -> Architecture:
    """The model's numbers: those of MODEL.NAME, changed by the keys that were set, or those of MVIT.

    A model is built for clips of DATA.NUM_FRAMES and DATA.TRAIN_CROP_SIZE, as in SlowFast.

    Raises:
        ConfigError: When the name is unknown, the numbers do not fit together, or clips of the default length
            or size would meet a named model of another.
    """
    numbers = _mvit_numbers(config)
    data, model = config.data, config.model
    try:
        if not model.name:
            return Architecture(
                num_frames=data.num_frames,
                crop_size=data.train_crop_size,
                num_classes=model.num_classes,
                head_dropout_rate=model.dropout_rate,
                **numbers,
            )
        zoo_entry = ZOO.get(model.name)
        named = architecture(zoo_entry.architecture if zoo_entry else model.name)
        _check_clip_given(config, named)
        numbers |= {"num_frames": data.num_frames, "crop_size": data.train_crop_size}
        if "num_classes" in model.model_fields_set:
            numbers["num_classes"] = model.num_classes
        elif zoo_entry:
            numbers["num_classes"] = zoo_entry.num_classes
        if "dropout_rate" in model.model_fields_set:
            numbers["head_dropout_rate"] = model.dropout_rate
        return architecture(zoo_entry.architecture if zoo_entry else model.name, **numbers)
    except ArchitectureError as error:
        raise ConfigError(_in_keys(str(error))) from error


def _mvit_numbers(config: Config) -> dict[str, Any]:
    """The MVIT keys that count: all of them, or, beside a name, those that were set."""
    mvit = config.mvit
    counting = mvit.model_fields_set if config.model.name else set(type(mvit).model_fields)
    numbers = {name: getattr(mvit, name) for name in field_names() if name in counting}
    if mvit.pool_kv_stride_adaptive is not None:  # SlowFast derives the strides from it, whatever they were
        numbers.pop("pool_kv_stride", None)
    return numbers


def _check_clip_given(config: Config, named: Architecture) -> None:
    """Refuse clips that nobody asked for: the default of DATA meeting a model of another length or size."""
    problems = [
        Problem(
            None,
            f"DATA.{key} is not set, and its default is {have}; {config.model.name} takes {want}: set it",
        )
        for key, have, want in (
            ("NUM_FRAMES", config.data.num_frames, named.num_frames),
            ("TRAIN_CROP_SIZE", config.data.train_crop_size, named.crop_size),
        )
        if have != want and key.lower() not in config.data.model_fields_set
    ]
    if problems:
        raise ConfigError(problems)


def _in_keys(text: str) -> str:
    """An architecture's complaint in the user's words: fields become keys."""
    if text.startswith("unknown model"):
        return f"MODEL.NAME: {text}"
    fields = sorted(field_names(), key=len, reverse=True)
    names = re.compile(
        rf"^(?:{'|'.join(fields)})\b|\b(?:{'|'.join(name for name in fields if '_' in name)})\b"
    )
    return names.sub(lambda match: _KEYS.get(match[0], f"MVIT.{match[0].upper()}"), text)
