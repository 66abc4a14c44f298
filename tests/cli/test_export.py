"""``mvit-video export``: errors before any work, then a file that answers without this package."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from kit import colours

from mvit_video.cli import main
from mvit_video.cli.export import _name
from mvit_video.config import load_config
from mvit_video.inference import Predictor

pytestmark = pytest.mark.timeout(1200)  # tracing takes long on a busy machine

EXAMPLE = Path(__file__).parents[2] / "examples" / "onnx_predict.py"


@pytest.fixture
def refuse(tmp_path, monkeypatch, capsys):
    """Runs the verb in an empty folder; gives the one line of its error."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        assert main(["export", *words]) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        return err

    return run


def test_the_model_has_to_be_known(refuse):
    err = refuse("--model", "mvitv2_x_16x4", "--weights", "none", "--output", "a.onnx")
    assert "mvitv2_x_16x4" in err
    assert "mvitv2_s_16x4" in err
    assert "mvitv2_x" in refuse("--model", "mvitv2_x", "--checkpoint", "none.pyth", "--output", "a.onnx")


def test_random_weights_have_to_be_asked_for(refuse):
    err = refuse("--model", "mvitv2_s_16x4", "--output", "a.onnx")
    assert "without weights" in err
    err = refuse("--model", "mvitv2_s_16x4.k400", "--weights", "none", "--output", "a.onnx")
    assert "give --model mvitv2_s_16x4\n" in err


def test_a_file_that_is_there_stays_without_force(refuse):
    Path("a.onnx").write_text("mine")
    err = refuse("--model", "mvitv2_s_16x4", "--weights", "none", "--output", "a.onnx")
    assert "a.onnx: is there already" in err
    assert "--force" in err
    assert Path("a.onnx").read_text() == "mine"


def test_the_folder_has_to_be_there_and_writable(refuse, monkeypatch):
    words = ("--model", "mvitv2_s_16x4", "--weights", "none", "--output")
    assert "there is no such folder" in refuse(*words, "no/a.onnx")
    Path("folder.onnx").mkdir()
    assert "is a folder" in refuse(*words, "folder.onnx")
    Path("closed").mkdir()
    # The superuser may write anywhere, so the answer of the system is given here.
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "closed" and access(path, mode))
    assert "closed: " in (err := refuse(*words, "closed/a.onnx"))
    assert "not writable" in err


def test_the_format_is_the_ending_or_said(refuse):
    words = ("--model", "mvitv2_s_16x4", "--weights", "none")
    assert "--format onnx or torch-export" in refuse(*words, "--output", "a.bin")
    assert "--output" in refuse(*words)
    assert "one of --model NAME and --cfg FILE" in refuse("--output", "a.onnx")


def test_a_missing_extra_is_said_with_the_line_that_gets_it(refuse, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    err = refuse("--model", "mvitv2_s_16x4", "--weights", "none", "--output", "a.onnx")
    assert "pip install 'mvit_video[export]'" in err
    assert "onnxscript, which is not installed" in err


@pytest.mark.parametrize(
    ("file", "model", "name"),
    [
        ("colours.yaml", "", "colours"),
        ("run_7/config.yaml", "", "run_7"),
        ("/config.yaml", "", "config"),
        ("run_7/config.yaml", "mvitv2_s_16x4.k400", "mvitv2_s_16x4"),
    ],
)
def test_what_a_model_of_a_configuration_is_called(file, model, name):
    config = load_config([], ["MODEL.NAME", model] if model else [])
    assert _name(argparse.Namespace(cfg=["other.yaml", file]), config) == name


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A folder with the colours' model in both formats, and two videos."""
    folder = tmp_path_factory.mktemp("export")
    colours.write_config(folder)
    colours.write_weights(folder / "weights.safetensors")
    colours.write_colour_video(folder / "red.mp4", colours.RED)
    colours.write_colour_video(folder / "both.mp4", colours.RED, colours.BLUE, width=72, height=50)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        words = ["--cfg", "colours.yaml", "--checkpoint", "weights.safetensors", "--output"]
        assert main(["export", *words, "colours.onnx"]) == 0
        assert main(["export", *words, "colours.pt2"]) == 0
    assert {path.suffix for path in folder.iterdir()} == {".yaml", ".safetensors", ".mp4", ".onnx", ".pt2"}
    return folder


@pytest.mark.slow
def test_metadata_says_what_a_reader_needs(exported):
    import onnxruntime

    session = onnxruntime.InferenceSession(exported / "colours.onnx", providers=["CPUExecutionProvider"])
    texts = session.get_modelmeta().custom_metadata_map
    facts = {name: json.loads(text) for name, text in texts.items()}
    assert facts["class_names"] == list(colours.CLASS_NAMES)
    assert (facts["mean"], facts["std"]) == ([0.45] * 3, [0.225] * 3)
    assert (facts["num_frames"], facts["sampling_rate"], facts["target_fps"]) == (4, 2, 30.0)
    assert (facts["short_side"], facts["crop_size"]) == (36, 32)
    assert (facts["temporal_views"], facts["spatial_crops"], facts["sampling"]) == (3, 1, "dense")
    assert facts["model"] == "colours"
    assert facts["weights"] == "weights.safetensors"
    extra = {"mvit_video.json": ""}
    torch.export.load(exported / "colours.pt2", extra_files=extra)
    assert json.loads(extra["mvit_video.json"]) == facts


@pytest.mark.slow
@pytest.mark.parametrize("video", ["red.mp4", "both.mp4"])
def test_the_example_answers_as_the_predictor_does(exported, video):
    """In a process that could not import torch or this package."""
    code = (
        "import runpy, sys; sys.modules['torch'] = sys.modules['mvit_video'] = None; "
        f"sys.argv = ['', 'colours.onnx', {video!r}]; runpy.run_path({str(EXAMPLE)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=exported, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = {line.split("%  ")[1]: float(line.split("%")[0]) for line in done.stdout.splitlines()}
    predictor = Predictor(
        colours.load_config([exported / "colours.yaml"]),
        checkpoint=exported / "weights.safetensors",
        device="cpu",
    )
    for answer in predictor(exported / video).top:
        assert found[answer.name] == pytest.approx(100 * answer.score, abs=0.5)  # pictures differ by rounding


@pytest.mark.slow
def test_another_file_replaces_one_with_force_and_random_weights_have_no_names(exported, monkeypatch, capsys):
    monkeypatch.chdir(exported)
    words = ["--cfg", "colours.yaml", "--weights", "none", "--force", "--output", "colours.pt2"]
    before = np.fromfile("colours.pt2", np.uint8)
    assert main(["export", *words]) == 0
    captured = capsys.readouterr()
    assert "without class names" in captured.out
    assert "weights: none" in captured.err
    extra = {"mvit_video.json": ""}
    torch.export.load("colours.pt2", extra_files=extra)
    assert json.loads(extra["mvit_video.json"])["weights"] == "none"
    before.tofile("colours.pt2")


@pytest.mark.slow
def test_what_was_interrupted_before_it_was_compared_says_so(exported, monkeypatch, capsys):
    def interrupted(*_args, **_settings):
        raise KeyboardInterrupt

    monkeypatch.chdir(exported)
    monkeypatch.setattr("mvit_video.export.checking.compare", interrupted)
    words = ["--cfg", "colours.yaml", "--weights", "none", "--output", "interrupted.pt2"]
    assert main(["export", *words]) == 130
    assert "interrupted.pt2: complete, but not compared with the model yet\n" in capsys.readouterr().err
    Path("interrupted.pt2").unlink()
