"""The predictor against known answers and against a reference of its own, on real encoded videos."""

import io
import resource
from dataclasses import replace
from pathlib import Path

import av
import pytest
import torch
from kit import colours
from kit.colours import BLUE, CLASS_NAMES, RED
from kit.small_models import randomise
from kit.videos import write_video

import mvit_video
from mvit_video.config import load_config
from mvit_video.data import VideoError, ViewPlan
from mvit_video.inference import Predictor
from mvit_video.inference.sources import change_views
from mvit_video.weights import ZOO, WeightsError, load_weights, read_checkpoint, write_safetensors

PLAN = ViewPlan(num_frames=4, sampling_rate=2, temporal_views=3, spatial_crops=1, crop_size=32, short_side=36)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("colours")
    colours.write_config(folder)
    colours.write_weights(folder / "weights.safetensors")
    colours.write_colour_video(folder / "red.mp4", RED)
    colours.write_colour_video(folder / "both.mp4", RED, BLUE)
    return folder


@pytest.fixture(scope="module")
def config(folder):
    return load_config([folder / "colours.yaml"])


@pytest.fixture(scope="module")
def predictor(folder, config):
    return Predictor(config, checkpoint=folder / "weights.safetensors", device="cpu")


def test_says_what_is_in_the_video(folder, predictor):
    prediction = predictor(folder / "red.mp4")
    assert prediction.path == str(folder / "red.mp4")
    assert prediction.num_views == 3
    assert [(entry.name, entry.index) for entry in prediction.top] == [
        (CLASS_NAMES[0], 0),
        (CLASS_NAMES[1], 1),
    ]
    assert prediction.top[0].score > 0.95
    assert sum(entry.score for entry in prediction.top) == pytest.approx(1)


def test_each_clip_has_its_seconds_and_its_answer(folder, predictor):
    clips = predictor(folder / "both.mp4").clips
    # 60 frames, clips of 4 frames every 2nd: they span 8, so they start at 0, 26 and 52.
    assert [clip.start_seconds for clip in clips] == pytest.approx([0, 26 / 30, 52 / 30])
    assert clips[0].top[0].name == CLASS_NAMES[0]
    assert clips[2].top[0].name == CLASS_NAMES[1]


def test_along_a_file_the_answer_changes_where_the_video_does(folder, predictor):
    clips = list(predictor.along(folder / "both.mp4", 0.5))
    assert [clip.start_seconds for clip in clips] == pytest.approx([0, 0.5, 1.0, 1.5])
    assert [clip.top[0].index for clip in clips] == [0, 0, 1, 1]
    assert predictor(folder / "both.mp4", every_seconds=0.5).clips == tuple(clips)


def test_clips_are_handed_over_as_they_come_when_asked(folder, predictor):
    seen = []
    prediction = predictor(folder / "both.mp4", every_seconds=0.5, on_clip=seen.append)
    assert len(seen) == 4
    assert prediction.clips == ()
    mean = sum(next(entry.score for entry in clip.top if entry.index == 0) for clip in seen) / 4
    assert next(entry.score for entry in prediction.top if entry.index == 0) == pytest.approx(mean, abs=1e-6)


