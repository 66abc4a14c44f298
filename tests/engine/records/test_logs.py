"""The run's records and the folder they lie in."""

import json
import os

import pytest

from mvit_video.engine.errors import RunError
from mvit_video.engine.records.logs import RunLog, SilentLog, prepare_output_dir, read_rows


def _write(folder, steps, **kwargs):
    with RunLog(folder, **kwargs) as log:
        for step in steps:
            log.write("train", step=step, epoch=step / 4, loss=1 / step)


def test_a_resumed_run_repeats_no_step(tmp_path):
    _write(tmp_path, [1, 2, 3, 4, 5, 6], tensorboard=False)
    _write(tmp_path, [5, 6, 7], resume_step=4, tensorboard=False)
    assert [row["step"] for row in read_rows(tmp_path / "train.jsonl")] == [1, 2, 3, 4, 5, 6, 7]


def test_a_line_cut_off_by_a_crash_is_dropped(tmp_path):
    _write(tmp_path, [1, 2], tensorboard=False)
    with open(tmp_path / "train.jsonl", "a") as file:
        file.write('{"kind": "train", "step": 3, "ep')
    _write(tmp_path, [3], resume_step=2, tensorboard=False)
    lines = (tmp_path / "train.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3]


def test_a_new_run_starts_a_new_file(tmp_path):
    _write(tmp_path, [1, 2, 3], tensorboard=False)
    _write(tmp_path, [1], tensorboard=False)
    assert [row["step"] for row in read_rows(tmp_path / "train.jsonl")] == [1]


def test_rows_are_strict_json_and_can_be_asked_for(tmp_path):
    with RunLog(tmp_path, tensorboard=False) as log:
        log.write("val", step=4, epoch=1.0, top1=50.0, grad_norm=float("inf"))
        assert log.has("val", 4)
        assert not log.has("val", 5)
        assert not log.has("train", 4)
    line = (tmp_path / "train.jsonl").read_text()
    assert "Infinity" not in line
    assert json.loads(line) == {"kind": "val", "step": 4, "epoch": 1.0, "top1": 50.0, "grad_norm": None}


def test_tensorboard_holds_the_same_numbers_once(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _write(tmp_path, [1, 2, 3])
    _write(tmp_path, [3, 4], resume_step=2)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    scalars = events.Scalars("train/loss")
    assert [event.step for event in scalars] == [1, 2, 3, 4]
    assert [event.value for event in scalars] == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])


def _curve(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return [event.step for event in events.Scalars("train/loss")]


def test_tensorboard_gets_what_a_killed_run_told_the_file_only(tmp_path):
    _write(tmp_path, [1, 2])
    with open(tmp_path / "train.jsonl", "a") as file:
        file.write(json.dumps({"kind": "train", "step": 3, "epoch": 0.75, "loss": 1 / 3}) + "\n")
    _write(tmp_path, [4], resume_step=3)
    assert _curve(tmp_path) == [1, 2, 3, 4]


def test_processes_that_write_nothing_know_the_same_rows(tmp_path):
    _write(tmp_path, [1, 2, 3], tensorboard=False)
    rows = read_rows(tmp_path / "train.jsonl")
    with SilentLog(rows[:2]) as log:
        log.write("val", step=3, epoch=0.75, top1=1.0)
        log.sync()
        assert log.has("train", 2)
        assert log.has("val", 3)
    assert read_rows(tmp_path / "train.jsonl") == rows


def test_the_output_folder_is_made(tmp_path):
    folder = prepare_output_dir(tmp_path / "a/b")
    assert list(folder.iterdir()) == []


def test_an_output_folder_that_cannot_be_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"OUTPUT_DIR is '.*file/run', which cannot .* \(Not a directory\)"):
        prepare_output_dir(tmp_path / "file/run")


def test_an_output_folder_without_permission_is_said(tmp_path, monkeypatch):
    from pathlib import Path

    def refuse(self, *args, **kwargs):
        raise PermissionError(13, os.strerror(13), str(self))

    monkeypatch.setattr(Path, "touch", refuse)  # the tests may run as root, whom no folder refuses
    with pytest.raises(RunError, match=r"which cannot be written \(Permission denied\): choose another"):
        prepare_output_dir(tmp_path)


def test_a_full_disk_is_said_with_the_file(tmp_path):
    with RunLog(tmp_path, tensorboard=False) as log:
        log._file.close()
        log._file = open("/dev/full", "a", encoding="utf-8", buffering=1)  # noqa: SIM115
        with pytest.raises(RunError, match=r"train.jsonl: cannot be written \(No space left on device\)"):
            log.write("train", step=1, epoch=1.0)
        log._file = open(os.devnull, "a")  # noqa: SIM115
