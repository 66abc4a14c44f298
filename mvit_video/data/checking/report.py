"""From the facts of all videos to findings: pure functions."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

from mvit_video.data.checking.facts import VideoFacts
from mvit_video.data.lists.records import VideoList, VideoRecord
from mvit_video.data.sampling.clips import ClipSpec

Kind = Literal["unreadable", "damaged", "short", "duplicate", "label", "odd"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_MAJORITY = 0.9  # share of the videos above which a rate or a size is the set's own


class Finding(NamedTuple):
    """Something that is wrong with the video in row ``row`` of the list."""

    kind: Kind
    row: int
    path: str
    label: int | None
    detail: str


@dataclass(frozen=True)
class Report:
    """All that a check found.

    Attributes:
        source: The list.
        findings: By kind, then in the order of the list.
        num_videos: Rows of the list.
        num_frames: Good frames of all readable videos, each counted once however often it is listed.
        hours: How long they last together.
        num_bytes: Of all files.
        rates: How many videos have which frame rate, most first.
        sizes: Likewise "WIDTHxHEIGHT".
        classes: How many videos have which label.
        class_names: By label, where known.
    """

    source: str
    findings: tuple[Finding, ...]
    num_videos: int
    num_frames: int
    hours: float
    num_bytes: int
    rates: tuple[tuple[float, int], ...] = ()
    sizes: tuple[tuple[str, int], ...] = ()
    classes: Mapping[int, int] = field(default_factory=dict)
    class_names: Sequence[str] | None = None

    def of_kind(self, kind: Kind) -> list[Finding]:
        """The findings of one kind."""
        return [finding for finding in self.findings if finding.kind == kind]


def make_report(
    videos: VideoList,
    facts: Mapping[str, VideoFacts],
    *,
    clip: ClipSpec | None = None,
    num_classes: int | None = None,
) -> Report:
    """Looks for everything that may be wrong with a list.

    Args:
        videos: The list.
        facts: Of every path in it.
        clip: Finds videos that are shorter than such a clip.
        num_classes: Finds labels that are not below it; default: as many as the list has class names.
    """
    if num_classes is None and videos.class_names is not None:
        num_classes = len(videos.class_names)
    rows = list(videos)
    found = [facts[record.path] for record in rows]
    readable = [one for one in {one.path: one for one in found}.values() if one.num_frames]
    findings = (
        *_unreadable(rows, found),
        *_damaged(rows, found),
        *_short(rows, found, clip),
        *_duplicates(rows, found),
        *_labels(rows, num_classes),
        *_odd(rows, found, readable),
    )
    return Report(
        videos.source,
        findings,
        num_videos=len(rows),
        num_frames=sum(one.num_frames for one in readable),
        hours=sum(one.num_frames / one.fps for one in readable if one.fps) / 3600,
        num_bytes=sum(max(0, one.state.size) for one in {one.path: one for one in found}.values()),
        rates=tuple(Counter(one.fps for one in readable).most_common()),
        sizes=tuple(Counter(map(_size, readable)).most_common()),
        classes=dict(sorted(Counter(row.label for row in rows if row.label is not None).items())),
        class_names=videos.class_names,
    )


def without(videos: VideoList, report: Report, kinds: Collection[Kind]) -> VideoList:
    """The list without the videos that have findings of these kinds."""
    dropped = {finding.row for finding in report.findings if finding.kind in kinds}
    kept = [record for row, record in enumerate(videos) if row not in dropped]
    return VideoList(kept, videos.class_names, videos.source)


_Rows = Sequence[VideoRecord]
_Facts = Sequence[VideoFacts]


def _unreadable(rows: _Rows, facts: _Facts) -> Iterator[Finding]:
    for row, (record, one) in enumerate(zip(rows, facts, strict=True)):
        if one.status in ("unreadable", "crashed"):
            yield Finding("unreadable", row, record.path, record.label, one.reason)


def _damaged(rows: _Rows, facts: _Facts) -> Iterator[Finding]:
    for row, (record, one) in enumerate(zip(rows, facts, strict=True)):
        if one.status == "damaged":
            yield Finding("damaged", row, record.path, record.label, one.reason)


def _short(rows: _Rows, facts: _Facts, clip: ClipSpec | None) -> Iterator[Finding]:
    for row, (record, one) in enumerate(zip(rows, facts, strict=True)):
        if clip is None or not one.num_frames or not one.fps:
            continue
        needed = round(clip.size(one.fps))
        if one.num_frames < needed:
            detail = f"{one.num_frames} frames, and a clip spans {needed} at {one.fps:g} frames per second"
            yield Finding("short", row, record.path, record.label, detail)


def _duplicates(rows: _Rows, facts: _Facts) -> Iterator[Finding]:
    """Every row after the first with the same bytes or the same path."""
    first: dict[str, VideoRecord] = {}
    for row, (record, one) in enumerate(zip(rows, facts, strict=True)):
        original = first.setdefault(one.digest or f"path {one.path}", record)
        if original is record:
            continue
        detail = "listed before" if original.path == record.path else f"the same bytes as {original.path}"
        if original.label != record.label:
            detail += f", which has label {original.label}"
        yield Finding("duplicate", row, record.path, record.label, detail)


def _labels(rows: _Rows, num_classes: int | None) -> Iterator[Finding]:
    some = any(record.label is not None for record in rows)
    for row, record in enumerate(rows):
        if record.label is None:
            if some or num_classes is not None:
                yield Finding("label", row, record.path, None, "has no label")
        elif num_classes is not None and not 0 <= record.label < num_classes:
            detail = f"label {record.label}, expected 0 to {num_classes - 1}"
            yield Finding("label", row, record.path, record.label, detail)


def _odd(rows: _Rows, facts: _Facts, readable: Iterable[VideoFacts]) -> Iterator[Finding]:
    """Videos of another rate or size than nearly all others; sets without a common one have none."""
    kinds = (("rate", _rate), ("size", _size))
    details: dict[str, list[str]] = defaultdict(list)
    for _, describe in kinds:
        counts = Counter(map(describe, readable))
        common, count = counts.most_common(1)[0] if counts else ("", 0)
        if not _MAJORITY * counts.total() <= count < counts.total():
            continue
        for one in readable:
            if describe(one) != common:
                share = f"{count / counts.total():.1%}"
                details[one.path].append(f"{describe(one)}, and {share} of the videos have {common}")
    for row, (record, one) in enumerate(zip(rows, facts, strict=True)):
        if one.path in details:
            yield Finding("odd", row, record.path, record.label, "; ".join(details[one.path]))


def _rate(facts: VideoFacts) -> str:
    return f"{facts.fps:.2f} frames per second"


def _size(facts: VideoFacts) -> str:
    return f"{facts.width}x{facts.height}"
