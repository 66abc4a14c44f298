"""``mvit-video predict`` from files to answers, through a tiny model that knows red from blue."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from kit import colours
from kit.colours import BLUE, CLASS_NAMES, RED
from kit.media_damage import harm_file, zeroed
from kit.videos import write_video
from PIL import Image

from mvit_video.cli import main

WEIGHTS = "weights.safetensors"
CONFIG = ("--cfg", "colours.yaml")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("predict")
    colours.write_config(folder)
    colours.write_weights(folder / WEIGHTS)
    colours.write_weights(folder / "nameless.safetensors", class_names=None)
    (folder / "videos" / "more").mkdir(parents=True)
    colours.write_colour_video(folder / "videos" / "red one.mp4", RED)
    colours.write_colour_video(folder / "videos" / "more" / "blue.mkv", BLUE)
    colours.write_colour_video(folder / "both.mp4", RED, BLUE)
    (folder / "bad.mp4").write_bytes(b"\0" * 1000)
    (folder / "list.csv").write_text("videos/red one.mp4 0\nvideos/more/blue.mkv 1\n")
    return folder


@pytest.fixture
def predict(made, monkeypatch, capsys):
    """Runs the verb in the folder; gives (status, stdout, stderr)."""
    monkeypatch.chdir(made)

    def run(*words, weights=WEIGHTS):
        status = main(
            ["predict", *words, "--cfg", "colours.yaml", "--checkpoint", weights, "--device", "cpu"]
        )
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def test_a_table_names_the_best_class_first_in_percent(predict):
    status, out, err = predict("videos/red one.mp4")
    assert status == 0
    lines = out.splitlines()
    assert lines[0] == "videos/red one.mp4"
    assert lines[1].endswith(f" %  {CLASS_NAMES[0]}")
    assert float(lines[1].split("%")[0]) > 95
    assert len(lines) == 3
    assert "error" not in err


def test_a_folder_is_searched_and_a_list_is_read(predict):
    for given in ("videos", "list.csv"):
        status, out, _ = predict(given, "--format", "json")
        answers = {os.path.basename(video["path"]): video["top"][0]["name"] for video in json.loads(out)}
        assert status == 0
        assert answers == {"red one.mp4": CLASS_NAMES[0], "blue.mkv": CLASS_NAMES[1]}


def test_a_bad_file_is_reported_and_the_rest_goes_on(predict):
    status, out, err = predict("missing.mp4", "bad.mp4", "videos/red one.mp4", "--format", "csv")
    rows = list(csv.DictReader(out.splitlines()))
    assert status == 1
    assert [row["path"] for row in rows] == [
        "missing.mp4",
        "bad.mp4",
        "videos/red one.mp4",
        "videos/red one.mp4",
    ]
    assert all(row["error"] for row in rows[:2])
    assert rows[2]["name"] == CLASS_NAMES[0]
    assert "mvit-video: bad.mp4" in err
    assert "mvit-video: missing.mp4: no such file" in err


def test_clips_have_their_seconds(predict):
    _, out, _ = predict("both.mp4", "--clips", "--format", "json", "--top-k", "1")
    (video,) = json.loads(out)
    assert [clip["start_seconds"] for clip in video["clips"]] == pytest.approx(
        [0, 26 / 30, 52 / 30], abs=1e-5
    )
    assert [clip["top"][0]["index"] for clip in video["clips"]][::2] == [0, 1]
    assert len(video["top"]) == 1
    assert video["num_views"] == 3
    _, out, _ = predict("both.mp4", "--format", "json")
    assert json.loads(out)[0]["clips"] == []


def test_every_walks_along_the_file(predict):
    _, out, _ = predict("both.mp4", "--every", "0.5", "--top-k", "1")
    lines = out.splitlines()
    assert [line.split()[:3:2] for line in lines[1:5]] == [
        ["0.00", "0.27"], ["0.50", "0.77"], ["1.00", "1.27"], ["1.50", "1.77"],
    ]  # fmt: skip
    assert [CLASS_NAMES[0] in line for line in lines[1:5]] == [True, True, False, False]
    assert lines[5] == "  all of it:"
    _, out, _ = predict("both.mp4", "--every", "0.5", "--views", "1x3", "--format", "json")
    assert json.loads(out)[0]["num_views"] == 4 * 3


def test_views_and_overrides_change_what_is_looked_at(predict):
    _, out, _ = predict("both.mp4", "--views", "2x3", "--format", "json")
    assert json.loads(out)[0]["num_views"] == 6
    _, out, _ = predict("both.mp4", "--opts", "TEST.NUM_ENSEMBLE_VIEWS", "5", "--format", "json")
    assert json.loads(out)[0]["num_views"] == 5


def test_the_answer_can_go_to_a_file_whose_ending_says_the_format(predict, made):
    status, out, err = predict("videos", "bad.mp4", "--output", "answers.json")
    assert (status, out) == (1, "")
    assert len(json.loads((made / "answers.json").read_text())) == 3
    assert "answers.json: 2 of 3 videos answered" in err
    predict("videos", "--output", "answers.csv")
    assert (made / "answers.csv").read_text().startswith("path,start_seconds,")
    predict("videos", "--output", "answers.txt")
    assert " %  " in (made / "answers.txt").read_text()


def test_an_answer_is_replaced_only_by_force(predict, made):
    (made / "kept.json").write_text("hours of work")
    (made / "folder.csv").mkdir()
    for output, reason in {
        "kept.json": "is there already; choose another name",
        "folder.csv": "is a folder",
    }.items():
        status, _, err = predict("videos", "--output", output)
        assert status == 2
        assert f"error: {output}: {reason}" in err
    assert (made / "kept.json").read_text() == "hours of work"
    assert predict("videos", "--output", "kept.json", "--force")[0] == 0
    assert len(json.loads((made / "kept.json").read_text())) == 2


def test_class_names_come_from_the_argument_or_are_numbers_and_it_says_so(predict, made):
    _, out, err = predict("videos/red one.mp4", weights="nameless.safetensors")
    assert "%  class 0" in out
    assert "the names of the classes are not known" in err
    (made / "names.txt").write_text("crimson\nazure\n")
    _, out, _ = predict("videos/red one.mp4", "--class-names", "names.txt", weights="nameless.safetensors")
    assert "%  crimson" in out
    status, _, err = predict("videos/red one.mp4", "--class-names", "kinetics400")
    assert status == 2
    assert "400 class names for a model with 2 classes" in err


def test_a_damaged_video_and_a_folder_of_images_are_answered_for(predict, tmp_path):
    noise = np.random.default_rng(0).integers(-25, 25, (60, 48, 64, 3))
    pictures = (np.array(RED) + noise).clip(0, 255).astype(np.uint8)
    damaged = write_video(tmp_path / "damaged.mp4", 60, width=64, height=48, picture=lambda i: pictures[i])
    harm_file(damaged, zeroed(40, 58))
    (tmp_path / "frames").mkdir()
    for number in range(4):
        Image.new("RGB", (64, 48), BLUE).save(tmp_path / f"frames/{number}.png")
    status, out, err = predict(str(damaged), str(tmp_path / "frames"), "--top-k", "1")
    assert status == 0
    lines = out.splitlines()
    assert [line.rpartition("%  ")[2] for line in (lines[1], lines[4])] == list(CLASS_NAMES)
    assert lines[2].startswith("  damaged: good up to frame ")
    assert "Warning" not in err


def test_half_precision_gives_the_same_answer(predict):
    _, out, _ = predict("videos", "--precision", "bf16", "--format", "json")
    assert [video["top"][0]["index"] for video in json.loads(out)] == [1, 0]


def test_how_many_at_a_time_changes_no_answer(predict):
    _, expected, _ = predict("videos", "both.mp4", "--format", "json", "--precision", "fp32")
    words = ("--views-per-batch", "7", "--readers", "2", "--precision", "fp32")
    _, found, _ = predict("videos", "both.mp4", "--format", "json", *words)
    for one, other in zip(json.loads(found), json.loads(expected), strict=True):
        assert one["path"] == other["path"]
        scores = [{entry["index"]: entry["score"] for entry in video["top"]} for video in (one, other)]
        assert scores[0] == pytest.approx(scores[1], abs=1e-4)
    for flag in ("--views-per-batch", "--readers", "--top-k"):
        status, _, err = predict("both.mp4", flag, "0")
        assert status == 2
        assert f"{flag} 0: expected at least 1" in err


def test_no_videos_and_no_weights_are_errors(predict, made, tmp_path, capsys):
    status, _, err = predict(str(tmp_path))
    assert status == 2
    assert "no video files in this folder" in err
    assert main(["predict", "both.mp4", *CONFIG, "--format", "json"]) == 2
    captured = capsys.readouterr()
    assert "or give a checkpoint" in captured.err
    assert captured.out == ""
    assert main(["predict", "both.mp4", "--model", "mvitv2_s_16x4"]) == 2
    assert "is an architecture without weights" in capsys.readouterr().err
    if not torch.cuda.is_available():
        assert main(["predict", "both.mp4", "--cfg", "colours.yaml", "--device", "cuda"]) == 2
        assert "no CUDA GPU" in capsys.readouterr().err


def test_print_config_shows_the_views_without_touching_data(predict):
    status, out, _ = predict("--print-config", "--views", "7x3")
    assert status == 0
    assert "7 clips x 3 crop" in out


def test_the_tool_is_the_verb(made):
    tool = Path(__file__).parents[2] / "tools" / "predict.py"
    command = [
        sys.executable,
        str(tool),
        "both.mp4",
        "bad.mp4",
        "--cfg",
        "colours.yaml",
        "--checkpoint",
        WEIGHTS,
    ]
    done = subprocess.run(command, cwd=made, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("both.mp4\n")


@pytest.mark.slow
@pytest.mark.parametrize("output", [(), ("--output", "endless.json")])
def test_interrupting_it_is_exact_and_leaves_no_file_behind(made, output):
    (made / "endless.csv").write_text("both.mp4\n" * 20_000)
    tool = Path(__file__).parents[2] / "tools" / "predict.py"
    words = ["endless.csv", "both.mp4", *CONFIG, "--checkpoint", WEIGHTS, "--every", "0.2", *output]
    process = subprocess.Popen(
        [sys.executable, str(tool), *words],
        cwd=made,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        if output:
            wait_until(lambda: files_like(made, "endless.json"))
        else:
            assert [process.stdout.readline() for _ in range(30)].count("both.mp4\n") > 1
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert err.splitlines()[-1] == "mvit-video: interrupted"
    assert "Traceback" not in err
    assert not files_like(made, "endless.json")


def files_like(folder, name):
    return [path for path in os.listdir(folder) if name in path]


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


def test_nothing_that_is_there_is_said_before_weights_are_fetched(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MVIT_VIDEO_CACHE", str(tmp_path / "cache"))
    assert main(["predict", "a.mp4", "b.mp4", "--model", "mvitv2_s_16x4.k400"]) == 2
    assert "a.mp4: no such file, and none of the 2 named is there" in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()


def test_a_long_list_into_a_file_says_how_far_it_is(predict, monkeypatch):
    seconds = iter(range(0, 10_000, 31))
    monkeypatch.setattr("mvit_video.engine.records.display.time.monotonic", lambda: next(seconds))
    status, _, err = predict("list.csv", "--output", "of_a_list.csv")
    assert status == 0
    assert "predicting: 1 of 2" in err
