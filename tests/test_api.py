"""`create_model`, `load_weights` and `list_models`: names, weights and models joined."""

import functools
import re
from dataclasses import replace

import pytest
import torch
from kit.http_server import LoopbackServer
from kit.small_models import SMALL_V2, small_clip, small_model

import mvit_video
from mvit_video.api import fitting_models
from mvit_video.models import ARCHITECTURES, ArchitectureError, MViT
from mvit_video.weights import ZOO, MismatchError, WeightsError, cache_path, loaded_from


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MVIT_VIDEO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@functools.cache
def outline(name):
    """A state dict with the shapes of an architecture in next to no memory: one value, repeated."""
    with torch.device("meta"):
        model = MViT(ARCHITECTURES[name])
    return {key: torch.full((1,), 0.01).expand(tensor.shape) for key, tensor in model.state_dict().items()}


def publish(name, state_dict):
    """Put a file where the download of these published weights would have put it."""
    path = cache_path(ZOO[name].url)
    path.parent.mkdir(parents=True)
    torch.save({"model_state": state_dict}, path)
    return path


def test_the_names_are_those_of_the_architectures_and_of_the_zoo():
    assert mvit_video.list_models() == tuple(ARCHITECTURES)
    assert mvit_video.list_models(pretrained=True) == tuple(ZOO)
    assert {"mvitv2_s_16x4.k400", "mvitv2_b_32x3.ssv2"} < set(mvit_video.list_models(pretrained=True))


def test_a_plain_name_is_random():
    torch.manual_seed(0)
    first = mvit_video.create_model("mvitv2_s_16x4", depth=3, dim_mul=(), head_mul=(), pool_q_stride=())
    second = mvit_video.create_model("mvitv2_s_16x4", depth=3, dim_mul=(), head_mul=(), pool_q_stride=())
    assert loaded_from(first) is None
    assert not torch.equal(first.head.projection.weight, second.head.projection.weight)
    assert first.architecture.num_classes == 400


def test_classes_and_overrides_reach_the_architecture():
    small = {"depth": 2, "embed_dim": 32, "dim_mul": (), "head_mul": (), "pool_q_stride": ()}
    model = mvit_video.create_model("mvitv2_s_16x4", num_classes=7, **small)
    assert model.architecture.num_classes == 7
    assert model.architecture.embed_dim == 32
    assert model.head.projection.out_features == 7


def test_a_dotted_name_loads_its_weights(cache):
    publish("mvitv2_s_16x4.k400", outline("mvitv2_s_16x4"))
    model = mvit_video.create_model("mvitv2_s_16x4.k400")
    report = loaded_from(model)
    assert report.class_names == ZOO["mvitv2_s_16x4.k400"].class_names
    assert len(report.loaded) == len(model.state_dict())
    assert (model.head.projection.weight == 0.01).all()


def test_another_number_of_classes_gives_a_fresh_head(cache):
    publish("mvitv2_s_16x4.k400", outline("mvitv2_s_16x4"))
    model = mvit_video.create_model("mvitv2_s_16x4.k400", num_classes=10)
    report = loaded_from(model)
    assert report.reinitialised == ("head.projection.weight", "head.projection.bias")
    assert report.class_names is None
    assert model.head.projection.weight.shape == (10, 768)
    assert not (model.head.projection.weight == 0.01).any()
    assert (model.blocks[15].norm2.weight == 0.01).all()


SMALL = {name: getattr(SMALL_V2, name) for name in SMALL_V2.__dataclass_fields__ if name != "num_classes"}


def test_weights_take_a_file_or_tensors(tmp_path):
    torch.save(small_model(seed=1).state_dict(), tmp_path / "w.pth")
    for weights in (tmp_path / "w.pth", str(tmp_path / "w.pth"), small_model(seed=1).state_dict()):
        model = mvit_video.create_model("mvitv2_s_16x4", num_classes=5, weights=weights, **SMALL).eval()
        with torch.no_grad():
            assert torch.equal(model(small_clip()), small_model(seed=1)(small_clip()))


def test_weights_given_beside_a_dotted_name_come_instead_of_the_published_ones(cache, tmp_path):
    """Nothing is in the cache: asking for the published ones would fail."""
    path = tmp_path / "w.pth"
    torch.save(small_model(seed=1).state_dict(), path)
    model = mvit_video.create_model("mvitv2_s_16x4.k400", num_classes=5, weights=path, **SMALL)
    assert loaded_from(model).source == str(path)


