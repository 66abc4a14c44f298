"""Image weights for video models: each tensor by SlowFast's rules, and frames that are all alike."""

import re
from functools import cache

import pytest
import torch
from kit import fixtures
from kit.fixture_fill import fill_state_dict
from torch.nn import functional as F

from mvit_video import create_model, load_weights
from mvit_video.models import MViT, architecture
from mvit_video.weights import MismatchError, WeightsError

STARTS = (1, 3, 8)  # of MViTv2-T's stages
VIDEO_T = architecture(
    "mvitv2_s_16x4",
    num_frames=8,
    crop_size=64,
    num_classes=7,
    depth=10,
    droppath_rate=0.0,
    dim_mul=tuple((i, 2.0) for i in STARTS),
    head_mul=tuple((i, 2.0) for i in STARTS),
    pool_q_stride=tuple((i, 1, 2, 2) if i in STARTS else (i, 1, 1, 1) for i in range(10)),
)
TABLES = re.compile(r"blocks\.\d+\.attn\.rel_pos_[hw]")
KERNELS = re.compile(r"patch_embed\.proj\.weight|blocks\.\d+\.attn\.pool_[qkv]\.weight")
NEW = re.compile(r"cls_token|blocks\.\d+\.attn\.rel_pos_t|head\.projection\.(weight|bias)")


@cache
def image_weights():
    """Official names -> tensors of an image model; not to be changed."""
    return fill_state_dict(fixtures.shapes("mvit_mvitv2_t"))


def video_model():
    torch.manual_seed(0)
    return MViT(VIDEO_T)


def inflated(how, weights):
    model = video_model()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    return model, before, load_weights(model, weights, inflation=how)


def resized(table, rows):
    """Relative positions, linearly along their rows (the one interpolation that SlowFast does here)."""
    return F.interpolate(table.T[None], size=rows, mode="linear")[0].T


@pytest.mark.parametrize(("how", "share"), [("mean", 1 / 3), ("repeat", 1.0)])
def test_every_tensor_is_what_slowfasts_rules_say(how, share):
    image = image_weights()
    model, before, report = inflated(how, image)
    for name, tensor in model.state_dict().items():
        if NEW.fullmatch(name):
            if not name.startswith("head"):
                assert torch.equal(tensor, before[name]), name
            continue
        if KERNELS.fullmatch(name):
            for time in range(3):
                torch.testing.assert_close(tensor[:, :, time], image[name] * share, rtol=1e-6, atol=0)
        elif TABLES.fullmatch(name):
            torch.testing.assert_close(tensor, resized(image[name], len(tensor)))
        else:
            assert torch.equal(tensor, image[name]), name
    names = set(model.state_dict())
    assert set(report.inflated) == {name for name in names if KERNELS.fullmatch(name)}
    assert set(report.resized) == {name for name in names if TABLES.fullmatch(name)}
    assert set(report.missing) == {n for n in names if NEW.fullmatch(n) and not n.startswith("head")}
    assert report.reinitialised == ("head.projection.weight", "head.projection.bias")
    assert report.unexpected == ()


def test_the_report_tells_what_was_inflated_resized_and_new():
    _, _, report = inflated("mean", image_weights())
    assert str(report).splitlines() == [
        "state dict: 240 parameters loaded (SlowFast names)",
        "  31 inflated, kernels of images repeated over time: patch_embed.proj.weight, "
        "blocks.0.attn.pool_q.weight, blocks.0.attn.pool_k.weight, blocks.0.attn.pool_v.weight and 27 more",
        "  20 resized for another clip size: blocks.0.attn.rel_pos_h, blocks.0.attn.rel_pos_w, "
        "blocks.1.attn.rel_pos_h, blocks.1.attn.rel_pos_w and 16 more",
        "  2 re-initialised, a new classifier: head.projection.weight, head.projection.bias",
        "  11 new, as such weights have none: cls_token, blocks.0.attn.rel_pos_t, blocks.1.attn.rel_pos_t, "
        "blocks.2.attn.rel_pos_t and 7 more",
    ]


def test_frames_that_are_all_alike_are_embedded_as_the_image():
    image = image_weights()
    model, _, _ = inflated("mean", image)
    pictures = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    kernel, bias = image["patch_embed.proj.weight"], image["patch_embed.proj.bias"]
    expected = F.conv2d(pictures, kernel, bias, stride=4, padding=3)
    with torch.no_grad():
        tokens = model.patch_embed.proj(pictures[:, :, None].expand(-1, -1, 8, -1, -1))
    for time in range(1, 4):  # at time 0 a third of the kernel lies before the clip
        torch.testing.assert_close(tokens[:, :, time], expected, rtol=1e-4, atol=1e-4)
    at_first = (expected - bias[:, None, None]) * 2 / 3 + bias[:, None, None]
    torch.testing.assert_close(tokens[:, :, 0], at_first, rtol=1e-4, atol=1e-4)


