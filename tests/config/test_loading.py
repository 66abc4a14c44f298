"""Files and overrides: what counts, and that every error is told at once with its place."""

import ast
import json
import logging

import pytest

from mvit_video.config import (
    Config,
    ConfigError,
    dump_config,
    find_config,
    load_config,
    packaged_configs,
    set_keys,
)


@pytest.fixture
def write(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


def problems(files=(), overrides=()):
    with pytest.raises(ConfigError) as caught:
        load_config(files, overrides)
    assert str(caught.value).count("\n") == (
        0 if len(caught.value.problems) == 1 else len(caught.value.problems)
    )
    return [str(problem) for problem in caught.value.problems]


def problem(files=(), overrides=()):
    (only,) = problems(files, overrides)
    return only


def test_later_files_and_then_overrides_count(write):
    first = write("a.yaml", "DATA:\n  NUM_FRAMES: 16\n  SAMPLING_RATE: 4\nRNG_SEED: 3\n")
    second = write("b.yaml", "DATA:\n  NUM_FRAMES: 32\n")
    config = load_config([first, str(second)], ["RNG_SEED", "5"])
    assert (config.data.num_frames, config.data.sampling_rate, config.rng_seed) == (32, 4, 5)
    assert set_keys(config) == ("RNG_SEED", "DATA.NUM_FRAMES", "DATA.SAMPLING_RATE")
    assert config.train.batch_size == 64
    assert load_config(first) == load_config([first])


def test_nothing_gives_the_defaults():
    assert load_config() == Config()
    assert set_keys(load_config()) == ()


def test_a_configuration_is_frozen():
    config = load_config()
    with pytest.raises(ValueError, match="frozen"):
        config.data.num_frames = 3
    with pytest.raises(ValueError, match="frozen"):
        config.rng_seed = 3


def test_text_that_is_a_python_literal_is_that_literal(write):
    path = write(
        "a.yaml",
        "MVIT:\n  PATCH_KERNEL: (3, 7, 7)\n  POOL_KVQ_KERNEL: None\n  DIM_MUL: [[1, 2], [3, '2.5']]\n"
        "SOLVER:\n  BASE_LR: 1e-4\n  WARMUP_EPOCHS: 30\nAUG:\n  COLOR_JITTER: None\nOUTPUT_DIR: '2024'\n",
    )
    config = load_config(path)
    assert config.mvit.patch_kernel == (3, 7, 7)
    assert config.mvit.pool_kvq_kernel is None
    assert config.mvit.dim_mul == ((1, 2.0), (3, 2.5))
    assert config.solver.base_lr == 1e-4
    assert isinstance(config.solver.warmup_epochs, float)
    assert config.aug.color_jitter is None
    assert config.output_dir == "2024"


@pytest.mark.parametrize(
    "words",
    [
        ["DATA.NUM_FRAMES", "16", "DATA.MEAN", "(0.1, 0.2, 0.3)", "TEST.ENABLE", "False"],
        ["--opts", "DATA.NUM_FRAMES", "16", "DATA.MEAN", "[.1,.2,.3]", "TEST.ENABLE", "false"],
        ["DATA.NUM_FRAMES=16", "DATA.MEAN=[0.1, 0.2, 0.3]", "TEST.ENABLE=False"],
        ["DATA.NUM_FRAMES=16", "--opts", "DATA.MEAN", "0.1,0.2,0.3", "TEST.ENABLE=FALSE"],
    ],
)
def test_overrides_in_every_spelling(words):
    config = load_config([], words)
    assert set_keys(config) == ("TEST.ENABLE", "DATA.NUM_FRAMES", "DATA.MEAN")
    assert (config.data.num_frames, config.data.mean, config.test.enable) == (16, (0.1, 0.2, 0.3), False)


def test_values_of_overrides_may_look_like_anything():
    config = load_config([], ["OUTPUT_DIR", "a=b", "DATA.PATH_PREFIX", "--opts", "DATA.TEST_LIST=x=y z"])
    assert (config.output_dir, config.data.path_prefix, config.data.test_list) == ("a=b", "--opts", "x=y z")
    assert load_config([], ["DATA.PATH_LABEL_SEPARATOR", "','"]).data.path_label_separator == ","
    assert load_config([], ["OUTPUT_DIR="]).output_dir == ""


def test_an_override_without_value():
    assert problem([], ["DATA.NUM_FRAMES=4", "TRAIN.ENABLE"]) == (
        "command line: TRAIN.ENABLE has no value; expected KEY VALUE, KEY=VALUE or --opts KEY VALUE"
    )


def test_an_override_that_is_no_key():
    assert problem([], ["16", "DATA.NUM_FRAMES"]).startswith("command line: found '16', expected a key")


def test_one_text_instead_of_words_is_a_programming_error():
    with pytest.raises(TypeError, match="list of words"):
        load_config([], "DATA.NUM_FRAMES 16")


def test_every_problem_is_told_at_once_in_order(write):
    base = write("base.yaml", "SOLVER:\n  BASE_LR: fast\n")
    path = write(
        "run.yaml",
        f"_BASE_: {base.name}\nDATA:\n  NUM_FRAMES: sixteen\n  SAMPLINGRATE: 4\nMVIT:\n  NUM_FRAMES: 16\n"
        "  PATCH_KERNEL: (3, 7)\nTRAIN:\n  BATCH_SIZE: 0\nDETECTION:\n  ENABLE: True\n",
    )
    assert problems([path], ["TRAIN.ENABLE", "1", "DATA.NUM_FRAMES", "16"]) == [
        f"{base}:2: SOLVER.BASE_LR: found 'fast', expected a number above 0",
        f"{path}:3: DATA.NUM_FRAMES: found 'sixteen', expected a whole number of at least 1",
        f"{path}:4: unknown key DATA.SAMPLINGRATE; did you mean DATA.SAMPLING_RATE?",
        f"{path}:6: unknown key MVIT.NUM_FRAMES; did you mean DATA.NUM_FRAMES (it is in DATA, not in MVIT)?",
        f"{path}:7: MVIT.PATCH_KERNEL: found '(3, 7)', expected [t, h, w], three whole numbers of at least 1",
        f"{path}:9: TRAIN.BATCH_SIZE: found 0, expected a whole number of at least 1",
        f"{path}:11: DETECTION.ENABLE: found True: there is no detection of actions in boxes here; "
        "leave DETECTION.ENABLE out, or set it to False",
        "command line: TRAIN.ENABLE: found '1', expected True or False",
    ]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("DATA.NUM_FRAMES=True", "found 'True', expected a whole number of at least 1"),
        ("MODEL.ACT_CHECKPOINT_BLOCKS=1,2", "found '1,2', expected all, stages:1,2 or every:2"),
        ("MODEL.ACT_CHECKPOINT_BLOCKS=every:0", "found 'every:0', expected all, stages:1,2 or every:2"),
        ("DATA.NUM_FRAMES=16.0", "found '16.0', expected a whole number of at least 1"),
        ("DATA.TARGET_FPS=True", "found 'True', expected a number above 0"),
        ("SOLVER.BASE_LR=1e999", "found '1e999', expected a number above 0"),
        ("SOLVER.LAYER_DECAY=2", "found '2', expected a number above 0 and at most 1"),
        ("SOLVER.CLIP_GRAD_L2NORM=0", "found '0', expected a number above 0 or None"),
        ("MODEL.DROPOUT_RATE=1", "found '1', expected a number of at least 0 and below 1"),
        ("TRAIN.PRECISION=fp8", "found 'fp8', expected one of auto, fp32, bf16, fp16"),
        ("DATA.DECODING_BACKEND=opencv", "found 'opencv', expected one of auto, pyav, decord, torchcodec"),
        ("DATA.ON_DAMAGE=skip", "found 'skip', expected keep or refuse"),
        ("DATA.TIMEOUT_SECONDS=0", "found '0', expected a number above 0"),
        ("DATA.BAD_VIDEOS_LIMIT=10", "found '10', expected a number of at least 0 and at most 1"),
        ("DATA.SAMPLING=sparse", "found 'sparse', expected dense or segments"),
        ("MIXUP.GROUP_SIZE=0", "found '0', expected a whole number of at least 1"),
        ("TEST.NUM_SPATIAL_CROPS=2", "found '2', expected 1 or 3"),
        (
            "TEST.SAVE_RESULTS_PATH=a.pkl",
            "found 'a.pkl', expected '' (none) or a path that ends in .csv or .json",
        ),
        ("AUG.AA_TYPE=rand-m7-incl", "or a RandAugment such as rand-m7-n4-mstd0.5-inc1"),
        (
            "DATA.TRAIN_JITTER_SCALES=[320,256]",
            "expected [least, most], two whole numbers of at least 1, in pixels",
        ),
        ("DATA.TRAIN_JITTER_SCALES_RELATIVE=[1]", "expected [least, most], two numbers above 0, or []"),
        ("DATA.STD=[1,0,1]", "found 0 at [1], expected a list of 3, each a number above 0"),
        (
            "MVIT.POOL_Q_STRIDE=[[0,1,1,1],[1,1,2]]",
            "found (1, 1, 2) at [1], expected a list, each entry [block, t, h, w]",
        ),
        ("MVIT.DIM_MUL=[[1,0]]", "found 0 at [0][1], expected a list, each entry [block, factor]"),
        ("MVIT.PATCH_PADDING=1", "expected [t, h, w], three whole numbers of at least 0"),
        ("MODEL.ARCH=slow", "found 'slow', expected mvit"),
    ],
)
def test_a_value_that_is_not_of_its_type(word, message):
    text = problem([], [word])
    assert text.startswith(f"command line: {word.partition('=')[0]}: found ")
    assert message in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["SHARD_ID=2", "NUM_SHARDS=2"], "SHARD_ID is 2, but NUM_SHARDS is 2: expected 0 to 1"),
        (["DATA.TRAIN_JITTER_SCALES_RELATIVE=[0.1,1]"], "give both, or neither"),
        (
            ["DATA.TRAIN_CROP_SIZE=312"],
            "DATA.TRAIN_CROP_SIZE is 312, but training resizes the short side to 256",
        ),
        (
            ["DATA.TEST_CROP_SIZE=312", "TEST.NUM_SPATIAL_CROPS=1"],
            "testing with TEST.NUM_SPATIAL_CROPS 1 resizes",
        ),
        (
            ["DATA.REVERSE_INPUT_CHANNEL=True"],
            "DATA.REVERSE_INPUT_CHANNEL is True with DATA.SAMPLING dense: SlowFast shows the network blue",
        ),
        (
            ["MIXUP.ENABLE=True"],
            "MIXUP.ENABLE is True, but MODEL.LOSS_FUNC is 'cross_entropy': mixed labels need",
        ),
    ],
)
def test_values_that_do_not_go_together(words, message):
    assert message in problem([], words)
    sections = {}
    for word in words:
        key, _, value = word.partition("=")
        *section, field = key.lower().split(".")
        home = sections.setdefault(section[0], {}) if section else sections
        home[field] = ast.literal_eval(value)
    with pytest.raises(ValueError, match=r"SHARD_ID|DATA|MIXUP"):  # made in Python, it is refused as well
        Config.model_validate_json(json.dumps(sections))


