"""The files that come with the package: each loads, says what it claims, and agrees with SlowFast's."""

import re
from pathlib import Path

import pytest
import yaml

from mvit_video.config import find_config, load_config, packaged_configs, set_keys
from mvit_video.config.schema import KEYS, value_of
from mvit_video.weights import ZOO

GOLDEN = Path(__file__).parents[1] / "golden" / "slowfast_configs"
CLAIMS = [name for name in packaged_configs() if not name.startswith("demo/")]
TWINS = {
    "K400/MVITv1_B_16x4": "MVIT_B_16x4_CONV",
    "K400/MVITv1_B24_32x3": "MVIT_B_32x3_CONV",
    "K400/MVITv2_S_16x4": "MVITv2_S_16x4",
    "K400/MVITv2_B_32x3": "MVITv2_B_32x3",
    "SSv2/MVITv2_S_16x4": "ssv2_MVITv2_S_16x4",
    "SSv2/MVITv2_B_32x3": "ssv2_MVITv2_B_32x3",
    "SSv2/MVITv2_L_40x3": "ssv2_MVITv2_L_40x3",
    "MaskFeat/MVITv2_S_16x4": "k400_MVITv2_S_16x4_FT",
    "MaskFeat/MVITv2_L_16x4": "k400_MVITv2_L_16x4_FT",
}
FILES = """
K400/MVITv1_B24_32x3 K400/MVITv1_B_16x4 K400/MVITv1_B_32x3 K400/MVITv1_B_64x3
K400/MVITv2_B_32x3 K400/MVITv2_B_32x3_in21k K400/MVITv2_L_40x3 K400/MVITv2_S_16x4 K400/MVITv2_S_16x4_in1k
K600/MVITv1_B24_32x3 K600/MVITv1_B_16x4 K600/MVITv1_B_32x3
K600/MVITv2_B_32x3 K600/MVITv2_L_40x3 K600/MVITv2_S_16x4
K700/MVITv1_B24_32x3 K700/MVITv1_B_16x4 K700/MVITv2_B_32x3 K700/MVITv2_L_40x3 K700/MVITv2_S_16x4
MaskFeat/MVITv2_L_16x4 MaskFeat/MVITv2_S_16x4
SSv2/MVITv1_B24_32x3 SSv2/MVITv1_B_16x4 SSv2/MVITv1_B_32x3 SSv2/MVITv1_B_64x3
SSv2/MVITv2_B_32x3 SSv2/MVITv2_L_40x3 SSv2/MVITv2_S_16x4
finetune/MVITv1_B_16x4 finetune/MVITv2_B_32x3 finetune/MVITv2_S_16x4
"""


def test_the_files_are_there():
    assert sorted(CLAIMS) == sorted(FILES.split())


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
    recipe = re.search(r"Recipe: +(published|inferred \()", header)[1]
    assert (recipe == "published") == (name in TWINS)
    assert f"mvit-video test --cfg {name} " in header
    config = load_config(name)
    views, crops, size = re.search(
        r"Views: +(\d+) clips? x (\d+) (?:centre )?crops? of (\d+)", header
    ).groups()
    assert (config.test.num_ensemble_views, config.test.num_spatial_crops) == (int(views), int(crops))
    assert config.data.test_crop_size == int(size)


@pytest.mark.parametrize("name", CLAIMS)
def test_weights_are_published_or_the_header_says_that_they_are_not(name):
    text = find_config(name).read_text()
    # The name of published weights of this model on this data set, where there are any.
    data_set = name.partition("/")[0].lower()
    published = {entry.name for entry in ZOO.values() if entry.name.endswith(f".{data_set}")}
    tested = re.search(r"TEST.CHECKPOINT_FILE_PATH (\S+)", text)
    if name.startswith("finetune/"):
        assert tested is None  # the run's own
    elif "o published weights" in text or "o weights are published" in text:
        assert tested[1] == "mine.pyth"
        assert f"{load_config(name).model.name}.{data_set}" not in published or "_in" in name
    else:
        assert tested[1] in published


@pytest.mark.parametrize("name", CLAIMS)
def test_no_file_repeats_an_architecture(name):
    config = load_config(name)
    own = {"MVIT.ZERO_DECAY_POS_CLS"}
    if name.startswith(("SSv2/", "MaskFeat/")):
        own.add("MVIT.DROPPATH_RATE")
    if name.startswith("MaskFeat/"):
        own |= {"MVIT.DIM_MUL_IN_ATT", "MVIT.USE_MEAN_POOLING", "MVIT.HEAD_INIT_SCALE"}
    assert {key for key in set_keys(config) if key.startswith("MVIT.")} == own
    num_frames, rate = re.search(r"(\d+)x(\d+)(_in\d+k)?$", name).groups()[:2]
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
    if name.startswith("MaskFeat/"):
        assert ours.mvit.droppath_rate == theirs.mvit.droppath_rate
        assert ours.mvit.head_init_scale == theirs.mvit.head_init_scale == 0.001
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


@pytest.mark.parametrize("name", CLAIMS)
def test_no_file_says_again_what_its_base_says(name):
    path = find_config(name)
    own = yaml.safe_load(path.read_text())
    bases = own.pop("_BASE_")
    base = load_config([path.parent / file for file in ([bases] if isinstance(bases, str) else bases)])
    for section, keys in own.items():
        for key, value in keys.items():
            dotted = f"{section}.{key}"
            assert dotted not in set_keys(base) or value_of(base, KEYS[dotted]) != value, dotted
    if name.startswith(("K400/", "K600/", "K700/")):
        assert not {"SOLVER", "AUG", "MIXUP", "TRAIN"} & own.keys()


@pytest.mark.parametrize("name", [name for name in CLAIMS if "_L_40x3" in name or "_in" in name])
def test_models_from_images_see_what_images_looked_like(name):
    config = load_config(name)
    assert config.train.checkpoint_inflate or config.train.checkpoint_in_init
    mean = config.data.mean[::-1] if name.startswith("SSv2/") else config.data.mean
    assert mean == (0.485, 0.456, 0.406)


def test_other_kinetics_are_trained_as_kinetics_400():
    """But for the number and names of the classes."""
    for name in CLAIMS:
        data_set, file = name.split("/")
        if data_set not in ("K600", "K700"):
            continue
        ours, theirs = load_config(name), load_config(f"K400/{file}")
        classes = {"MODEL.NUM_CLASSES", "DATA.CLASS_NAMES"}
        differing = {dotted for dotted, key in KEYS.items() if value_of(ours, key) != value_of(theirs, key)}
        assert differing == classes
        assert ours.model.num_classes == int(data_set[1:])


def test_a_mixing_group_is_what_one_of_slowfasts_gpus_holds():
    for name in TWINS:
        theirs = load_config(GOLDEN / f"{TWINS[name]}.yaml")
        if theirs.mixup.prob:
            assert load_config(name).mixup.group_size == theirs.train.batch_size // theirs.num_gpus == 2
