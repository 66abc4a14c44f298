import io
import os

import pytest
from iopath.common.file_io import PathHandler, g_pathmgr
from kit.http_server import LoopbackServer
from kit.videos import read_numbers, write_video

from mvit_video.data import VideoError, open_video
from mvit_video.data.video.sources import open_source


@pytest.fixture
def mp4(tmp_path):
    return write_video(tmp_path / "v.mp4", 20)


@pytest.fixture
def registered():
    """Registers a handler with iopath's global manager, and takes it away again."""
    handlers = []

    def register(handler):
        g_pathmgr.register_handler(handler)
        handlers.append(handler)

    yield register
    for handler in handlers:
        for prefix in handler._get_supported_prefixes():
            g_pathmgr._path_handlers.pop(prefix, None)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, io.BytesIO])
def test_bytes_are_a_video(mp4, kind):
    data = kind(mp4.read_bytes())
    with open_video(data) as video:
        assert video.name == f"<{kind.__name__}>"
        assert video.is_trusted
        assert read_numbers(video.frames([19, 2])) == [19, 2]
        assert video.num_frames == 20


def test_no_bytes_are_no_video():
    with pytest.raises(VideoError, match="<bytes>: there are no bytes in it"):
        open_video(b"")
    with pytest.raises(VideoError, match="<bytearray>: not a video, or damaged"):
        open_video(bytearray(2000))


def test_a_file_object_stays_open_and_has_other_readers(mp4):
    with mp4.open("rb") as file:
        with open_video(file) as one, open_video(file) as other:
            streams = zip(one.stream(range(20)), other.stream(range(20)), strict=True)
            assert [(a[0], b[0]) for a, b in streams] == [(i, i) for i in range(20)]
        assert file.seek(0) == 0


class _Renaming(PathHandler):
    """Serves ``local://name`` as a file of a folder."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def _get_supported_prefixes(self):
        return ["local://"]

    def _get_local_path(self, path, force=False, **_):
        return str(self.folder / path.removeprefix("local://"))


class _Streaming(PathHandler):
    """Serves ``stream://name`` as a file object only; what it opened is kept."""

    def __init__(self, folder, seekable):
        super().__init__()
        self.folder, self.can_seek, self.opened = folder, seekable, []

    def _get_supported_prefixes(self):
        return ["stream://"]

    def _get_local_path(self, path, force=False, **_):
        raise NotImplementedError

    def _open(self, path, mode="r", buffering=-1, **_):
        file = (self.folder / path.removeprefix("stream://")).open(mode)
        file = file if self.can_seek else _NoSeeking(file)
        self.opened.append(file)
        return file


class _NoSeeking(io.BufferedReader):
    def seekable(self):
        return False

    def seek(self, *_):
        raise OSError("no seeking")


class _Failing(io.BytesIO):
    """A file on a disk, or behind a network, that is gone."""

    def __init__(self, data, method):
        super().__init__(data)
        self.method = method

    def read(self, size=-1):
        if (
            size != 0 and self.method == "read"
        ):  # it is asked for nothing first, to see whether it gives bytes
            raise OSError("I/O error")
        return super().read(size)

    def seek(self, *where):
        if self.method == "seek":
            raise OSError("I/O error")
        return super().seek(*where)


@pytest.mark.parametrize("method", ["read", "seek"])
def test_files_that_fail_are_no_videos(mp4, method):
    with pytest.raises(VideoError, match="not a video, or damaged: "):
        open_video(_Failing(mp4.read_bytes(), method))


def test_what_iopath_has_a_local_path_for(mp4, tmp_path, registered):
    registered(_Renaming(tmp_path))
    with open_video("local://v.mp4") as video:
        assert video.name == "local://v.mp4"
        assert read_numbers(video.frames([7])) == [7]
    with pytest.raises(VideoError, match=r"local://other\.mp4: no such file"):
        open_video("local://other.mp4")


@pytest.mark.parametrize("seekable", [True, False])
def test_what_iopath_only_opens(mp4, tmp_path, registered, seekable):
    handler = _Streaming(tmp_path, seekable)
    registered(handler)
    with open_video("stream://v.mp4") as video:
        assert read_numbers(video.frames([19, 0])) == [19, 0]
    assert [file.closed for file in handler.opened] == [True]
    with pytest.raises(VideoError, match=r"stream://none.mp4: cannot be fetched: .*No such file"):
        open_video("stream://none.mp4")


def test_the_web_is_read_through_iopath(mp4, monkeypatch, tmp_path):
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path / "cache"))
    other = write_video(tmp_path / "w.mp4", 12)

    def answer(path):
        def send(request):
            data = path.read_bytes()
            request.send_response(200)
            request.send_header("Content-Length", str(len(data)))
            request.end_headers()
            request.wfile.write(data)

        return send

    with LoopbackServer() as one, LoopbackServer() as two:
        one.answers["/a/v.mp4"], two.answers["/a/v.mp4"] = answer(mp4), answer(other)
        for _ in range(2):
            with open_video(one.url("/a/v.mp4")) as video:
                assert video.num_frames == 20
            with open_video(two.url("/a/v.mp4")) as video:  # the same path on another host is another file
                assert video.num_frames == 12
        assert len(one.requests) == len(two.requests) == 1  # fetched once
        with pytest.raises(VideoError, match=r"/missing\.mp4: cannot be fetched: .*404"):
            open_video(one.url("/missing.mp4"))


def test_an_address_that_nobody_handles():
    with pytest.raises(VideoError, match=r"swift://bucket/v\.mp4: nobody handles swift:// here; register"):
        open_video("swift://bucket/v.mp4")


def test_a_local_file_is_no_address(tmp_path, monkeypatch):
    (tmp_path / "a:").mkdir()
    path = write_video(tmp_path / "a:" / "v.mp4", 3)
    monkeypatch.chdir(tmp_path)
    assert os.path.exists("a://v.mp4")
    assert open_source("a://v.mp4").path == "a://v.mp4"
    with open_video("a://v.mp4") as video:
        assert video.num_frames == 3
    assert path.exists()


def test_a_path_that_cannot_be_looked_at_is_named_once(tmp_path):
    path = tmp_path / f"{'a' * 300}.mp4"
    with pytest.raises(VideoError) as caught:
        open_source(path)
    assert str(caught.value) == f"{path}: cannot be read: File name too long"
