"""Timing several ways of doing one job, in turns, so that a busy machine is busy for all of them."""

import os
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TypeVar

Result = TypeVar("Result")
CLOCKS: Mapping[str, Callable[[], float]] = {"processor": time.process_time, "wall": time.perf_counter}


@dataclass(frozen=True)
class Timing:
    """Seconds of each repeat of one way, in the order of the rounds."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Of the repeats."""
        return statistics.median(self.seconds)

    def ratio_to(self, other: "Timing") -> tuple[float, float, float]:
        """(median, least, largest) of this way's time over the other's, round by round."""
        ratios = [mine / theirs for mine, theirs in zip(self.seconds, other.seconds, strict=True)]
        return statistics.median(ratios), min(ratios), max(ratios)


def take_turns(
    ways: Mapping[str, Callable[[], object]], rounds: int, *, clock: str = "processor", warm: bool = False
) -> dict[str, Timing]:
    """Runs every way once unmeasured, unless all are warm, then ``rounds`` times each, one after the other.

    The clock "processor" counts the processor time of this process, all threads together: what else runs on
    the machine shows less in it. The clock "wall" is what a user waits; on a GPU, a way has to wait for it.
    """
    now = CLOCKS[clock]
    for run in () if warm else ways.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items():
            start = now()
            run()
            seconds[name].append(now() - start)
    return {name: Timing(tuple(times)) for name, times in seconds.items()}


def in_fresh_process(function: Callable[..., Result], *args: object) -> Result:
    """What the function (of a module) gives in a process that has done nothing before.

    Raises:
        MemoryError: The process was killed, as Linux does when memory has run out.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(function, *args).result()
        except BrokenProcessPool:
            raise MemoryError("the process was killed: out of memory?") from None


def as_text(ratio: tuple[float, float, float]) -> str:
    """A ratio and its spread over the rounds."""
    return f"{ratio[0]:.2f} ({ratio[1]:.2f}-{ratio[2]:.2f})"


def heading(device: str, threads: int, clock: str, rounds: int) -> str:
    """What has to be said beside a table: where, with what, how, and how busy the machine was."""
    import torch

    from mvit_video.engine.machine import describe_machine

    load = f"load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else "load not known"
    return (
        f"`{shlex.join(['python', *sys.argv])}`, {time.strftime('%Y-%m-%d')}. "
        f"{describe_machine(torch.device(device))}. {threads} threads, {clock} time, medians of {rounds} "
        f"rounds in turns with the least and the largest ratio; {load}."
    )


def table_row(cells: list[str]) -> str:
    """A line of a markdown table."""
    return f"| {' | '.join(cells)} |"


def table_head(titles: list[str]) -> str:
    """The first two lines of a markdown table."""
    return f"{table_row(titles)}\n|{'---|' * len(titles)}"
