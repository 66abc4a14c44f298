"""``mvit-video finetune``: a folder of videos in, a model and its accuracy out."""

import os
import subprocess
import sys

import pytest
import torch
from kit.tiny_models import TINY_V1
from kit.tiny_runs import YAML, write_videos

from mvit_video.cli import main
from mvit_video.models import MViT


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the commands run: tiny.yaml, and clips/ with two classes of four plain videos."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(YAML)
    write_videos(tmp_path / "clips")
    return tmp_path


def finetune(*words):
    tiny = ("--cfg", "tiny.yaml", "--weights", "none", "--full", "--output", "out")
    return main(["finetune", "clips", *tiny, "SOLVER.MAX_EPOCH", "2", "TRAIN.BATCH_SIZE=2", *words])


def test_from_a_folder_to_an_answer(folder, capsys):
    assert finetune() == 0
    printed = capsys.readouterr()
    accuracy, caveat, report, use = printed.out.splitlines()
    assert accuracy.startswith("accuracy ")
    assert "of 2; 95 % interval" in accuracy
    assert caveat.startswith("mind: the same videos chose the best weights")
    assert report == "report: out/report.md"
    assert use == "use it: mvit-video predict VIDEO --cfg out/config.yaml"
    assert "8 videos of 2 classes: class_0, class_1" in printed.err
    assert "6 to learn from, 2 to choose the best weights and to measure them" in printed.err

    words = use.removeprefix("use it: mvit-video ").replace("VIDEO", "clips/class_0/1.mp4").split()
    assert main([*words, "--format", "csv"]) == 0
    assert "class_0" in capsys.readouterr().out

    assert finetune() == 0  # again
    printed = capsys.readouterr()
    assert "out: is done already" in printed.err
    assert printed.out.splitlines() == [report, use]

    assert finetune("SOLVER.BASE_LR", "0.5") == 2
    assert "out: holds a fine-tuning with another KEY VALUE" in capsys.readouterr().err


def test_what_would_be_done(folder, capsys):
    assert finetune("--dry-run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "8 videos of 2 classes: class_0, class_1"
    assert lines[-1].startswith("no video was opened: ")
    assert any("2 epochs of 6 videos, 2 at a step" in line for line in lines)
    assert not (folder / "out").exists()


@pytest.mark.slow
def test_an_unreadable_video_shows_in_the_exit_status(folder, capsys):
    (folder / "clips/class_0/bad.mp4").write_bytes(b"no video")
    assert finetune() == 1
    assert "1 videos cannot be read and were left out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["nowhere", "--model", "mvitv2_s_16x4", "--weights", "none"],
            "nowhere: no such list file or folder",
        ),
        (["clips", "--model", "mvitv2_x"], "--model mvitv2_x: there is no such model; did you mean"),
        (["clips", "--model", "mvitv2_s_16x4"], "mvitv2_s_16x4 comes without weights: give --weights FILE"),
        (["clips"], "give one of --model NAME and --cfg FILE"),
        (["clips", "--cfg", "tiny.yaml", "--weights", "gone.pyth"], "gone.pyth: neither a file nor the name"),
        (["clips", "--cfg", "tiny.yaml", "--weights", "list.txt"], "list.txt: not a file of weights"),
        (["clips", "--cfg", "tiny.yaml", "--weights", "other.pyth"], "other.pyth: does not fit the model"),
        (
            ["clips", "--cfg", "tiny.yaml", "--weights", "none", "SOLVER.EPOCHS", "1"],
            "unknown key SOLVER.EPOCHS",
        ),
        (["clips", "--cfg", "tiny.yaml", "--weights", "none", "--group-by", "("], "is no regular expression"),
        (["clips", "--cfg", "tiny.yaml", "--frozen", "--full"], "not allowed with argument"),
        (["list.txt", "--cfg", "tiny.yaml", "--weights", "none"], "none of its 2 videos has a class"),
    ],
)
def test_what_is_wrong_is_one_line(folder, capsys, words, message):
    (folder / "list.txt").write_text("a.mp4\nb.mp4\n")
    torch.save(MViT(TINY_V1).state_dict(), folder / "other.pyth")
    assert main(["finetune", *words, "--output", "out"]) == 2
    err = capsys.readouterr().err.splitlines()[-1]
    assert err.startswith("mvit-video: error: ")
    assert message in err
    assert not list((folder / "out").glob("*/*"))


@pytest.mark.slow
def test_as_a_script_beside_the_others(folder):
    script = os.path.join(os.path.dirname(__file__), "..", "..", "tools", "finetune.py")
    done = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "FOLDER_OR_LIST" in done.stdout
