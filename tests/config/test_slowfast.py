"""SlowFast's keys and files, from its own defaults and configurations."""

import json
from pathlib import Path

import pytest

from mvit_video.config import Config, ConfigError, load_config
from mvit_video.config.schema import KEYS, value_of
from mvit_video.config.slowfast import TABLE, lookup

GOLDEN = Path(__file__).parents[1] / "golden" / "slowfast_configs"
DEFAULTS = json.loads((GOLDEN / "defaults.json").read_text())
OURS = {  # keys that SlowFast does not have
    *(
        "DEVICE",
        "MODEL.NAME",
        "MODEL.ACT_CHECKPOINT_BLOCKS",
        "TRAIN.PRECISION",
        "TRAIN.MICRO_BATCH_SIZE",
        "TRAIN.EMA_DECAY",
        "TRAIN.CHECKPOINT_MINUTES",
        "TRAIN.CHECKPOINTS_KEPT",
        "TRAIN.SKIPPED_STEPS_LIMIT",
        "DISTRIBUTED.STRATEGY",
        "DISTRIBUTED.TIMEOUT_SECONDS",
        "TRAIN.EVAL_AT_START",
        "SOLVER.BASE_LR_BATCH_SIZE",
        "TEST.PRECISION",
        "TEST.USE_EMA",
        "TEST.SHUFFLE_FRAMES",
    ),
    *("DATA.TRAIN_LIST", "DATA.VAL_LIST", "DATA.TEST_LIST", "DATA.LIST_FORMAT", "DATA.CLASS_NAMES"),
    *("DATA.LABELS_PATH", "DATA.SAMPLING", "DATA.ON_DAMAGE", "DATA.FRAMES_FPS"),
    *("DATA.TIMEOUT_SECONDS", "DATA.BAD_VIDEOS_LIMIT"),
    "MIXUP.GROUP_SIZE",
}
OTHER_DEFAULTS = {  # on purpose
    "MODEL.ARCH": "mvit",
    "MODEL.MODEL_NAME": "MViT",
    "DATA.DECODING_BACKEND": "auto",
    "SOLVER.BASE_LR_SCALE_NUM_SHARDS": True,
}


def tuples(value):
    return tuple(tuples(item) for item in value) if isinstance(value, list) else value


def write_yaml(path, flat):
    path.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in flat.items()))
    return path


def test_every_key_of_slowfast_is_ours_or_has_its_entry():
    assert [key for key in DEFAULTS if key not in KEYS and lookup(key) is None] == []
    assert [key for key in TABLE if key in KEYS] == []
    assert set(KEYS) - set(DEFAULTS) == OURS


def test_defaults_are_slowfasts():
    config = Config()
    differing = {
        key: value_of(config, KEYS[key])
        for key, default in DEFAULTS.items()
        if key in KEYS and value_of(config, KEYS[key]) != tuples(default)
    }
    assert differing == OTHER_DEFAULTS


def test_a_dump_of_all_of_slowfasts_defaults_loads(tmp_path):
    finite = {key: value for key, value in DEFAULTS.items() if value not in (float("inf"), float("-inf"))}
    flat = {key: value for key, value in finite.items() if key not in ("MODEL.ARCH", "MODEL.MODEL_NAME")}
    config = load_config(write_yaml(tmp_path / "all.yaml", flat))
    assert config.model_copy(update={"solver": Config().solver}) == Config()
    assert config.solver.base_lr_scale_num_shards is False


def test_a_single_key_at_slowfasts_default_is_accepted_without_a_word(tmp_path, caplog):
    entries = [key for key, entry in TABLE.items() if entry.refused]
    assert len(entries) > 20
    load_config(write_yaml(tmp_path / "a.yaml", {key: DEFAULTS[key] for key in entries}))
    assert not caplog.records


@pytest.mark.parametrize("key", [key for key, entry in TABLE.items() if entry.refused])
def test_refusals_name_key_value_reason_and_way_out(key):
    other = "True" if DEFAULTS[key] is False else "7"
    with pytest.raises(ConfigError) as caught:
        load_config([], [key, other])
    assert str(caught.value) == (
        f"command line: {key}: found {other!r}: {TABLE[key].reason}; leave {key} out, or set it to "
        f"{TABLE[key].harmless[0]!r}"
    )
    load_config([], [key, repr(TABLE[key].harmless[0])])


