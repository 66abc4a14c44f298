"""Progress of a download on a terminal and off it."""

import io

from mvit_video.weights.progress import show_progress

URL = "https://host/model.pth"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_off_a_terminal_a_line_comes_every_ten_seconds():
    stream, seconds = io.StringIO(), iter([0.0, 5.0, 11.0, 11.0, 12.0])
    with show_progress(URL, 40_000_000, stream, lambda: next(seconds)) as advance:
        advance(10_000_000)
        advance(20_000_000)
        advance(30_000_000)
    assert stream.getvalue().splitlines() == [
        f"downloading {URL} (40.0 MB)",
        f"downloading {URL}: 20.0 MB of 40.0 MB",
    ]


def test_an_unknown_size_is_left_out():
    stream = io.StringIO()
    with show_progress(URL, None, stream, lambda: 0.0):
        pass
    assert stream.getvalue() == f"downloading {URL}\n"


def test_a_terminal_gets_a_bar():
    stream = Terminal()
    with show_progress(URL, 100, stream, lambda: 0.0) as advance:
        advance(100)
    assert "model.pth" in stream.getvalue()
    assert "100/100 bytes" in stream.getvalue()
