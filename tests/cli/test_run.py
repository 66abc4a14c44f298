"""``train``, ``test`` and ``run``: every spelling of an override, and a small run from end to end."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
from kit import colours
from kit.videos import write_dataset

from mvit_video.cli import main

SCHEDULE = [
    "SOLVER.BASE_LR",
    "1e-3",
    "SOLVER.MAX_EPOCH",
    "1",
    "TRAIN.BATCH_SIZE",
    "2",
    "TEST.BATCH_SIZE",
    "4",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    write_dataset(folder / "set", videos_per_class=2, num_frames=12, width=48, height=48)
    lists = "DATA_LOADER:\n  NUM_WORKERS: 0\nTRAIN:\n  ENABLE: False\n"
    colours.write_config(folder, lists)
    return folder


@pytest.fixture
def shown(folder, capsys):
    """The keys that --print-config shows as given."""

    def run(*words):
        assert main(["run", *words, "--print-config"]) == 0
        lines = capsys.readouterr().out.splitlines()
        return dict(line.removeprefix("  * ").split(": ", 1) for line in lines if line.startswith("  * "))

    return run


@pytest.mark.parametrize(
    "words",
    [
        ["SOLVER.WARMUP_START_LR", "1e-5", "DATA.MEAN", "[0.5,0.5,0.5]"],
        ["SOLVER.WARMUP_START_LR=1e-5", "DATA.MEAN=[0.5,0.5,0.5]"],
        ["--opts", "SOLVER.WARMUP_START_LR", "1e-5", "DATA.MEAN", "[0.5, 0.5, 0.5]"],
        ["SOLVER.WARMUP_START_LR", "1e-5", "--opts", "DATA.MEAN", "(0.5, 0.5, 0.5)"],
    ],
)
def test_every_spelling_of_an_override(folder, shown, words):
    cfg = str(folder / "colours.yaml")
    for order in (["--cfg", cfg, *words], [*words, "--cfg", cfg], [*words[:2], "--cfg", cfg, *words[2:]]):
        if words[:2] == ["--opts", "SOLVER.WARMUP_START_LR"] and order[2] == "--cfg":
            continue  # would part a key from its value
        keys = shown(*order)
        assert keys["SOLVER.WARMUP_START_LR"] == "1e-05"
        assert keys["DATA.MEAN"] == "[0.5, 0.5, 0.5]"


@pytest.mark.parametrize("word", ["-1", "-0.5", "-1e-3"])
def test_negative_numbers_are_values_and_not_flags(folder, word, capsys):
    assert main(["run", "--cfg", str(folder / "colours.yaml"), "SOLVER.BASE_LR", word, "--print-config"]) == 2
    assert f"SOLVER.BASE_LR: found '{word}', expected a number above 0" in capsys.readouterr().err


def test_later_files_and_then_words_win(folder, shown):
    (folder / "second.yaml").write_text("DATA:\n  SAMPLING_RATE: 3\nTEST:\n  NUM_ENSEMBLE_VIEWS: 4\n")
    first, second = str(folder / "colours.yaml"), str(folder / "second.yaml")
    keys = shown("--cfg", first, "--cfg", second, "TEST.NUM_ENSEMBLE_VIEWS", "9")
    assert keys["DATA.NUM_FRAMES"] == "4"
    assert keys["DATA.SAMPLING_RATE"] == "3"
    assert keys["TEST.NUM_ENSEMBLE_VIEWS"] == "9"


def test_a_word_too_many_is_shown(folder, capsys):
    assert main(["test", "--cfg", str(folder / "colours.yaml"), "DATA.MEAN"]) == 2
    assert "DATA.MEAN" in capsys.readouterr().err


def test_a_packaged_configuration_is_found_by_name(shown):
    assert shown("--cfg", "K400/MVITv2_S_16x4")["MODEL.NAME"] == "'mvitv2_s_16x4'"


def test_train_then_test_then_predict(folder, tmp_path, capsys):
    cfg = ["--cfg", str(folder / "colours.yaml")]
    lists = [
        "DATA.TRAIN_LIST",
        str(folder / "set"),
        "DATA.TEST_LIST",
        str(folder / "set"),
        "OUTPUT_DIR",
        str(tmp_path),
    ]
    assert main(["train", *cfg, *lists, *SCHEDULE, "TEST.ENABLE", "True"]) == 0
    assert "epoch 1" in capsys.readouterr().err
    assert not (tmp_path / "test_results.csv").exists()  # train trains, whatever TEST.ENABLE says
    assert main(["test", *cfg, *lists, *SCHEDULE, "TRAIN.ENABLE", "True"]) == 0
    text = capsys.readouterr().err
    assert "checkpoint_epoch_00001.pyth" in text
    assert "4 videos" in text
    with open(tmp_path / "test_results.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 4
    video = str(folder / "set" / "class_0" / "0.mp4")
    assert main(["predict", video, *cfg, "--opts", "OUTPUT_DIR", str(tmp_path)]) == 0
    assert "class_1" in capsys.readouterr().out  # the names of the folders, kept in the checkpoint


def test_the_tool_is_the_verb(folder):
    tool = Path(__file__).parents[2] / "tools" / "run_net.py"
    words = ["--cfg", "colours.yaml", "NO.SUCH_KEY", "3"]
    done = subprocess.run([sys.executable, str(tool), *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("mvit-video: error: command line: unknown key NO.SUCH_KEY")


def test_an_unreadable_video_shows_in_the_exit_status(folder, tmp_path, capsys):
    colours.write_weights(tmp_path / "red_blue.safetensors")
    (tmp_path / "list.csv").write_text(f"{folder}/set/class_0/0.mp4 0\n{tmp_path}/absent.mp4 0\n")
    words = ["test", "--cfg", str(folder / "colours.yaml"), "DATA.TEST_LIST", str(tmp_path / "list.csv")]
    words += ["TEST.CHECKPOINT_FILE_PATH", str(tmp_path / "red_blue.safetensors")]
    assert main([*words, "OUTPUT_DIR", str(tmp_path)]) == 1
    assert "absent.mp4: no such file" in capsys.readouterr().err
    (tmp_path / "list.csv").write_text(f"{folder}/set/class_0/0.mp4 0\n")
    assert main([*words, "OUTPUT_DIR", str(tmp_path)]) == 0


def test_a_key_without_a_value_is_said_of_that_key(folder, capsys):
    assert main(["train", "--cfg", str(folder / "colours.yaml"), "DATA.MEAN"]) == 2
    assert "error: command line: DATA.MEAN has no value" in capsys.readouterr().err


def test_nothing_enabled_is_said(folder, capsys):
    assert main(["run", "--cfg", str(folder / "colours.yaml"), "TEST.ENABLE", "False"]) == 2
    assert "error: TRAIN.ENABLE and TEST.ENABLE are both False" in capsys.readouterr().err
