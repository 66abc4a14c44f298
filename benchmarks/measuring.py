"""Timing several ways of doing one job, in turns, so that a busy machine is busy for all of them."""

import statistics
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
    ways: Mapping[str, Callable[[], object]], rounds: int, *, clock: str = "processor"
) -> dict[str, Timing]:
    """Runs every way once unmeasured, then ``rounds`` times each, one after the other.

    The clock "processor" counts the processor time of this process, all threads together: what else runs on
    the machine shows less in it. The clock "wall" is what a user waits; on a GPU, a way has to wait for it.
    """
    now = CLOCKS[clock]
    for run in ways.values():
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


def table_row(cells: list[str]) -> str:
    """A line of a markdown table."""
    return f"| {' | '.join(cells)} |"


def table_head(titles: list[str]) -> str:
    """The first two lines of a markdown table."""
    return f"{table_row(titles)}\n|{'---|' * len(titles)}"
