"""Timing several ways of doing one job, in turns, so that a busy machine is busy for all of them."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Seconds of processor time of each repeat of one way, in the order of the rounds."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Of the repeats."""
        return statistics.median(self.seconds)

    def ratio_to(self, other: "Timing") -> tuple[float, float, float]:
        """(median, least, largest) of this way's time over the other's, round by round."""
        ratios = [mine / theirs for mine, theirs in zip(self.seconds, other.seconds, strict=True)]
        return statistics.median(ratios), min(ratios), max(ratios)


def take_turns(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Timing]:
    """Runs every way once unmeasured, then ``rounds`` times each, one after the other.

    Processor time of this process counts: what else runs on the machine shows less in it than in wall time.
    """
    for run in ways.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items():
            start = time.process_time()
            run()
            seconds[name].append(time.process_time() - start)
    return {name: Timing(tuple(times)) for name, times in seconds.items()}


def as_text(ratio: tuple[float, float, float]) -> str:
    """A ratio and its spread over the rounds."""
    return f"{ratio[0]:.2f} ({ratio[1]:.2f}-{ratio[2]:.2f})"
