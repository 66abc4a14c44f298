"""Which frames and views a configuration means, against SlowFast and the recipes of the zoo."""

import pytest
from kit.configurations import SLOWFAST_FILES, message

from mvit_video.config import load_config
from mvit_video.data import (
    ClipSpec,
    SegmentSpec,
    ViewPlan,
)
from mvit_video.engine.resolve import (
    resolve_centre_view,
    resolve_statistics,
    resolve_train_sampling,
    resolve_views,
)
from mvit_video.weights import ZOO

SSV2 = {  # file -> weights
    "SSv2/MVITv2_S_16x4": "mvitv2_s_16x4.ssv2",
    "SSv2/MVITv2_B_32x3": "mvitv2_b_32x3.ssv2",
    "SSv2/MVITv2_L_40x3": "mvitv2_l_40x3.ssv2",
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [  # clips, crops, crop size, short side
        ("K400/MVITv1_B_16x4", (5, 1, 224, 256)),
        ("K400/MVITv1_B_64x3", (3, 3, 224, 224)),
        ("K400/MVITv2_S_16x4", (5, 1, 224, 256)),
        ("K400/MVITv2_L_40x3", (5, 3, 312, 312)),
    ],
)
def test_views(name, expected):
    plan = resolve_views(load_config(name))
    assert (plan.temporal_views, plan.spatial_crops, plan.crop_size, plan.short_side) == expected
    assert plan.use_offset_sampling is True
    assert plan.target_fps == 30.0


def test_one_number_of_temporal_clips_replaces_the_views_and_several_are_refused():
    assert resolve_views(load_config([], ["TEST.NUM_TEMPORAL_CLIPS=[7]"])).temporal_views == 7
    text = message(resolve_views, "TEST.NUM_TEMPORAL_CLIPS=[1,3]")
    assert text.startswith("TEST.NUM_TEMPORAL_CLIPS: found [1, 3], expected one number")


def test_a_crop_larger_than_the_frame_is_refused_though_testing_was_off():
    words = ["TEST.ENABLE=False", "TEST.NUM_SPATIAL_CROPS=1", "DATA.TEST_CROP_SIZE=300"]
    assert message(resolve_views, *words).startswith("DATA.TEST_CROP_SIZE is 300, but one crop is cut where")


class TestWhichFrames:
    def test_a_dense_training_clip(self):
        words = ["DATA.TARGET_FPS=15", "DATA.TRAIN_JITTER_FPS=2.5"]
        config = load_config("K400/MVITv2_B_32x3", words)
        assert resolve_train_sampling(config) == ClipSpec(32, 3, 15.0, jitter_fps=2.5)

    def test_segments(self):
        assert resolve_train_sampling(load_config("SSv2/MVITv2_B_32x3")) == SegmentSpec(32)

    @pytest.mark.parametrize(("file", "weights"), SSV2.items())
    @pytest.mark.parametrize("theirs", [False, True], ids=["ours", "slowfasts"])
    def test_ssv2_is_tested_as_its_weights_were(self, file, weights, theirs):
        config = load_config(SLOWFAST_FILES / f"{file.replace('SSv2/', 'ssv2_')}.yaml" if theirs else file)
        plan, recipe = resolve_views(config), ZOO[weights].recipe
        for field in ("num_frames", "temporal_views", "spatial_crops", "crop_size", "short_side", "sampling"):
            assert getattr(plan, field) == getattr(recipe, field), field
        assert resolve_statistics(config) == (recipe.mean, recipe.std)

    def test_evaluations_between_epochs_see_the_centre_of_either_kind(self):
        assert resolve_centre_view(load_config("K400/MVITv2_S_16x4", ["DATA.USE_OFFSET_SAMPLING=False"])) == (
            ViewPlan(16, 4, 1, 1, 224, 256)
        )
        centre = resolve_centre_view(load_config("SSv2/MVITv2_L_40x3"))
        assert (centre.sampling, centre.temporal_views, centre.spatial_crops) == ("segments", 1, 1)
        assert (centre.crop_size, centre.short_side) == (312, 356)


def test_means_that_are_given_blue_first_are_turned_round():
    """SlowFast reads SSv2 as BGR, normalises that with numbers for RGB, and reverses the channels then."""
    config = load_config(SLOWFAST_FILES / "ssv2_MVITv2_L_40x3.yaml")
    assert config.data.mean == (0.485, 0.456, 0.406)
    pixel_rgb = (0.9, 0.5, 0.2)
    bgr = [
        (value - m) / s
        for value, m, s in zip(pixel_rgb[::-1], config.data.mean, config.data.std, strict=True)
    ]
    mean, std = resolve_statistics(config)
    assert [(value - m) / s for value, m, s in zip(pixel_rgb, mean, std, strict=True)] == bgr[::-1]
    assert (mean, std) == ((0.406, 0.456, 0.485), (0.225, 0.224, 0.229))
    assert resolve_statistics(load_config("SSv2/MVITv2_L_40x3")) == (mean, std)
    kinetics = load_config("K400/MVITv2_L_40x3")
    assert resolve_statistics(kinetics) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
