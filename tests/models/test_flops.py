import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from kit.tiny_models import TINY_V1, TINY_V2

from mvit_video.models import ARCHITECTURES, ArchitectureError, MViT, count_flops

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "variants" / "video.json").read_text())
PUBLISHED = {  # G multiply-adds as the papers print them
    "mvitv1_b_16x4": 70.5,
    "mvitv1_b_32x3": 170,
    "mvitv1_b_64x3": 455,
    "mvitv2_s_16x4": 64,
    "mvitv2_b_32x3": 225,
    "mvitv2_l_40x3": 2828,
}


@pytest.mark.parametrize("name", GOLDEN)
def test_multiply_adds_are_the_official_models(name):
    # torch's counter does not see the relative terms that broadcasting computes, hence the tolerance
    counted = count_flops(ARCHITECTURES[name]).multiply_adds / 1e9
    assert counted == pytest.approx(GOLDEN[name]["counted"]["torch_FlopCounterMode_GMACs"], rel=0.001)


def test_the_large_model_and_its_published_count():
    count = count_flops(ARCHITECTURES["mvitv2_l_40x3"])
    assert round(count.multiply_adds / 1e9, 1) == 2823.4
    assert round(count.with_norms / 1e9, 1) == 2828.1


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_counts(name):
    assert count_flops(ARCHITECTURES[name]).with_norms / 1e9 == pytest.approx(PUBLISHED[name], rel=0.008)


def by_fvcore(model, clip):
    model.use_reference_attention(True)
    counter = FlopCountAnalysis(model.eval(), clip)
    counter.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    return counter.total()


@pytest.mark.parametrize(
    ("numbers", "changes"),
    [
        (TINY_V1, {}),
        (TINY_V2, {}),
        (TINY_V1, {"cls_embed_on": False, "mode": "avg", "rel_pos_spatial": True, "pool_kvq_kernel": None}),
        (TINY_V2, {"dim_mul_in_att": False, "use_mean_pooling": True, "norm_stem": True}),
    ],
)
def test_equals_fvcore_on_the_written_out_path(numbers, changes):
    numbers = replace(numbers, **changes)
    ours = count_flops(numbers, num_frames=6, height=64, width=96)
    theirs = by_fvcore(MViT(numbers), torch.zeros(1, 3, 6, 64, 96))
    assert ours.with_norms == pytest.approx(theirs, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mvitv1_b_16x4", "mvitv2_s_16x4"])
def test_equals_fvcore_at_the_native_size(name):
    ours = count_flops(ARCHITECTURES[name])
    theirs = by_fvcore(MViT(ARCHITECTURES[name]), torch.zeros(1, 3, 16, 224, 224))
    print(f"FLOPS {name}: ours {ours.with_norms}, fvcore {theirs}")
    assert ours.with_norms == pytest.approx(theirs, rel=0.005)


def test_a_clip_that_is_too_small_is_an_error():
    with pytest.raises(ArchitectureError, match="clip of 1 frames, 224 x 224 pixels: too small"):
        count_flops(ARCHITECTURES["mvitv2_s_16x4"], num_frames=1)
