"""YAML as people write it: inheritance, keys given twice, aliases, and files that are not YAML."""

import logging

import pytest

from mvit_video.config import ConfigError, load_config, set_keys


def message(path):
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    return str(caught.value)


def test_bases_come_first_and_are_relative_to_their_file(tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "root.yaml").write_text("RNG_SEED: 1\nLOG_PERIOD: 1\nNUM_GPUS: 1\n")
    (tmp_path / "deep" / "a.yaml").write_text("LOG_PERIOD: 2\nNUM_GPUS: 2\n_BASE_: ../root.yaml\n")
    (tmp_path / "deep" / "b.yaml").write_text("NUM_SHARDS: 5\n")
    top = tmp_path / "deep" / "er" / "top.yaml"
    top.write_text("_BASE_: [../a.yaml, ../b.yaml]\nNUM_GPUS: 3\n")
    config = load_config(top)
    assert (config.rng_seed, config.log_period, config.num_gpus, config.num_shards) == (1, 2, 3, 5)


def test_a_base_may_be_shared(tmp_path):
    (tmp_path / "root.yaml").write_text("RNG_SEED: 4\n")
    for name in "ab":
        (tmp_path / f"{name}.yaml").write_text("_BASE_: root.yaml\n")
    (tmp_path / "top.yaml").write_text("_BASE_: [a.yaml, b.yaml]\n")
    assert load_config(tmp_path / "top.yaml").rng_seed == 4


def test_a_circle_of_bases(tmp_path):
    a, b = tmp_path / "a.yaml", tmp_path / "b.yaml"
    a.write_text("_BASE_: b.yaml\n")
    b.write_text("_BASE_: a.yaml\n")
    assert message(a) == f"{b}:1: _BASE_ goes round in a circle: {a} -> {b} -> {tmp_path / 'a.yaml'}"


def test_all_missing_bases_are_told(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("RNG_SEED: 1\n_BASE_: [x.yaml, y.yaml]\n")
    text = message(path)
    assert text.startswith("2 problems")
    assert f"{path}:2: _BASE_: no file {tmp_path / 'x.yaml'}; expected a path relative to the file" in text


@pytest.mark.parametrize("name", ["K400/MVITv2_S_16x4", "K400/MVITv2_S_16x4.yaml"])
def test_a_base_may_be_a_packaged_configuration(tmp_path, name):
    path = tmp_path / "mine.yaml"
    path.write_text(f"_BASE_: {name}\nRNG_SEED: 7\n")
    config = load_config([path])
    assert (config.rng_seed, config.mvit.depth) == (7, 16)
    (tmp_path / "K400").mkdir()
    (tmp_path / "K400/MVITv2_S_16x4.yaml").write_text("RNG_SEED: 8\nLOG_PERIOD: 3\n")
    is_ones_own = name.endswith(".yaml")  # which comes first
    assert load_config([path]).log_period == (3 if is_ones_own else 10)


def test_a_base_that_is_no_path(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("_BASE_: 3\n")
    assert message(path) == f"{path}:1: _BASE_: found 3, expected the path of a YAML file, or a list of paths"


def test_of_a_key_given_twice_the_last_counts_and_both_lines_are_told(tmp_path, caplog):
    path = tmp_path / "a.yaml"
    path.write_text("SOLVER:\n  MAX_EPOCH: 1\n  BASE_LR: 1.0\n  MAX_EPOCH: 3\nRNG_SEED: 1\nRNG_SEED: 2\n")
    with caplog.at_level(logging.WARNING, "mvit_video.config"):
        config = load_config(path)
    assert (config.solver.max_epoch, config.rng_seed) == (3, 2)
    assert [record.message for record in caplog.records] == [
        f"{path}:6: RNG_SEED is already set in line 5; the last one, line 6, counts",
        f"{path}:4: SOLVER.MAX_EPOCH is already set in line 2; the last one, line 4, counts",
    ]


def test_of_a_section_given_twice_the_last_counts_as_in_yaml(tmp_path, caplog):
    path = tmp_path / "a.yaml"
    path.write_text("DATA:\n  NUM_FRAMES: 4\nDATA:\n  SAMPLING_RATE: 2\n")
    assert set_keys(load_config(path)) == ("DATA.SAMPLING_RATE",)
    assert "DATA is already set in line 1" in caplog.text


def test_aliases_and_merges(tmp_path, caplog):
    path = tmp_path / "a.yaml"
    path.write_text("TRAIN: &t\n  PRECISION: bf16\n  ENABLE: False\nTEST:\n  <<: *t\n  ENABLE: True\n")
    config = load_config(path)
    assert (config.test.precision, config.test.enable, config.train.enable) == ("bf16", True, False)
    assert not caplog.records


def test_an_alias_that_contains_itself(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("TRAIN: &t\n  X: *t\n")
    assert message(path) == f"{path}:1: an alias that contains itself"


def test_empty_files_and_sections_say_nothing(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("# nothing\n")
    assert set_keys(load_config(path)) == ()
    path.write_text("TRAIN:\nDATA: {}\n")
    assert set_keys(load_config(path)) == ()


def test_dotted_keys_are_understood(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("DATA.NUM_FRAMES: 4\n")
    assert load_config(path).data.num_frames == 4


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"DATA:\n  NUM_FRAMES: 4\n   SAMPLING_RATE: 2\n", ":3: not valid YAML: "),
        (b"DATA: [1\n", "not valid YAML"),
        (b"- 1\n", ":1: found no keys, expected lines such as"),
        (b"A: 1\n---\nB: 2\n", "not valid YAML"),
        (b"A: !!python/object:os.system x\n", ":1: not valid YAML: could not determine a constructor"),
        (b"\xff\xfe\x00", ": cannot be read as YAML text: "),
        (b"A: \x07\n", ": cannot be read as YAML text: "),
    ],
)
def test_files_that_are_not_yaml(tmp_path, content, expected):
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    text = message(path)
    assert text.startswith(f"{path}:")
    assert expected in text
    assert "\n" not in text


def test_a_file_that_cannot_be_read_is_named_once(tmp_path):
    path = tmp_path / "a.yaml"
    path.symlink_to("/proc/self/mem")  # a file whose beginning nobody can read
    assert message(path) == f"{path}: cannot be read as YAML text: Input/output error"
