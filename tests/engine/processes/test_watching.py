"""What becomes of a run of which one process fails; nobody else minds these processes."""

import re
import time

import pytest
from kit.processes import KIT, messages, start_ranks, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]  # of starting processes, mostly

STACK = r"Thread 0x\w+.*\(most recent call first\):\n(  File .*\n)+"


def _end(folder, how, timeout_seconds=60):
    """The exit statuses of two processes, and what they said."""
    processes = start_ranks(folder, KIT / "failing_rank.py", how, timeout_seconds)
    statuses = wait_for(processes)
    return statuses, [messages(folder, rank) for rank in range(2)]


def test_all_is_well(tmp_path):
    statuses, texts = _end(tmp_path, "")
    assert statuses == [0, 0]
    assert all("sum [3.0, 1.0] ranks [0, 1] first 0 any True" in text for text in texts)


@pytest.mark.parametrize("dead", [0, 1])
def test_a_killed_process_ends_the_others(tmp_path, dead):
    statuses, texts = _end(tmp_path, f"dies {dead}")
    other = 1 - dead
    assert (statuses[dead], statuses[other]) == (-9, 1)
    name = rf"rank {dead} of 2 \(pid \d+ on \S+\) has died: rank {other} of 2 \(pid \d+ on \S+\) ends too"
    assert re.search(rf"mvit-video: {name}; its threads are at:\n", texts[other])
    assert re.search(STACK, texts[other])
    assert "failing_rank.py" in texts[other]


def test_a_process_that_hangs_is_shown_and_ended(tmp_path):
    started = time.monotonic()
    statuses, texts = _end(tmp_path, "hangs 1", 15)
    assert statuses == [1, 1]
    assert time.monotonic() - started < 200
    assert "Timed out" in texts[0]
    assert re.search(r"rank 0 of 2 \(.*\): .*Timed out.*: rank 1 of 2 .* ends too", texts[1])
    assert re.search(r"failing_rank.py\", line \d+ in fail", texts[1])  # where it hung


def test_a_process_that_stands_still_is_noticed(tmp_path):
    processes = start_ranks(tmp_path, KIT / "failing_rank.py", "freezes 1", 15)
    try:
        assert processes[0].wait(timeout=200) == 1
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert "Timed out" in messages(tmp_path, 0) or "was not heard of for 15 s" in messages(tmp_path, 0)


def test_a_fault_of_one_ends_the_other_with_its_reason(tmp_path):
    statuses, texts = _end(tmp_path, "breaks 1")
    assert statuses == [1, 1]
    assert "TypeError: a fault of the program" in texts[1]
    assert re.search(r"rank 1 of 2 \(.*\): a fault of the program: rank 0 of 2 .* ends too", texts[0])


def test_what_all_meet_is_said_once(tmp_path):
    statuses, texts = _end(tmp_path, "mends all")
    assert statuses == [2, 2]
    assert texts == ["error: list.csv: does not exist, correct it\n", ""]


def test_what_one_meets_is_said_by_the_first(tmp_path):
    statuses, texts = _end(tmp_path, "mends 1")
    assert statuses == [2, 2]
    assert re.fullmatch(r"error: rank 1 of 2 \(.*\): list.csv: does not exist, correct it\n", texts[0])
    assert texts[1] == ""