@pytest.mark.parametrize("views_per_batch", [1, 4, 100])
def test_equals_a_reference_written_out_here(folder, config, tmp_path, views_per_batch):
    """Frames by PyAV's own iteration, positions by hand, mean of softmaxes over 2 clips x 3 crops."""
    path = write_video(tmp_path / "numbered.mp4", 40, width=96, height=64)
    model = randomise(colours.build_model(folder)).eval()
    plan = replace(PLAN, temporal_views=2, spatial_crops=3, short_side=32)
    mean, std = (0.4, 0.45, 0.5), (0.2, 0.225, 0.25)
    predictor = Predictor(
        model, views=plan, mean=mean, std=std, device="cpu", precision="fp32", views_per_batch=views_per_batch
    )
    with av.open(str(path)) as container:
        images = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    video_TCHW = torch.stack([torch.from_numpy(image) for image in images]).permute(0, 3, 1, 2).float()
    # 40 frames, clips that span 8: starts 0 and 32, and 4 points spread evenly over frames 0 to 7 of each.
    clips = [video_TCHW[[start, start + 2, start + 4, start + 7]] for start in (0, 32)]
    views = [torch.nn.functional.interpolate(clip, size=(32, 48), mode="bilinear") for clip in clips]
    crops = [frames[..., left : left + 32].round() for frames in views for left in (0, 8, 16)]
    x = torch.stack(crops).permute(0, 2, 1, 3, 4) / 255
    x = (x - torch.tensor(mean).reshape(3, 1, 1, 1)) / torch.tensor(std).reshape(3, 1, 1, 1)
    with torch.no_grad():
        expected_VK = model(x).softmax(1)
    prediction = predictor(path)
    found = {entry.index: entry.score for entry in prediction.top}
    assert prediction.num_views == 6
    assert [found[0], found[1]] == pytest.approx(expected_VK.mean(0).tolist(), abs=5e-3)
    first = {entry.index: entry.score for entry in prediction.clips[0].top}
    assert [first[0], first[1]] == pytest.approx(expected_VK[:3].mean(0).tolist(), abs=5e-3)


def test_a_model_object_is_only_moved(folder):
    model = colours.build_model(folder)
    load_weights(model, folder / "weights.safetensors")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.train()
    predictor = Predictor(model, views=PLAN, device="cpu", top_k=1)
    prediction = predictor(folder / "red.mp4")
    assert [entry.name for entry in prediction.top] == [CLASS_NAMES[0]]
    assert model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_random_weights_are_refused_and_trained_ones_are_not(folder):
    model = colours.build_model(folder)
    with pytest.raises(WeightsError, match=r"random weights.*give checkpoint=, or load weights first"):
        Predictor(model, views=PLAN)
    assert Predictor(model, checkpoint=folder / "weights.safetensors", views=PLAN).class_names == CLASS_NAMES
    trained_here = colours.build_model(folder)
    optimiser = torch.optim.SGD(trained_here.parameters(), lr=1e-3)
    logits = trained_here(torch.zeros(1, 3, 4, 32, 32))
    torch.nn.functional.cross_entropy(logits, torch.tensor([1])).backward()
    optimiser.step()
    predictor = Predictor(trained_here, views=PLAN, device="cpu")
    assert {entry.name for entry in predictor(folder / "red.mp4").top} == {"class 0", "class 1"}


def test_a_classifier_that_did_not_fit_is_refused(folder, tmp_path):
    config = load_config([folder / "colours.yaml"], ["MODEL.NUM_CLASSES", "3"])
    with pytest.raises(ValueError, match="number of classes"):
        Predictor(config, checkpoint=folder / "weights.safetensors")
    model = colours.build_model(folder)
    model.reset_head(3)
    load_weights(model, folder / "weights.safetensors")
    with pytest.raises(WeightsError, match="the classifier has random weights"):
        Predictor(model, views=PLAN)


def test_names_that_cannot_work_say_what_would(folder):
    with pytest.raises(
        WeightsError, match=r"mvitv2_s_16x4 is an architecture without weights.*mvitv2_s_16x4\.k400"
    ):
        Predictor("mvitv2_s_16x4")
    with pytest.raises(
        WeightsError, match=r"unknown model 'mvitv2_s_16x4.k40'; did you mean 'mvitv2_s_16x4.k400'"
    ):
        Predictor("mvitv2_s_16x4.k40")
    model = colours.build_model(folder)
    load_weights(model, folder / "weights.safetensors")
    with pytest.raises(WeightsError, match="its frames are not known: give views="):
        Predictor(model)
    with pytest.raises(WeightsError, match="the model is a Linear"):
        Predictor(torch.nn.Linear(2, 2), views=PLAN)


def test_a_configuration_without_weights_says_where_it_looked(config):
    with pytest.raises(WeightsError, match=r"TEST\.CHECKPOINT_FILE_PATH.*or give a checkpoint"):
        Predictor(config)


