from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from mvit_video.data.video.packets import KnownDamage, PacketFacts, PacketTable, Pictures
from mvit_video.data.video.trust import MOVIE, find_damage, why_untrusted

# Two groups as encoders make them, in decoding order: I P B B P B B, I P B B P B B.
ORDER = np.array([0, 6, 2, 4, 12, 8, 10] * 2)
PTS = (ORDER // 2 + np.repeat([0, 7], 7)) * 512
KEYS = np.arange(14) % 7 == 0
ALL = np.ones(14, np.bool_)
TABLE = PacketTable(PTS, np.arange(14) * 512 - 1024, np.full(14, 900), KEYS, Fraction(1, 15360))
PICTURES = Pictures(np.ones(14, np.int64), KEYS, ALL, ALL, ORDER, 2, is_numbered=True)
GOOD = PacketFacts(MOVIE, "h264", TABLE, PICTURES)


def changed(array, place, value):
    array = array.copy()
    array[place] = value
    return array


def with_times(pts, **pictures):
    return replace(GOOD, table=replace(TABLE, pts=pts), pictures=replace(PICTURES, **pictures))


def test_good_files_are_trusted():
    assert why_untrusted(GOOD) is None
    assert why_untrusted(replace(GOOD, container="matroska,webm")) is None
    assert why_untrusted(with_times(PTS + 7)) is None
    assert why_untrusted(with_times(PTS // 5 * 5 // 4)) is None  # rounded: a tick more or less
    assert why_untrusted(with_times(PTS + PTS // 512 % 3 * 100)) is None  # a variable rate


def test_a_single_picture_is_trusted():
    one = replace(TABLE, pts=PTS[:1], dts=TABLE.dts[:1], sizes=TABLE.sizes[:1], is_key=KEYS[:1])
    pictures = replace(
        PICTURES,
        shown=np.array([1]),
        is_reset=KEYS[:1],
        has_references=ALL[:1],
        counts_on=ALL[:1],
        order=ORDER[:1],
    )
    assert why_untrusted(replace(GOOD, table=one, pictures=pictures)) is None


OBJECTIONS = {
    "packets of mpegts": replace(GOOD, container="mpegts"),
    "packets of hevc": replace(GOOD, codec="hevc"),
    "the file is cut off": replace(GOOD, table=replace(TABLE, problem="the file is cut off")),
    "it has no packets": replace(
        GOOD, table=PacketTable(*(a[:0] for a in (PTS, PTS, PTS, KEYS)), Fraction(1))
    ),
    "nobody looked": replace(GOOD, pictures=None),
    "it may be interlaced": replace(GOOD, pictures=replace(PICTURES, problem="it may be interlaced")),
    "packet 3 does not show exactly one": with_times(PTS, shown=changed(PICTURES.shown, 3, 2)),
    "packet 5 does not show exactly one": with_times(PTS, shown=changed(PICTURES.shown, 5, 0)),
    "does not begin with a whole picture": with_times(PTS, is_reset=changed(KEYS, 0, False)),
    "key packet 7 needs the packets before": with_times(PTS, is_reset=changed(KEYS, 7, False)),
    "packet 4 is a key packet and not called": with_times(PTS, is_reset=changed(KEYS, 4, True)),
    "missing before packet 9": with_times(PTS, has_references=changed(ALL, 9, False)),
    "missing before packet 4": with_times(PTS, counts_on=changed(ALL, 4, False)),
    "the same presentation time": with_times(changed(PTS, 3, PTS[2])),
    "not in the order of decoding": replace(GOOD, table=replace(TABLE, dts=changed(TABLE.dts, 5, -9999))),
    "shown in turns": with_times(changed(changed(PTS, 4, PTS[8]), 8, PTS[4])),
    "contradict the order": with_times(changed(changed(PTS, 2, PTS[3]), 3, PTS[2])),
    "not the first of its group": with_times(
        changed(changed(PTS, 7, PTS[9]), 9, PTS[7]), order=changed(changed(ORDER, 7, 2), 9, 0)
    ),
    "does not say that 1 pictures": with_times(PTS, max_reordering=None),
    "say that 1 pictures are reordered": with_times(PTS, max_reordering=0),
    "times have gaps": with_times(PTS + 512 * (PTS >= 7 * 512)),  # between two groups
}


@pytest.mark.parametrize("reason", OBJECTIONS)
def test_each_objection(reason):
    found = why_untrusted(OBJECTIONS[reason])
    assert found is not None
    assert reason in found


def test_times_with_gaps_need_numbers():
    uneven = PTS + 512 * (PTS >= 3 * 512)  # within a group, where numbers would show what is missing
    assert why_untrusted(with_times(uneven)) is None
    assert "gaps" in why_untrusted(with_times(uneven, is_numbered=False))
    only_keys = {"is_reset": ALL, "order": np.zeros(14, np.int64), "max_reordering": 0}
    table = replace(TABLE, pts=np.arange(14) * 512, is_key=ALL)
    pictures = replace(PICTURES, **only_keys)
    assert why_untrusted(replace(GOOD, table=table, pictures=pictures)) is None
    gap = replace(table, pts=table.pts + 512 * (table.pts > 2000))
    assert "gaps" in why_untrusted(replace(GOOD, table=gap, pictures=pictures))


def test_what_is_missing_is_known_before_decoding():
    assert find_damage(GOOD) is None
    behind_the_end = KnownDamage(3072, "the file is cut off")
    assert find_damage(replace(GOOD, pictures=None, missing=behind_the_end)) == behind_the_end
    lacking = changed(ALL, 11, False)  # a picture after the second group's first P
    reason = "a picture that others refer to is missing"
    assert find_damage(with_times(PTS, has_references=lacking)) is None  # an encoder that counts wrongly
    by_numbers = with_times(PTS, has_references=lacking, counts_on=changed(ALL, 10, False))
    assert find_damage(by_numbers) == KnownDamage(PTS[11:].min(), reason)
    by_times = with_times(PTS + 512 * (PTS > 9 * 512), has_references=lacking)
    assert find_damage(by_times) == KnownDamage(by_times.table.pts[11:].min(), reason)
    elsewhere = with_times(PTS, has_references=lacking, counts_on=changed(ALL, 3, False))
    assert find_damage(elsewhere) is None
    headless = with_times(PTS, is_reset=changed(KEYS, 0, False), has_references=changed(ALL, 0, False))
    assert find_damage(headless) is None  # decoders begin with the first whole picture
