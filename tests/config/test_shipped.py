"""The files that come with the package: each loads, says what it claims, and agrees with SlowFast's."""

import re
from pathlib import Path

import pytest
import yaml

from mvit_video.config import find_config, load_config, packaged_configs, set_keys
from mvit_video.config.schema import KEYS, value_of

GOLDEN = Path(__file__).parents[1] / "golden" / "slowfast_configs"
KINETICS = [name for name in packaged_configs() if name.startswith("K400/")]
TWINS = {
    "K400/MVITv1_B_16x4": "MVIT_B_16x4_CONV",
    "K400/MVITv1_B24_32x3": "MVIT_B_32x3_CONV",
    "K400/MVITv2_S_16x4": "MVITv2_S_16x4",
    "K400/MVITv2_B_32x3": "MVITv2_B_32x3",
}


def test_the_kinetics_files_are_there():
    assert KINETICS == [
        "K400/MVITv1_B24_32x3",
        "K400/MVITv1_B_16x4",
        "K400/MVITv1_B_32x3",
        "K400/MVITv1_B_64x3",
        "K400/MVITv2_B_32x3",
        "K400/MVITv2_L_40x3",
        "K400/MVITv2_S_16x4",
    ]


@pytest.mark.parametrize("name", packaged_configs())
def test_every_shipped_file_loads_without_a_word(name, caplog):
    assert set_keys(load_config(name))
    assert not caplog.records


@pytest.mark.parametrize("name", KINETICS)
def test_headers_claim_source_views_numbers_command_and_recipe(name):
    text = find_config(name).read_text()
    header = text[: text.index("_BASE_")]
    for part in ("Source:", "Views:", "Expected:", "Test:", "Train:", "Recipe:"):
        assert f"# {part}" in header, part
    assert re.search(r"Recipe: +(published|not published|inferred)", header)
    assert f"mvit-video test --cfg {name} " in header
    config = load_config(name)
    views, crops, size = re.search(
        r"Views: +(\d+) clips x (\d+) (?:centre )?crops? of (\d+)", header
    ).groups()
    assert (config.test.num_ensemble_views, config.test.num_spatial_crops) == (int(views), int(crops))
    assert config.data.test_crop_size == int(size)


@pytest.mark.parametrize("name", KINETICS)
def test_no_file_repeats_an_architecture(name):
    config = load_config(name)
    assert [key for key in set_keys(config) if key.startswith("MVIT.")] == ["MVIT.ZERO_DECAY_POS_CLS"]
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
    for name in KINETICS:
        own = yaml.safe_load(find_config(name).read_text())
        assert not {"SOLVER", "AUG", "MIXUP", "TRAIN"} & own.keys(), name
