"""Which augmentation a configuration means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.configurations import message

from mvit_video.config import ConfigError, load_config
from mvit_video.data import (
    Mixing,
    RandAugment,
    RandomErasing,
    TrainTransform,
)
from mvit_video.engine.resolve import (
    resolve_erasing,
    resolve_mixing,
    resolve_smoothing,
    resolve_transform,
)

SECTIONS = ("m", "n", "p", "mstd", "mmax", "inc", "w", "minc", "")
NUMBERS = ("", "0", "1", "7", "0.5", ".5", "3.", "-1", "x")


class TestAugmentation:
    def test_the_kinetics_recipe(self):
        config = load_config("K400/MVITv2_S_16x4")
        recipe = RandAugment(7, 4, magnitude_std=0.5, increasing=True, interpolation="bicubic")
        transform = resolve_transform(config)
        assert transform == TrainTransform(
            224, (256, 320), (0.08, 1.0), (0.75, 1.3333), flip=True, rand_augment=recipe
        )
        assert resolve_erasing(config) == RandomErasing(0.25, "pixel", 1)
        assert resolve_mixing(config) == Mixing(0.8, 1.0, 1.0, 0.5)
        assert resolve_smoothing(config) == 0.1

    def test_the_ssv2_recipe(self):
        transform = resolve_transform(load_config("SSv2/MVITv2_S_16x4"))
        assert (transform.area, transform.aspect, transform.jitter_scales) == (None, None, (256, 320))
        assert (transform.flip, transform.inverse_uniform) == (False, True)
        assert transform.rand_augment is not None
        large = load_config("SSv2/MVITv2_L_40x3")  # smooths its labels and mixes nothing
        assert resolve_mixing(large) is None
        assert resolve_smoothing(large) == 0.1

    def test_switches(self):
        off = load_config("K400/MVITv2_S_16x4", ["AUG.ENABLE=False", "MIXUP.ENABLE=False"])
        transform = resolve_transform(off)
        assert (transform.rand_augment, transform.colour_jitter, resolve_erasing(off)) == (None, None, None)
        assert (resolve_mixing(off), resolve_smoothing(off)) == (None, 0.0)
        plain = load_config([], ["AUG.ENABLE=True", "AUG.AA_TYPE=", "AUG.RE_PROB=0"])
        assert (resolve_transform(plain).rand_augment, resolve_transform(plain).colour_jitter) == (None, 0.4)
        assert resolve_erasing(plain) is None

    def test_colour_jitter_stands_back_where_there_is_rand_augment(self):
        assert (
            resolve_transform(load_config("K400/MVITv2_S_16x4", ["AUG.COLOR_JITTER=0.9"])).colour_jitter
            is None
        )

    @pytest.mark.parametrize(
        "text", ["rand", "rand-m9-mstd0.5-inc1", "rand-n4-m7-p0.3-mmax9-inc0-w0", "rand-mstd101-n2"]
    )
    def test_what_the_schema_takes_means_something(self, text):
        config = load_config([], ["AUG.ENABLE=True", f"AUG.AA_TYPE={text}", "AUG.INTERPOLATION=random"])
        assert resolve_transform(config).rand_augment == RandAugment.parse(text, interpolation="random")

    @given(
        st.lists(st.tuples(st.sampled_from(SECTIONS), st.sampled_from(NUMBERS)).map("".join), max_size=3),
        st.sampled_from(("rand", "rand", "rand", "Rand", "rand-", "original")),
    )
    def test_the_schema_takes_what_can_be_parsed_and_nothing_else(self, sections, first):
        text = "-".join((first, *sections))
        try:
            RandAugment.parse(text)
        except ValueError:
            with pytest.raises(ConfigError, match="or a RandAugment such as"):
                load_config([], [f"AUG.AA_TYPE={text}"])
        else:
            assert load_config([], [f"AUG.AA_TYPE={text}"]).aug.aa_type == text

    def test_and_otherwise_the_key_is_named(self):
        text = message(resolve_transform, "AUG.ENABLE=True", "AUG.AA_TYPE=rand-n15-w0")
        assert text.startswith("AUG.AA_TYPE: num_operations is 15, expected ")
