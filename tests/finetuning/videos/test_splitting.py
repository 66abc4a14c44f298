"""Every source on one side, every class on both, and the same draw wherever the videos lie."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvit_video.data import VideoList
from mvit_video.finetuning.errors import FinetuneError
from mvit_video.finetuning.videos.sources import find_sources
from mvit_video.finetuning.videos.splitting import part_by_source, split, split_given


def listing(num_classes, sources, clips, top="/top"):
    names = tuple(f"class{label}" for label in range(num_classes))
    paths = [
        f"{top}/{name}/source{source}_{clip}.mp4"
        for name in names
        for source in range(sources)
        for clip in range(clips)
    ]
    labels = [label for label in range(num_classes) for _ in range(sources * clips)]
    return VideoList.from_columns(paths, labels, class_names=names, source="x")


def made(videos, seed=0):
    return split(videos, find_sources(videos), seed)


def paths(videos):
    return {record.path for record in videos}


@given(
    labels_of_sources=st.lists(
        st.lists(st.integers(0, 3), min_size=1, max_size=6), min_size=1, max_size=30
    ),
    seed=st.integers(0, 5),
)  # fmt: skip
def test_sources_stay_whole_and_classes_are_left(labels_of_sources, seed):
    labels = [label for found in labels_of_sources for label in found]
    keys = [str(number) for number, found in enumerate(labels_of_sources) for _ in found]
    parts = part_by_source(labels, keys, (0.2, 0.2), seed)
    of_key = {}
    for key, part in zip(keys, parts, strict=True):
        assert of_key.setdefault(key, part) == part
    left = {label for label, part in zip(labels, parts, strict=True) if part == 0}
    assert left == set(labels)
    assert max(parts, default=0) <= 2


@given(
    sizes=st.lists(st.lists(st.integers(1, 4), min_size=10, max_size=20), min_size=2, max_size=4),
    seed=st.integers(0, 3),
)
def test_shares_of_classes_are_close_to_what_is_wanted(sizes, seed):
    labels = [label for label, found in enumerate(sizes) for size in found for _ in range(size)]
    keys = [
        f"{label}-{n}"
        for label, found in enumerate(sizes)
        for n, size in enumerate(found)
        for _ in range(size)
    ]
    parts = part_by_source(labels, keys, (0.2, 0.2), seed)
    for label, found in enumerate(sizes):
        for part in (1, 2):
            count = sum(p == part and own == label for p, own in zip(parts, labels, strict=True))
            assert abs(count - 0.2 * sum(found)) <= max(found) / 2 + 1e-9


def test_three_lists_where_there_are_enough_videos():
    videos = listing(5, 20, 4)
    parts = made(videos)
    assert not parts.is_shared
    assert (len(parts.train), len(parts.val), len(parts.test)) == (280, 60, 60)
    assert paths(parts.train) | paths(parts.val) | paths(parts.test) == paths(videos)
    for part in (parts.train, parts.val, parts.test):
        assert len(set(Counter(record.label for record in part).values())) == 1
    sources = [
        {record.path.rsplit("_", 1)[0] for record in part} for part in (parts.train, parts.val, parts.test)
    ]
    assert not sources[0] & sources[1]
    assert not sources[0] & sources[2]
    assert not sources[1] & sources[2]


def test_two_lists_where_there_are_not_and_it_is_said():
    parts = made(listing(3, 5, 2))
    assert parts.is_shared
    assert (len(parts.train), len(parts.test)) == (24, 6)
    assert paths(parts.val) == paths(parts.test)
    assert "which also choose the best weights" in parts.words


def test_the_draw_is_the_same_whatever_the_order_or_place():
    videos = listing(3, 20, 3)
    records = list(videos)
    random.Random(1).shuffle(records)
    shuffled = VideoList(records, videos.class_names, "x")
    assert paths(made(videos).test) == paths(made(shuffled).test)
    elsewhere = made(listing(3, 20, 3, top="/mnt/other"))
    assert {path.removeprefix("/mnt/other") for path in paths(elsewhere.test)} == {
        path.removeprefix("/top") for path in paths(made(videos).test)
    }
    assert paths(made(videos, seed=1).test) != paths(made(videos).test)


def test_a_class_of_one_source_is_learned_from_and_not_measured():
    names = ("few", "many")
    files = [f"/t/few/v_few_g01_c{n:02d}.mp4" for n in range(8)]
    files += [f"/t/many/v_many_g{n:02d}_c01.mp4" for n in range(8)]
    videos = VideoList.from_columns(files, [0] * 8 + [1] * 8, class_names=names, source="x")
    parts = made(videos)
    assert {record.label for record in parts.test} == {1}
    assert parts.warnings == (
        "not measured, as all videos of it come of one source: few; add videos of other sources",
    )


def test_few_sources_are_warned_of():
    names = ("few", "many")
    files = [f"/t/few/v_few_g0{n % 2}_c{n:02d}.mp4" for n in range(8)]
    files += [f"/t/many/v_many_g{n:02d}_c01.mp4" for n in range(8)]
    videos = VideoList.from_columns(files, [0] * 8 + [1] * 8, class_names=names, source="x")
    assert made(videos).warnings == ("classes of few sources, whose accuracy says little: few (2)",)


def test_where_nothing_can_be_held_out_it_is_said():
    videos = listing(2, 1, 3)  # of each class one source
    sources = find_sources(videos, r"class\d+")
    message = (
        r"nothing can be held out: its 6 videos come of 2 sources, told by --group-by.*: add videos, .*--val"
    )
    with pytest.raises(FinetuneError, match=message):
        split(videos, sources, 0)
    single, test = listing(3, 1, 1), listing(3, 2, 1, "/test")
    with pytest.raises(FinetuneError, match=r"its 3 videos come of 3 sources.*or say with --group-by"):
        split_given(single, None, test, find_sources(single), 0)


def test_lists_that_are_given():
    videos, val, test = listing(2, 4, 2), listing(2, 30, 2, "/val"), listing(2, 3, 1, "/test")
    both = split_given(videos, val, test, None, 0)
    assert (both.train, both.val, both.test, both.is_shared) == (videos, val, test, False)
    assert split_given(videos, val, val, None, 0).is_shared
    halves = split_given(videos, val, None, find_sources(val), 0)
    assert (len(halves.val), len(halves.test), halves.is_shared) == (60, 60, False)
    assert paths(halves.val) | paths(halves.test) == paths(val)
    assert not paths(halves.val) & paths(halves.test)
    small = split_given(videos, test, None, find_sources(test), 0)
    assert small.is_shared
    assert small.val is test
    assert small.test is test
    parted = split_given(val, None, test, find_sources(val), 0)
    assert (len(parted.train) + len(parted.val), parted.test) == (len(val), test)
    assert 0 < len(parted.val) < 0.2 * len(val)
