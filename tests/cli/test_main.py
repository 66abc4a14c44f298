"""The frame of the command line: quick starts, errors of one line, exit statuses."""

import os
import signal
import subprocess
import sys

import pytest

from mvit_video.cli import main
from mvit_video.cli.console import describe_error

HEAVY = (
    "torch",
    "torchvision",
    "pytorchvideo",
    "av",
    "decord",
    "pydantic",
    "rich",
    "numpy",
    "yaml",
    "fvcore",
)


def python(code, **options):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, **options)


@pytest.mark.parametrize(
    "statement",
    [
        "import mvit_video",
        *(f"main({words})" for words in (["--help"], ["--version"], ["predict", "--help"], ["x"])),
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(statement, tmp_path):
    code = "import sys; from mvit_video.cli import main; " if "main" in statement else "import sys; "
    done = python(f"{code}{statement}; print('LOADED', *sys.modules, file=sys.stderr)", cwd=tmp_path)
    loaded = done.stderr.rpartition("LOADED")[2].split()
    assert "mvit_video" in loaded
    assert [name for name in HEAVY if name in loaded] == []


def test_the_console_script_runs_in_an_empty_folder(tmp_path):
    script = os.path.join(os.path.dirname(sys.executable), "mvit-video")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.startswith("mvit-video ")
    assert os.listdir(tmp_path) == []


def test_help_of_every_verb_has_an_example(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    verbs = (
        "train",
        "test",
        "run",
        "predict",
        "models",
        "convert",
        "export",
        "benchmark",
        "submit",
        "status",
    )
    for verb in verbs:
        assert f"\n    {verb}" in text
        assert main([verb, "--help"]) == 0
        assert f"\n  mvit-video {verb} " in capsys.readouterr().out
    assert main(["doctor", "--help"]) == 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "which verb?"),
        (["explode"], "invalid choice: 'explode'"),
        (["train"], "the following arguments are required: --cfg (mvit-video train --help explains)"),
        (["train", "--cfg", "no/such.yaml"], "no/such.yaml"),
        (["predict", "x.mp4", "--modle", "y"], "unrecognized arguments: --modle"),
        (["predict", "x.mp4", "--mod", "y"], "unrecognized arguments: --mod"),
        (["predict", "x.mp4"], "give one of --model NAME and --cfg FILE"),
        (["predict", "x.mp4", "--model", "a", "--cfg", "b"], "give one of --model NAME and --cfg FILE"),
        (["predict", "--model", "a"], "which videos? give files, folders or lists"),
        (["predict", "x.mp4", "--model", "a", "--opts", "K", "V"], "--opts changes a configuration"),
        (["predict", "x.mp4", "--model", "a", "--top-k", "0"], "--top-k 0: expected at least 1"),
        (["predict", "x.mp4", "--model", "a", "--every", "-1e-1"], "--every -0.1: expected a number"),
        (["predict", "x.mp4", "--model", "a", "--every", "2", "--views", "5x1"], "--views is 1x1 or 1x3"),
        (["predict", "x.mp4", "--model", "a", "--views", "5"], "--views 5: expected clips x crops"),
        (["predict", "x.mp4", "--model", "a", "--views", "5x2"], "--views 5x2: expected clips x crops"),
        (["predict", "x.mp4", "--model", "a", "--views", "0x1"], "--views 0x1: expected clips x crops"),
        (["predict", "--model", "a", "--print-config"], "--print-config shows a configuration: give --cfg"),
        (["models", "mvitv2_s"], "there is no model 'mvitv2_s'; did you mean mvitv2_s_16x4?"),
        (["convert", "a.pyth", "--model", "b", "--output", "c.pth"], "a name that ends in .safetensors"),
        (["predict", __file__, "--model", "mvitv2_s_16x4.k40"], "did you mean 'mvitv2_s_16x4.k400'"),
    ],
)  # fmt: skip
def test_what_is_typed_wrong_is_one_line_and_status_2(words, expected, capsys):
    assert main(words) == 2
    captured = capsys.readouterr()
    line = captured.err.removeprefix("mvit-video: error: ")
    assert line != captured.err
    assert expected in line
    assert line.count("\n") == 1
    assert words == [] or captured.out == ""


def test_every_problem_of_a_configuration_is_shown_without_a_traceback(tmp_path, capsys):
    (tmp_path / "bad.yaml").write_text("DATA:\n  NUM_FRAME: 4\n  MEAN: 3\n")
    assert main(["test", "--cfg", str(tmp_path / "bad.yaml")]) == 2
    text = capsys.readouterr().err
    assert "2 problems" in text
    assert "bad.yaml:2: unknown key DATA.NUM_FRAME; did you mean DATA.NUM_FRAMES?" in text
    assert "bad.yaml:3: DATA.MEAN" in text
    assert "Traceback" not in text


def test_a_traceback_is_there_for_who_wants_one(monkeypatch):
    monkeypatch.setenv("MVIT_VIDEO_TRACEBACK", "1")
    with pytest.raises(ValueError, match="no model"):
        main(["models", "nothing"])


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), "not enough memory: fewer clips at a time (TRAIN.MICRO_BATCH_SIZE in training"),
        (RuntimeError("[x.cpp:1] . DefaultCPUAllocator: can't allocate memory: you"), "not enough memory: "),
        (RuntimeError("a fault of the program"), None),
    ],
)
def test_memory_that_ran_out_says_what_to_lower(error, expected):
    line = describe_error(error)
    assert line is None if expected is None else line.startswith(expected)
    assert line is None or "\n" not in line


def test_an_output_folder_that_is_not_there_is_said_before_anything_is_predicted(tmp_path, capsys):
    output = tmp_path / "no" / "answers.json"
    assert main(["predict", __file__, "--model", "mvitv2_s_16x4.k400", "--output", str(output)]) == 2
    assert f"error: {output.parent}: there is no such folder" in capsys.readouterr().err


def test_interrupted_is_one_line_and_status_130(tmp_path):
    os.mkfifo(tmp_path / "list.txt")  # reading it waits, so that the signal comes at a known moment
    command = [sys.executable, "-m", "mvit_video", "predict", "list.txt", "--model", "mvitv2_s_16x4.k400"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    with open(tmp_path / "list.txt", "w"):
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error == "mvit-video: interrupted\n"


def test_a_reader_that_went_away_is_no_error(tmp_path):
    command = [sys.executable, "-m", "mvit_video", "--help"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 0


@pytest.mark.parametrize(
    ("variables", "waits"),
    [
        ({}, False),
        ({"RANK": "0"}, False),
        ({"RANK": "3"}, True),
        ({"SLURM_PROCID": "3"}, False),  # a batch script's own variable
        ({"SLURM_PROCID": "3", "MVIT_VIDEO_RENDEZVOUS": "folder"}, True),
    ],
)
def test_of_several_processes_the_first_says_what_is_wrong(monkeypatch, capsys, variables, waits):
    waited = []
    monkeypatch.setattr("time.sleep", waited.append)
    for name in ("RANK", "SLURM_PROCID", "MVIT_VIDEO_RENDEZVOUS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert main(["train", "--cfg", "nowhere.yaml"]) == 2
    assert bool(waited) is waits
    assert "nowhere.yaml" in capsys.readouterr().err