@pytest.fixture(scope="module")
def small_kinetics_file(tmp_path_factory):
    """Weights of the real MViTv2-S, random, with three classes."""
    torch.manual_seed(0)
    model = mvit_video.create_model("mvitv2_s_16x4", num_classes=3)
    path = tmp_path_factory.mktemp("weights") / "three.safetensors"
    write_safetensors(path, model.state_dict())
    return path


def test_a_plain_name_with_a_checkpoint_takes_the_published_recipe(small_kinetics_file):
    predictor = Predictor("mvitv2_s_16x4", checkpoint=small_kinetics_file, views=(1, 1), device="cpu")
    recipe = ZOO["mvitv2_s_16x4.k400"].recipe
    assert predictor.views == ViewPlan(16, 4, 1, 1, 224, 256)
    assert (recipe.num_frames, recipe.sampling_rate, recipe.short_side) == (16, 4, 256)
    assert predictor.class_names is None


def test_class_names_given_have_to_fit(folder, config):
    weights = folder / "weights.safetensors"
    renamed = Predictor(config, checkpoint=weights, class_names=["r", "b"], device="cpu")
    assert renamed(folder / "red.mp4").top[0].name == "r"
    with pytest.raises(ValueError, match="3 class names for a model with 2 classes"):
        Predictor(config, checkpoint=weights, class_names=["r", "g", "b"])


def test_our_training_checkpoints_bring_their_own_recipe(folder, tmp_path):
    """Their views and normalisation count, not those of the published weights of the same architecture."""
    text = "MODEL:\n  NAME: mvitv2_s_16x4\n  NUM_CLASSES: 2\nDATA:\n  NUM_FRAMES: 4\n  SAMPLING_RATE: 2\n"
    text += "  TRAIN_CROP_SIZE: 64\n  TEST_CROP_SIZE: 64\n  TRAIN_JITTER_SCALES: [72, 80]\n"
    text += "MVIT:\n  DEPTH: 1\n  DIM_MUL: []\n  HEAD_MUL: []\n  POOL_Q_STRIDE: []\n"
    text += "TEST:\n  NUM_ENSEMBLE_VIEWS: 2\n  NUM_SPATIAL_CROPS: 1\n"
    one_block = {"depth": 1, "dim_mul": (), "head_mul": (), "pool_q_stride": ()}
    model = mvit_video.create_model("mvitv2_s_16x4", num_classes=2, num_frames=4, crop_size=64, **one_block)
    path = tmp_path / "checkpoint_epoch_00001.pyth"
    contents = {"format": 1, "model_state": model.state_dict(), "epoch": 1, "cfg": text}
    torch.save(contents | {"class_names": ["up", "down"]}, path)
    predictor = Predictor("mvitv2_s_16x4", checkpoint=path, device="cpu")
    assert (predictor.views.num_frames, predictor.views.temporal_views, predictor.views.short_side) == (
        4,
        2,
        72,
    )
    assert predictor.class_names == ("up", "down")
    assert read_checkpoint(path).metadata["cfg"] == text
    with pytest.raises(WeightsError, match="was trained as mvitv2_s_16x4, not as mvitv2_b_32x3"):
        Predictor("mvitv2_b_32x3", checkpoint=path)
    torch.save(contents | {"cfg": text.replace("  NAME: mvitv2_s_16x4\n", "")}, path)
    with pytest.raises(
        WeightsError, match="was trained as a model of 1 blocks, 96 wide at first, and mvitv2_s_16"
    ):
        Predictor("mvitv2_s_16x4", checkpoint=path)
    torch.save(contents | {"cfg": "MODEL:\n  NAMES: x\n"}, path)
    with pytest.raises(WeightsError, match=r"the configuration in it cannot be used.*give one with --cfg"):
        Predictor("mvitv2_s_16x4", checkpoint=path)


