"""The model that a configuration means, against the published ones."""

import re
from dataclasses import replace

import pytest
from kit.configurations import PUBLISHED, SLOWFAST_FILES, message

from mvit_video.config import load_config
from mvit_video.engine.resolve import resolve_architecture
from mvit_video.models import ARCHITECTURES, Architecture, architecture

SLOWFAST_MODELS = {
    "MVIT_B_16x4_CONV": "mvitv1_b_16x4",
    "pytorchvideo_MVIT_B_16x4_CONV": "mvitv1_b_16x4",
    "MVIT_B_32x3_CONV": "mvitv1_b24_32x3",
    "MVITv2_S_16x4": "mvitv2_s_16x4",
    "MVITv2_B_32x3": "mvitv2_b_32x3",
    "MVITv2_L_40x3_test": "mvitv2_l_40x3",
    "ssv2_MVITv2_S_16x4": "mvitv2_s_16x4",
    "ssv2_MVITv2_B_32x3": "mvitv2_b_32x3",
    "ssv2_MVITv2_L_40x3": "mvitv2_l_40x3",
}
CLASSES = {"K600": 600, "K700": 700, "SSv2": 174, "ssv2": 174}


def _named(name, file):
    """The named model with what the recipes change about it."""
    changes = {"num_classes": CLASSES.get(file[:4], 400)}
    if file.lower().startswith("ssv2"):
        changes["droppath_rate"] = 0.75 if "_L_" in file else 0.4
    return architecture(name, **changes)


@pytest.mark.parametrize("name", [name for name in PUBLISHED if not name.startswith("MaskFeat/")])
def test_a_shipped_file_builds_the_model_it_is_named_after(name):
    model = re.sub(r"_in\d+k$", "", name.partition("/")[2]).lower()
    assert resolve_architecture(load_config(name)) == _named(model, name)


@pytest.mark.parametrize("size", ["S", "L"])
def test_masked_pre_trainings_models_are_slowfasts(size):
    ours = resolve_architecture(load_config(f"MaskFeat/MVITv2_{size}_16x4"))
    theirs = resolve_architecture(load_config(SLOWFAST_FILES / f"k400_MVITv2_{size}_16x4_FT.yaml"))
    # SlowFast's file asks for separate tables of absolute positions, and for none.
    assert ours == replace(theirs, sep_pos_embed=False)
    assert not theirs.use_abs_pos


@pytest.mark.parametrize(("file", "name"), SLOWFAST_MODELS.items())
def test_slowfasts_files_build_the_named_models(file, name):
    assert resolve_architecture(load_config(SLOWFAST_FILES / f"{file}.yaml")) == _named(name, file)


def test_without_a_name_the_keys_say_everything():
    config = load_config(
        [], ["DATA.NUM_FRAMES=4", "DATA.TRAIN_CROP_SIZE=32", "MODEL.NUM_CLASSES=5", "MVIT.DEPTH=3"]
    )
    assert resolve_architecture(config) == Architecture(
        num_frames=4, crop_size=32, num_classes=5, depth=3, patch_padding=(2, 4, 4), head_dropout_rate=0.5
    )


def test_keys_that_are_set_change_a_named_model():
    config = load_config(
        "K400/MVITv2_S_16x4",
        ["MODEL.NUM_CLASSES=8", "MVIT.DROPPATH_RATE=0.0", "DATA.NUM_FRAMES=8", "MODEL.DROPOUT_RATE=0.1"],
    )
    assert resolve_architecture(config) == architecture(
        "mvitv2_s_16x4", num_classes=8, droppath_rate=0.0, num_frames=8, head_dropout_rate=0.1
    )


def test_the_name_of_weights_brings_their_classes():
    words = ["DATA.NUM_FRAMES=16", "MODEL.NAME=mvitv2_s_16x4.ssv2"]
    assert resolve_architecture(load_config([], words)) == architecture("mvitv2_s_16x4", num_classes=174)
    assert resolve_architecture(load_config([], [*words, "MODEL.NUM_CLASSES=3"])).num_classes == 3


def test_listed_strides_give_way_to_the_adaptive_ones_as_in_slowfast():
    words = ["MVIT.POOL_KV_STRIDE=[[0,1,8,8]]", "MVIT.POOL_KV_STRIDE_ADAPTIVE=[1,8,8]"]
    assert resolve_architecture(load_config("K400/MVITv2_S_16x4", words)) == ARCHITECTURES["mvitv2_s_16x4"]


def test_listed_strides_alone_count():
    words = ["MVIT.POOL_KV_STRIDE=[[0,1,8,8]]", "MVIT.POOL_KV_STRIDE_ADAPTIVE=None"]
    built = resolve_architecture(load_config("K400/MVITv2_S_16x4", words))
    assert (built.pool_kv_stride, built.pool_kv_stride_adaptive) == (((0, 1, 8, 8),), None)


def test_an_unknown_name():
    text = message(resolve_architecture, "MODEL.NAME=mvitv2_s_16x5")
    assert text == "MODEL.NAME: unknown model 'mvitv2_s_16x5'; did you mean 'mvitv2_s_16x4'?"


def test_numbers_that_do_not_fit_are_told_in_keys():
    text = message(resolve_architecture, "MVIT.POOL_Q_STRIDE=[[16,1,2,2]]")
    assert text.startswith("MVIT.POOL_Q_STRIDE: block 16 is not one of the 16 blocks")
    text = message(resolve_architecture, "MVIT.NUM_HEADS=5")
    assert text.startswith("MVIT.NUM_HEADS: block 0 has 5 heads")
    assert "change MVIT.EMBED_DIM, MVIT.NUM_HEADS, MVIT.DIM_MUL or MVIT.HEAD_MUL" in text


def test_a_named_model_does_not_meet_clips_nobody_asked_for():
    text = message(resolve_architecture, "MODEL.NAME=mvitv2_l_40x3")
    assert "DATA.NUM_FRAMES is not set, and its default is 8; mvitv2_l_40x3 takes 40: set it" in text
    assert "DATA.TRAIN_CROP_SIZE is not set, and its default is 224; mvitv2_l_40x3 takes 312: set it" in text
