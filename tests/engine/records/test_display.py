"""One live line on a terminal, plain lines elsewhere."""

import io
import logging
import os
import pty
import select
import sys
import time
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from rich.console import Console

from mvit_video.engine.records import display
from mvit_video.engine.records.display import (
    TrainingDisplay,
    _rich_progress,
    counting,
    describe_training,
    format_seconds,
    lasting,
    on_terminal,
)

ROW = {
    "kind": "train", "step": 20, "epoch": 2.0, "loss": 1.23456, "lr": 1e-4, "grad_norm": 0.5,
    "step_seconds": 3.0, "data_seconds": 0.3, "clips_per_second": 21.333, "memory_gb": 1.25, "replaced": 0,
}  # fmt: skip


@contextmanager
def _terminal(monkeypatch):
    """Standard error is a real (pseudo) terminal; yields a function that tells what it shows."""
    keeper, terminal = pty.openpty()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    with os.fdopen(terminal, "w") as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)

        def read():
            text, patience = "", 5.0
            while select.select([keeper], [], [], patience)[0]:  # a terminal hands on what it gets bit by bit
                text, patience = text + os.read(keeper, 2**16).decode(), 0.5
            return text

        yield read
    os.close(keeper)


def test_plain_lines(caplog, capsys):
    with caplog.at_level(logging.INFO), TrainingDisplay(100, 10) as shown:
        shown.step(20, 1)
        shown.show(ROW)
        shown.show(ROW | {"grad_norm": None})
    assert caplog.messages == [
        "epoch 2.00/10, step 20/100, loss 1.2346, lr 0.0001, gradient 0.5, "
        "3.00 s/step (10% data), 21.3 clips/s, 1.2 GB, 4:00 left",
        "epoch 2.00/10, step 20/100, loss 1.2346, lr 0.0001, "
        "3.00 s/step (10% data), 21.3 clips/s, 1.2 GB, 4:00 left",
    ]
    assert capsys.readouterr() == ("", "")


def test_a_bar_on_a_terminal(monkeypatch, caplog):
    with _terminal(monkeypatch) as read, caplog.at_level(logging.INFO):
        with TrainingDisplay(100, 10, first_step=10) as shown:
            shown.step(20, 1)
            shown.show(ROW)
        text = read()
    assert "epoch 2/10" in text
    assert "20/100" in text
    assert "loss 1.2346, lr 0.0001" in text
    assert caplog.messages == []


def test_a_bar_over_videos(monkeypatch):
    with _terminal(monkeypatch) as read:
        with counting("testing", 3) as progress:
            progress(2)
        assert "2/3" in read()


def test_long_counting_speaks_now_and_then(caplog, monkeypatch):
    now = iter([0.0, 10.0, 31.0, 40.0, 62.0])
    monkeypatch.setattr(display, "time", SimpleNamespace(monotonic=lambda: next(now)))
    with caplog.at_level(logging.INFO), counting("testing", 100) as progress:
        for done in (1, 31, 40, 62):
            progress(done)
    assert caplog.messages == ["testing: 31 of 100, 1:09 left", "testing: 62 of 100, 0:38 left"]


def test_a_dumb_terminal_is_none(monkeypatch):
    with _terminal(monkeypatch):
        assert on_terminal()
        monkeypatch.setenv("TERM", "dumb")
        assert not on_terminal()


def test_times():
    assert [format_seconds(seconds) for seconds in (0, 59.6, 3599, 3723)] == [
        "0:00",
        "1:00",
        "59:59",
        "1:02:03",
    ]


def test_the_accuracy_and_what_went_wrong_are_in_the_words():
    row = ROW | {"top1": 61.25, "bad": 2, "damaged": 0, "skipped": 1, "loss": None}
    assert describe_training(row) == (
        "loss none (skipped), top-1 61.2 %, lr 0.0001, gradient 0.5, 3.00 s/step (10% data), 21.3 clips/s, "
        "1.2 GB, 2 unreadable, 1 steps skipped"
    )


def test_a_narrow_terminal_shows_all_of_it():
    bar = _rich_progress()
    note = "loss 1.3880, top-1 25.0 %, lr 0.00101, gradient 11.4, 0.15 s/step (0% data), 6.7 clips/s"
    bar.add_task("epoch 12/200", total=45234, completed=3000, note=note)
    console = Console(width=80, file=io.StringIO())
    console.print(bar.get_renderable())
    shown = " ".join(console.file.getvalue().split())
    assert "epoch 12/200" in shown
    assert "3000/45234" in shown
    assert all(word in shown for word in note.split(", "))


def test_what_is_done_in_between_is_counted_under_the_bar_of_a_training(monkeypatch):
    with _terminal(monkeypatch) as read:
        with TrainingDisplay(100, 10) as shown:
            shown.step(20, 1)
            with counting("evaluating", 7) as progress:
                progress(3)
                time.sleep(0.3)
            shown.show(ROW)
        text = read()
    assert "evaluating" in text
    assert "3/7" in text
    assert "20/100" in text


def test_only_one_process_of_a_run_draws(monkeypatch):
    with _terminal(monkeypatch) as read:
        with TrainingDisplay(100, 10, live=False) as shown, counting("evaluating", 7, live=False) as progress:
            shown.step(20, 1)
            progress(3)
        assert read() == ""


def test_what_lasts_is_said_now_and_then_and_what_does_not_is_not(caplog):
    caplog.set_level(logging.INFO)
    with lasting("reading a.csv", seconds=0.05):
        while len(caplog.messages) < 2:
            time.sleep(0.01)
    assert set(caplog.messages[:-1]) == {"reading a.csv: 0:00 so far"}
    assert caplog.messages[-1] == "reading a.csv: done in 0:00"
    caplog.clear()
    with lasting("reading b.csv", seconds=60):
        pass
    assert caplog.messages == []


def test_what_fails_is_not_said_to_be_done(caplog):
    @lasting("reading a.csv", seconds=0.01)
    def read():
        time.sleep(0.1)
        raise ValueError("no such list")

    caplog.set_level(logging.INFO)
    with pytest.raises(ValueError, match="no such list"):
        read()
    assert "reading a.csv: done in 0:00" not in caplog.messages