def test_kernels_with_one_time_are_image_kernels_too():
    """The released files of this family keep an axis of length 1."""
    image = image_weights()
    with_axis = {name: t.unsqueeze(2) if t.ndim == 4 else t for name, t in image.items()}
    model, _, _ = inflated("repeat", with_axis)
    other, _, _ = inflated("repeat", image)
    ours, theirs = model.state_dict(), other.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours if not name.startswith("head"))


def test_timms_names_are_understood():
    """MViTv2-T by timm and by facebookresearch/mvit is one model: the same shapes under the same names."""
    official = fixtures.shapes("mvit_mvitv2_t")
    theirs = {name: torch.zeros(shape) for name, shape in fixtures.shapes("timm_mvitv2_tiny").items()}
    assert len(theirs) == len(official)
    marked = {
        "stages.2.blocks.1.norm1.weight": 1.0,  # block 1 of the stage after 1 + 2 blocks
        "stages.3.blocks.0.shortcut_proj_attn.weight": 2.0,
        "stages.0.blocks.0.attn.pool_k.weight": 3.0,
    }
    for name, value in marked.items():
        theirs[name].fill_(value)
    model, _, report = inflated("repeat", theirs)
    assert report.naming == "timm"
    assert report.unexpected == ()
    assert not [n for n in report.missing if not NEW.fullmatch(n)]
    ours = model.state_dict()
    assert float(ours["blocks.4.norm1.weight"].mean()) == 1.0
    assert float(ours["blocks.8.proj.weight"].mean()) == 2.0
    assert float(ours["blocks.0.attn.pool_k.weight"].mean()) == 3.0


def test_one_table_of_an_image_becomes_places_and_the_class_tokens():
    """The first MViT keeps one table for the class token and all places of the image."""
    model = create_model("mvitv1_b_16x4", num_frames=4, crop_size=64, num_classes=3)
    image = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for name in [name for name in image if name.startswith("pos_embed")]:
        del image[name]
    for name in [name for name in image if KERNELS.fullmatch(name)]:
        image[name] = image[name][:, :, 0]
    table = torch.randn(1, 1 + 32 * 32, 96, generator=torch.Generator().manual_seed(3))
    image["pos_embed"] = table
    temporal = model.state_dict()["pos_embed_temporal"].clone()
    report = load_weights(model, image, inflation="mean")
    ours = model.state_dict()
    assert torch.equal(ours["pos_embed_class"], table[:, :1])
    places = F.interpolate(table[:, 1:].transpose(1, 2).reshape(1, 96, 32, 32), size=(16, 16), mode="bicubic")
    torch.testing.assert_close(ours["pos_embed_spatial"], places.flatten(2).transpose(1, 2))
    assert torch.equal(ours["pos_embed_temporal"], temporal)
    assert "pos_embed_temporal" in report.missing


def test_one_table_for_all_tokens_is_repeated_over_time():
    numbers = {"num_frames": 4, "crop_size": 64, "num_classes": 3, "sep_pos_embed": False}
    model = create_model("mvitv1_b_16x4", **numbers)
    image = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for name in [name for name in image if KERNELS.fullmatch(name)]:
        image[name] = image[name][:, :, :1]
    table = torch.randn(1, 1 + 16 * 16, 96, generator=torch.Generator().manual_seed(3))
    image["pos_embed"] = table
    load_weights(model, image, inflation="mean")
    ours = model.state_dict()["pos_embed"]
    assert torch.equal(ours[:, 0], table[:, 0])
    assert torch.equal(ours[:, 1:257], table[:, 1:])
    assert torch.equal(ours[:, 257:], table[:, 1:])


def test_video_weights_are_not_inflated():
    model = video_model()
    with pytest.raises(WeightsError, match=r"holds no image weights, .* set TRAIN.CHECKPOINT_INFLATE and"):
        load_weights(model, video_model().state_dict(), inflation="mean")


def test_image_weights_without_inflation_are_refused_with_the_way_to_use_them():
    with pytest.raises(MismatchError, match=r"weights for images: TRAIN.CHECKPOINT_INFLATE True trains from"):
        load_weights(video_model(), image_weights())


def test_another_image_model_is_refused_and_nothing_changes():
    model = create_model("mvitv2_s_16x4", num_frames=4, crop_size=64)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(MismatchError, match=r"it has 10 blocks, the model 16"):
        load_weights(model, image_weights(), inflation="mean")
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