def test_of_a_checkpoint_with_averages_the_last_weights_are_taken_and_that_is_said(folder, tmp_path, caplog):
    caplog.set_level("INFO")
    state = read_checkpoint(folder / "weights.safetensors").state_dict
    averages = {name: tensor + 1 for name, tensor in state.items()}
    torch.save({"model_state": state, "ema_state": {"weights": averages}}, tmp_path / "run.pyth")
    model = colours.build_model(folder)
    Predictor(model, checkpoint=tmp_path / "run.pyth", views=PLAN, device="cpu")
    assert torch.equal(model.norm.weight, state["norm.weight"])
    assert "run.pyth: its last weights are taken; the averaged ones (EMA) beside them" in caplog.text


def test_file_objects_are_read_like_files(folder, predictor):
    from_path = predictor(folder / "red.mp4")
    with (folder / "red.mp4").open("rb") as file:
        assert predictor(file) == from_path
        assert not file.closed
    in_memory = predictor(io.BytesIO((folder / "red.mp4").read_bytes()))
    assert (in_memory.path, in_memory.top) == ("<BytesIO>", from_path.top)


def test_the_configurations_way_of_joining_views_is_used(folder, predictor):
    largest = Predictor(
        load_config([folder / "colours.yaml"], ["DATA.ENSEMBLE_METHOD", "max"]),
        checkpoint=folder / "weights.safetensors",
        device="cpu",
    )
    clips = largest(folder / "both.mp4").clips
    score = {entry.name: entry.score for entry in largest(folder / "both.mp4").top}
    for name in CLASS_NAMES[:2]:
        of_clips = [entry.score for clip in clips for entry in clip.top if entry.name == name]
        assert score[name] == pytest.approx(max(of_clips))
    assert sum(score.values()) > 1.5  # the video shows both, and a mean would sum to 1
    assert sum(entry.score for entry in predictor(folder / "both.mp4").top) == pytest.approx(1)


def test_weights_that_give_no_numbers_are_an_error(folder, config, tmp_path):
    state_dict = read_checkpoint(folder / "weights.safetensors").state_dict
    state_dict["norm.weight"] = state_dict["norm.weight"] * float("nan")
    write_safetensors(tmp_path / "nan.safetensors", state_dict)
    broken = Predictor(config, checkpoint=tmp_path / "nan.safetensors", device="cpu")
    with pytest.raises(ValueError, match=r"red\.mp4: the model answers with values that are no numbers"):
        broken(folder / "red.mp4")


def test_bad_files_and_bad_numbers(folder, predictor, config):
    (folder / "bad.bin").write_bytes(b"nothing")
    with pytest.raises(VideoError, match=r"bad\.bin"):
        predictor(folder / "bad.bin")
    with pytest.raises(VideoError, match=r"none\.mp4"):
        list(predictor.along(folder / "none.mp4", 1))
    with pytest.raises(ValueError, match="clips every 0 seconds: expected a number above 0"):
        list(predictor.along(folder / "red.mp4", 0))
    with pytest.raises(ValueError, match="clips every inf seconds"):
        predictor(folder / "red.mp4", every_seconds=float("inf"))
    with pytest.raises(ValueError, match="top_k and views_per_batch are at least 1, got 0 and 4"):
        Predictor(config, top_k=0, views_per_batch=4)


def test_other_numbers_of_views_follow_the_official_rule_for_the_short_side():
    kinetics = ViewPlan(16, 4, 5, 1, 224, 256)
    assert change_views(kinetics, 10, 1) == replace(kinetics, temporal_views=10)
    assert change_views(kinetics, 4, 3) == ViewPlan(16, 4, 4, 3, 224, 224)
    assert change_views(ViewPlan(40, 3, 5, 3, 312, 312), 1, 1) == ViewPlan(40, 3, 1, 1, 312, 356)
    with pytest.raises(ValueError, match="spatial_crops is 2"):
        change_views(kinetics, 5, 2)


def test_along_a_long_file_memory_stays_flat(predictor, tmp_path):
    """The process grows by far less than the frames seen between the second clip and the last (138 MB)."""
    path = colours.write_colour_video(
        tmp_path / "long.mp4", RED, BLUE, frames_each=300, width=320, height=240
    )
    resident = []
    predictor(path, every_seconds=2.0, on_clip=lambda _: resident.append(resident_bytes()))
    assert len(resident) == 10
    assert max(resident) < resident[1] + 30e6, resident


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