def test_a_clash_names_the_line_of_a_key_that_was_given(write):
    path = write("a.yaml", "\nSHARD_ID: 3\nDATA:\n  NUM_FRAMES: x\n")
    assert problems([path]) == [
        f"{path}:2: SHARD_ID is 3, but NUM_SHARDS is 1: expected 0 to 0",
        f"{path}:4: DATA.NUM_FRAMES: found 'x', expected a whole number of at least 1",
    ]


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("MVIT.POOL_KV_STRIDE_ADAPTVE=1", "did you mean MVIT.POOL_KV_STRIDE_ADAPTIVE?"),
        ("TRIAN.BATCH_SIZE=1", "did you mean TRAIN.BATCH_SIZE?"),
        ("train.batch_size=1", "did you mean TRAIN.BATCH_SIZE?"),
        ("NUM_FRAMES=1", "did you mean DATA.NUM_FRAMES?"),
        ("AUG.LABEL_SMOOTH_VALUE=0", "did you mean MIXUP.LABEL_SMOOTH_VALUE (it is in MIXUP, not in AUG)?"),
        ("QQQ=1", "unknown key QQQ; --print-config shows every key"),
        ("TRAIN=1", "TRAIN: found '1', expected keys below it, such as TRAIN.ENABLE"),
    ],
)
def test_unknown_keys_get_a_hint(word, hint):
    assert problem([], [word]).endswith(hint)


