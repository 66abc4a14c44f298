"""A tiny model that really tells something apart: red videos from blue ones.

What it says about a clip is known from its colour, so a test can tell a right answer from any other.
"""

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import torch
from kit.videos import write_video

from mvit_video.config import load_config
from mvit_video.engine.resolve import resolve_architecture
from mvit_video.models import MViT
from mvit_video.weights import write_safetensors

CLASS_NAMES = ("red, mostly", 'blue "[sky]"')  # with what CSV, JSON and markup would stumble over
RED, BLUE = (200, 30, 30), (30, 30, 200)
NUM_FRAMES, SAMPLING_RATE, CROP = 4, 2, 32

YAML = f"""\
DATA:
  NUM_FRAMES: {NUM_FRAMES}
  SAMPLING_RATE: {SAMPLING_RATE}
  TRAIN_CROP_SIZE: {CROP}
  TEST_CROP_SIZE: {CROP}
  TRAIN_JITTER_SCALES: [36, 40]
  USE_OFFSET_SAMPLING: True
MVIT:
  PATCH_PADDING: [1, 3, 3]
  EMBED_DIM: 16
  DEPTH: 2
  DIM_MUL: [[1, 2.0]]
  HEAD_MUL: [[1, 2.0]]
  POOL_Q_STRIDE: [[1, 1, 2, 2]]
  POOL_KV_STRIDE_ADAPTIVE: [1, 2, 2]
  POOL_KVQ_KERNEL: [3, 3, 3]
  DROPPATH_RATE: 0.0
MODEL:
  NUM_CLASSES: 2
  DROPOUT_RATE: 0.0
TEST:
  NUM_ENSEMBLE_VIEWS: 3
  NUM_SPATIAL_CROPS: 1
NUM_GPUS: 0
"""


def write_config(folder: Path, more: str = "") -> Path:
    """Writes the model's configuration, with ``OUTPUT_DIR`` in the folder."""
    path = folder / "colours.yaml"
    path.write_text(f"{YAML}OUTPUT_DIR: {folder / 'out'}\n{more}")
    return path


def write_colour_video(path: Path, *colours: tuple[int, int, int], frames_each: int = 30, **video) -> Path:
    """Writes one colour after the other, at 30 frames per second unless told otherwise."""
    size = {"width": 64, "height": 48} | video
    pictures = [np.full((size["height"], size["width"], 3), colour, np.uint8) for colour in colours]
    return write_video(path, frames_each * len(colours), picture=lambda i: pictures[i // frames_each], **size)


def write_weights(path: Path, class_names: tuple[str, ...] | None = CLASS_NAMES) -> Path:
    """Writes the trained weights as safetensors."""
    write_safetensors(path, _trained_state(), class_names=class_names)
    return path


def build_model(folder: Path) -> MViT:
    """The model with random weights."""
    return MViT(resolve_architecture(load_config([write_config(folder)])))


@cache
def _trained_state() -> dict[str, torch.Tensor]:
    """Random features, and on them the linear classifier that separates the two colours best."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        model = build_model(Path(folder)).eval()
    seen: list[torch.Tensor] = []
    hook = model.head.projection.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    colours = torch.tensor([RED, BLUE]).reshape(2, 3, 1, 1, 1) / 255
    with torch.no_grad():
        model(((colours - 0.45) / 0.225).expand(2, 3, NUM_FRAMES, CROP, CROP))
        hook.remove()
        red_C, blue_C = seen[0].reshape(2, -1)
        axis_C = (red_C - blue_C) / (red_C - blue_C).square().sum()
        model.head.projection.weight.copy_(torch.stack([4 * axis_C, -4 * axis_C]))
        middle = torch.dot(axis_C, red_C + blue_C) / 2
        model.head.projection.bias.copy_(torch.stack([-4 * middle, 4 * middle]))
    return model.state_dict()
