"""``mvit-video models`` and ``convert``."""

import json

import pytest
import torch
from kit import colours

from mvit_video import create_model
from mvit_video.cli import main
from mvit_video.inference import Predictor
from mvit_video.weights import read_checkpoint


def test_json_lists_every_model_with_size_cost_and_weights(capsys):
    assert main(["models", "--format", "json"]) == 0
    models = {model["name"]: model for model in json.loads(capsys.readouterr().out)}
    assert len(models) == 7
    small = models["mvitv2_s_16x4"]
    assert small["num_parameters"] == 34_537_744  # torchvision's published count of the same model
    assert small["gflops"] == pytest.approx(64.2, abs=0.1)
    weights = {entry["name"]: entry for entry in small["weights"]}
    assert weights["mvitv2_s_16x4.k400"]["top1"] == 81.0
    assert weights["mvitv2_s_16x4.k400"]["licence"] == "not stated"
    assert weights["mvitv2_s_16x4.k400"]["recipe"]["temporal_views"] == 5


def test_tables_name_what_there_is(capsys):
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["architecture", "frames", "pixels", "Mparams", "GFLOPs"]
    assert "mvitv2_l_40x3.k400" in "\n".join(lines)
    assert main(["models", "mvitv2_l_40x3.k400"]) == 0
    text = capsys.readouterr().out
    assert "top-1 86.1" in text
    assert "ssv2" not in text
    assert main(["models", "mvitv2_l_40x3"]) == 0
    assert "mvitv2_l_40x3.ssv2" in capsys.readouterr().out


@pytest.fixture(scope="module")
def slowfast_file(tmp_path_factory):
    """As SlowFast writes it, for three classes, with names of ours beside it."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("convert")
    model = create_model("mvitv1_b_16x4", num_classes=3)
    torch.save({"model_state": model.state_dict(), "epoch": 3}, folder / "theirs.pyth")
    (folder / "names.txt").write_text("run\njump\nsit down\n")
    return folder


def test_convert_writes_what_a_predictor_reads(slowfast_file, capsys):
    output = slowfast_file / "ours.safetensors"
    words = [
        "convert",
        str(slowfast_file / "theirs.pyth"),
        "--model",
        "mvitv1_b_16x4",
        "--output",
        str(output),
    ]
    assert main([*words, "--class-names", str(slowfast_file / "names.txt")]) == 0
    text = capsys.readouterr().out
    assert "parameters loaded" in text
    assert f"{output}: written, 3 class names included" in text
    ours, theirs = read_checkpoint(output), read_checkpoint(slowfast_file / "theirs.pyth")
    assert ours.state_dict.keys() == theirs.state_dict.keys()
    assert all(torch.equal(tensor, theirs.state_dict[name]) for name, tensor in ours.state_dict.items())
    predictor = Predictor("mvitv1_b_16x4", checkpoint=output, device="cpu")
    assert predictor.class_names == ("run", "jump", "sit down")


def test_convert_takes_the_last_weights_or_the_averaged_ones(slowfast_file, capsys):
    torch.manual_seed(1)
    state = create_model("mvitv1_b_16x4", num_classes=3).state_dict()
    averages = {name: tensor + 1 for name, tensor in state.items()}
    source, output = slowfast_file / "run.pyth", slowfast_file / "of_run.safetensors"
    torch.save({"model_state": state, "ema_state": {"num_updates": 3, "weights": averages}}, source)
    words = ["convert", str(source), "--model", "mvitv1_b_16x4", "--output", str(output)]
    for flags, expected, said in (
        ([], state, "averaged weights (EMA) are in it too; these are the last ones"),
        (["--ema", "--force"], averages, "averaged (EMA) parameters loaded"),
    ):
        assert main([*words, *flags]) == 0
        assert said in capsys.readouterr().out
        found = read_checkpoint(output).state_dict
        assert all(torch.equal(tensor, expected[name]) for name, tensor in found.items())
    theirs = ["convert", str(slowfast_file / "theirs.pyth"), *words[2:], "--ema"]
    assert main(theirs) != 0
    assert "is there already; choose another name, or replace it with --force" in capsys.readouterr().err
    assert main([*theirs, "--force"]) != 0
    assert "holds no averaged weights (EMA)" in capsys.readouterr().err


def test_convert_refuses_weights_of_another_model(tmp_path, capsys):
    colours.write_weights(tmp_path / "tiny.safetensors")
    words = ["convert", str(tmp_path / "tiny.safetensors"), "--model", "mvitv1_b_16x4"]
    assert main([*words, "--output", str(tmp_path / "o.safetensors")]) == 2
    assert "tiny.safetensors" in capsys.readouterr().err
    assert not (tmp_path / "o.safetensors").exists()
