"""Foreign names: the published libraries' own models must give their own logits through ours.

mmaction2 is not installed here and there is no file of its numbers: that one is a test of names only.
"""

import re

import pytest
import torch
from kit.small_models import (
    SMALL_V1,
    SMALL_V2,
    pytorchvideo_model,
    small_clip,
    small_model,
    torchvision_model,
)

from mvit_video.weights import WeightsError, load_weights
from mvit_video.weights.naming import to_native


def same(ours, theirs):
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def logits(model):
    with torch.no_grad():
        return model(small_clip())


@pytest.mark.parametrize(("generation", "architecture"), [(1, SMALL_V1), (2, SMALL_V2)])
def test_torchvisions_weights_give_torchvisions_logits(generation, architecture):
    theirs, ours = torchvision_model(generation), small_model(architecture)
    report = load_weights(ours, theirs.state_dict())
    assert report.naming == "torchvision"
    torch.testing.assert_close(logits(ours), logits(theirs), rtol=0, atol=1e-5)


def test_pytorchvideos_weights_give_pytorchvideos_logits():
    theirs, ours = pytorchvideo_model(), small_model(SMALL_V1)
    report = load_weights(ours, theirs.state_dict())
    assert report.naming == "PyTorchVideo"
    torch.testing.assert_close(
        logits(ours), logits(theirs), rtol=0, atol=1e-4
    )  # its pool norms have eps 1e-5


def test_the_names_of_pytorchvideos_main_branch_are_known_too():
    """There pooling and norm of q, k and v are registered twice, and q, k and v may be one matrix."""
    native = small_model(SMALL_V1).state_dict()
    foreign = {}
    for name, tensor in native.items():
        name = re.sub(r"^patch_embed\.proj\.", "patch_embed.patch_model.", name)
        name = re.sub(r"^(cls_token|pos_embed_)", r"cls_positional_encoding.\1", name)
        name = re.sub(r"^norm\.", "norm_embed.", name)
        name = re.sub(r"^head\.projection\.", "head.proj.", name)
        foreign[name] = tensor
        again = re.sub(r"\.(pool|norm)_([qkv])\.", r"._attention_pool_\2.\1.", name)
        foreign[again] = tensor.clone()
    assert any("_attention_pool_q.norm" in name for name in foreign)
    assert same(to_native(foreign, "file")[0], native)
    foreign["blocks.1.attn._attention_pool_q.norm.weight"] += 1
    with pytest.raises(WeightsError, match=r"two different tensors for blocks\.1\.attn\.norm_q\.weight"):
        to_native(foreign, "file")


def mmaction2_names(native):
    foreign = {}
    for name, tensor in native.items():
        name = name.replace("patch_embed.proj.", "patch_embed.projection.")
        name = re.sub(r"^norm\.", "norm3.", name)
        head = name.startswith("head.projection.")
        foreign[name.replace("head.projection.", "cls_head.fc_cls.") if head else f"backbone.{name}"] = tensor
    return foreign


def test_mmaction2s_names_are_ours_renamed():
    native = small_model(SMALL_V2).state_dict()
    foreign = mmaction2_names(native)
    assert {"backbone.norm3.weight", "backbone.patch_embed.projection.bias", "cls_head.fc_cls.bias"} < set(
        foreign
    )
    foreign["data_preprocessor.mean"] = torch.zeros(3)
    renamed, naming = to_native(foreign, "file")
    assert naming == "mmaction2"
    assert same(renamed, native)


def test_a_backbone_alone_from_mmaction2_loads_when_asked_to():
    native = small_model(SMALL_V2, seed=1).state_dict()
    foreign = {name: t for name, t in mmaction2_names(native).items() if name.startswith("backbone.")}
    model = small_model(SMALL_V2)
    with pytest.raises(WeightsError, match=r"missing: head\.projection\.weight, head\.projection\.bias"):
        load_weights(model, foreign)
    report = load_weights(model, foreign, strict=False)
    assert report.missing == ("head.projection.weight", "head.projection.bias")
    assert torch.equal(model.norm.weight, native["norm.weight"])


def split_qkv(native):
    split = {}
    for name, tensor in native.items():
        if ".attn.qkv." in name:
            for letter, part in zip("qkv", tensor.chunk(3), strict=True):
                split[name.replace(".qkv.", f".{letter}.")] = part
        else:
            split[name] = tensor
    return split


def test_split_q_k_v_in_slowfasts_names_become_one_matrix():
    native = small_model(SMALL_V2).state_dict()
    split = split_qkv(native)
    assert "blocks.0.attn.q.weight" in split
    assert same(to_native(dict(reversed(split.items())), "file")[0], native)


def test_an_incomplete_split_is_refused():
    split = split_qkv(small_model(SMALL_V2).state_dict())
    del split["blocks.1.attn.k.bias"]
    with pytest.raises(WeightsError, match=r"file: has blocks\.1\.attn\.q\.bias, but not all of q, k and v"):
        to_native(split, "file")


def test_names_nobody_known_uses_are_left_alone():
    tensors = {"layer1.0.conv.weight": torch.ones(2)}
    assert to_native(tensors, "file") == (tensors, None)


def test_what_lies_beside_a_wrapped_model_keeps_its_name_and_hides_nothing():
    wrapped = {"model.patch_embed.proj.weight": torch.ones(2), "criterion.weight": torch.ones(1)}
    assert to_native(wrapped, "file")[0].keys() == {"patch_embed.proj.weight", "criterion.weight"}


def test_a_wrapped_name_beside_the_bare_one_stays():
    tensors = {"patch_embed.proj.weight": torch.ones(2), "module.patch_embed.proj.weight": torch.zeros(2)}
    assert same(to_native(tensors, "file")[0], tensors)


@pytest.mark.parametrize("prefix", ["module.", "model.", "module.model.", "_orig_mod.", "module._orig_mod."])
def test_prefixes_that_wrappers_add_are_taken_off(prefix):
    theirs = torchvision_model(2).state_dict()
    wrapped = {prefix + name: tensor for name, tensor in theirs.items()}
    assert same(to_native(wrapped, "file")[0], to_native(theirs, "file")[0])