def test_a_path_comes_before_a_packaged_name(write, monkeypatch, tmp_path):
    assert find_config("K400/MVITv2_B_32x3") == find_config("K400/MVITv2_B_32x3.yaml")
    own = write("K400/MVITv2_B_32x3.yaml", "RNG_SEED: 77\n")
    monkeypatch.chdir(tmp_path)
    assert load_config("K400/MVITv2_B_32x3.yaml").rng_seed == 77
    assert find_config("K400/MVITv2_B_32x3").resolve() != own
    assert load_config("K400/MVITv2_B_32x3").model.name == "mvitv2_b_32x3"


def test_a_file_that_is_not_there(tmp_path):
    assert problem(["K400/mvitv2_b_32x4"]) == (
        "K400/mvitv2_b_32x4: no such file, and no packaged configuration; did you mean K400/MVITv2_B_32x3?"
    )
    assert f"packaged are {packaged_configs()[0]}" in problem(["!!"])
    assert "is a folder" in problem([tmp_path])
    assert len(problems(["!!", "??"], ["DATA.NUM_FRAMES=x"])) == 3


def test_what_is_ignored_is_logged_and_what_is_default_is_not(write, caplog):
    path = write("a.yaml", "AUG:\n  RE_SPLIT: True\nBN:\n  A: 1\n  B: 2\nMVIT:\n  NORM: layernorm\n")
    with caplog.at_level(logging.WARNING, "mvit_video.config"):
        load_config(path)
    assert [record.message for record in caplog.records] == [
        f"{path}:2: ignored AUG.RE_SPLIT: no code of SlowFast's reads it",
        f"{path}:4: ignored BN.A, BN.B: concerns batch normalisation, which MViT does not have",
    ]


def test_our_decoder_stands_in_for_torchvision(caplog):
    assert load_config([], ["DATA.DECODING_BACKEND=torchvision"]).data.decoding_backend == "auto"
    assert "DATA.DECODING_BACKEND: torchvision means 'auto' here" in caplog.text
    assert load_config([], ["SOLVER.OPTIMIZING_METHOD", "mt_adamw"]).solver.optimizing_method == "adamw"


def test_an_override_takes_back_a_refused_key(write):
    path = write("a.yaml", "DATA:\n  MULTI_LABEL: True\n")
    assert "DATA.MULTI_LABEL: found True: a video has one label" in problem([path])
    assert load_config([path], ["DATA.MULTI_LABEL", "False"]) == Config()


def test_dump_is_spelled_as_slowfast_spells_it():
    config = load_config([], ["RNG_SEED=2", "MVIT.POOL_Q_STRIDE=[[0,1,2,2]]", "TRAIN.ENABLE=False"])
    assert (
        dump_config(config)
        == "RNG_SEED: 2\nTRAIN:\n  ENABLE: false\nMVIT:\n  POOL_Q_STRIDE: [[0, 1, 2, 2]]\n"
    )
    assert dump_config(Config()) == ""
