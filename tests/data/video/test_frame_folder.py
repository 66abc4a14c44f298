"""Folders of images as videos; every picture says its frame's number."""

import warnings
from fractions import Fraction

import numpy as np
import PIL.Image
import pytest
from kit.videos import numbered_frame, read_number, read_numbers

from mvit_video.data import VideoError
from mvit_video.data.lists import files
from mvit_video.data.video import frame_folder
from mvit_video.data.video.errors import Damage, DamagedVideoWarning, IndexContradicted
from mvit_video.data.video.frame_folder import FrameFolderReader, list_frames
from mvit_video.data.video.opening import Decoding, open_reader


def save(path, number, *, width=64, height=48, mode="RGB", **settings):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = PIL.Image.fromarray(numbered_frame(number, width, height))
    (picture if mode == "RGB" else picture.convert(mode)).save(path, **settings)


def folder_of(tmp_path, names):
    for number, name in enumerate(names):
        save(tmp_path / "video" / name, number)
    return tmp_path / "video"


@pytest.mark.parametrize(
    "names",
    [
        [f"{number:06d}.jpg" for number in range(1, 13)],
        [f"1_{number:06d}.jpg" for number in range(1, 13)],  # Something-Something-v2, as SlowFast names them
        [f"img_{number:05d}.jpg" for number in range(12)],  # mmaction2
        [f"{number}.png" for number in range(12)],  # 2 before 10
        [f"frame {number} of 12.jpeg" for number in range(1, 13)],
        [f"{number}.{'JPG' if number % 2 else 'webp'}" for number in range(12)],
        [f"{number}.bmp" for number in (3, 7, 8, 20, 100, 1000)],  # gaps
        ["only1.jpg"],
    ],
)
def test_frames_come_in_the_order_of_their_numbers(tmp_path, names):
    folder = folder_of(tmp_path, names)
    with FrameFolderReader(folder) as video:
        count = len(names)
        assert (video.num_frames, video.expected_frames, video.is_trusted) == (count, count, True)
        assert (video.height, video.width, video.fps, video.frame_rate) == (48, 64, 30.0, 30)
        assert video.duration == pytest.approx(count / 30)
        order = np.random.default_rng(0).integers(0, count, 20).tolist()
        assert read_numbers(video.frames(order)) == order
        streamed = list(video.stream(range(count + 5), until_end=True))
        assert [index for index, _ in streamed][:count] == list(range(count))
        assert all(read_number(image) == index for index, image in streamed)
        assert streamed[-1][0] == count - 1
        with pytest.raises(VideoError, match=rf"video: frame {count} was asked for, but the video has only"):
            video.frames([count])
        assert video.damage is None


def test_only_the_frames_asked_for_are_read(tmp_path):
    folder = folder_of(tmp_path, [f"{number}.jpg" for number in range(30)])
    for number in (5, 20):
        (folder / f"{number}.jpg").write_bytes(b"no picture")
    with FrameFolderReader(folder) as video:
        assert read_numbers(video.frames([29, 4, 6, 4])) == [29, 4, 6, 4]
        assert video.damage is None


def test_what_lies_beside_the_frames_is_passed_over(tmp_path):
    folder = folder_of(tmp_path, [f"img_{number:05d}.jpg" for number in range(3)])
    for name in ("flow_x_00000.jpg", "flow_y_00000.jpg", ".img_00007.jpg"):
        save(folder / name, 99)
    (folder / "num_frames.txt").write_text("3")
    (folder / "img_00009.jpg").mkdir()
    assert [path.rpartition("/")[2] for path in list_frames(folder)] == [
        "img_00000.jpg", "img_00001.jpg", "img_00002.jpg"
    ]  # fmt: skip


