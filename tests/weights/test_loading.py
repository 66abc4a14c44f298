"""Weights into models: what is loaded, resized, re-initialised, refused; a refusal changes nothing."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from kit import fixtures
from kit.http_server import LoopbackServer, body
from kit.small_models import SMALL_V1, SMALL_V2, small_clip, small_model

from mvit_video.models import MViT, architecture
from mvit_video.weights import (
    ZOO,
    MismatchError,
    WeightsError,
    cache_path,
    load_weights,
    loaded_from,
    write_safetensors,
)


def values(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(ours, theirs):
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def check_fixture(name):
    fixture = fixtures.load(name)
    model = MViT(architecture(fixture.architecture, **fixture.overrides)).eval()
    report = load_weights(model, fixture.state_dict)
    assert len(report.loaded) == len(model.state_dict())
    assert not report.resized + report.reinitialised + report.missing + report.unexpected
    with torch.no_grad():
        logits = model(fixture.clip)
    difference = np.abs(logits.numpy() - fixture.expected["logits"]).max()
    print(f"PARITY load_weights {name} {difference:.1e}")
    assert difference < 1e-4
    return report


def test_slowfasts_weights_give_slowfasts_logits():
    assert check_fixture("slowfast_mvitv2_s_16x4_run_8x160x128").naming == "SlowFast"


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *fixtures.FOREIGN,
        *(name for name in fixtures.SLOWFAST if name != "slowfast_mvitv2_s_16x4_run_8x160x128"),
    ],
)
def test_every_official_implementations_weights_give_its_own_logits(name):
    assert check_fixture(name).naming in ("SlowFast", "torchvision", "PyTorchVideo")


def test_all_of_a_model_is_loaded_and_reported():
    source, model = small_model(seed=1), small_model()
    report = load_weights(model, source.state_dict())
    assert same(values(model), values(source))
    assert set(report.loaded) == set(model.state_dict())
    assert report.missing == report.unexpected == report.resized == report.reinitialised == ()
    assert str(report) == f"state dict: {len(report.loaded)} parameters loaded (SlowFast names)"


def test_weights_of_another_precision_take_the_models():
    source, model = small_model(seed=1), small_model()
    load_weights(model, {name: tensor.half() for name, tensor in source.state_dict().items()})
    assert model.norm.weight.dtype == torch.float32
    torch.testing.assert_close(model.norm.weight, source.norm.weight, rtol=1e-3, atol=1e-3)


def test_relative_position_tables_are_resized_along_their_rows():
    source, model = small_model(seed=1), small_model(replace(SMALL_V2, crop_size=64, num_frames=8))
    report = load_weights(model, source.state_dict())
    name = "blocks.0.attn.rel_pos_h"
    assert name in report.resized
    assert name in report.loaded
    assert len(report.resized) == 9
    small, large = source.state_dict()[name].numpy(), model.state_dict()[name].numpy()
    assert (len(small), len(large)) == (15, 31)
    # What "linear, align_corners False" means: sample the middles of the new rows between those of the old.
    at = (np.arange(31) + 0.5) * 15 / 31 - 0.5
    expected = np.stack([np.interp(at, np.arange(15), column) for column in small.T], axis=1)
    np.testing.assert_allclose(large, expected, rtol=0, atol=1e-5)


def test_resized_tables_give_the_same_answer_as_resizing_on_the_fly():
    """Built small and run large, or built large from the same weights: one model."""
    small = small_model(seed=1)
    large = small_model(replace(SMALL_V2, crop_size=64, num_frames=8))
    load_weights(large, small.state_dict())
    clip = torch.randn(1, 3, 8, 64, 64, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        torch.testing.assert_close(large(clip), small(clip), rtol=0, atol=1e-4)


JOINT = replace(SMALL_V1, sep_pos_embed=False)


@pytest.mark.parametrize("class_token", [True, False])
@pytest.mark.parametrize("size", [{"crop_size": 64}, {"num_frames": 8}, {"crop_size": 40}])
def test_joint_positions_are_resized_as_the_model_does_on_the_fly(size, class_token):
    small = small_model(replace(JOINT, cls_embed_on=class_token), seed=1)
    large = small_model(replace(JOINT, cls_embed_on=class_token, **size))
    assert load_weights(large, small.state_dict()).resized == ("pos_embed",)
    frames, side = large.architecture.num_frames, large.architecture.crop_size
    clip = torch.randn(1, 3, frames, side, side, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        torch.testing.assert_close(large(clip), small(clip), rtol=0, atol=1e-4)


def test_joint_positions_of_no_such_grid_are_refused(refused):
    state_dict = {**values(small_model(JOINT)), "pos_embed": torch.ones(1, 60, 16)}
    refused(state_dict, r"other shapes: pos_embed \[1, 60, 16\]", JOINT)


def test_what_torch_load_gives_is_taken_as_it_is():
    source, model = small_model(seed=1), small_model()
    names = [f"class {i}" for i in range(source.architecture.num_classes)]
    wrapped = {"model_state": {f"module.{k}": v for k, v in values(source).items()}, "epoch": 3}
    report = load_weights(model, {**wrapped, "class_names": names})
    assert same(values(model), values(source))
    assert report.class_names == tuple(names)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda tensor: tensor.to(torch.int8), "torch.int8"),
        (lambda tensor: tensor.to(torch.complex64), "torch.complex64"),
        (lambda tensor: tensor.to("meta"), "without values"),
        (lambda tensor: tensor.to_sparse(), "torch.sparse_coo"),
    ],
)
def test_tensors_that_would_load_as_nonsense_are_refused(change, found):
    model = small_model()
    before = values(model)
    state_dict = {**values(small_model(seed=1)), "norm.weight": change(before["norm.weight"])}
    with pytest.raises(WeightsError, match=f"norm.weight is .*{found}"):
        load_weights(model, state_dict)
    assert same(values(model), before)


def test_an_empty_table_is_refused(refused):
    name = "blocks.0.attn.rel_pos_h"
    state_dict = values(small_model())
    refused({**state_dict, name: state_dict[name][:0]}, rf"other shapes: {name} \[0, ")


@pytest.mark.parametrize("source", [None, 3, ["file.pth"]])
def test_what_is_no_source_of_weights_is_refused(source):
    with pytest.raises(WeightsError, match="expected a file, an address or a name, found"):
        load_weights(small_model(), source)


@pytest.mark.parametrize("name", ["x" * 5000, "two\nlines.pth", "nul\0.pth"])
def test_names_no_file_can_have_are_refused_in_one_line(name):
    with pytest.raises(WeightsError, match="neither a file nor the name of published weights") as caught:
        load_weights(small_model(), name)
    assert "\n" not in str(caught.value)


def cubic_matrix(size, wanted):
    """(wanted, size): Keys' cubic convolution with a = -0.75, half-pixel centres, border rows repeated."""
    matrix = np.zeros((wanted, size))
    for row in range(wanted):
        at = (row + 0.5) * size / wanted - 0.5
        for tap in range(int(np.floor(at)) - 1, int(np.floor(at)) + 3):
            d = abs(at - tap)
            near = 1.25 * d**3 - 2.25 * d**2 + 1
            far = -0.75 * (d**3 - 5 * d**2 + 8 * d - 4)
            matrix[row, min(max(tap, 0), size - 1)] += near if d <= 1 else far
    return matrix


