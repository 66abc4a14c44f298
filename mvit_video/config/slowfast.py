"""SlowFast's keys and values that are not ours, and what becomes of them. The only module that knows them.

A key of SlowFast is either a field of our schema, spelled alike, or has its entry here:

* ignored: it has no effect on the result here; a line in the log says so.
* refused: it asks for something that is not done here, and the result would differ; an error says why. At
  SlowFast's default it asks for nothing, so full dumps of its configurations load.
* a value of one of our keys that goes by another name here is renamed, and a line in the log says so.
* TRAIN.DATASET and TEST.DATASET say what is DATA.SAMPLING here (`add_sampling`).

(SlowFast has not renamed a key that concerns these models, so there are no renamed keys.)

Source: SlowFast, slowfast/config/defaults.py, and its configs/.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from mvit_video.config.errors import ConfigError, Problem
from mvit_video.config.literals import interpret
from mvit_video.config.reading import Setting

_logger = logging.getLogger("mvit_video.config")


@dataclass(frozen=True)
class Foreign:
    """What becomes of one key, or of all keys of a section.

    Attributes:
        refused: Whether a value that is not harmless is an error; otherwise it is ignored.
        reason: Why, for the message.
        harmless: Values that ask for nothing, SlowFast's default first.
    """

    refused: bool
    reason: str
    harmless: tuple[Any, ...] = ()

    def accepts(self, value: Any) -> bool:
        """Whether this value asks for nothing."""
        value = interpret(value, str if any(isinstance(known, str) for known in self.harmless) else None)
        return any(type(value) is type(known) and value == known for known in self.harmless)

    def way_out(self, key: str) -> str:
        """What to do about a refused value."""
        return f"leave {key} out, or set it to {self.harmless[0]!r}"


def _ignored(reason: str, *harmless: Any) -> Foreign:
    return Foreign(False, reason, harmless)


def _refused(reason: str, *harmless: Any) -> Foreign:
    return Foreign(True, reason, harmless)


_OTHER_NETWORK = _ignored("concerns networks other than MViT")
_NO_BATCH_NORM = _ignored("concerns batch normalisation, which MViT does not have")
_BOXES = _ignored("concerns detection of actions in boxes, which is switched by DETECTION.ENABLE")
_SELF_SUPERVISED = _ignored("concerns self-supervised training, which is switched by TASK and MASK.ENABLE")
_NO_SELF_SUPERVISION = "there is no self-supervised training here"
_IMAGES = _ignored("concerns image data sets")
_STEPS = _ignored("concerns learning rate policies other than cosine")
_DATASETS = "videos are sampled as SlowFast's kinetics (DATA.SAMPLING dense) or ssv2 (segments)"
_DENSE, _SEGMENTS = ("kinetics", "Kinetics", "ptvkinetics", "Ptvkinetics"), ("ssv2", "Ssv2", "SSv2")
_DATASET_KEYS = ("TRAIN.DATASET", "TEST.DATASET")

TABLE: Mapping[str, Foreign] = MappingProxyType(
    {
        # Runs
        "TASK": _refused(_NO_SELF_SUPERVISION, "", "ssl_eval"),
        "LOG_MODEL_INFO": _ignored("the model is described by --print-config", True),
        "DIST_BACKEND": _ignored("the back end follows the device", "nccl"),
        "BENCHMARK.*": _ignored("concerns SlowFast's loader benchmark"),
        "DEMO.ENABLE": _refused("predictions are made by mvit-video predict", False),
        "DEMO.*": _ignored("concerns SlowFast's demo; see mvit-video predict"),
        "TENSORBOARD.*": _ignored("TensorBoard files are always written, to OUTPUT_DIR/tensorboard"),
        # Checkpoints
        "TRAIN.CHECKPOINT_TYPE": _refused("Caffe2 checkpoints hold no MViT", "pytorch"),
        "TEST.CHECKPOINT_TYPE": _refused("Caffe2 checkpoints hold no MViT", "pytorch"),
        "TRAIN.CHECKPOINT_CLEAR_NAME_PATTERN": _ignored("prefixes of names are recognised by themselves", ()),
        "TEST.CHECKPOINT_SQUEEZE_TEMPORAL": _ignored("the shape of pooling weights is recognised by itself"),
        # Data
        "TRAIN.DATASET": _refused(_DATASETS, *_DENSE, *_SEGMENTS),
        "TEST.DATASET": _refused(_DATASETS, *_DENSE, *_SEGMENTS),
        "DATA.INPUT_CHANNEL_NUM": _refused("clips have three colours and one pathway", (3, 3), (3,)),
        "DATA.DECODING_SHORT_SIZE": _ignored("frames are decoded at their full size", 256),
        "DATA.MULTI_LABEL": _refused("a video has one label", False),
        "DATA.SKIP_ROWS": _refused("lists have no header", 0),
        "DATA.DUMMY_LOAD": _refused("videos are always decoded", False),
        "DATA.LOADER_CHUNK_SIZE": _ignored("lists are read whole", 0),
        "DATA.LOADER_CHUNK_OVERALL_SIZE": _ignored("lists are read whole", 0),
        "DATA.TRAIN_JITTER_MOTION_SHIFT": _refused("crops do not move within a clip", False),
        "DATA.TRAIN_CROP_NUM_TEMPORAL": _refused(_NO_SELF_SUPERVISION, 1),
        "DATA.TRAIN_CROP_NUM_SPATIAL": _refused(_NO_SELF_SUPERVISION, 1),
        "DATA.COLOR_RND_GRAYSCALE": _refused(_NO_SELF_SUPERVISION, 0.0),
        "DATA.TIME_DIFF_PROB": _refused(_NO_SELF_SUPERVISION, 0.0),
        "DATA.SSL_COLOR_JITTER": _refused(_NO_SELF_SUPERVISION, False),
        "DATA.SSL_COLOR_BRI_CON_SAT": _SELF_SUPERVISED,
        "DATA.SSL_COLOR_HUE": _SELF_SUPERVISED,
        "DATA.SSL_MOCOV2_AUG": _refused(_NO_SELF_SUPERVISION, False),
        "DATA.SSL_BLUR_SIGMA_MIN": _SELF_SUPERVISED,
        "DATA.SSL_BLUR_SIGMA_MAX": _SELF_SUPERVISED,
        "DATA.TRAIN_PCA_EIGVAL": _BOXES,
        "DATA.TRAIN_PCA_EIGVEC": _BOXES,
        "DATA.PATH_TO_PRELOAD_IMDB": _IMAGES,
        "DATA.IN22K_TRAINVAL": _IMAGES,
        "DATA.IN22k_VAL_IN1K": _IMAGES,
        "DATA.IN_VAL_CROP_RATIO": _IMAGES,
        "DATA.VAL_CROP_RATIO": _IMAGES,
        "DATA_LOADER.PIN_MEMORY": _ignored("memory is pinned when there is a GPU", True),
        "DATA_LOADER.ENABLE_MULTI_THREAD_DECODE": _ignored("changes no frame", False),
        "PREFETCH.*": _ignored("no longer a key of SlowFast's either"),
        # Augmentation
        "AUG.RE_SPLIT": _ignored("no code of SlowFast's reads it", False),
        "AUG.GEN_MASK_LOADER": _refused(_NO_SELF_SUPERVISION, False),
        "AUG.MASK_TUBE": _SELF_SUPERVISED,
        "AUG.MASK_FRAMES": _SELF_SUPERVISED,
        "AUG.MASK_WINDOW_SIZE": _SELF_SUPERVISED,
        "AUG.MASK_RATIO": _SELF_SUPERVISED,
        "AUG.MAX_MASK_PATCHES_PER_BLOCK": _SELF_SUPERVISED,
        # Models
        "MODEL.SINGLE_PATHWAY_ARCH": _OTHER_NETWORK,
        "MODEL.MULTI_PATHWAY_ARCH": _OTHER_NETWORK,
        "MODEL.DROPCONNECT_RATE": _OTHER_NETWORK,
        "MODEL.FC_INIT_STD": _OTHER_NETWORK,
        "MODEL.HEAD_ACT": _refused("the head gives logits, and testing takes their softmax", "softmax"),
        "MODEL.DETACH_FINAL_FC": _refused("gradients pass from the head to the network", False),
        "MODEL.FROZEN_BN": _NO_BATCH_NORM,
        "MODEL.FP16_ALLREDUCE": _refused("gradients are exchanged in full precision", False),
        "MVIT.POOL_FIRST": _refused("no published video model pools before the projection", False),
        "MVIT.PATCH_2D": _refused("the models take clips, not single images", False),
        "MVIT.LAYER_SCALE_INIT_VALUE": _refused("there is no layer scale", 0.0, 0),
        "MVIT.NORM": _refused("layer normalisation is the only one", "layernorm"),
        "MVIT.SEPARATE_QKV": _ignored("the projections are kept as one, whatever a checkpoint has", False),
        "MVIT.USE_FIXED_SINCOS_POS": _refused("position embeddings are learnt", False),
        "MVIT.REV.ENABLE": _refused("there is no reversible MViT here", False),
        "MVIT.REV.*": _ignored("concerns the reversible MViT, which is switched by MVIT.REV.ENABLE"),
        "MASK.ENABLE": _refused(_NO_SELF_SUPERVISION, False),
        "MASK.*": _SELF_SUPERVISED,
        "VIS_MASK.ENABLE": _refused(_NO_SELF_SUPERVISION, False),
        "CONTRASTIVE.*": _SELF_SUPERVISED,
        "BN.*": _NO_BATCH_NORM,
        "RESNET.*": _OTHER_NETWORK,
        "X3D.*": _OTHER_NETWORK,
        "NONLOCAL.*": _OTHER_NETWORK,
        "SLOWFAST.*": _OTHER_NETWORK,
        "DETECTION.ENABLE": _refused("there is no detection of actions in boxes here", False),
        "DETECTION.*": _BOXES,
        "AVA.*": _BOXES,
        # Training
        "SOLVER.GAMMA": _STEPS,
        "SOLVER.STEP_SIZE": _STEPS,
        "SOLVER.STEPS": _STEPS,
        "SOLVER.LRS": _STEPS,
        "SOLVER.WARMUP_FACTOR": _ignored("no code of SlowFast's reads it; see SOLVER.WARMUP_START_LR", 0.1),
        "MULTIGRID.SHORT_CYCLE": _refused("clips keep their size while training", False),
        "MULTIGRID.LONG_CYCLE": _refused("clips keep their size while training", False),
        "MULTIGRID.*": _ignored(
            "concerns multigrid training, which is switched by MULTIGRID.SHORT_CYCLE and LONG_CYCLE"
        ),
    }
)

# (key, SlowFast's value): (our value, why)
RENAMED_VALUES: Mapping[tuple[str, str], tuple[str, str]] = MappingProxyType(
    {
        ("DATA.DECODING_BACKEND", "torchvision"): (
            "auto",
            "our own decoder gives the frames it is meant to give",
        ),
        ("SOLVER.OPTIMIZING_METHOD", "mt_adamw"): (
            "adamw",
            "AdamW here works on many tensors at once anyway",
        ),
        ("MODEL.MODEL_NAME", "PTVMViT"): ("MViT", "the network is the same, under PyTorchVideo's name"),
        ("AUG.AA_TYPE", "None"): ("", "no RandAugment"),
    }
)


def lookup(key: str) -> Foreign | None:
    """The entry for a key that is not ours: its own, or its closest section's; None if it is unknown."""
    if key in TABLE:
        return TABLE[key]
    section = key.rpartition(".")[0]
    while section:
        if f"{section}.*" in TABLE:
            return TABLE[f"{section}.*"]
        section = section.rpartition(".")[0]
    return None


