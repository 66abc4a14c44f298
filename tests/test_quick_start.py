"""The README's first prediction, as written, with weights of the right shape where the download would be."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from kit.videos import write_video

import mvit_video
from mvit_video.weights import ZOO, class_names
from mvit_video.weights.downloading import cache_path

README = (Path(__file__).parent.parent / "README.md").read_text()


@pytest.mark.slow
def test_first_prediction(tmp_path, monkeypatch):
    (line,) = re.findall(r"^mvit-video (predict party.mp4 --model \S+)$", README, re.M)
    monkeypatch.setenv("MVIT_VIDEO_CACHE", str(tmp_path / "cache"))
    name = line.split()[-1]
    file = cache_path(ZOO[name].url)
    file.parent.mkdir(parents=True)
    torch.manual_seed(0)
    model = mvit_video.create_model(name.partition(".")[0])
    torch.nn.init.normal_(model.head.projection.bias)
    torch.save({"model_state": model.state_dict()}, file)
    write_video(tmp_path / "party.mp4", num_frames=90)
    done = subprocess.run(
        [sys.executable, "-m", "mvit_video", *line.split()],
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    answers = re.findall(r"^\s+[\d.]+ %\s+(.+)$", done.stdout, re.M)
    assert len(answers) == 5
    assert set(answers) <= set(class_names("kinetics400"))
