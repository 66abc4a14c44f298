"""How far a download is: a bar on a terminal, now and then a line elsewhere."""

import contextlib
from collections.abc import Callable, Iterator
from typing import TextIO

_LINE_EVERY_SECONDS = 10.0


@contextlib.contextmanager
def show_progress(
    url: str, total: int | None, stream: TextIO, clock: Callable[[], float]
) -> Iterator[Callable[[int], None]]:
    """Show progress while the block runs; call what it gives with the bytes received so far.

    Args:
        url: What is fetched.
        total: Its size in bytes, if known.
        stream: Where to show it.
        clock: Seconds, ever growing.
    """
    shown = _bar(url, total, stream) if stream.isatty() else _lines(url, total, stream, clock)
    with shown as advance:
        yield advance


@contextlib.contextmanager
def _bar(url: str, total: int | None, stream: TextIO) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(file=stream)) as progress:
        task = progress.add_task(url.rsplit("/", 1)[-1], total=total)
        yield lambda received: progress.update(task, completed=received)


@contextlib.contextmanager
def _lines(
    url: str, total: int | None, stream: TextIO, clock: Callable[[], float]
) -> Iterator[Callable[[int], None]]:
    of_total = "" if total is None else f" of {_megabytes(total)}"
    stream.write(f"downloading {url}{of_total and f' ({_megabytes(total or 0)})'}\n")
    last = clock()

    def advance(received: int) -> None:
        nonlocal last
        if clock() - last >= _LINE_EVERY_SECONDS:
            last = clock()
            stream.write(f"downloading {url}: {_megabytes(received)}{of_total}\n")

    yield advance


def _megabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:.1f} MB"
