"""Which clips come of one source, as their names have it."""

import pytest

from mvit_video.data import VideoList
from mvit_video.finetuning.errors import FinetuneError
from mvit_video.finetuning.videos.sources import find_sources

CLASSES = ("jump", "run")


def videos(*names, classes=CLASSES):
    """Videos at /top/<class>/<name>.mp4, of "class/name"."""
    labels = [classes.index(name.split("/")[0]) for name in names]
    return VideoList.from_columns(
        [f"/top/{name}.mp4" for name in names], labels, class_names=classes, source="x"
    )


def together(listed, group_by=None):
    """The names that share a source, without those that are alone."""
    sources = find_sources(listed, group_by)
    by_key = {}
    for key, record in zip(sources.keys, listed, strict=True):
        by_key.setdefault(key, []).append(record.path.removeprefix("/top/").removesuffix(".mp4"))
    return sources, sorted(names for names in by_key.values() if len(names) > 1)


@pytest.mark.parametrize(
    ("names", "words", "expected"),
    [
        (  # one recording may hold two classes
            (
                "jump/abcdefghij1_000010_000020",
                "run/abcdefghij1_000030_000040",
                "run/-_cdefghij2_000001_000011",
            ),
            "Kinetics' names",
            [["jump/abcdefghij1_000010_000020", "run/abcdefghij1_000030_000040"]],
        ),
        (
            (
                "jump/v_HighJump_g01_c01",
                "jump/v_HighJump_g01_c02",
                "jump/v_HighJump_g02_c01",
                "run/v_Run_g01_c01",
            ),
            "UCF101's names",
            [["jump/v_HighJump_g01_c01", "jump/v_HighJump_g01_c02"]],
        ),
        (
            (
                "jump/Film_2_jump_f_cm_np1_ba_bad_3",
                "run/Film_2_run_u_nm_np1_fr_goo_0",
                "run/Other_run_l_cm_np2_le_med_1",
            ),
            "HMDB51's names",
            [["jump/Film_2_jump_f_cm_np1_ba_bad_3", "run/Film_2_run_u_nm_np1_fr_goo_0"]],
        ),
        (
            ("jump/S001C001P003R001A026", "run/S005C002P003R002A027", "run/S005C002P008R002A027"),
            "one source per performer",
            [["jump/S001C001P003R001A026", "run/S005C002P003R002A027"]],
        ),
        (
            (
                "jump/person01_jumping_d1_uncomp",
                "run/person01_running_d2_uncomp",
                "run/person02_running_d2_uncomp",
            ),
            "one source per person",
            [["jump/person01_jumping_d1_uncomp", "run/person01_running_d2_uncomp"]],
        ),
    ],
)
def test_names_of_known_data_sets(names, words, expected):
    sources, found = together(videos(*names))
    assert words in sources.pattern
    assert found == expected


def spread(pattern, sources=3, clips=2):
    """Names of several clips of several sources of both classes; ``pattern`` has {name} and {number}."""
    return [
        f"{label}/" + pattern.format(name=f"{label[0]}{source}", number=clip)
        for label in CLASSES
        for source in "xyz"[:sources]
        for clip in range(1, clips + 1)
    ]


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("{name}/{number}", "one source per folder"),
        ("{name}_{number}0_{number}5", "START_END"),
        ("{name}-{number}.5-{number}.9", "START_END"),
        ("{name} part{number}", "numbered parts"),
        ("{name}_clip_{number}", "numbered parts"),
        ("{name}_00{number}", "numbered names"),
        ("{name} ({number})", "numbered names"),
    ],
)
def test_parts_of_recordings(pattern, words):
    sources, found = together(videos(*spread(pattern)))
    assert words in sources.pattern
    assert [len(names) for names in found] == [2] * 6
    assert sources.count == 6


def test_mere_numbering_is_no_source():
    listed = videos(*(f"{label}/{label}_{number:03d}" for label in CLASSES for number in range(9)))
    sources, found = together(listed)
    assert found == []
    assert "every video counts as a source of its own" in sources.pattern
    assert sources.advice == ""


def test_two_sources_a_class_may_be_numbering_and_are_told_of():
    sources, found = together(videos(*spread("{name}_{number}", sources=2, clips=9)))
    assert found == []
    assert "there would be 4 sources" in sources.advice
    assert "--group-by REGEX" in sources.advice


def test_equal_names_in_two_folders_are_two_sources():
    names = [
        f"{label}/day{day}/{who}_{n}" for label in CLASSES for day in "12" for who in "abc" for n in "12"
    ]
    sources, _ = together(videos(*names), group_by=None)
    assert sources.count == 12


def test_an_expression():
    listed = videos("jump/cam1-anna-1", "run/cam1-anna-2", "jump/cam2-anna-3", "run/cam1-ben-4", "run/other")
    sources, found = together(listed, r"(cam\d)-(\w+)")
    assert found == [["jump/cam1-anna-1", "run/cam1-anna-2"]]
    assert "does not fit 1 videos, such as 'run/other'" in sources.advice
    _, found = together(listed, r"anna|ben")
    assert found == [["jump/cam1-anna-1", "run/cam1-anna-2", "jump/cam2-anna-3"]]


def test_every_video_alone():
    sources, found = together(videos("jump/v_J_g01_c01", "jump/v_J_g01_c02", "run/v_R_g01_c01"), "none")
    assert (found, sources.count) == ([], 3)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("(", "--group-by (: is no regular expression"),
        ("zebra", "--group-by zebra: fits none of the 2 videos"),
    ],
)
def test_expressions_that_cannot_be(expression, message):
    with pytest.raises(FinetuneError) as error:
        find_sources(videos("jump/a", "run/b"), expression)
    assert message in str(error.value)


def test_keys_do_not_depend_on_where_the_videos_are():
    here = videos(*spread("{name}_{number}"))
    there = VideoList.from_columns(
        [record.path.replace("/top", "/mnt/elsewhere") for record in here], here.labels, class_names=CLASSES
    )
    assert find_sources(here).keys == find_sources(there).keys
