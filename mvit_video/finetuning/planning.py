"""How long, how fast and how hard to train: from the number of videos and the machine to a configuration.

The numbers are starting points for a few dozen to a hundred thousand videos; ``KEY VALUE`` changes any.
Where they come from is in docs/finetuning.md.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mvit_video.config import Config, load_config, set_keys
from mvit_video.config.overrides import parse_overrides
from mvit_video.engine.resolve import has_schedule
from mvit_video.finetuning.choosing import ModelChoice
from mvit_video.finetuning.errors import FinetuneError

Mode = Literal["full", "frozen"]

# What is said otherwise on the command line of `finetune`.
_OWN_KEYS = {
    "OUTPUT_DIR": "--output",
    "DATA.TRAIN_LIST": "FOLDER_OR_LIST",
    "DATA.VAL_LIST": "--val",
    "DATA.TEST_LIST": "--test",
    "MODEL.NAME": "--model",
    "TRAIN.CHECKPOINT_FILE_PATH": "--weights",
    "MODEL.NUM_CLASSES": "the classes there are videos of",
    "TRAIN.ENABLE": "True",
    "TEST.ENABLE": "True",
    "TEST.CHECKPOINT_FILE_PATH": "the best checkpoint",
}
_CLIP_SECTIONS = ("DATA.", "MVIT.", "TEST.")
_ALWAYS = {
    "TEST.NUM_ENSEMBLE_VIEWS",
    "TEST.NUM_SPATIAL_CROPS",
    "TEST.BATCH_SIZE",
    "DATA_LOADER.NUM_WORKERS",
    "TRAIN.EVAL_PERIOD",
    "TRAIN.CHECKPOINT_PERIOD",
}
_SIDED = re.compile(r"(?<![a-z])(left|right|(counter-?|anti-?)?clockwise)(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True)
class Situation:
    """What a plan depends on.

    Attributes:
        num_videos: To learn from.
        class_names: Of the classes.
        mode: All weights are trained, or the head alone.
        on_gpu: Whether there is a GPU to train on.
        pretrained: Whether training starts from weights.
        epochs: What was typed as SOLVER.MAX_EPOCH, for what follows from it.
        batch: What was typed as TRAIN.BATCH_SIZE, likewise.
    """

    num_videos: int
    class_names: tuple[str, ...]
    mode: Mode
    on_gpu: bool
    pretrained: bool
    epochs: int | None = None
    batch: int | None = None


@dataclass(frozen=True)
class Plan:
    """Settings for a situation, and a line for each thing that was decided."""

    mode: Mode
    settings: Mapping[str, str]
    words: tuple[str, ...]


def make_plan(situation: Situation) -> Plan:
    """Epochs, rate, batch, augmentation and the rest for this many videos."""
    batch = situation.batch or _batch(situation.num_videos)
    numbers, words = (_head_numbers if situation.mode == "frozen" else _full_numbers)(situation, batch)
    turned = sorted({found[0].lower() for name in situation.class_names if (found := _SIDED.search(name))})
    if turned:
        numbers["DATA.RANDOM_FLIP"] = False
        words.append(f"clips are not mirrored, as classes speak of {', '.join(turned)}")
    numbers |= {
        "TEST.NUM_ENSEMBLE_VIEWS": 5,
        "TEST.NUM_SPATIAL_CROPS": 1,
        "TEST.BATCH_SIZE": 16 if situation.on_gpu else 1,
        "DATA_LOADER.NUM_WORKERS": 8 if situation.on_gpu else 1,
        "MVIT.ZERO_DECAY_POS_CLS": False,
        "SOLVER.ZERO_WD_1D_PARAM": True,
    }
    return Plan(situation.mode, {key: str(value) for key, value in numbers.items()}, tuple(words))


def _batch(num_videos: int) -> int:
    """Videos of one step: as in the published recipes, and fewer where that would make a handful of steps."""
    return next((batch for batch in (16, 8, 4) if num_videos >= 8 * batch), 2)


def _at_a_time(batch: int, most: int) -> int:
    """A divisor of the batch, in whole pairs where the batch is: pairs are mixed with each other."""
    return next(n for n in range(most, 0, -1) if batch % n == 0 and (n % 2 == 0 or batch % 2))


def _full_numbers(situation: Situation, batch: int) -> tuple[dict[str, object], list[str]]:
    size, pretrained = situation.num_videos, situation.pretrained
    epochs = next(
        (e for least, e in ((50_000, 10), (10_000, 15), (1_000, 20), (300, 30)) if size >= least), 50
    )
    epochs = situation.epochs or (epochs if pretrained else 4 * epochs)
    drop_path = 0.1 if size < 1_000 else 0.2 if size < 10_000 else 0.3
    strong, middle = size >= 3_000, size >= 300
    numbers: dict[str, object] = {
        "SOLVER.OPTIMIZING_METHOD": "adamw",
        "SOLVER.BASE_LR": 1e-4 * batch / 16,
        "SOLVER.LAYER_DECAY": 0.75 if pretrained else 1.0,
        "SOLVER.WEIGHT_DECAY": 0.05,
        "SOLVER.CLIP_GRAD_L2NORM": 1.0,
        "SOLVER.MAX_EPOCH": epochs,
        "SOLVER.WARMUP_EPOCHS": epochs / 10,
        "SOLVER.WARMUP_START_LR": 1e-6,
        "SOLVER.COSINE_END_LR": 1e-6,
        "SOLVER.COSINE_AFTER_WARMUP": True,
        "TRAIN.BATCH_SIZE": batch,
        "TRAIN.MICRO_BATCH_SIZE": _at_a_time(batch, 4 if situation.on_gpu else 2),
        "TRAIN.MIXED_PRECISION": situation.on_gpu,
        "TRAIN.EVAL_PERIOD": max(1, epochs // 25),
        "TRAIN.CHECKPOINT_PERIOD": max(1, epochs // 25),
        "MVIT.DROPPATH_RATE": drop_path,
        "MODEL.DROPOUT_RATE": 0.5,
        "MODEL.LOSS_FUNC": "soft_cross_entropy",
        "AUG.ENABLE": True,
        "AUG.AA_TYPE": "rand-m7-n4-mstd0.5-inc1" if middle else "rand-m5-n2-mstd0.5-inc1",
        "AUG.RE_PROB": 0.25 if middle else 0.1,
        "AUG.NUM_SAMPLE": 2 if strong and situation.on_gpu else 1,
        "MIXUP.ENABLE": True,
        "MIXUP.PROB": 1.0 if strong else 0.5 if middle else 0.0,
        "MIXUP.LABEL_SMOOTH_VALUE": 0.1,
        "DATA.TRAIN_JITTER_SCALES_RELATIVE": "[0.08, 1.0]" if strong else "[0.3, 1.0]",
        "DATA.TRAIN_JITTER_ASPECT_RELATIVE": "[0.75, 1.3333]",
    }
    start = "from the weights" if pretrained else "from nothing"
    words = [
        f"all weights are trained, {start}: {epochs} epochs of {size} videos, {batch} at a step",
        f"{'strong' if strong else 'middling' if middle else 'light'} augmentation, drop path {drop_path:g}",
    ]
    if not situation.on_gpu:
        words.append("there is no GPU: this takes long; --frozen trains the head alone, in minutes")
    return numbers, words


def _head_numbers(situation: Situation, batch: int) -> tuple[dict[str, object], list[str]]:
    numbers: dict[str, object] = {
        "SOLVER.MAX_EPOCH": situation.epochs or 200,
        "TRAIN.BATCH_SIZE": batch,
        "MODEL.LOSS_FUNC": "soft_cross_entropy",
        "MIXUP.ENABLE": True,
        "MIXUP.PROB": 0.0,
        "MIXUP.LABEL_SMOOTH_VALUE": 0.1,
    }
    words = [
        f"the backbone stays as it is: its features of {situation.num_videos} videos are computed once, and "
        "the head is trained on them"
    ]
    if not situation.pretrained:
        words.append(
            "the backbone has random weights, and a head on top of those learns little: give --weights, or "
            "--full"
        )
    return numbers, words


def build_config(
    choice: ModelChoice, plan: Plan, overrides: Sequence[str], fixed: Mapping[str, str]
) -> Config:
    """The configuration of a run: the plan, over it the files of the choice, over them what was typed.

    Args:
        choice: The model.
        plan: What to train with, where nothing else says so.
        overrides: ``KEY VALUE`` as typed.
        fixed: What follows from the other flags.

    Raises:
        ValueError: A key or value that cannot be, or a key that a flag stands for.
    """
    for setting in parse_overrides(overrides):
        if setting.key in _OWN_KEYS:
            raise FinetuneError(f"{setting.key}: is {_OWN_KEYS[setting.key]} here; leave the key out")
    words = [word for key, value in _counting(choice, plan).items() for word in (key, value)]
    return load_config(list(choice.files), [*words, *overrides], fixed=fixed)


def _counting(choice: ModelChoice, plan: Plan) -> dict[str, str]:
    """What of a plan counts beside configuration files: they say how clips are cut, and may hold a recipe."""
    planned = {**plan.settings, **choice.settings}
    if not choice.files:
        return planned
    own = load_config(list(choice.files))
    given = set(set_keys(own)) - set(choice.settings)
    if plan.mode == "frozen":  # a recipe in the files is one for all weights
        return {
            key: value
            for key, value in planned.items()
            if key not in given or not key.startswith(_CLIP_SECTIONS)
        }
    if has_schedule(own):
        return {
            key: value for key, value in planned.items() if key in choice.settings or key in _ALWAYS - given
        }
    return {key: value for key, value in planned.items() if key not in given or key == "MODEL.LOSS_FUNC"}
