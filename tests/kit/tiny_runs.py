"""Training and test runs that take a second: tiny coloured videos, and a model of 30 thousand parameters."""

from pathlib import Path

from kit.videos import write_dataset

from mvit_video.config import Config, load_config

YAML = """\
DATA:
  NUM_FRAMES: 4
  SAMPLING_RATE: 2
  TRAIN_CROP_SIZE: 16
  TEST_CROP_SIZE: 16
  TRAIN_JITTER_SCALES: [16, 20]
  USE_OFFSET_SAMPLING: True
MVIT:
  PATCH_PADDING: [1, 3, 3]
  EMBED_DIM: 16
  DEPTH: 2
  DIM_MUL: [[1, 2.0]]
  HEAD_MUL: [[1, 2.0]]
  POOL_Q_STRIDE: [[1, 1, 2, 2]]
  POOL_KVQ_KERNEL: [3, 3, 3]
  POOL_KV_STRIDE_ADAPTIVE: [1, 2, 2]
  DROPPATH_RATE: 0.3
MODEL: {NUM_CLASSES: 2, DROPOUT_RATE: 0.5}
TRAIN: {BATCH_SIZE: 4, EVAL_PERIOD: 100, CHECKPOINT_PERIOD: 1}
TEST: {BATCH_SIZE: 4, NUM_ENSEMBLE_VIEWS: 2, NUM_SPATIAL_CROPS: 3, PRECISION: fp32}  # on every CPU
SOLVER:
  OPTIMIZING_METHOD: adamw
  BASE_LR: 1e-3
  WARMUP_EPOCHS: 0.5
  WARMUP_START_LR: 1e-4
  MAX_EPOCH: 3
DATA_LOADER: {NUM_WORKERS: 0}
LOG_PERIOD: 1
NUM_GPUS: 0
"""


def write_videos(folder: Path, *, num_classes: int = 2, videos_per_class: int = 4) -> Path:
    """A folder per class of coloured videos, and ``list.csv``; returns the folder."""
    write_dataset(
        folder, num_classes=num_classes, videos_per_class=videos_per_class, num_frames=10, width=24, height=20
    )
    return folder


def tiny_config(folder: Path, *overrides: object, videos: Path | None = None) -> Config:
    """A run into ``folder/out`` on ``videos`` (or ``folder/videos``); overrides are KEY, VALUE, ..."""
    path = folder / "tiny.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(YAML)
    listing = (videos or folder / "videos") / "list.csv"
    own = ["DATA.TRAIN_LIST", listing, "DATA.TEST_LIST", listing, "OUTPUT_DIR", folder / "out"]
    return load_config([path], [str(word) for word in (*own, *overrides)])
