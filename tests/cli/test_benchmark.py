"""``mvit-video benchmark``: the table, the advice that can be typed, and what is typed wrong."""

import json
import shlex

import pytest
import torch

from mvit_video.cli import build_parser, main
from mvit_video.cli.settings_advice import advise
from mvit_video.engine.machine import num_cpus
from mvit_video.engine.tuning.trials import Gain, Setting, Trial
from mvit_video.engine.tuning.tuning import Findings

TINY = ["--clip", "2x32", "--seconds", "0", "--threads", "1"]


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_a_line_for_each_setting_and_what_to_type(capsys):
    words = ["benchmark", "--model", "mvitv2_s_16x4.k400", "--device", "cpu", *TINY]
    assert main([*words, "--precisions", "fp32", "--batches", "1", "2"]) == 0
    machine, titles, *rows = capsys.readouterr().out.splitlines()
    assert f"torch {torch.__version__}" in machine
    assert titles.split()[:3] == ["precision", "threads", "clips"]
    assert [row.split()[:3] for row in rows[:2]] == [["fp32", "1", "1"], ["fp32", "1", "2"]]
    assert rows[3].startswith("fastest: fp32, ")
    assert "predict VIDEO --model mvitv2_s_16x4.k400 --device cpu --precision fp32" in "\n".join(rows)


def test_training_as_json(capsys):
    words = ["benchmark", "--train", "--device", "cpu", *TINY, "--precisions", "fp32", "--batches", "1"]
    assert main([*words, "--format", "json"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert found["training"] is True
    assert [trial["setting"]["checkpointing"] for trial in found["trials"]] == [False, True]
    assert all(trial["seconds"] > 0 for trial in found["trials"])
    assert any("TRAIN.MICRO_BATCH_SIZE 1" in line for line in found["advice"])
    assert captured.err.count("\n") == 4  # the table


def test_where_nothing_runs_the_status_says_so(capsys):
    words = ["benchmark", "--device", "cpu", *TINY, "--precisions", "fp32", "--batches", "1000000000"]
    assert main(words) == 1
    captured = capsys.readouterr()
    assert "memory" in captured.out.splitlines()[-1]
    assert captured.err == "mvit-video: none of these settings ran\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--model", "mvitv2_s"], "unknown model 'mvitv2_s'; did you mean 'mvitv2_s_16x4'?"),
        (["--clip", "16"], "--clip 16: expected frames x pixels, such as 16x224"),
        (["--clip", "0x224"], "--clip 0x224: expected frames x pixels"),
        (["--clip", "1x2"], "clip of 1 frames, 2 x 2 pixels: too small"),
        (["--batches", "1", "0"], "--batches 0: expected whole numbers of at least 1"),
        (["--threads", "-1"], "expected"),
        (["--seconds", "-1"], "--seconds -1: expected a number of at least 0"),
        (["--precisions", "fp8"], "invalid choice: 'fp8'"),
        (["--device", "tpu"], "expected auto, cpu or cuda"),
    ],
)
def test_what_is_typed_wrong_is_one_line(words, expected, capsys):
    assert main(["benchmark", *words]) == 2
    captured = capsys.readouterr()
    assert expected in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def findings(setting, gain=None, checkpointing=None):
    first = Trial(Setting(), 2.0, 10)
    return Findings((first, Trial(setting, 1.0, 5)), Trial(setting, 1.0, 5), gain, checkpointing)


@pytest.mark.parametrize("model", ["mvitv2_s_16x4", "mvitv2_s_16x4.k400"])
@pytest.mark.parametrize("training", [False, True])
def test_what_is_advised_can_be_typed(model, training):
    lines = advise(findings(Setting("bf16", num_cpus(), 4)), model, "cpu", training=training)
    commands = [shlex.split(line) for line in lines if line.startswith("mvit-video ")]
    assert len(commands) == (1 if training else 2)
    for words in commands:
        assert callable(build_parser().parse_words(words[1:]).run)
    if training:
        assert commands[0][-4:] == ["TRAIN.PRECISION", "bf16", "TRAIN.MICRO_BATCH_SIZE", "4"]
    else:
        assert commands[1][-4:] == ["TEST.PRECISION", "bf16", "TEST.BATCH_SIZE", "4"]
        (line,) = [line for line in lines if line.startswith("mvit_video.")]
        compile(line, "advice", "eval")


def test_advice_says_what_is_gained_and_what_memory_costs():
    setting = Setting("bf16", num_cpus() + 1, 1, compiled=True)
    lines = advise(findings(setting, Gain(2, 1.5, 2.5), (0.25, 1.3)), "mvitv2_s_16x4", "cpu", training=True)
    text = "\n".join(lines)
    assert "2.00 times as fast (1.50-2.50) as fp32, 1 clip at a time, 1 thread\n" in text
    assert f"\nOMP_NUM_THREADS={num_cpus() + 1} mvit-video train " in text
    assert "torch.compile(model)" in text
    assert "MODEL.ACT_CHECKPOINT True, 25% of the memory for 1.30 times the time" in text
    alone = advise(findings(Setting()), "mvitv2_s_16x4", "cuda", training=False)
    assert "nothing else that was tried is clearly faster" in "\n".join(alone)
    assert not any("OMP_NUM_THREADS" in line for line in alone)
