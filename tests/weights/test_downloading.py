"""Downloads, against a server that also fails in every way servers do."""

import functools
import hashlib
import multiprocessing
import os
import subprocess
import sys
import threading
import time

import pytest
import torch
from kit.http_server import LoopbackServer, body

from mvit_video.weights import WeightsError, cache_path
from mvit_video.weights import download as download_weights

CONTENT = b"weights" * 1000
download = functools.partial(download_weights, check=None)  # any file


@pytest.fixture
def server():
    with LoopbackServer() as server:
        yield server


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MVIT_VIDEO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def files_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def weights_bytes(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"patch_embed.proj.weight": torch.ones(100, 100)}, path)
    return path.read_bytes()


def test_a_file_is_fetched_once_and_then_comes_from_the_cache(server, cache):
    server.answers["/zoo/a.pth"] = body(CONTENT)
    url = server.url("/zoo/a.pth")
    digest = hashlib.sha256(CONTENT).hexdigest()
    path = download(url, num_bytes=len(CONTENT), sha256=digest)
    assert path.read_bytes() == CONTENT
    assert path == cache_path(url)
    assert path.is_relative_to(cache)
    assert download(url) == path
    assert server.requests == ["/zoo/a.pth"]
    assert files_in(cache) == [str(path.relative_to(cache))]  # no lock, no part


def test_two_hosts_with_one_path_are_two_files(server, cache):
    server.answers["/model.pth"] = body(CONTENT)
    first = download(server.url("/model.pth"))
    server.answers["/model.pth"] = body(CONTENT[::-1])
    second = download(server.url("/model.pth", host="localhost"))
    assert first.read_bytes() == CONTENT
    assert second.read_bytes() == CONTENT[::-1]


def test_a_query_is_part_of_what_is_cached(cache):
    assert cache_path("http://host/a.pth?v=1") != cache_path("http://host/a.pth?v=2")


def test_the_cache_folder_follows_xdg_then_home(monkeypatch, tmp_path):
    monkeypatch.delenv("MVIT_VIDEO_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_path("https://host/d/f.pth") == tmp_path / "xdg" / "mvit_video" / "host" / "d" / "f.pth"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_path("https://host/f.pth") == tmp_path / "home" / ".cache" / "mvit_video" / "host" / "f.pth"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/file",
        "https://host",
        "https://host/",
        "https://host/../../etc/passwd",
        "file:///etc/passwd",
        "http://[::1",
        "http://host:port/file",
    ],
)
def test_an_address_that_names_no_web_file_is_refused(url):
    with pytest.raises(WeightsError, match="expected an address of a file"):
        cache_path(url)


def refuse(server, cache, path, match, download=download, **how):
    with pytest.raises(WeightsError, match=match) as caught:
        download(server.url(path), **how)
    assert "\n" not in str(caught.value)
    assert server.url(path) in str(caught.value)
    assert files_in(cache) == []


def test_a_missing_file_is_reported_with_the_servers_answer(server, cache):
    refuse(server, cache, "/none.pth", "the server answered 404 Not Found")


def test_a_body_shorter_than_announced_leaves_nothing(server, cache):
    server.answers["/short.pth"] = body(CONTENT, announced=2 * len(CONTENT))
    refuse(server, cache, "/short.pth", f"{len(CONTENT)} bytes received, {2 * len(CONTENT)} expected")


def test_a_truncated_body_of_unannounced_length_does_not_parse(server, cache, weights_bytes):
    server.answers["/cut.pth"] = body(weights_bytes[: len(weights_bytes) // 2], announced=None)
    refuse(server, cache, "/cut.pth", "not a file of weights, or damaged", download=download_weights)


def test_a_whole_body_of_unannounced_length_is_kept(server, cache, weights_bytes):
    server.answers["/whole.pth"] = body(weights_bytes, announced=None)
    assert download_weights(server.url("/whole.pth")).read_bytes() == weights_bytes


def test_a_size_other_than_the_published_one_is_refused(server, cache):
    server.answers["/a.pth"] = body(CONTENT)
    refuse(server, cache, "/a.pth", "7000 bytes received, 7001 expected", num_bytes=7001)


def test_a_web_page_instead_of_a_file_is_refused(server, cache):
    server.answers["/page.pth"] = body(b"<html>sign in</html>", content_type="text/html; charset=utf-8")
    refuse(server, cache, "/page.pth", "sent a web page instead of a file")


def test_a_web_page_that_claims_to_be_a_file_does_not_parse(server, cache):
    server.answers["/page.pth"] = body(b"<!doctype html><html>sign in</html>")
    refuse(server, cache, "/page.pth", "not a file of weights", download=download_weights)


def test_a_file_with_another_hash_is_refused(server, cache):
    server.answers["/a.pth"] = body(CONTENT)
    refuse(server, cache, "/a.pth", "SHA-256 .* expected deadbeef", sha256="deadbeef")


def test_the_leading_digits_of_a_hash_are_enough(server, cache):
    server.answers["/a.pth"] = body(CONTENT)
    assert download(server.url("/a.pth"), sha256=hashlib.sha256(CONTENT).hexdigest()[:8].upper()).exists()


@pytest.mark.parametrize("half_way", [False, True])
def test_a_server_that_falls_silent_is_given_up(server, cache, half_way):
    awake = threading.Event()

    def stall(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(CONTENT)))
        handler.end_headers()
        if half_way:
            handler.wfile.write(CONTENT[:100])
            handler.wfile.flush()
        awake.wait(20)

    server.answers["/slow.pth"] = stall
    start = time.monotonic()
    refuse(server, cache, "/slow.pth", "sent nothing for 0.3 seconds; try again, or fetch", stall_seconds=0.3)
    awake.set()
    assert time.monotonic() - start < 10


def test_a_connection_that_breaks_half_way_leaves_nothing(server, cache):
    def reset(handler):
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"64\r\n" + CONTENT[:100] + b"\r\n")
        handler.wfile.flush()

    server.answers["/broken.pth"] = reset
    refuse(server, cache, "/broken.pth", "the connection broke")