def add_sampling(settings: list[Setting]) -> list[Setting]:
    """The settings, with DATA.SAMPLING behind a data set that says it; logs that.

    Raises:
        ConfigError: Training and testing are to be sampled differently.
    """
    last = {setting.key: setting for setting in settings}
    datasets = [last[key] for key in _DATASET_KEYS if key in last]
    segments = [setting for setting in datasets if setting.value in _SEGMENTS]
    if len(segments) == 1 and len(datasets) == 2:
        values = " and ".join(f"{setting.key} is {setting.value!r}" for setting in datasets)
        text = f"{values}: a run samples its videos in one way, DATA.SAMPLING; set both alike"
        raise ConfigError([Problem(segments[0].place, text)])
    for setting in segments:
        _logger.warning("%s: %s: ssv2 means DATA.SAMPLING segments here", setting.place, setting.key)
        after = next(i for i, other in enumerate(settings) if other is setting) + 1
        meant = replace(setting, key="DATA.SAMPLING", value="segments")
        settings = [*settings[:after], meant, *settings[after:]]
    if segments and not _is_true(last.get("DATA.REVERSE_INPUT_CHANNEL")):
        _logger.warning(
            "%s: DATA.REVERSE_INPUT_CHANNEL is not True: SlowFast shows the network blue, green, red then; "
            "here it sees red, green, blue, and MEAN and STD are taken in that order",
            segments[0].place,
        )
    return settings


def _is_true(setting: Setting | None) -> bool:
    return setting is not None and interpret(setting.value, bool) is True


def rename_value(setting: Setting) -> Setting:
    """The setting with our value, where SlowFast calls it something else; logs what it changes."""
    if not isinstance(setting.value, str) or (setting.key, setting.value) not in RENAMED_VALUES:
        return setting
    value, reason = RENAMED_VALUES[setting.key, setting.value]
    _logger.warning("%s: %s: %s means %r here: %s", setting.place, setting.key, setting.value, value, reason)
    return replace(setting, value=value)
