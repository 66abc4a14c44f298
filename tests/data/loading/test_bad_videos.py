import pytest

from mvit_video.data import BadVideo, BadVideoCount, BadVideosError
from mvit_video.data.loading.bad_videos import bad_video


def bad(number, reason="not a video"):
    return BadVideo(f"v/{number}.mp4", reason)


def test_each_video_counts_once_however_often_it_was_met():
    count = BadVideoCount(0.1, 30)
    for _ in range(5):
        count.add([bad(0), bad(1, "no answer after 60 s"), bad(2)])
    assert len(count) == 3
    assert list(count.reasons.items())[1] == ("v/1.mp4", "no answer after 60 s")
    with pytest.raises(BadVideosError) as caught:
        count.add([bad(7)])
    assert str(caught.value) == (
        "4 of 30 videos of this epoch could not be read so far, and DATA.BAD_VIDEOS_LIMIT is 0.1: "
        "v/0.mp4: not a video; v/1.mp4: no answer after 60 s; v/2.mp4: not a video; "
        "mvit-video data check LIST finds them all, --clean writes a list without them"
    )


def test_the_limits_at_the_ends():
    none, all_of_them = BadVideoCount(0, 10), BadVideoCount(1, 10)
    none.add([])
    with pytest.raises(BadVideosError, match="1 of 10 videos"):
        none.add([bad(0)])
    all_of_them.add(map(bad, range(10)))
    assert len(all_of_them) == 10
    for share in (-0.1, 1.5):
        with pytest.raises(ValueError, match=rf"DATA\.BAD_VIDEOS_LIMIT is {share}, expected a share"):
            BadVideoCount(share, 10)


def test_an_error_about_a_video_says_its_path_once():
    for text in ("v.mp4: no such file", "no such file"):
        assert bad_video("v.mp4", text) == BadVideo("v.mp4", "no such file")
    assert str(bad_video("v.mp4", "v.mp4: no such file")) == "v.mp4: no such file"