def test_the_name_of_published_weights_can_be_the_weights_of_a_plain_name(cache):
    path = publish("mvitv2_s_16x4.k400", small_model(replace(SMALL_V2, num_classes=400)).state_dict())
    model = mvit_video.create_model("mvitv2_s_16x4", weights="mvitv2_s_16x4.k400", **SMALL)
    assert loaded_from(model).class_names[0] == "abseiling"
    assert loaded_from(model).source == f"mvitv2_s_16x4.k400 ({path})"


def test_offline_and_not_cached_says_what_to_do(cache, monkeypatch):
    """Every https address is sent to a proxy on a port where nothing listens: a machine without a network."""
    with LoopbackServer() as server:
        nowhere = server.url("")
    monkeypatch.setenv("https_proxy", nowhere)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(WeightsError, match="cannot be reached") as caught:
        mvit_video.load_weights(small_model(), "mvitv2_s_16x4.k400")
    assert f"put it at {cache_path(ZOO['mvitv2_s_16x4.k400'].url)}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not [path for path in cache.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("name", "match"),
    [
        (
            "mvitv2_b_32x3.k40",
            r"are called 'mvitv2_b_32x3\.k40'; there are mvitv2_b_32x3\.k400, mvitv2_b_32x3\.ssv2$",
        ),
        ("mvit2_b_32x3.k400", r"did you mean 'mvitv2_b_32x3\.k400'\?"),
        ("resnet.kinetics", "there are mvitv1_b_16x4.k400, .*"),
    ],
)
def test_a_dotted_name_that_is_not_published_is_refused(name, match):
    with pytest.raises(WeightsError, match=match):
        mvit_video.create_model(name)


def test_a_plain_name_that_is_no_architecture_is_refused():
    with pytest.raises(ArchitectureError, match="unknown model 'mvitv2_s'; did you mean 'mvitv2_s_16x4'"):
        mvit_video.create_model("mvitv2_s")


def test_the_24_block_entry_names_the_16_block_model_when_the_file_holds_that(cache):
    name = "mvitv1_b24_32x3.k400"
    path = publish(name, outline("mvitv1_b_32x3"))
    with pytest.raises(MismatchError, match="it has 16 blocks, the model 24") as caught:
        mvit_video.create_model(name)
    assert str(caught.value).startswith(f"{name} ({path}): ")
    assert str(caught.value).endswith("; these weights fit 'mvitv1_b_32x3'")


def test_the_16_block_entry_names_the_24_block_model_when_the_file_holds_that(cache):
    publish("mvitv1_b_32x3.k400", outline("mvitv1_b24_32x3"))
    with pytest.raises(
        MismatchError, match=r"it has 24 blocks, the model 16.*; these weights fit 'mvitv1_b24_32x3'$"
    ):
        mvit_video.create_model("mvitv1_b_32x3.k400")


def test_weights_that_fit_nothing_known_get_no_advice():
    with pytest.raises(MismatchError) as caught:
        mvit_video.load_weights(small_model(), {"conv1.weight": torch.ones(1)})
    assert "these weights fit" not in str(caught.value)


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_each_architecture_is_known_by_its_shapes_whatever_its_classes(name):
    shapes = {key: tuple(tensor.shape) for key, tensor in outline(name).items()}
    width = shapes["head.projection.weight"][1]
    shapes |= {"head.projection.weight": (11, width), "head.projection.bias": (11,)}
    assert fitting_models(shapes) == (name,)


def test_a_size_of_clip_nobody_published_fits_all_that_differ_in_nothing_else():
    shapes = {key: tuple(tensor.shape) for key, tensor in outline("mvitv1_b_16x4").items()}
    shapes["pos_embed_temporal"] = (1, 5, 96)
    assert fitting_models(shapes) == ("mvitv1_b_16x4", "mvitv1_b_32x3", "mvitv1_b_64x3")


def test_names_of_the_package_lead_here():
    assert mvit_video.create_model is mvit_video.api.create_model
    assert re.fullmatch(r"[\w.]+", mvit_video.__version__)