def test_temporal_positions_are_resized_linearly_and_spatial_ones_bicubically():
    source, model = small_model(SMALL_V1, seed=1), small_model(replace(SMALL_V1, crop_size=64, num_frames=8))
    state_dict = values(source)
    state_dict["pos_embed_temporal"] = torch.tensor([0.0, 1.0]).reshape(1, 2, 1).expand(1, 2, 16)
    report = load_weights(model, state_dict)
    assert set(report.resized) == {"pos_embed_spatial", "pos_embed_temporal"}
    assert model.pos_embed_temporal[0, :, 0].tolist() == [0.0, 0.25, 0.75, 1.0]
    grid = source.pos_embed_spatial.detach().numpy().reshape(8, 8, 16)  # rows y, then x
    along = cubic_matrix(8, 16)
    expected = np.einsum("Yy,Xx,yxc->YXc", along, along, grid).reshape(1, 256, 16)
    np.testing.assert_allclose(model.pos_embed_spatial.detach().numpy(), expected, rtol=0, atol=1e-5)


def test_a_head_of_another_width_is_drawn_afresh_and_named():
    source, model = small_model(seed=1), small_model(replace(SMALL_V2, num_classes=7))
    before = model.head.projection.weight.clone()
    report = load_weights(model, source.state_dict())
    assert report.reinitialised == ("head.projection.weight", "head.projection.bias")
    assert model.head.projection.weight.shape == (7, 32)
    assert not torch.equal(model.head.projection.weight, before)
    assert torch.equal(model.norm.weight, source.norm.weight)
    assert "re-initialised, as the number of classes differs: head.projection.weight" in str(report)
    assert model(small_clip()).shape == (2, 7)


