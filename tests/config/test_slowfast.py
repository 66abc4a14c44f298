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
        "TRAIN.PRECISION",
        "TRAIN.MICRO_BATCH_SIZE",
        "TEST.PRECISION",
        "TEST.SHUFFLE_FRAMES",
    ),
    *("DATA.TRAIN_LIST", "DATA.VAL_LIST", "DATA.TEST_LIST", "DATA.LIST_FORMAT", "DATA.CLASS_NAMES"),
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


def test_the_files_of_the_ssv2_recipes_set_keys_slowfast_no_longer_has(caplog):
    load_config([], ["PREFETCH.NUM_LOADERS", "3"])
    assert "ignored PREFETCH.NUM_LOADERS" in caplog.text
