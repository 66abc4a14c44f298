"""Frame i is frame i: every file of the kit, in every order, for any number of threads."""

import random
import warnings

import numpy as np
import pytest
from kit.media import BY_NAME, DAMAGED, REFUSALS, WHOLE
from kit.media_outcomes import orders, outcome, read_to_the_end

from mvit_video.data import VideoError
from mvit_video.data.video.errors import DamagedVideoWarning
from mvit_video.data.video.opening import Decoding, open_reader

# Of these, several decoder threads of FFmpeg give out a torn last frame without a word; one thread notices.
PASSED_OVER_BY_SEVERAL_THREADS = {"flipped.avi"}
MANY_THREADS = [2, pytest.param(4, marks=pytest.mark.slow), pytest.param(0, marks=pytest.mark.slow)]
NOTICED = [file for file in DAMAGED if file.damage == "noticed"]


def named(file) -> str:
    return file.name


def says(file, frames) -> list[int]:
    return [file.says(frame) for frame in frames]


@pytest.mark.parametrize("file", WHOLE, ids=named)
def test_frames_are_those_asked_for(media, file):
    truth = list(file.numbers)
    with open_reader(media.path(file)) as video:
        assert (video.width, video.height) == file.size
        assert video.num_frames == len(truth)
        assert says(file, video.frames(range(len(truth)))) == truth
        for indices in orders(len(truth)):
            assert says(file, video.frames(indices)) == [truth[index] for index in indices]
        assert read_to_the_end(video, file) == truth
        assert (video.num_frames, video.damage) == (len(truth), None)
        with pytest.raises(VideoError, match=f"the video has only {len(truth)} "):
            video.frames([len(truth)])
    for indices in ([len(truth) - 1], [0, len(truth) // 2]):
        with open_reader(media.path(file)) as video:  # anew: nothing is known of it
            assert says(file, video.frames(indices)) == [truth[index] for index in indices]


@pytest.mark.parametrize("file", WHOLE, ids=named)
@pytest.mark.parametrize("threads", MANY_THREADS)
def test_threads_change_nothing(media, file, threads):
    with open_reader(media.path(file)) as video:
        frames = video.frames(range(len(file.numbers)))
    with open_reader(media.path(file), Decoding(threads=threads)) as video:
        order = [len(frames) - 1, len(frames) // 2, 0, len(frames) // 3]
        np.testing.assert_array_equal(video.frames(order), frames[order])
        np.testing.assert_array_equal(video.frames(range(len(frames))), frames)
        assert video.num_frames == len(frames)


@pytest.mark.parametrize("file", DAMAGED, ids=named)
@pytest.mark.parametrize("threads", [1, *MANY_THREADS])
def test_of_a_damaged_file_the_good_part_is_read(media, file, threads):
    good = list(file.numbers)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DamagedVideoWarning)
        with open_reader(media.path(file), Decoding(threads=threads)) as video:
            found = read_to_the_end(video, file)
            assert found[: len(good)] == good
            for indices in orders(len(good)):
                assert says(file, video.frames(indices)) == [good[index] for index in indices]
            if file.damage == "hidden" or (threads != 1 and file.name in PASSED_OVER_BY_SEVERAL_THREADS):
                return
            assert found == good
            assert video.num_frames == len(good)
            if file.damage == "noticed":
                assert video.damage is not None
                assert video.damage.frame == len(good)
                assert [file.name in str(warning.message) for warning in caught] == [True]


@pytest.mark.parametrize("file", NOTICED, ids=named)
@pytest.mark.parametrize("threads", [1, *MANY_THREADS])
@pytest.mark.filterwarnings("ignore::mvit_video.data.video.errors.DamagedVideoWarning")
def test_the_good_frames_are_counted(media, file, threads):
    with open_reader(media.path(file), Decoding(threads=threads)) as video:
        promised = video.is_trusted
        assert video.num_frames == (video.expected_frames if promised else len(file.numbers))


@pytest.mark.parametrize("file", NOTICED, ids=named)
def test_damage_is_refused_when_told(media, file):
    with (
        open_reader(media.path(file), Decoding(on_damage="refuse")) as video,
        pytest.raises(VideoError, match=f"damaged at frame {len(file.numbers)}: "),
    ):
        read_to_the_end(video, file)


@pytest.mark.parametrize("file", REFUSALS, ids=named)
@pytest.mark.parametrize("on_damage", ["keep", "refuse"])
def test_what_is_no_video_is_an_error_at_once(media, file, on_damage):
    with pytest.raises(VideoError, match=file.refused) as caught:
        open_reader(media.path(file), Decoding(on_damage=on_damage))
    assert file.name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("file", WHOLE, ids=named)
def test_what_the_packets_of_a_trusted_file_promise_is_true(media, file):
    """Counted and sought without decoding, its frames are those that decoding forward gives."""
    with open_reader(media.path(file)) as video:
        assert not (video.is_trusted and file.name in NEVER_TRUSTED)
        assert video.is_trusted or file.name not in TRUSTED
        if not video.is_trusted:
            return
        assert video.num_frames == video.expected_frames == len(file.numbers)
    for index in random.Random(0).sample(range(len(file.numbers)), min(len(file.numbers), 8)):
        with open_reader(media.path(file)) as video:
            assert says(file, video.frames([index])) == [file.numbers[index]]
            assert video.is_trusted


@pytest.mark.parametrize("file", [file for file in DAMAGED if file.group.startswith("bit flips")], ids=named)
def test_damage_makes_no_other_frame_of_one(media, file):
    """Damage shows where it is decoded: elsewhere in a trusted file frames are still those asked for."""
    with open_reader(media.path(file)) as video:
        if not video.is_trusted:
            return
        promised = video.expected_frames
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamagedVideoWarning)
        for index in random.Random(0).sample(range(promised), 12):
            with open_reader(media.path(file)) as video:
                try:
                    number = file.says(video.frames([index])[0])
                except VideoError:
                    assert video.damage is not None
                else:
                    # A torn picture says nothing, and nobody noticed that it is torn.
                    assert number == index or (number == -1 and file.damage == "hidden")


@pytest.mark.parametrize("name", ["h264.mp4", "h264_raw.h264", "mpeg4_packed.avi", "cut_at_30.mp4"])
def test_the_printed_table_agrees(media, name):
    assert outcome(media.path(name), BY_NAME[name], "pyav") == "right"


# What a rule that trusts too little would miss: the formats that data sets come in.
TRUSTED = {
    "h264.mp4", "h264_no_b_frames.mp4", "h264_b_pyramid.mp4", "h264_faststart.mp4", "h264.mov",
    "h264_only_key_frames.mp4", "h264_one_key_frame.mp4", "h264_slices.mp4", "h264_baseline.mp4", "vp9.webm",
    "turned_90.mp4", "sound_first.mp4", "one.mp4", "two.mp4", "varying.mp4", "h264_341x255.mp4",
}  # fmt: skip
# Where some decoder or other returns other frames after a seek, or packets are not frames.
_NEVER_ENDINGS = (
    ".ts", ".m2ts", ".mpg", ".vob", ".avi", ".flv", ".h264", ".hevc", ".obu", ".m2v", ".wmv", ".gif", ".rm",
)  # fmt: skip
_NEVER_WORDS = ("open_gop", "intra_refresh", "hidden", "no_first_key_frame", "interlaced", "starts_early")
_NEVER_WORDS += ("trimmed", "reordered", "repeated")
NEVER_TRUSTED = {
    file.name
    for file in WHOLE
    if any(word in file.name for word in _NEVER_WORDS)
    or (file.name.endswith(_NEVER_ENDINGS) and file.group != "strange names")
}