@pytest.fixture
def refused():
    def check(state_dict, match, architecture=SMALL_V2, strict=True):
        model = small_model(architecture)
        before = values(model)
        with pytest.raises(MismatchError, match=match) as caught:
            load_weights(model, state_dict, strict=strict)
        assert "\n" not in str(caught.value)
        assert same(values(model), before)
        assert loaded_from(model) is None
        return caught.value

    return check


def test_missing_and_unexpected_keys_are_named_and_nothing_changes(refused):
    state_dict = values(small_model(seed=1))
    del state_dict["blocks.1.attn.pool_k.weight"]
    state_dict["blocks.1.attn.surprise"] = torch.ones(1)
    match = r"missing: blocks\.1\.attn\.pool_k\.weight; unexpected: blocks\.1\.attn\.surprise; strict=False"
    refused(state_dict, match)


def test_another_width_is_named_with_both_shapes(refused):
    wider = small_model(replace(SMALL_V2, embed_dim=32))
    error = refused(
        wider.state_dict(), r"other shapes: cls_token \[1, 1, 32\] instead of \[1, 1, 16\].* and \d+ more"
    )
    assert error.shapes["cls_token"] == (1, 1, 32)


def test_another_depth_is_counted(refused):
    refused(
        small_model(replace(SMALL_V2, depth=4)).state_dict(),
        "it has 4 blocks, the model 3; unexpected: blocks.3.",
    )


def test_the_other_generation_is_refused(refused):
    refused(small_model(SMALL_V1).state_dict(), "does not fit the model", SMALL_V2)
    refused(small_model(SMALL_V2).state_dict(), "does not fit the model", SMALL_V1)


@pytest.mark.parametrize("strict", [True, False])
def test_weights_of_which_nothing_fits_are_refused_even_when_not_strict(refused, strict):
    refused(
        {"conv1.weight": torch.ones(2)},
        r"nothing in it fits the model \(it holds conv1\.weight\)",
        strict=strict,
    )


def test_spatial_positions_of_a_grid_that_is_not_square_are_refused(refused):
    state_dict = {**values(small_model(SMALL_V1)), "pos_embed_spatial": torch.ones(1, 60, 16)}
    refused(state_dict, r"other shapes: pos_embed_spatial \[1, 60, 16\] instead of \[1, 64, 16\]", SMALL_V1)


def test_not_strict_loads_what_fits_and_reports_the_rest():
    source, model = small_model(seed=1), small_model()
    before = values(model)
    state_dict = values(source)
    del state_dict["norm.bias"]
    state_dict["norm.weight"] = torch.ones(3)
    state_dict["surprise"] = torch.ones(1)
    report = load_weights(model, state_dict, strict=False)
    assert report.missing == ("norm.bias", "norm.weight")
    assert report.unexpected == ("surprise",)
    assert torch.equal(model.norm.weight, before["norm.weight"])
    assert torch.equal(model.blocks[1].norm1.weight, source.blocks[1].norm1.weight)
    assert "2 missing, left as they were: norm.bias, norm.weight" in str(report)
    assert "1 unexpected, not used: surprise" in str(report)


def test_a_class_token_the_model_has_no_use_for_is_passed_over():
    without = replace(SMALL_V2, cls_embed_on=False)
    model, source = small_model(without), small_model(without, seed=1)
    report = load_weights(model, {**source.state_dict(), "cls_token": torch.ones(1, 1, 16)})
    assert report.unexpected == ("cls_token",)


