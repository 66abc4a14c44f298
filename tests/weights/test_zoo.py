"""The published weights: their entries are whole, and agree with the sources they cite."""

from urllib.parse import urlsplit

import pytest
import torchvision.models.video as torchvision_models

from mvit_video.models import ARCHITECTURES
from mvit_video.weights import CLASS_SETS, ZOO, WeightsError, cache_path, class_names


@pytest.mark.parametrize("entry", ZOO.values(), ids=list(ZOO))
def test_an_entry_fits_its_architecture(entry):
    built = ARCHITECTURES[entry.architecture]
    assert entry.name.startswith(f"{entry.architecture}.")
    assert entry.recipe.num_frames == built.num_frames
    assert entry.recipe.crop_size == built.crop_size
    assert f"{entry.recipe.num_frames}x{entry.recipe.sampling_rate}" in entry.architecture
    assert entry.num_classes == len(class_names(entry.dataset))
    assert entry.class_names is None or len(entry.class_names) == entry.num_classes


@pytest.mark.parametrize("entry", ZOO.values(), ids=list(ZOO))
def test_an_entry_says_where_it_comes_from_and_what_it_may_be_used_for(entry):
    assert urlsplit(entry.url).scheme == "https"
    assert urlsplit(entry.url).hostname in ("dl.fbaipublicfiles.com", "download.pytorch.org")
    assert cache_path(entry.url).name == entry.url.rsplit("/", 1)[1]
    assert entry.source in ("SlowFast", "PyTorchVideo", "torchvision")
    assert entry.licence == "not stated"
    assert 0 < entry.top1 < entry.top5 < 100


def test_several_crops_tile_a_frame_of_the_crops_height():
    for entry in ZOO.values():
        assert entry.recipe.short_side == (entry.recipe.crop_size if entry.recipe.spatial_crops > 1 else 256)


def test_no_two_entries_share_a_file():
    assert len({entry.url for entry in ZOO.values()}) == len(ZOO)


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("mvitv1_b_16x4.k400_torchvision", torchvision_models.MViT_V1_B_Weights.KINETICS400_V1),
        ("mvitv2_s_16x4.k400_torchvision", torchvision_models.MViT_V2_S_Weights.KINETICS400_V1),
    ],
)
def test_torchvisions_entries_are_what_torchvision_says(name, weights):
    entry = ZOO[name]
    assert entry.url == weights.url
    assert weights.url.endswith(f"-{entry.sha256}.pth")  # its names carry the leading digits of the SHA-256
    metrics = weights.meta["_metrics"]["Kinetics-400"]
    assert (entry.top1, entry.top5) == (metrics["acc@1"], metrics["acc@5"])
    transforms = weights.transforms()
    assert list(entry.recipe.mean) == list(transforms.mean)
    assert list(entry.recipe.std) == list(transforms.std)
    assert [entry.recipe.short_side] == list(transforms.resize_size)
    assert list(entry.class_names) == weights.meta["categories"]


def test_pytorchvideos_entries_have_pytorchvideos_addresses():
    from pytorchvideo.models.hub.vision_transformers import checkpoint_paths

    assert ZOO["mvitv1_b_16x4.k400"].url == checkpoint_paths["mvit_base_16x4"]
    assert ZOO["mvitv1_b_32x3.k400"].url == checkpoint_paths["mvit_base_32x3"]


def test_something_something_is_marked_as_sampled_in_segments():
    for entry in ZOO.values():
        assert entry.recipe.sampling == ("segments" if entry.dataset == "ssv2" else "dense")


def test_the_large_model_is_normalised_as_imagenet_and_backwards_on_something_something():
    kinetics, something = ZOO["mvitv2_l_40x3.k400"].recipe, ZOO["mvitv2_l_40x3.ssv2"].recipe
    assert kinetics.mean == (0.485, 0.456, 0.406)
    assert something.mean == kinetics.mean[::-1]
    assert something.std == kinetics.std[::-1]


def test_kinetics_600_has_no_class_names_as_their_order_is_unknown():
    assert ZOO["mvitv1_b24_32x3.k600"].class_names is None


@pytest.mark.parametrize(
    ("name", "count", "first", "last"),
    [
        ("kinetics400", 400, "abseiling", "zumba"),
        ("kinetics600", 600, "abseiling", "zumba"),
        ("kinetics700", 700, "abseiling", "zumba"),
        ("kinetics710", 710, "abseiling", None),
        ("ssv2", 174, "Approaching something with your camera", None),
        ("k400", 400, "abseiling", "zumba"),
    ],
)
def test_class_names_are_shipped_in_order(name, count, first, last):
    names = class_names(name)
    assert len(names) == len(set(names)) == count
    assert all(entry and entry == entry.strip() for entry in names)
    assert names[0] == first
    assert last in (None, names[-1])
    assert name == "kinetics710" or list(names) == sorted(names)


def test_an_unknown_set_of_class_names_is_refused_with_a_guess():
    with pytest.raises(
        WeightsError, match="unknown set of class names 'kinetic400'; did you mean 'kinetics400'"
    ):
        class_names("kinetic400")
    with pytest.raises(WeightsError, match="known: kinetics400, kinetics600"):
        class_names("imagenet")
    assert set(CLASS_SETS) >= {"kinetics400", "ssv2"}
