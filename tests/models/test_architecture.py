import json
import subprocess
import sys
from pathlib import Path

import pytest

from mvit_video.models import ARCHITECTURES, Architecture, ArchitectureError, architecture, count_parameters

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "variants" / "video.json").read_text())
WITH_BLOCKS = [name for name in GOLDEN if "blocks" in GOLDEN[name]]


def pool(kernel, stride):
    return None if kernel is None else {"kernel": list(kernel), "stride": list(stride)}


def in_official_terms(spec):
    """A block as the golden file has it."""
    rows_t, rows_h, rows_w = spec.rel_pos_rows
    return {
        "i": spec.index,
        "dim_in": spec.dim_in,
        "att_dim": spec.att_dim,
        "dim_out": spec.dim_out,
        "heads": spec.num_heads,
        "head_dim": spec.head_dim,
        "mlp_hidden": spec.mlp_hidden,
        "pool_q": pool(spec.kernel_q, spec.stride_q),
        "pool_kv": pool(spec.kernel_kv, spec.stride_kv),
        "pool_skip": pool(spec.kernel_skip, spec.stride_q),
        "rel_pos_t_rows": rows_t,
        "rel_pos_h_rows": rows_h,
        "rel_pos_w_rows": rows_w,
    }


@pytest.mark.parametrize("name", WITH_BLOCKS)
def test_every_block_is_the_official_one(name):
    specs = ARCHITECTURES[name].block_specs()
    assert len(specs) == len(GOLDEN[name]["blocks"])
    for spec, official in zip(specs, GOLDEN[name]["blocks"], strict=True):
        ours = in_official_terms(spec)
        for key, value in official.items():
            if key in ("pool_q", "pool_kv", "pool_skip") and value is not None:
                value = {part: value[part] for part in ("kernel", "stride")}
            if key in ours:
                assert ours[key] == value, (spec.index, key)
        assert spec.drop_path == pytest.approx(official["drop_path"], abs=1e-6)
        assert (spec.dim_in != spec.dim_out) == official["proj"]


@pytest.mark.parametrize("name", GOLDEN)
def test_parameter_count_is_the_official_one(name):
    assert count_parameters(ARCHITECTURES[name]) == GOLDEN[name]["counted"]["params"]


def test_the_registry_holds_the_published_video_models():
    assert set(ARCHITECTURES) == set(GOLDEN)


def test_grids_follow_the_clip():
    specs = architecture("mvitv2_l_40x3").block_specs()
    assert [specs[i].grid_out for i in (0, 2, 8, 44)] == [
        (20, 78, 78),
        (20, 39, 39),
        (20, 20, 20),  # by convolution; the tables are built for 39 // 2 = 19
        (20, 10, 10),
    ]
    specs = architecture("mvitv1_b_16x4").block_specs((4, 40, 32))
    assert specs[0].grid_in == (4, 40, 32)
    assert specs[0].grid_kv == (4, 5, 4)
    assert specs[-1].grid_out == (4, 5, 4)


def test_lists_become_tuples_and_the_last_entry_of_a_block_counts():
    made = Architecture(
        depth=2,
        patch_kernel=[3, 7, 7],
        dim_mul=[[1, 3], [1, 2.0]],
        head_mul=[[1, 2.0]],
        pool_q_stride=[[1, 1, 2, 2]],
    )
    assert made.patch_kernel == (3, 7, 7)
    assert made.dim_mul == ((1, 2.0),)
    assert hash(made) == hash(Architecture(**{f: getattr(made, f) for f in made.__dataclass_fields__}))


def test_widths_round_to_multiples_of_the_heads():
    made = Architecture(embed_dim=10, depth=2, dim_mul=((1, 1.5),), head_mul=((1, 2.0),), dim_mul_in_att=True)
    assert [spec.dim_out for spec in made.block_specs()] == [10, 16]  # 15 to a multiple of 4, upwards


def test_overrides_keep_the_rest():
    changed = architecture("mvitv2_s_16x4", num_classes=7, num_frames=8)
    assert (changed.num_classes, changed.num_frames, changed.depth) == (7, 8, 16)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_heads": 5}, "num_heads: block 0 has 5 heads, which do not divide its width 96"),
        ({"depth": 0}, "depth: expected a whole number of at least 1, got 0"),
        ({"num_classes": 2.5}, "num_classes: expected a whole number of at least 1, got 2.5"),
        ({"droppath_rate": 1.0}, r"droppath_rate: expected a rate in \[0, 1\), got 1.0"),
        ({"mlp_ratio": 0}, "mlp_ratio: expected a number above 0, got 0"),
        ({"mlp_ratio": "4"}, "mlp_ratio: expected a number above 0, got '4'"),
        ({"dropout_rate": None}, r"dropout_rate: expected a rate in \[0, 1\), got None"),
        ({"pool_q_stride": 5}, "pool_q_stride: expected a list of entries, one per block, got 5"),
        ({"dim_mul": (("a", 2.0),)}, r"dim_mul: expected entries \(block, factor\), got \('a', 2.0\)"),
        (
            {"pool_q_stride": ((1, 1, 2, 2),), "pool_kvq_kernel": (2, 2, 2)},
            r"pool_kvq_kernel: \(2, 2, 2\) with stride \(1, 2, 2\) makes a grid of .* in block 1",
        ),
        ({"mode": "sum"}, "mode: expected one of conv, avg, max, got 'sum'"),
        ({"patch_stride": (4, 4)}, "patch_stride: expected three whole numbers of at least 1"),
        ({"pool_kvq_kernel": (3, 0, 3)}, "pool_kvq_kernel: expected three whole numbers of at least 1"),
        ({"dim_mul": ((1, 2, 3),)}, r"dim_mul: expected entries \(block, factor\), got \(1, 2, 3\)"),
        ({"head_mul": ((40, 2.0),)}, "head_mul: block 40 is not one of the 16 blocks"),
        ({"pool_q_stride": ((1, 2, 2),)}, r"pool_q_stride: expected entries \(block, t, h, w\)"),
        (
            {"pool_q_stride": ((16, 1, 2, 2),)},
            r"pool_q_stride: block 16 is not one of the 16 blocks \(0 to 15\)",
        ),
        (
            {"pool_kv_stride": ((0, 1, 2, 2),), "pool_kv_stride_adaptive": (1, 8, 8)},
            "pool_kv_stride: given together with pool_kv_stride_adaptive",
        ),
        ({"crop_size": 3}, "num_frames, crop_size: 16 frames of 3 pixels are smaller than one patch_stride"),
    ],
)
def test_what_cannot_be_is_named(fields, message):
    with pytest.raises(ArchitectureError, match=message):
        Architecture(**fields)


def test_unknown_names_are_answered_with_the_closest():
    with pytest.raises(ArchitectureError, match="unknown model 'mvit2_s_16x4'; did you mean 'mvitv2_s_16x4'"):
        architecture("mvit2_s_16x4")
    with pytest.raises(ArchitectureError, match="unknown model 'resnet'; known: mvitv1_b_16x4, "):
        architecture("resnet")
    with pytest.raises(
        ArchitectureError, match="unknown architecture field 'num_class'; did you mean 'num_classes'"
    ):
        architecture("mvitv2_s_16x4", num_class=3)


def test_numbers_alone_need_no_torch():
    code = (
        "import sys, mvit_video.models as m; m.count_flops(m.architecture('mvitv2_s_16x4')); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