def test_a_model_knows_what_was_loaded_into_it_and_so_do_its_copies():
    model = small_model()
    assert loaded_from(model) is None
    report = load_weights(model, small_model(seed=1).state_dict())
    assert loaded_from(model) is report
    assert loaded_from(copy.deepcopy(model)) == report


def test_class_names_come_with_the_file_but_not_with_a_fresh_head(tmp_path):
    path, names = tmp_path / "w.safetensors", ["a", "b", "c", "d", "e"]
    write_safetensors(path, small_model(seed=1).state_dict(), class_names=names)
    report = load_weights(small_model(), path)
    assert report.class_names == tuple(names)
    assert report.source == str(path)
    assert load_weights(small_model(replace(SMALL_V2, num_classes=7)), str(path)).class_names is None


def test_weights_at_an_address_are_fetched_and_checked(tmp_path, monkeypatch):
    monkeypatch.setenv("MVIT_VIDEO_CACHE", str(tmp_path / "cache"))
    source = small_model(seed=1)
    write_safetensors(tmp_path / "w.safetensors", source.state_dict())
    with LoopbackServer() as server:
        server.answers["/w.safetensors"] = body((tmp_path / "w.safetensors").read_bytes())
        server.answers["/page.pth"] = body(b"<html>", content_type="application/octet-stream")
        model = small_model()
        report = load_weights(model, server.url("/w.safetensors"))
        assert report.source == server.url("/w.safetensors")
        assert same(values(model), values(source))
        with pytest.raises(WeightsError, match="not a file of weights"):
            load_weights(model, server.url("/page.pth"))
        assert not cache_path(server.url("/page.pth")).exists()


def test_published_weights_bring_their_class_names(tmp_path, monkeypatch):
    """The file is put where the download would have put it."""
    monkeypatch.setenv("MVIT_VIDEO_CACHE", str(tmp_path))
    model = small_model(replace(SMALL_V2, num_classes=400))
    path = cache_path(ZOO["mvitv2_s_16x4.k400"].url)
    path.parent.mkdir(parents=True)
    torch.save({"model_state": model.state_dict()}, path)
    report = load_weights(model, "mvitv2_s_16x4.k400")
    assert report.class_names[0] == "abseiling"
    assert len(report.class_names) == 400
    assert report.source == f"mvitv2_s_16x4.k400 ({path})"


def test_a_name_that_is_neither_file_nor_zoo_is_refused_with_a_guess():
    with pytest.raises(
        WeightsError, match=r"neither a file nor the name .* did you mean 'mvitv2_s_16x4\.k400'\?"
    ):
        load_weights(small_model(), "mvitv2_s_16x4.k40")
    with pytest.raises(
        WeightsError, match=r"none\.pth: neither a file nor .*published weights: mvitv1_b_16x4"
    ):
        load_weights(small_model(), "/none.pth")


def test_masked_pre_training_gives_all_but_the_last_norm_and_the_classifier():
    """SlowFast's MaskMViT deletes norm and head, and adds a mask token and what predicts features."""
    source, model = small_model(seed=1), small_model()
    theirs = {n: t for n, t in source.state_dict().items() if not n.startswith(("norm.", "head."))}
    extras = {
        "mask_token": torch.zeros(1, 1, 16),
        "pred_head.projections.0.weight": torch.zeros(9, 32),
        "hogs.0.weight_x": torch.zeros(3, 1, 3, 3),
    }
    before = values(model)
    report = load_weights(model, {**theirs, **extras})
    after = values(model)
    assert all(torch.equal(after[name], tensor) for name, tensor in theirs.items())
    assert torch.equal(after["norm.weight"], before["norm.weight"])
    assert report.missing == ("norm.weight", "norm.bias")
    assert report.reinitialised == ("head.projection.weight", "head.projection.bias")
    assert report.unexpected == ()
    assert "(SlowFast MaskFeat names)" in str(report)


def test_other_weights_without_a_last_norm_are_refused():
    theirs = {n: t for n, t in small_model(seed=1).state_dict().items() if not n.startswith("norm.")}
    with pytest.raises(MismatchError, match=r"missing: norm.weight, norm.bias"):
        load_weights(small_model(), theirs)
