"""Which model, from which weights."""

import pytest
import torch

from mvit_video.config import Config, load_config
from mvit_video.finetuning.choosing import choose_model, fetch
from mvit_video.finetuning.errors import FinetuneError
from mvit_video.models import ARCHITECTURES, MViT
from mvit_video.weights import WeightsError


def test_published_weights():
    choice = choose_model("mvitv2_s_16x4.k400", (), None)
    assert choice.weights == "mvitv2_s_16x4.k400"
    assert choice.settings["MODEL.NAME"] == "mvitv2_s_16x4"
    assert [choice.settings[f"DATA.{key}"] for key in ("NUM_FRAMES", "SAMPLING_RATE", "TRAIN_CROP_SIZE")] == [
        "16", "4", "224",
    ]  # fmt: skip
    assert choice.settings["DATA.TRAIN_JITTER_SCALES"] == "[256, 320]"
    assert choose_model("mvitv2_s_16x4.k400", (), "none").weights == ""


def test_segments_stay_segments_and_three_crops_three():
    choice = choose_model("mvitv2_b_32x3.ssv2", (), None)
    assert choice.settings["DATA.SAMPLING"] == "segments"
    assert (choice.settings["TEST.NUM_SPATIAL_CROPS"], choice.settings["DATA.TRAIN_JITTER_SCALES"]) == (
        "3",
        "[256, 320]",
    )


def test_weights_in_a_file(tmp_path, monkeypatch):
    (tmp_path / "mine.pyth").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    choice = choose_model("mvitv2_s_16x4", (), "mine.pyth")
    assert choice.weights == str(tmp_path / "mine.pyth")


def test_a_configuration(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("MODEL: {NAME: mvitv2_s_16x4.k400}\nDATA: {NUM_FRAMES: 16, TRAIN_CROP_SIZE: 224}\n")
    choice = choose_model(None, (str(path),), None)
    assert (choice.weights, choice.files) == ("mvitv2_s_16x4.k400", (str(path),))
    assert choice.settings == {
        "MODEL.NAME": "mvitv2_s_16x4"
    }  # or --weights none would be overruled by the name
    path.write_text("TRAIN: {CHECKPOINT_FILE_PATH: start.pyth}\n")
    assert choose_model(None, (str(path),), None).weights == "start.pyth"
    assert choose_model(None, (str(path),), "none").weights == ""


@pytest.mark.parametrize(
    ("name", "files", "weights", "message"),
    [
        (None, (), None, "give one of --model NAME and --cfg FILE"),
        ("mvitv2_s_16x4", ("demo/MViT_motions",), None, "give one of --model NAME and --cfg FILE"),
        ("mvitv2_s_16x5", (), None, "there is no such model; did you mean 'mvitv2_s_16x4'?"),
        ("resnet", (), None, "--model resnet: there is no such model; mvit-video models lists"),
        (
            "mvitv2_s_16x4",
            (),
            None,
            "mvitv2_s_16x4 comes without weights: give --weights FILE, or --weights none",
        ),
        ("mvitv2_s_16x4", (), None, "; published for it: --model mvitv2_s_16x4.k400"),
        (None, ("demo/MViT_motions",), None, "demo/MViT_motions comes without weights"),
    ],
)
def test_what_cannot_be(name, files, weights, message):
    with pytest.raises(FinetuneError) as error:
        choose_model(name, files, weights)
    assert message in str(error.value)


def test_weights_that_cannot_be_had_name_the_way_out():
    choice = choose_model("mvitv2_s_16x4", (), "/nowhere/weights.pyth")
    with pytest.raises(
        ValueError, match=r"--weights FILE takes a file, and --weights none starts from random"
    ):
        fetch(choice, Config())
    fetch(choose_model("mvitv2_s_16x4", (), "none"), Config())


def test_weights_of_another_model_name_theirs(tmp_path):
    path = tmp_path / "weights.pyth"
    torch.save(MViT(ARCHITECTURES["mvitv2_s_16x4"]).state_dict(), path)
    for name in ("mvitv2_s_16x4", "mvitv2_b_32x3"):
        choice = choose_model(name, (), str(path))
        settings = {**choice.settings, "TRAIN.CHECKPOINT_FILE_PATH": str(path)}
        config = load_config([], [f"{key}={value}" for key, value in settings.items()])
        if name == "mvitv2_s_16x4":
            fetch(choice, config)
            continue
        with pytest.raises(WeightsError, match=r"it has 16 blocks, the model 24; .* fit 'mvitv2_s_16x4'"):
            fetch(choice, config)
