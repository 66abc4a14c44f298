"""What is learned from, what chooses the best weights, and what measures them: every source on one side only.

The draw depends on the seed and on the names of the sources, not on their order or on where they lie: a
source that is added moves few of the others.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mvit_video.data import VideoList
from mvit_video.finetuning.errors import FinetuneError
from mvit_video.finetuning.videos.gathering import describe
from mvit_video.finetuning.videos.sources import Sources

_LARGE = 20_000  # videos, of which a tenth is plenty to measure with
_LEAST_REPORT = 30  # videos to measure with, for others to be spared for choosing
_LEAST_SOURCES = 4  # per class, likewise


@dataclass(frozen=True)
class Split:
    """The three lists.

    Attributes:
        train: What is learned from.
        val: What chooses the best weights.
        test: What measures them.
        is_shared: Whether ``val`` and ``test`` are the same videos; the figure then flatters a little.
        words: How it came about, one line.
        warnings: What is wrong with it, a line each.
    """

    train: VideoList
    val: VideoList
    test: VideoList
    is_shared: bool
    words: str
    warnings: tuple[str, ...] = ()


def split(videos: VideoList, sources: Sources, seed: int) -> Split:
    """Part a list in three, or in two where too few videos can be spared to choose with.

    Args:
        videos: With labels and class names.
        sources: Of each video.
        seed: Of the draw.

    Raises:
        FinetuneError: Nothing can be held out.
    """
    labels = [record.label or 0 for record in videos]
    share = 0.1 if len(videos) >= _LARGE else 0.15
    is_shared = not _has_enough(labels, sources.keys, share)
    shares = (0.2,) if is_shared else (share, share)
    parts = part_by_source(labels, sources.keys, shares, seed)
    train, test = _take(videos, parts, 0), _held_out(videos, parts, sources)
    val = test if is_shared else _take(videos, parts, 2)
    words = f"{100 * shares[0]:.0f} % of each class to measure with" + (
        ", which also choose the best weights"
        if is_shared
        else f", and as many to choose the best weights (seed {seed})"
    )
    return Split(train, val, test, is_shared, words, _warnings(train, test, sources.keys, labels))


def split_given(
    videos: VideoList, val: VideoList | None, test: VideoList | None, sources: Sources | None, seed: int
) -> Split:
    """The lists where the user gave some of them.

    Args:
        videos: What the user gave to learn from.
        val: What the user gave to choose with; None: it is parted from ``videos`` by ``sources``.
        test: What the user gave to measure with; None: ``val`` measures too, halved where there are enough.
        sources: Of the list that is to be parted: ``videos`` without ``val``, else ``val``.
        seed: Of the draw.

    Raises:
        FinetuneError: There is no ``val``, and nothing of ``videos`` can be held out.
    """
    if val is not None and test is not None:
        both = {record.path for record in val} & {record.path for record in test}
        words = "as given with --val and --test"
        return Split(
            videos, val, test, bool(both), f"{words}, {len(both)} of them in both" if both else words
        )
    assert sources is not None
    if val is None:
        assert test is not None
        labels = [record.label or 0 for record in videos]
        parts = part_by_source(labels, sources.keys, (0.15,), seed)
        words = "measured with --test; 15 % of each class of the others choose the best weights"
        return Split(_take(videos, parts, 0), _held_out(videos, parts, sources), test, False, words)
    labels = [record.label or 0 for record in val]
    if not _has_enough(labels, sources.keys, 0.5):
        return Split(
            videos, val, val, True, "as given with --val, which chooses the best weights and measures them"
        )
    parts = part_by_source(labels, sources.keys, (0.5,), seed)
    words = "one half of --val chooses the best weights, the other measures them"
    return Split(videos, _take(val, parts, 0), _take(val, parts, 1), False, words)


def part_by_source(
    labels: Sequence[int], keys: Sequence[str], shares: Sequence[float], seed: int
) -> list[int]:
    """The part of each video: 0 for what is left, 1 and up for the shares that are taken out of each class.

    Sources stay whole. Of every class at least one source is left; classes with few sources are served first.

    Args:
        labels: Of each video.
        keys: The source of each video.
        shares: Of each class, for part 1, 2, ...
        seed: Of the draw.
    """
    sources: dict[str, Counter[int]] = {}
    for label, key in zip(labels, keys, strict=True):
        sources.setdefault(key, Counter())[label] += 1
    draw = _Draw(sources, Counter(labels), shares, seed)
    for label in sorted(set(labels), key=lambda label: (draw.sources_left(label), label)):
        for part in range(1, len(shares) + 1):
            draw.fill(part, label)
    return [draw.part_of.get(key, 0) for key in keys]


class _Draw:
    """Sources on their way into parts."""

    def __init__(
        self, sources: Mapping[str, Counter[int]], totals: Counter[int], shares: Sequence[float], seed: int
    ) -> None:
        self.part_of: dict[str, int] = {}
        self._sources = sources
        self._order = sorted(
            sources, key=lambda key: hashlib.blake2b(f"{seed} {key}".encode("utf-8", "replace")).digest()
        )
        self._of_class: dict[int, list[str]] = {
            label: [key for key in self._order if sources[key][label]] for label in totals
        }
        self._wanted = {
            (part, label): share * totals[label] for part, share in enumerate(shares, 1) for label in totals
        }
        self._have: Counter[tuple[int, int]] = Counter()
        self._left = Counter({label: len(keys) for label, keys in self._of_class.items()})

    def sources_left(self, label: int) -> int:
        """How many sources of a class are in no part yet."""
        return self._left[label]

    def fill(self, part: int, label: int) -> None:
        """Take sources of a class until the part has what it wants, or none fits."""
        for key in self._candidates(label, first=not self._have[part, label]):
            have, wanted = self._have[part, label], self._wanted[part, label]
            size = self._sources[key][label]
            if have and have + size - wanted > wanted - have:
                continue
            if any(self.sources_left(other) < 2 for other in self._sources[key]):
                continue
            if have >= wanted:
                return
            self.part_of[key] = part
            for other, count in self._sources[key].items():
                self._have[part, other] += count
                self._left[other] -= 1

    def _candidates(self, label: int, *, first: bool) -> list[str]:
        """The free sources in the drawn order; where the part has none yet, one that fits goes first."""
        free = [key for key in self._of_class[label] if key not in self.part_of]
        wanted = min((self._wanted[part] for part in self._wanted if part[1] == label), default=0.0)
        fitting = [key for key in free if self._sources[key][label] <= max(1.0, 1.5 * wanted)]
        if not first or not free:
            return free
        start = fitting[0] if fitting else min(free, key=lambda key: self._sources[key][label])
        return [start, *(key for key in free if key != start)]


def _has_enough(labels: Sequence[int], keys: Sequence[str], share: float) -> bool:
    """Whether videos can be spared for choosing beside those for measuring."""
    of_class: dict[int, set[str]] = {}
    for label, key in zip(labels, keys, strict=True):
        of_class.setdefault(label, set()).add(key)
    enough = sum(len(found) >= _LEAST_SOURCES for found in of_class.values())
    return share * len(labels) >= max(_LEAST_REPORT, len(of_class)) and enough >= 0.9 * len(of_class)


def _take(videos: VideoList, parts: Sequence[int], part: int) -> VideoList:
    records = [record for record, number in zip(videos, parts, strict=True) if number == part]
    return VideoList(records, videos.class_names, videos.source)


def _held_out(videos: VideoList, parts: Sequence[int], sources: Sources) -> VideoList:
    """The first part that is held out.

    Raises:
        FinetuneError: Nothing is in it.
    """
    taken = _take(videos, parts, 1)
    if not len(taken):
        plural = "s" if sources.count > 1 else ""
        raise FinetuneError(
            f"{videos.source}: nothing can be held out: its {len(videos)} videos come of {sources.count} "
            f"source{plural}, told by {sources.pattern}, and each class keeps one to learn from: add videos, "
            "give those to choose and measure with as --val, or say with --group-by what a source is (none: "
            "each video)"
        )
    return taken


def _warnings(
    train: VideoList, test: VideoList, keys: Sequence[str], labels: Sequence[int]
) -> tuple[str, ...]:
    names, lines = train.class_names or (), []
    measured = {record.label for record in test}
    unmeasured = [name for label, name in enumerate(names) if label not in measured]
    if unmeasured:
        lines.append(
            f"not measured, as all videos of it come of one source: {describe(unmeasured)}; add videos of "
            f"other sources"
        )
    counts = Counter(label for _, label in set(zip(keys, labels, strict=True)))
    few = [
        f"{name} ({counts[label]})" for label, name in enumerate(names) if 2 <= counts[label] < _LEAST_SOURCES
    ]
    if few:
        lines.append(f"classes of few sources, whose accuracy says little: {describe(few)}")
    return tuple(lines)
