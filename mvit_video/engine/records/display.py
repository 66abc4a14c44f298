"""What a person sees of a run: one live line on a terminal, plain lines elsewhere."""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

_logger = logging.getLogger("mvit_video.engine")
_on_screen: Any = None  # the bar of a training run: what it does in between is counted under it


def on_terminal() -> bool:
    """Whether standard error is a terminal that can redraw a line."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def format_seconds(seconds: float) -> str:
    """Hours, minutes and seconds: ``1:02:03``, ``2:03``."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def describe_training(row: dict[str, Any]) -> str:
    """The numbers of one training row in words."""
    loss = "none (skipped)" if row["loss"] is None else f"{row['loss']:.4f}"
    parts = [f"loss {loss}"]
    if row.get("top1") is not None:
        parts.append(f"top-1 {row['top1']:.1f} %")
    parts.append(f"lr {row['lr']:.3g}")
    if row.get("grad_norm") is not None:
        parts.append(f"gradient {row['grad_norm']:.3g}")
    waiting = row["data_seconds"] / max(row["step_seconds"], 1e-9)
    parts += [
        f"{row['step_seconds']:.2f} s/step ({waiting:.0%} data)",
        f"{row['clips_per_second']:.1f} clips/s",
        f"{row['memory_gb']:.1f} GB",
    ]
    troubles = {"bad": "unreadable", "damaged": "damaged", "skipped": "steps skipped"}
    parts += [f"{row[key]} {words}" for key, words in troubles.items() if row.get(key)]
    return ", ".join(parts)


class TrainingDisplay:
    """Shows how far training is; a context manager.

    Args:
        total_steps: optimiser steps of the whole run.
        total_epochs: its epochs.
        first_step: steps already done by earlier sittings.
        live: False to draw no bar, in a process whose screen is another's.
    """

    def __init__(
        self, total_steps: int, total_epochs: int, first_step: int = 0, *, live: bool = True
    ) -> None:
        self._total_steps, self._total_epochs = total_steps, total_epochs
        self._bar, self._advance, self._note = None, None, ""
        if live and on_terminal():
            self._bar = _rich_progress()
            self._task = self._bar.add_task("training", total=total_steps, completed=first_step, note="")

    def __enter__(self) -> "TrainingDisplay":
        global _on_screen
        if self._bar is not None:
            self._bar.start()
            _on_screen = self._bar
        return self

    def __exit__(self, *_: object) -> None:
        global _on_screen
        if self._bar is not None:
            _on_screen = None
            self._bar.stop()

    def step(self, step: int, epoch: int) -> None:
        """Note that ``step`` steps are done, in epoch ``epoch`` (0-based)."""
        if self._bar is not None:
            self._bar.update(
                self._task, completed=step, description=f"epoch {epoch + 1}/{self._total_epochs}"
            )

    def show(self, row: dict[str, Any]) -> None:
        """Show one row of training numbers."""
        text = describe_training(row)
        if self._bar is not None:
            self._bar.update(self._task, note=text)
            return
        remaining = (self._total_steps - row["step"]) * row["step_seconds"]
        _logger.info(
            "epoch %.2f/%d, step %d/%d, %s, %s left",
            row["epoch"], self._total_epochs, row["step"], self._total_steps, text, format_seconds(remaining),
        )  # fmt: skip


@contextmanager
def counting(description: str, total: int, *, live: bool = True) -> Iterator[Callable[[int], None]]:
    """Count through ``total`` things: a bar on a terminal, else a line about every 30 seconds.

    Args:
        description: what is being done.
        total: how many.
        live: False to draw no bar, in all processes of a run but one.

    Yields:
        A function to call with the number done so far.
    """
    if live and on_terminal():
        with nullcontext(_on_screen) if _on_screen is not None else _rich_progress() as bar:
            task = bar.add_task(description, total=total, note="")
            yield lambda done: bar.update(task, completed=done)
            if bar is _on_screen:
                bar.remove_task(task)
        return
    start = last = time.monotonic()

    def report(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= 30 and done:
            last = now
            remaining = format_seconds((now - start) / done * (total - done))
            _logger.info("%s: %d of %d, %s left", description, done, total, remaining)

    yield report


@contextmanager
def lasting(description: str, *, seconds: float = 10.0) -> Iterator[None]:
    """Say what is being done if it takes long, how long it has taken so far every now and then, and its end.

    Args:
        description: what is being done, whose end nobody can foretell: "reading train.csv".
        seconds: until the first line; the next ones come after twice the time each, half a minute at most.
    """
    start, done = time.monotonic(), threading.Event()

    def tell() -> None:
        pause = seconds
        while not done.wait(pause):
            _logger.info("%s: %s so far", description, format_seconds(time.monotonic() - start))
            pause = min(2 * pause, max(seconds, 30.0))

    teller = threading.Thread(target=tell, name=f"tells of {description}", daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()
    if time.monotonic() - start >= seconds:
        _logger.info("%s: done in %s", description, format_seconds(time.monotonic() - start))


def _rich_progress() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    # Where a line is too short for all of it, only the note goes on in the next one.
    return Progress(
        TextColumn("{task.description}", table_column=Column(no_wrap=True)),
        BarColumn(bar_width=12, table_column=Column(no_wrap=True)),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[note]}", table_column=Column(no_wrap=False)),
        console=Console(file=sys.stderr),
    )
