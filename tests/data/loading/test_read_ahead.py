import itertools
import threading
import time

import pytest

from mvit_video.data.loading.read_ahead import ReadAhead


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


class Counted:
    """0, 1, 2, ... and how many of them were made, and whether it was closed."""

    def __init__(self, stop_at=None):
        self.made, self.closed, self.thread = 0, False, None
        self._stop_at = stop_at

    def __iter__(self):
        return self

    def __next__(self):
        self.thread = threading.current_thread()
        if self.made == self._stop_at:
            raise StopIteration
        self.made += 1
        return self.made - 1

    def close(self):
        self.closed = True


def no_need():
    """Nothing is waited for."""


def test_items_come_in_order_and_a_few_are_made_in_advance():
    items = Counted(stop_at=9)
    reading = ReadAhead(items, 2, no_need)
    wait_until(lambda: items.made == 2)
    assert items.thread is not threading.current_thread()
    assert next(reading) == 0
    wait_until(lambda: items.made == 3)
    time.sleep(0.05)
    assert items.made == 3
    assert list(reading) == list(range(1, 9))
    assert next(reading, "end") == "end"
    wait_until(lambda: items.closed and not items.thread.is_alive())


def test_an_error_comes_in_its_place_and_stays():
    def make():
        yield 1
        raise LookupError("of the second")

    reading = ReadAhead(make(), 5, no_need)
    assert next(reading) == 1
    for _ in range(2):
        with pytest.raises(LookupError, match="of the second"):
            next(reading)


@pytest.mark.parametrize("how", ["closed", "let go"])
def test_the_thread_ends_early(how):
    stop = threading.Event()

    def make():
        yield from range(3)
        stop.wait(60)
        raise RuntimeError("stopped")

    items = make()
    reading = ReadAhead(items, 5, stop.set)
    assert list(itertools.islice(reading, 3)) == [0, 1, 2]
    if how == "closed":
        reading.close()
        reading.close()
        with pytest.raises(RuntimeError, match="these items are read no more"):
            next(reading)
    else:
        del reading
    assert stop.is_set()
    assert not any(thread.name == "mvit-video read ahead" for thread in threading.enumerate())


def test_a_thread_that_does_not_listen_is_left_behind():
    release = threading.Event()

    def make():
        yield 1
        release.wait(60)

    reading = ReadAhead(make(), 5, no_need, patience_seconds=0.01)
    assert next(reading) == 1
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "mvit-video read ahead"]
    reading.close()
    assert thread.is_alive()
    assert thread.daemon
    release.set()
    thread.join(60)
    assert not thread.is_alive()
