"""The stored outputs of the official implementations (golden/fixtures), and the weights that made them."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from kit.fixture_fill import fill_state_dict, make_input

FOLDER = Path(__file__).resolve().parents[1] / "golden" / "fixtures"

# fixture -> (name of our architecture, fields that differ from it)
SLOWFAST = {
    "slowfast_mvitv2_s_16x4": ("mvitv2_s_16x4", {}),
    "slowfast_mvitv2_s_16x4_run_8x160x128": ("mvitv2_s_16x4", {}),
    "slowfast_mvitv1_b_16x4": ("mvitv1_b_16x4", {}),
    "slowfast_mvitv1_b_16x4_run_8x160x128": ("mvitv1_b_16x4", {}),
    "slowfast_mvitv1_b24_32x3_run_8x128x160": ("mvitv1_b24_32x3", {}),
    "slowfast_maskfeat_ft_mvitv2_s_16x4_run_8x128x160": (
        "mvitv2_s_16x4",
        {
            "dim_mul_in_att": False,
            "use_mean_pooling": True,
            "head_dropout_rate": 0.0,
            "head_init_scale": 0.001,
        },
    ),
}
FOREIGN = {
    "torchvision_mvit_v1_b": ("mvitv1_b_16x4", {}),
    "torchvision_mvit_v2_s": ("mvitv2_s_16x4", {}),
    "pytorchvideo_mvit_base_16x4": ("mvitv1_b_16x4", {}),
}


@dataclass(frozen=True)
class Fixture:
    name: str
    architecture: str
    overrides: dict
    meta: dict
    state_dict: dict  # official name -> tensor
    expected: dict  # "logits", and "<stage>/<shape|first|last|stats>"
    clip: object  # the input tensor (1, 3, T, H, W)


def read(name):
    """(meta, {official key: shape}, expected, input) of one fixture."""
    folder = FOLDER / name
    meta = json.loads((folder / "meta.json").read_text())
    named_shapes = shapes(name)
    with np.load(folder / "expected.npz") as stored:
        expected = {key: stored[key] for key in stored.files}
    expected.setdefault("logits", expected["output"])  # torchvision and PyTorchVideo return logits
    return meta, named_shapes, expected, make_input(meta["input_name"], meta["input_shape"])


def shapes(name):
    """{official key: shape} of one fixture."""
    return json.loads((FOLDER / name / "state_dict.json").read_text())


def load(name):
    """One fixture of a video model, with its weights made."""
    architecture, overrides = {**SLOWFAST, **FOREIGN}[name]
    meta, named_shapes, expected, clip = read(name)
    return Fixture(name, architecture, overrides, meta, fill_state_dict(named_shapes), expected, clip)
