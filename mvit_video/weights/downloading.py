"""A URL to a file in the cache: fetched once, checked, and there whole or not at all."""

import contextlib
import fcntl
import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from ssl import SSLError
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

from mvit_video.version import __version__
from mvit_video.weights.errors import WeightsError
from mvit_video.weights.progress import show_progress

_CHUNK_BYTES = 1 << 20
_URL_PUNCTUATION = "%:/?#[]@!$&'()*+,;=~"  # all else, such as blanks and accents, is percent-encoded


def check_parses(path: Path) -> None:
    """Raise a `WeightsError` when a file cannot be read as weights."""
    from mvit_video.weights.files import read_checkpoint  # late: a cached file needs no torch

    read_checkpoint(path)


def download(
    url: str,
    *,
    num_bytes: int | None = None,
    sha256: str | None = None,
    check: Callable[[Path], None] | None = check_parses,
    stall_seconds: float = 30.0,
) -> Path:
    """The file at a URL, from the cache or fetched into it.

    Processes on one machine that ask for the same URL at once fetch it once. Progress goes to stderr.

    Args:
        url: An http or https address.
        num_bytes: Size the file must have, if known.
        sha256: SHA-256 it must have in hexadecimal, or its leading digits, if known.
        check: Called with the fetched file before it gets its name; raises when the file is no good. By
            default it must be readable as weights; None takes any file.
        stall_seconds: Give up when the server sends nothing for so long.

    Returns:
        Path of the file. Its name is only ever given to a complete, checked file.

    Raises:
        WeightsError: When the file cannot be fetched or is not what was expected; nothing stays behind.
    """
    target = cache_path(url)
    try:
        if target.exists():
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(target.with_name(f"{target.name}.lock")):
            if not target.exists():  # another process may have fetched it while we waited
                _fetch(url, target, num_bytes, sha256, check, stall_seconds)
    except OSError as error:
        reason = error.strerror or error
        raise WeightsError(
            f"cannot keep {url} as {target}: {reason}; set MVIT_VIDEO_CACHE to a folder with room"
        ) from None
    return target


def cache_path(url: str) -> Path:
    """Where the file at a URL is kept: cache folder, host, path.

    The folder is ``$MVIT_VIDEO_CACHE``, else ``$XDG_CACHE_HOME/mvit_video``, else ``~/.cache/mvit_video``.

    Raises:
        WeightsError: When this is no http(s) address of a file.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise WeightsError(f"{url}: {error}; expected an address of a file, http(s)://HOST/PATH") from None
    names = [name for name in parts.path.split("/") if name]
    if parts.scheme not in ("http", "https") or not parts.hostname or not names or {".", ".."} & set(names):
        raise WeightsError(f"{url}: expected an address of a file, http(s)://HOST/PATH")
    if parts.query:
        names[-1] += "-" + hashlib.sha256(parts.query.encode()).hexdigest()[:8]
    host = parts.hostname if port is None else f"{parts.hostname}_{port}"
    return _cache_folder().joinpath(host.replace(":", "_"), *names)


def _cache_folder() -> Path:
    if own := os.environ.get("MVIT_VIDEO_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser() / "mvit_video"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock between processes; the lock file is gone afterwards.

    Whoever holds the lock removes the file, so one who waited may have locked a file that has lost its name,
    and then starts again.
    """
    while True:
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not _is_at(file, path):
                continue
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _is_at(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _fetch(
    url: str,
    target: Path,
    num_bytes: int | None,
    sha256: str | None,
    check: Callable[[Path], None] | None,
    stall_seconds: float,
) -> None:
    part = target.with_name(f"{target.name}.part")
    try:
        digest = _receive(url, part, num_bytes, stall_seconds, target)
        if sha256 is not None and not digest.startswith(sha256.lower()):
            raise WeightsError(
                f"{url}: the file received has SHA-256 {digest}, expected {sha256}: damaged or changed; "
                "try again, or fetch it from another source"
            )
        if check is not None:
            try:
                check(part)
            except WeightsError as error:
                reason = str(error).removeprefix(f"{part}: ")
                raise WeightsError(f"{url}: what was received is of no use: {reason}; try again") from None
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _receive(url: str, part: Path, num_bytes: int | None, stall_seconds: float, target: Path) -> str:
    """Write the body to `part` and return its SHA-256."""
    by_hand = f"or fetch the file by other means and put it at {target}"
    headers = {"User-Agent": f"mvit_video/{__version__}", "Accept-Encoding": "identity"}
    request = Request(quote(url, safe=_URL_PUNCTUATION), headers=headers)
    try:
        with urlopen(request, timeout=stall_seconds) as response:
            return _copy_body(response, url, part, num_bytes)
    except HTTPError as error:
        raise WeightsError(
            f"{url}: the server answered {error.code} {error.reason}; check the address"
        ) from None
    except TimeoutError:
        raise WeightsError(
            f"{url}: the server sent nothing for {stall_seconds:g} seconds; try again, {by_hand}"
        ) from None
    except URLError as error:
        reason = getattr(error.reason, "strerror", None) or error.reason
        raise WeightsError(
            f"{url}: cannot be reached ({reason}); connect to the network, {by_hand}"
        ) from None
    except (ConnectionError, SSLError, HTTPException) as error:
        raise WeightsError(f"{url}: the connection broke ({error!r}); try again, {by_hand}") from None


def _copy_body(response: HTTPResponse, url: str, part: Path, num_bytes: int | None) -> str:
    announced = response.headers.get("Content-Length")
    total = int(announced) if announced is not None and announced.isdigit() else num_bytes
    if response.headers.get_content_type() == "text/html":
        raise WeightsError(f"{url}: the server sent a web page instead of a file; check the address")
    digest, received = hashlib.sha256(), 0
    with part.open("wb") as file, show_progress(url, total, sys.stderr, time.monotonic) as advance:
        while chunk := response.read1(_CHUNK_BYTES):
            file.write(chunk)
            digest.update(chunk)
            received += len(chunk)
            advance(received)
    for expected in (total, num_bytes):
        if expected is not None and received != expected:
            raise WeightsError(f"{url}: {received} bytes received, {expected} expected; try again")
    return digest.hexdigest()
