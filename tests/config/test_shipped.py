"""The files that come with the package: each loads, says what it claims, and agrees with SlowFast's."""

import re
from pathlib import Path

import pytest
import yaml

from mvit_video.config import find_config, load_config, packaged_configs, set_keys
from mvit_video.config.schema import KEYS, value_of

GOLDEN = Path(__file__).parents[1] / "golden" / "slowfast_configs"
KINETICS = [name for name in packaged_configs() if name.startswith("K400/")]
CLAIMS = [name for name in packaged_configs() if not name.startswith("demo/")]
TWINS = {
    "K400/MVITv1_B_16x4": "MVIT_B_16x4_CONV",
    "K400/MVITv1_B24_32x3": "MVIT_B_32x3_CONV",
    "K400/MVITv2_S_16x4": "MVITv2_S_16x4",
    "K400/MVITv2_B_32x3": "MVITv2_B_32x3",
    "SSv2/MVITv2_S_16x4": "ssv2_MVITv2_S_16x4",
    "SSv2/MVITv2_B_32x3": "ssv2_MVITv2_B_32x3",
    "SSv2/MVITv2_L_40x3": "ssv2_MVITv2_L_40x3",
}


def test_the_files_are_there():
    assert KINETICS == [
        "K400/MVITv1_B24_32x3",
        "K400/MVITv1_B_16x4",
        "K400/MVITv1_B_32x3",
        "K400/MVITv1_B_64x3",
        "K400/MVITv2_B_32x3",
        "K400/MVITv2_L_40x3",
        "K400/MVITv2_S_16x4",
    ]
    assert set(CLAIMS) - set(KINETICS) == {
        "K600/MVITv1_B24_32x3",
        "SSv2/MVITv2_B_32x3",
        "SSv2/MVITv2_L_40x3",
        "SSv2/MVITv2_S_16x4",
    }


@pytest.mark.parametrize("name", packaged_configs())
def test_every_shipped_file_loads_without_a_word(name, caplog):
    assert set_keys(load_config(name))
    assert not caplog.records


@pytest.mark.parametrize("name", CLAIMS)
def test_headers_claim_source_views_numbers_command_and_recipe(name):
    text = find_config(name).read_text()
    header = text[: text.index("_BASE_")]
    for part in ("Source:", "Views:", "Expected:", "Test:", "Train:", "Recipe:"):
        assert f"# {part}" in header, part
    assert re.search(r"Recipe: +(published|not published|inferred)", header)
    assert f"mvit-video test --cfg {name} " in header
    config = load_config(name)
    views, crops, size = re.search(
        r"Views: +(\d+) clips? x (\d+) (?:centre )?crops? of (\d+)", header
    ).groups()
    assert (config.test.num_ensemble_views, config.test.num_spatial_crops) == (int(views), int(crops))
    assert config.data.test_crop_size == int(size)


@pytest.mark.parametrize("name", CLAIMS)
def test_no_file_repeats_an_architecture(name):
    config = load_config(name)
    own = {"MVIT.ZERO_DECAY_POS_CLS"} | ({"MVIT.DROPPATH_RATE"} if name.startswith("SSv2/") else set())
    assert {key for key in set_keys(config) if key.startswith("MVIT.")} == own
    num_frames, rate = re.search(r"(\d+)x(\d+)$", name).groups()
    assert (config.data.num_frames, config.data.sampling_rate) == (int(num_frames), int(rate))


@pytest.mark.parametrize(("name", "twin"), TWINS.items())
def test_recipes_are_slowfasts(name, twin):
    ours, theirs = load_config(name), load_config(GOLDEN / f"{twin}.yaml")
    differing = {
        dotted
        for dotted, key in KEYS.items()
        if key.section != "mvit" and value_of(ours, key) != value_of(theirs, key)
    }
    expected = {"MODEL.NAME", "DATA.CLASS_NAMES"}
    if "SSv2" in name:  # theirs is BGR's, see below; the weights to start from are an argument in SlowFast
        expected |= {"DATA.REVERSE_INPUT_CHANNEL"}
        expected |= {"DATA.MEAN", "DATA.STD"} if "_L_" in name else {"TRAIN.CHECKPOINT_FILE_PATH"}
        assert ours.mvit.droppath_rate == theirs.mvit.droppath_rate
    if "v1" in name:  # SlowFast's file leaves 10 clips; its published figure is for 5
        expected.add("TEST.NUM_ENSEMBLE_VIEWS")
        assert ours.test.num_ensemble_views == 5
    assert differing == expected
    assert ours.mvit.zero_decay_pos_cls == theirs.mvit.zero_decay_pos_cls


def test_the_large_model_is_tested_as_slowfast_tests_it():
    ours, theirs = load_config("K400/MVITv2_L_40x3"), load_config(GOLDEN / "MVITv2_L_40x3_test.yaml")
    for dotted in [key for key in KEYS if key.startswith(("TEST.", "DATA.", "DATA_LOADER."))]:
        if dotted != "DATA.CLASS_NAMES":
            assert value_of(ours, KEYS[dotted]) == value_of(theirs, KEYS[dotted]), dotted
    assert ours.train.enable is False


def test_no_two_shipped_files_repeat_a_recipe():
    for name in CLAIMS:
        own = yaml.safe_load(find_config(name).read_text())
        if name.startswith("SSv2/"):  # the base says nothing that a file says again with the same value
            base = load_config(find_config("SSv2/MVITv2_S_16x4").parents[1] / "base/ssv2_recipe.yaml")
            for section in {"SOLVER", "MIXUP", "TRAIN"} & own.keys():
                for key, value in own[section].items():
                    assert value_of(base, KEYS[f"{section}.{key}"]) != value
        else:
            assert not {"SOLVER", "AUG", "MIXUP", "TRAIN"} & own.keys(), name


def test_a_mixing_group_is_what_one_of_slowfasts_gpus_holds():
    for name in TWINS:
        theirs = load_config(GOLDEN / f"{TWINS[name]}.yaml")
        if theirs.mixup.prob:
            assert load_config(name).mixup.group_size == theirs.train.batch_size // theirs.num_gpus == 2