def test_the_frame_rate_is_what_it_is_said_to_be(tmp_path):
    folder = folder_of(tmp_path, ["1.jpg", "2.jpg", "3.jpg"])
    assert FrameFolderReader(folder, fps=Fraction(30000, 1001)).frame_rate == Fraction(30000, 1001)
    assert FrameFolderReader(folder, fps=12).duration == 0.25
    for fps in (0, -1, float("nan")):
        with pytest.raises(VideoError, match=r"video: fps is .*, expected a number above 0"):
            FrameFolderReader(folder, fps=fps)


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("L", "png"), ("1", "png"), ("P", "png"), ("RGBA", "png"), ("LA", "png"), ("CMYK", "jpg"), ("L", "jpg")],
)
def test_every_kind_of_picture_becomes_rgb(tmp_path, mode, suffix):
    for number in (6, 9):
        save(tmp_path / f"{number}.{suffix}", number, mode=mode)
    frames = FrameFolderReader(tmp_path).frames([0, 1])
    assert (frames.dtype, frames.shape) == (np.uint8, (2, 48, 64, 3))
    assert read_numbers(frames) == [6, 9]
    if mode not in ("1", "P"):  # which dither
        np.testing.assert_allclose(frames[0].astype(int), numbered_frame(6, 64, 48), atol=4)


def test_grey_pictures_of_16_bit_keep_their_shades(tmp_path):
    ramp = np.linspace(0, 65535, 64 * 48).reshape(48, 64).astype(np.uint16)
    PIL.Image.fromarray(ramp).save(tmp_path / "1.png")
    frame = FrameFolderReader(tmp_path).frames([0])[0]
    np.testing.assert_allclose(frame, np.repeat((ramp / 257)[..., None], 3, axis=2), atol=1)


def test_colours_stay_as_they_are(tmp_path):
    colours = np.random.default_rng(1).integers(0, 256, (8, 8, 3), np.uint8)
    PIL.Image.fromarray(colours).save(tmp_path / "1.png")
    np.testing.assert_array_equal(FrameFolderReader(tmp_path).frames([0])[0], colours)


# By the EXIF standard: the sides where a stored picture's first row and first column are shown. 1: top, left;
# 2: top, right; 3: bottom, right; 4: bottom, left; 5: left, top; 6: right, top; 7: right, bottom; 8: left,
# bottom.
SHOWN = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: np.rot90(stored),
}


@pytest.mark.parametrize("orientation", SHOWN)
def test_pictures_are_turned_as_exif_says(tmp_path, orientation):
    stored = np.random.default_rng(2).integers(0, 256, (12, 20, 3), np.uint8)
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    PIL.Image.fromarray(stored).save(tmp_path / "1.png", exif=exif)
    video = FrameFolderReader(tmp_path)
    shown = SHOWN[orientation](stored)
    assert (video.height, video.width) == shown.shape[:2]
    np.testing.assert_array_equal(video.frames([0])[0], shown)


def empty(path):
    path.write_bytes(b"")


def text(path):
    path.write_text("no picture")


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-200])


def gone(path):
    path.unlink()
    path.symlink_to("nowhere.jpg")


def larger(path):
    save(path, 7, width=80)


DAMAGES = {
    empty: r"7\.jpg: cannot identify image file",
    text: r"7\.jpg: cannot identify image file",
    cut_off: r"7\.jpg: image file is truncated",
    larger: r"7\.jpg is 80x48 pixels, and frame 0 is 64x48; bring all to one size",
}


@pytest.fixture(params=DAMAGES, ids=lambda damage: damage.__name__)
def damaged(request, tmp_path):
    """A folder of 12 frames whose frame 7 is damaged, and how."""
    folder = folder_of(tmp_path, [f"{number}.jpg" for number in range(12)])
    request.param(folder / "7.jpg")
    return folder, DAMAGES[request.param]


def test_damage_ends_the_video_when_it_is_kept(damaged):
    folder, reason = damaged
    video = open_reader(folder)
    assert read_numbers(video.frames([11, 0, 6])) == [11, 0, 6]  # none of them is damaged
    stream = video.stream(range(12))
    assert [read_number(next(stream)[1]) for _ in range(7)] == list(range(7))
    with pytest.raises(IndexContradicted):
        next(stream)
    assert not video.is_trusted
    with pytest.warns(
        DamagedVideoWarning, match=rf"video: damaged at frame 7: {reason}.*; the video ends"
    ) as warned:
        assert video.num_frames == 7
    assert len(warned) == 1
    assert isinstance(video.damage, Damage)
    assert video.damage.frame == 7
    assert [index for index, _ in video.stream(range(12), until_end=True)] == [*range(7), 6]
    with pytest.raises(VideoError, match="frame 11 was asked for, but the video has only 7"):
        video.frames([11])
    assert read_numbers(video.frames([6, 2])) == [6, 2]


