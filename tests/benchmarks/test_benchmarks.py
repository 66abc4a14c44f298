"""The parts of the benchmarks that figures hang on, and the scripts themselves on clips of a few pixels."""

import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch
from kit import colours
from kit.small_models import SMALL_V1, SMALL_V2
from torchvision.models.video import mvit_v1_b, mvit_v2_s

from mvit_video.models import MViT, architecture

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return import_module


@pytest.mark.parametrize("numbers", [SMALL_V1, SMALL_V2], ids=["v1", "v2"])
def test_the_peer_computes_what_ours_does(script, numbers):
    peers = script("peers")
    torch.manual_seed(0)
    clip = torch.randn(2, 3, numbers.num_frames, numbers.crop_size, numbers.crop_size)
    assert peers.same_outputs(MViT(numbers), peers.torchvision_mvit(numbers), clip) < 1e-5


@pytest.mark.parametrize(("name", "official"), [("mvitv1_b_16x4", mvit_v1_b), ("mvitv2_s_16x4", mvit_v2_s)])
def test_the_peer_is_torchvisions_own_model(script, name, official):
    with torch.device("meta"):
        mine, theirs = script("peers").torchvision_mvit(architecture(name)), official()
    shapes = [{key: value.shape for key, value in model.state_dict().items()} for model in (mine, theirs)]
    assert shapes[0] == shapes[1]
    rates = [[m.p for m in model.modules() if hasattr(m, "p")] for model in (mine, theirs)]
    assert rates[0] == rates[1]


@pytest.mark.parametrize(
    ("real", "limit"), [(0, 9), (1, 9), (5, 9), (8, 9), (9, 9), (20, 9), (63, 64), (3, 1)]
)
def test_the_largest_that_fits(script, real, limit):
    asked = []

    def fits(number):
        asked.append(number)
        return number <= real

    assert script("gpu").largest(fits, limit) == min(real, limit)
    assert max(asked) <= limit
    assert len(asked) == len(set(asked))


def test_the_largest_is_found_to_about_a_sixtieth(script):
    found = script("gpu").largest(lambda number: number <= 1000, 4096)
    assert 980 <= found <= 1000


def test_turns_are_taken_and_ratios_made_round_by_round(script):
    measuring = script("measuring")
    order = []
    ways = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    timings = measuring.take_turns(ways, 2, clock="wall")
    assert order == ["a", "b"] * 3
    assert all(len(timing.seconds) == 2 and min(timing.seconds) > 0 for timing in timings.values())
    order.clear()
    measuring.take_turns(ways, 1, warm=True)
    assert order == ["a", "b"]
    slow, fast = measuring.Timing((4.0, 9.0, 2.0)), measuring.Timing((2.0, 3.0, 2.0))
    assert slow.ratio_to(fast) == (2.0, 1.0, 3.0)
    assert measuring.as_text(slow.ratio_to(fast)) == "2.00 (1.00-3.00)"


def test_a_process_that_is_killed_is_said(script):
    measuring = script("measuring")
    assert measuring.in_fresh_process(os.getpid) != os.getpid()
    with pytest.raises(MemoryError, match="was killed"):
        measuring.in_fresh_process(os._exit, 9)


@pytest.mark.slow
@pytest.mark.timeout(1800)  # a dozen processes, each of which imports torch
@pytest.mark.parametrize(
    ("name", "words", "num_rows"),
    [
        ("model.py", ["--precisions", "bf16", "--batches", "1", "2"], 2),
        ("train.py", ["--precisions", "fp32", "--checkpointing", "none", "every:2"], 2),
    ],
)
def test_a_script_runs_whole_on_tiny_clips(name, words, num_rows, tmp_path):
    tiny = ["--models", "s", "--frames", "4", "--crop", "32", "--rounds", "1", "--threads", "1"]
    everything = ["--rate", "--largest-batch", "2", "--profile", str(tmp_path / "profiles")]
    command = [sys.executable, str(FOLDER / name), *tiny, *words, *everything]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"torch {torch.__version__}" in done.stdout.splitlines()[0]
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.startswith("| mvit")]
    assert len(rows) == num_rows
    for row in rows:
        assert re.fullmatch(r"[\d.]+ \([\d.]+-[\d.]+\)", row[6])
        assert all(float(cell) > 0 for cell in (row[4], row[5], *row[8:]))
    assert float(re.search(r"logits with equal weights: (\S+) apart", done.stdout)[1]) < 1e-5
    assert len(re.findall("largest batch: 2; beyond: not tried beyond 2", done.stdout)) >= 2
    assert any("aten::addmm" in path.read_text() for path in (tmp_path / "profiles").iterdir())


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_side_that_fails_costs_its_own_figures_alone(tmp_path):
    tiny = ["--models", "s", "--frames", "4", "--crop", "32", "--rounds", "1", "--threads", "1"]
    command = [sys.executable, str(FOLDER / "train.py"), *tiny, "--no-memory", "--precisions", "fp32"]
    done = subprocess.run(
        [*command, "--checkpointing", "none", "nonsense"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1
    good, bad = (line for line in done.stdout.splitlines() if line.startswith("| mvit"))
    assert re.search(r"[\d.]+ \([\d.]+-[\d.]+\)", good)
    assert "nonsense" in bad
    assert bad.count("|") == good.count("|")


@pytest.mark.slow
def test_predicting_is_compared_on_tiny_clips(tmp_path):
    video = colours.write_colour_video(tmp_path / "red.mp4", colours.RED, frames_each=90)
    ways = ["mvit_video, many", "mvit_video, one call each", "torchvision fp32, PyTorchVideo in a worker"]
    tiny = ["--crop", "32", "--videos", "2", "--rounds", "1", "--threads", "1", "--no-memory"]
    command = [sys.executable, str(FOLDER / "predict.py"), str(video), *tiny, "--ways", *ways]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")][1:]
    assert [row[0] for row in rows] == ways
    assert rows[0][2] == "1.00 (1.00-1.00)"
    assert all(float(row[1]) > 0 for row in rows)
    assert [row[3] for row in rows] == ["-"] * 3
