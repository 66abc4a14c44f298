"""What differs between the configuration a checkpoint was trained with and the one of now."""

import re
from typing import Any

import yaml

from mvit_video.config import Config, dump_config

# Keys that may change between two sittings of one run without changing what is trained.
_FREE_KEYS = re.compile(
    r"(TEST|TENSORBOARD|DATA_LOADER|DISTRIBUTED)\..*|OUTPUT_DIR|LOG_PERIOD|LOG_MODEL_INFO|DEVICE|NUM_GPUS|"
    r"DATA\.TEST_.*|DATA\.VAL_LIST|"
    r"DATA\.(TIMEOUT_SECONDS|BAD_VIDEOS_LIMIT)|"
    r"TRAIN\.(ENABLE|EVAL_PERIOD|EVAL_AT_START|AUTO_RESUME|SKIPPED_STEPS_LIMIT|"
    r"CHECKPOINT_PERIOD|CHECKPOINT_MINUTES|CHECKPOINTS_KEPT|CHECKPOINT_FILE_PATH)"
)


def changed_keys(then: str, now: Config) -> list[str]:
    """The keys that change the training and differ between a checkpoint's configuration and this one.

    Args:
        then: YAML of :func:`mvit_video.config.dump_config`, the ``cfg`` of a checkpoint.
        now: the configuration of the current run.
    """
    defaults = _flatten(dump_config(Config(), every_key=True))
    before, after = defaults | _flatten(then), defaults | _flatten(dump_config(now))
    changed = [
        key
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key) and not _FREE_KEYS.fullmatch(key)
    ]
    return sorted({*changed, "NUM_GPUS"}) if _passes_differ(before, after) else changed


def _passes_differ(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Whether another NUM_GPUS makes passes of other sizes, by which dropout is drawn."""
    follows = all(flat["TRAIN.MICRO_BATCH_SIZE"] is None for flat in (before, after))
    return follows and max(before["NUM_GPUS"], 1) != max(after["NUM_GPUS"], 1)


def _flatten(text: str) -> dict[str, Any]:
    """YAML text as dotted keys; a configuration is at most two levels deep."""
    flat: dict[str, Any] = {}
    for name, value in (yaml.safe_load(text) or {}).items():
        flat |= (
            {f"{name}.{key}": item for key, item in value.items()}
            if isinstance(value, dict)
            else {name: value}
        )
    return flat