@pytest.mark.parametrize("key", [key for key, entry in TABLE.items() if not entry.refused])
def test_what_is_ignored_is_said(key, caplog):
    named = key.replace("*", "SOMETHING")
    assert load_config([], [named, "11"]) == Config()
    assert f"ignored {named}: " in caplog.text


def test_a_switch_is_refused_though_its_section_is_ignored():
    with pytest.raises(ConfigError, match=r"MASK\.ENABLE"):
        load_config([], ["MASK.ENABLE", "True", "MASK.DECODER_DEPTH", "3"])


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.yaml")), ids=lambda path: path.stem)
def test_slowfasts_own_files_load(path):
    if path.stem.startswith("REV_"):
        with pytest.raises(ConfigError, match=r"MVIT\.REV\.ENABLE: found True: there is no reversible MViT"):
            load_config(path)
        return
    config = load_config(path)
    assert config.model.model_name == "MViT"
    assert config.mvit.patch_kernel == (3, 7, 7)
    assert config.data.decoding_backend == "auto"


SSV2 = sorted(GOLDEN.glob("ssv2_*.yaml"))


@pytest.mark.parametrize("path", SSV2, ids=lambda path: path.stem)
def test_the_files_of_the_ssv2_recipes_sample_segments_and_say_so(path, caplog):
    config = load_config(path)
    assert config.data.sampling == "segments"
    assert (config.test.num_ensemble_views, config.test.num_spatial_crops) == (1, 3)
    assert (config.data.random_flip, config.data.inv_uniform_sample) == (False, True)
    for key in ("TRAIN.DATASET", "TEST.DATASET"):
        assert f": {key}: ssv2 means DATA.SAMPLING segments here" in caplog.text
    assert "ignored PREFETCH.NUM_LOADERS" in caplog.text  # a key that SlowFast no longer has
    assert "REVERSE_INPUT_CHANNEL" not in caplog.text


def test_there_are_three_of_them():
    assert len(SSV2) == 3


class TestDataSets:
    REVERSED = ("DATA.REVERSE_INPUT_CHANNEL", "True")

    def test_what_is_set_later_counts_more(self):
        words = ["TEST.DATASET", "ssv2", *self.REVERSED]
        assert load_config([], words).data.sampling == "segments"
        assert load_config([], ["DATA.SAMPLING", "dense", *words]).data.sampling == "segments"
        assert load_config([], [*words[:2], "DATA.SAMPLING", "dense"]).data.sampling == "dense"

    def test_an_override_takes_a_files_data_sets_back(self):
        words = [
            "TRAIN.DATASET",
            "kinetics",
            "TEST.DATASET",
            "kinetics",
            "DATA.REVERSE_INPUT_CHANNEL",
            "False",
        ]
        assert load_config(SSV2[0], words).data.sampling == "dense"

    @pytest.mark.parametrize("name", ["ssv2", "Ssv2", "SSv2"])
    def test_in_the_spellings_that_slowfast_understands(self, name):
        assert load_config([], ["TRAIN.DATASET", name]).data.sampling == "segments"

    def test_a_run_samples_in_one_way(self, tmp_path):
        path = write_yaml(tmp_path / "a.yaml", {"TRAIN.DATASET": "kinetics", "TEST.DATASET": "ssv2", "X": 1})
        with pytest.raises(ConfigError) as caught:
            load_config(path)
        assert [str(problem) for problem in caught.value.problems] == [
            f"{path}:2: TRAIN.DATASET is 'kinetics' and TEST.DATASET is 'ssv2': a run samples its videos in "
            "one way, DATA.SAMPLING; set both alike",
            f"{path}:3: unknown key X; --print-config shows every key",
        ]

    def test_frames_that_slowfast_would_leave_blue_first_are_warned_of(self, caplog):
        load_config([], ["TEST.DATASET", "ssv2"])
        assert (
            "SlowFast shows the network blue, green, red then; here it sees red, green, blue" in caplog.text
        )

    def test_other_data_sets_are_refused(self):
        with pytest.raises(ConfigError, match=r"TRAIN.DATASET: found 'charades': videos are sampled as"):
            load_config([], ["TRAIN.DATASET", "charades"])
