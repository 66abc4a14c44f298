"""Signals are noted, handlers of others put back, and a second Ctrl-C does not wait."""

import os
import pickle
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mvit_video.engine.errors import Stopped
from mvit_video.engine.stopping import SIGNALS, interrupts_held, signal_seen, signals_noted


@pytest.fixture(autouse=True)
def _hang_ups_count():
    """Whether or not the tests themselves run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", sorted({*SIGNALS, signal.SIGHUP}))
def test_a_signal_is_noted_and_nothing_else(number):
    with signals_noted():
        assert signal_seen() is None
        os.kill(os.getpid(), number)
        assert signal_seen() == number
    assert signal_seen() is None


def test_the_first_of_several_counts_and_the_next_run_starts_afresh():
    with signals_noted():
        os.kill(os.getpid(), signal.SIGUSR2)
        os.kill(os.getpid(), signal.SIGTERM)
        assert signal_seen() == signal.SIGUSR2
    with signals_noted():
        assert signal_seen() is None


def test_handlers_of_others_are_out_of_force_and_back_again():
    heard = []
    before = signal.signal(signal.SIGUSR2, lambda number, frame: heard.append(number))
    try:
        with signals_noted(), signals_noted():
            os.kill(os.getpid(), signal.SIGUSR2)
            assert signal_seen() == signal.SIGUSR2
        assert heard == []
        os.kill(os.getpid(), signal.SIGUSR2)
        assert heard == [signal.SIGUSR2]
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_ctrl_c_interrupts_at_once():
    with signals_noted():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_first_ctrl_c_is_answered_once(capfd):
    with signals_noted("this step"), signals_noted("something inside it"):
        os.kill(os.getpid(), signal.SIGTERM)
        assert capfd.readouterr().err == ""
        os.kill(os.getpid(), signal.SIGINT)
        assert capfd.readouterr().err == "\nstopping after this step; Ctrl-C once more stops at once\n"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    with signals_noted():
        os.kill(os.getpid(), signal.SIGINT)
    assert capfd.readouterr().err == ""


def test_a_ctrl_c_that_cannot_be_answered_is_noted_all_the_same():
    """As of ``train 2>&1 | tee log``, where it goes to tee as well."""
    kept, (reader, writer) = os.dup(2), os.pipe()
    os.close(reader)
    try:
        os.dup2(writer, 2)
        with signals_noted("this step"):
            os.kill(os.getpid(), signal.SIGINT)
            assert signal_seen() == signal.SIGINT
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(writer)


def test_a_second_ctrl_c_waits_for_a_file():
    whole = []

    def write():
        with interrupts_held():
            os.kill(os.getpid(), signal.SIGINT)
            whole.append(True)

    with signals_noted():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            write()
    assert whole


def test_a_ctrl_c_that_nobody_notes_waits_for_a_file_too():
    whole = []

    def write():
        with interrupts_held():
            os.kill(os.getpid(), signal.SIGINT)
            whole.append(True)

    with pytest.raises(KeyboardInterrupt):
        write()
    assert whole
    assert signal_seen() is None
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_what_is_ignored_stays_ignored(number):
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with signals_noted():
            os.kill(os.getpid(), number)
            assert signal_seen() is None
    finally:
        signal.signal(number, before)


def test_another_thread_changes_no_handler():
    def note():
        with signals_noted():
            seen.append(signal.getsignal(signal.SIGTERM))

    seen = []
    thread = threading.Thread(target=note)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)] == [signal.SIG_DFL]


@pytest.mark.parametrize("saved", [None, Path("out/checkpoints/checkpoint_epoch_00001.pyth")])
def test_being_stopped_can_be_told_another_process(saved):
    stopped = Stopped(signal.SIGUSR2, "after step 7", saved)
    told = pickle.loads(pickle.dumps(stopped))
    assert (str(told), told.signal_number, told.saved) == (str(stopped), 12, saved)
    assert str(told).startswith("stopped by SIGUSR2 after step 7, ")


def test_importing_installs_no_handlers():
    code = (
        "import signal, mvit_video, mvit_video.engine.training.fitting, mvit_video.engine.runner\n"
        "from mvit_video.engine.stopping import SIGNALS\n"
        "print(*(signal.getsignal(number).__class__.__name__ for number in SIGNALS))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["Handlers"] * 4 + ["builtin_function_or_method"]
