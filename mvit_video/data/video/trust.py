"""When the packets of a video may be believed: one rule, decided without decoding.

What has to be proven is that decoding forward gives exactly one frame per packet, in the order of the
presentation times, and that decoding from a key packet on gives what decoding from the start gives. Then
frame i is the packet with the i-th presentation time, and key packets can be sought.
"""

from collections.abc import Iterator

import numpy as np

from mvit_video.data.video.packets import Flags, Integers, KnownDamage, PacketFacts, PacketTable, Pictures

MOVIE = "mov,mp4,m4a,3gp,3g2,mj2"
CONTAINERS = frozenset({MOVIE, "matroska,webm"})
CODECS = frozenset({"h264", "vp9"})


def why_untrusted(facts: PacketFacts) -> str | None:
    """Why frames have to be counted by decoding them; None where the packets give the same answer.

    Trusted are H.264 and VP9 in mp4, mov, Matroska and WebM where

    - every packet has a presentation time of its own, none is marked as damaged or left out by an edit list,
      and all of them lie in the file;
    - every packet shows exactly one picture, progressive, all by the same parameters and of the same size;
    - the first packet is shown first and is a key packet, and key packets are exactly those that begin with
      an IDR picture (H.264) or a key frame (VP9): no open GOPs, no recovery points, no intra refresh;
    - no picture that follows a key packet is shown before it, and none that precedes it after;
    - the order of the presentation times is the order of output that the pictures say, and the stream says
      how far it is from the order of decoding;
    - no picture is missing: the times are evenly spaced, to a tick; or (H.264, for variable frame rates) the
      numbers of the pictures have no gap, and the last picture before a key packet is shown no longer than
      others are.
    """
    return next(_objections(facts), None)


def _objections(facts: PacketFacts) -> Iterator[str]:
    if facts.container not in CONTAINERS:
        yield f"packets of {facts.container} say too little"
    if facts.codec not in CODECS:
        yield f"packets of {facts.codec} say too little"
    if facts.table.problem:
        yield facts.table.problem
    elif len(facts.table) == 0:
        yield "it has no packets"
    elif facts.pictures is None:
        yield "nobody looked into its packets"
    elif facts.pictures.problem:
        yield facts.pictures.problem
    else:
        yield from _objections_to_pictures(facts.pictures, facts.table)
        yield from _objections_to_times(facts.table, facts.pictures)
        if not _is_gapless(facts.table, facts.pictures):
            yield "its times have gaps, so packets may be missing"


def _objections_to_pictures(pictures: Pictures, table: PacketTable) -> Iterator[str]:
    if np.any(pictures.shown != 1):
        yield f"packet {_first(pictures.shown != 1)} does not show exactly one picture"
    if not pictures.is_reset[0]:
        yield "it does not begin with a whole picture"
    if np.any(table.is_key & ~pictures.is_reset):
        yield f"key packet {_first(table.is_key & ~pictures.is_reset)} needs the packets before it"
    if np.any(pictures.is_reset & ~table.is_key):
        yield f"packet {_first(pictures.is_reset & ~table.is_key)} is a key packet and not called one"
    if not np.all(pictures.has_references & pictures.counts_on):
        yield f"a picture is missing before packet {_first(~(pictures.has_references & pictures.counts_on))}"


def _objections_to_times(table: PacketTable, pictures: Pictures) -> Iterator[str]:
    shown = np.argsort(table.pts, kind="stable")
    if np.any(np.diff(table.pts[shown]) <= 0):
        yield "two packets have the same presentation time"
    if np.any(np.diff(table.dts) < 0):
        yield "its packets are not in the order of decoding"
    group = np.cumsum(pictures.is_reset)[shown]
    if np.any(np.diff(group) < 0):
        yield "pictures of two groups are shown in turns"
    order = pictures.order[shown]
    if np.any((np.diff(order) <= 0) & (np.diff(group) == 0)):
        yield "its times contradict the order of its pictures"
    if np.any(pictures.is_reset[shown] & (np.diff(group, prepend=0) == 0)):
        yield "a key packet is not the first of its group to be shown (open GOP)"
    place = np.empty_like(shown)
    place[shown] = np.arange(len(table))
    reordering = int((np.arange(len(table)) - place).max())
    if reordering > (pictures.max_reordering or 0):
        yield f"it does not say that {reordering} pictures are reordered"


def find_damage(facts: PacketFacts) -> KnownDamage | None:
    """Where the packets show damage that decoders pass over without a word; None if nowhere.

    A packet behind the end of the file; or a picture that others refer to and that is missing: its number is,
    and there is a gap where it should be shown (some encoders count wrongly, and nothing is missing).
    """
    pictures, table = facts.pictures, facts.table
    if facts.missing or pictures is None or pictures.problem or len(table) == 0:
        return facts.missing
    group = np.cumsum(pictures.is_reset)
    has_gap = np.isin(group, group[~pictures.counts_on | _is_shown_long(table)])
    lacks = ~pictures.has_references & has_gap & (group > 0)
    if not np.any(lacks):
        return None
    first = _first(lacks)
    others = table.pts[first:][group[first:] == group[first]]
    return KnownDamage(int(others.min()), "a picture that others refer to is missing")


def _is_shown_long(table: PacketTable) -> Flags:
    """Whether it takes far longer than usual until the next picture is shown."""
    shown = np.argsort(table.pts, kind="stable")
    steps = np.diff(table.pts[shown])
    is_long = np.zeros(len(table), np.bool_)
    if len(steps):
        is_long[shown[:-1]] = steps > 1.5 * np.median(steps)
    return is_long


def _is_even(times: Integers) -> bool:
    """Whether sorted times are equally far apart, each to a tick."""
    if len(times) < 2:
        return True
    even = times[0] + (times[-1] - times[0]) * np.arange(len(times)) / (len(times) - 1)
    return bool(np.all(np.abs(times - even) <= 1))


def _is_gapless(table: PacketTable, pictures: Pictures) -> bool:
    """Whether no packet can be missing, by the times; between key packets the numbers may say so, too."""
    shown = np.argsort(table.pts, kind="stable")
    times = table.pts[shown]
    if _is_even(times):
        return True
    steps, ends_group = np.diff(times), pictures.is_reset[shown][1:]
    if not pictures.is_numbered or np.all(ends_group):
        return False
    return bool(steps[ends_group].max(initial=0) <= steps[~ends_group].max() + 1)


def _first(where: Flags) -> int:
    return int(np.argmax(where))