def test_without_a_network_the_message_says_where_to_put_the_file(cache):
    with LoopbackServer() as server:
        url = server.url("/a.pth")
    with pytest.raises(WeightsError, match=r"cannot be reached \(Connection refused\)") as caught:
        download(url)
    assert f"put it at {cache_path(url)}" in str(caught.value)


def test_addresses_may_hold_blanks_and_accents(server, cache):
    server.answers["/caf%C3%A9%20au%20lait.pth"] = body(CONTENT)
    path = download(server.url("/café au lait.pth"), check=None)
    assert path.name == "café au lait.pth"


def test_an_address_too_long_for_a_file_is_reported(server, cache):
    with pytest.raises(WeightsError, match="cannot keep"):
        download(server.url("/" + "a" * 3000))


def test_a_cache_that_cannot_be_written_is_reported(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MVIT_VIDEO_CACHE", str(tmp_path / "file" / "below"))
    server.answers["/a.pth"] = body(CONTENT)
    with pytest.raises(WeightsError, match="set MVIT_VIDEO_CACHE to a folder with room"):
        download(server.url("/a.pth"))


def test_a_failed_download_can_be_tried_again(server, cache):
    server.answers["/a.pth"] = body(CONTENT[:10], announced=len(CONTENT))
    refuse(server, cache, "/a.pth", "10 bytes received")
    server.answers["/a.pth"] = body(CONTENT)
    assert download(server.url("/a.pth")).read_bytes() == CONTENT


def test_an_interrupted_download_leaves_nothing(server, cache, monkeypatch):
    def interrupt(path):
        raise KeyboardInterrupt

    server.answers["/a.pth"] = body(CONTENT)
    with pytest.raises(KeyboardInterrupt):
        download(server.url("/a.pth"), check=interrupt)
    assert files_in(cache) == []


FETCH = "import sys; from mvit_video.weights import download; print(download(sys.argv[1], check=None))"


def test_two_processes_at_once_fetch_once(server, cache):
    """The first request is held until the second process has surely come to wait for the lock."""
    url = server.url("/ranks.pth")
    environment = {**os.environ, "MVIT_VIDEO_CACHE": str(cache)}
    both_started = threading.Event()
    server.answers["/ranks.pth"] = body(CONTENT, before_body=lambda: both_started.wait(60))
    command = [sys.executable, "-c", FETCH, url]
    processes = [
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL
        )
        for _ in range(2)
    ]
    lock = cache_path(url).resolve().with_name("ranks.pth.lock")
    wait_until(lambda: all(lock in open_files(process.pid) for process in processes))
    both_started.set()
    outputs = [process.communicate(timeout=60)[0].strip() for process in processes]
    assert outputs == [str(cache_path(url))] * 2
    assert server.requests == ["/ranks.pth"]
    assert cache_path(url).read_bytes() == CONTENT
    assert files_in(cache) == [str(cache_path(url).relative_to(cache))]


def open_files(pid):
    folder = f"/proc/{pid}/fd"
    names = []
    for entry in os.listdir(folder):
        try:
            names.append(os.readlink(f"{folder}/{entry}"))
        except FileNotFoundError:
            continue
    return [type(cache_path("http://h/f"))(name) for name in names]


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited for too long"
        time.sleep(0.02)


def count_up(path, counter, rounds):
    from mvit_video.weights.downloading import _locked

    for _ in range(rounds):
        with _locked(path):
            value = int(counter.read_text())
            time.sleep(0.0005)
            counter.write_text(str(value + 1))


def test_the_lock_excludes_although_its_file_is_removed_each_time(tmp_path):
    counter = tmp_path / "counter"
    counter.write_text("0")
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=count_up, args=(tmp_path / "a.lock", counter, 50)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert counter.read_text() == "200"
    assert not (tmp_path / "a.lock").exists()


def test_progress_goes_to_stderr_as_plain_lines_when_it_is_no_terminal(server, cache, capsys):
    server.answers["/a.pth"] = body(CONTENT)
    download(server.url("/a.pth"))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == f"downloading {server.url('/a.pth')} (0.0 MB)\n"