def test_damage_is_refused_where_that_is_asked_for(damaged):
    folder, reason = damaged
    video = open_reader(folder, Decoding(on_damage="refuse"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_numbers(video.frames([11, 6])) == [11, 6]
        for _ in range(2):
            with pytest.raises(VideoError, match=rf"video: damaged at frame 7: {reason}"):
                video.frames([7])


def test_of_two_damaged_frames_the_first_counts_whichever_was_met(tmp_path):
    folder = folder_of(tmp_path, [f"{number}.jpg" for number in range(12)])
    text(folder / "3.jpg")
    text(folder / "9.jpg")
    video = FrameFolderReader(folder)
    with (
        pytest.warns(DamagedVideoWarning, match="damaged at frame 3"),
        pytest.raises(VideoError, match="only 3"),
    ):
        video.frames([9])
    assert video.num_frames == 3
    assert read_numbers(video.frames([2, 0])) == [2, 0]


def test_a_stream_that_runs_while_another_finds_damage_is_told(tmp_path):
    folder = folder_of(tmp_path, [f"{number}.jpg" for number in range(12)])
    text(folder / "9.jpg")
    video = FrameFolderReader(folder)
    stream = video.stream(range(12))
    next(stream)
    with pytest.raises(IndexContradicted):
        list(video.stream([9]))
    with pytest.raises(IndexContradicted):
        next(stream)


def test_a_frame_that_went_away_after_opening_is_damage(tmp_path):
    folder = folder_of(tmp_path, [f"{number}.jpg" for number in range(4)])
    video = FrameFolderReader(folder)
    (folder / "2.jpg").unlink()
    with (
        pytest.warns(DamagedVideoWarning, match=r"damaged at frame 2: 2\.jpg: No such file"),
        pytest.raises(VideoError),
    ):
        video.frames([2])
    assert video.num_frames == 2


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], r"no images in this folder; expected frames that end in \.bmp \.jpeg \.jpg \.png \.webp"),
        (["readme.txt", ".1.jpg"], "no images in this folder"),
        (
            ["1.jpg", "2.jpg", "poster.jpg"],
            r"names of its images differ .* \(poster\.jpg, 1\.jpg\); expected",
        ),
        (["a1.jpg", "b1.jpg"], r"names of its images differ in more than their numbers \(.*a1\.jpg"),
        (["cover.jpg"], r"cover\.jpg has no number in its name to order the frames by"),
        (["1.jpg", "2.jpg", "2.png"], r"2\.jpg and 2\.png have the same number; keep one of them"),
        (["1.jpg", "01.jpg"], r"01\.jpg and 1\.jpg have the same number; keep one of them"),
    ],
)
def test_a_folder_that_is_no_video(tmp_path, names, message):
    (tmp_path / "video").mkdir()
    for name in names:
        text(tmp_path / "video" / name) if name.endswith("txt") else save(tmp_path / "video" / name, 1)
    with pytest.raises(VideoError, match=f"video: .*{message}") as caught:
        open_reader(tmp_path / "video")
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_not_there_or_whose_first_frame_is_damaged(tmp_path):
    with pytest.raises(VideoError, match="none: cannot be opened as a folder of frames: No such file"):
        FrameFolderReader(tmp_path / "none")
    text(tmp_path / "1.jpg")
    for on_damage in ("keep", "refuse"):
        with pytest.raises(VideoError, match=r"damaged at frame 0: 1\.jpg: cannot identify image file"):
            FrameFolderReader(tmp_path, on_damage=on_damage)


def test_a_dangling_link_is_no_frame(tmp_path):
    folder = folder_of(tmp_path, ["1.jpg", "2.jpg", "7.jpg"])
    gone(folder / "7.jpg")
    assert FrameFolderReader(folder).num_frames == 2


def test_lists_and_readers_know_the_same_images():
    assert files.IMAGE_SUFFIXES == frame_folder.IMAGE_SUFFIXES
