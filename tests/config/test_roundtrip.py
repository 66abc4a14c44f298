"""``load(dump(c)) == c`` for any configuration, and the keys that count as set are the same."""

import types
import typing
from typing import Annotated, Literal, get_args, get_origin

import pytest
from annotated_types import Ge, Gt, Le, Lt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mvit_video.config import Config, ConfigError, dump_config, load_config, set_keys
from mvit_video.config.schema import KEYS, value_of

SPECIAL = {
    "AUG.AA_TYPE": st.sampled_from(["", "rand", "rand-m7-n4-mstd0.5-inc1", "rand-m9-mstd0.5-inc1"]),
    "MODEL.ACT_CHECKPOINT_BLOCKS": st.sampled_from(["all", "stages:1,2", "stages:4", "every:3"]),
    "TEST.SAVE_RESULTS_PATH": st.sampled_from(["", "x.csv", "'a'.json"]),
    "DATA.TRAIN_JITTER_SCALES": st.tuples(st.integers(1, 300), st.integers(300, 400)),
    "DATA.TRAIN_JITTER_SCALES_RELATIVE": st.sampled_from([(), (0.08, 1.0)]),
    "DATA.TRAIN_JITTER_ASPECT_RELATIVE": st.sampled_from([(), (0.75, 4 / 3)]),
}
TRICKY = st.sampled_from(
    ["", " ", "1", "1e-4", "None", "true", "'x'", '"', "[1, 2]", "#", "a: b", "~", "é\n\t", "..."]
)
TEXT = TRICKY | st.text(st.characters(exclude_categories=["Cs"]))


def values(annotation, metadata=()):
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return values(args[0], (*metadata, *args[1:]))
    if origin is Literal:
        return st.sampled_from(args)
    if origin in (types.UnionType, typing.Union):
        return st.one_of(st.none() if arg is type(None) else values(arg, metadata) for arg in args)
    if origin is tuple:
        if args[-1] is Ellipsis:
            return st.lists(values(args[0]), max_size=3).map(tuple)
        return st.tuples(*(values(arg) for arg in args))
    if annotation is int:
        return st.integers(next((note.ge for note in metadata if isinstance(note, Ge)), None))
    if annotation is float:
        low, high = -1e300, 1e300
        for note in metadata:
            low = note.ge if isinstance(note, Ge) else note.gt if isinstance(note, Gt) else low
            high = note.le if isinstance(note, Le) else note.lt if isinstance(note, Lt) else high
        exclusive = {type(note) for note in metadata}
        return st.floats(low, high, exclude_min=Gt in exclusive, exclude_max=Lt in exclusive)
    return {bool: st.booleans(), str: TEXT}[annotation]


ANY_KEYS = st.fixed_dictionaries(
    {},
    optional={
        k: SPECIAL.get(k, values(key.info.annotation, tuple(key.info.metadata))) for k, key in KEYS.items()
    },
)


def build(chosen):
    tree = {}
    for dotted, value in chosen.items():
        key = KEYS[dotted]
        (tree.setdefault(key.section, {}) if key.section else tree)[key.field] = value
    return Config(**{name: KEYS_MODELS[name](**v) if name in KEYS_MODELS else v for name, v in tree.items()})


KEYS_MODELS = {key.section: key.model for key in KEYS.values() if key.section}


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(ANY_KEYS)
def test_load_of_dump_is_the_same(tmp_path_factory, chosen):
    try:
        config = build(chosen)
    except ValueError:  # values that do not go together
        config = build(
            {k: v for k, v in chosen.items() if k.split(".")[0] in ("SOLVER", "MVIT", "MODEL", "OUTPUT_DIR")}
        )
    path = tmp_path_factory.mktemp("dump") / "config.yaml"
    path.write_text(dump_config(config), encoding="utf-8")
    again = load_config(path)
    assert again == config
    assert set_keys(again) == set_keys(config)
    path.write_text(dump_config(config, every_key=True), encoding="utf-8")
    assert load_config(path) == config
    assert set_keys(load_config(path)) == tuple(KEYS)


@settings(max_examples=200, deadline=None)
@given(TEXT)
def test_any_text_survives(tmp_path_factory, text):
    config = load_config([], ["OUTPUT_DIR", repr(text)])
    assert config.output_dir == text
    path = tmp_path_factory.mktemp("dump") / "config.yaml"
    path.write_text(dump_config(config), encoding="utf-8", newline="")
    assert load_config(path).output_dir == text


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(list(KEYS)), st.text() | TRICKY)
def test_any_word_loads_or_is_a_configuration_error(key, word):
    try:
        config = load_config([], [key, word])
    except ConfigError as error:
        refusal = str(error)
        assert refusal.startswith("command line: ") and key in refusal  # noqa: PT018
        return
    assert key in set_keys(config)
    assert load_config([], [key, repr(value_of(config, KEYS[key]))]) == config


def test_every_key_says_what_it_means():
    for key in KEYS.values():
        description = key.info.description
        assert description, key.dotted
        assert description[0].isupper() or description[0] == "[", key.dotted
        assert description.endswith((".", '"')), key.dotted


@pytest.mark.parametrize("key", list(KEYS))
def test_a_key_is_its_field_in_upper_case(key):
    node = Config()
    for part in key.lower().split("."):
        node = getattr(node, part)
    assert node == value_of(Config(), KEYS[key])
