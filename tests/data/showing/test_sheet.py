import numpy as np
from PIL import Image

from mvit_video.data.showing.sheet import Row, Section, draw_sheet


def frames(count, height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def shows(sheet, frames_NHWC):
    """Whether the frames stand somewhere in the sheet, side by side with three white pixels between."""
    gap = np.full((frames_NHWC.shape[1], 3, 3), 255, np.uint8)
    strip = np.concatenate([np.concatenate([frame, gap], 1) for frame in frames_NHWC], 1)[:, :-3]
    pixels = np.asarray(sheet)
    height, width = strip.shape[:2]
    tops = range(pixels.shape[0] - height + 1)
    return any(np.array_equal(pixels[top : top + height, 12 : 12 + width], strip) for top in tops)


def test_frames_stand_in_the_sheet_as_they_are_row_under_row():
    rows = [frames(3, 32, 40, seed) for seed in range(3)]
    sections = [
        Section("first", [Row("one", rows[0]), Row("two", rows[1])]),
        Section("a heading alone"),
        Section("second", [Row("three", rows[2])]),
    ]
    sheet = draw_sheet("title", sections, frame_height=32)
    assert sheet.mode == "RGB"
    assert all(shows(sheet, row) for row in rows)
    assert not shows(sheet, frames(3, 32, 40, 9))


def test_frames_are_scaled_to_one_height_and_keep_their_shape():
    sheet = draw_sheet("", [Section("", [Row("", frames(2, 50, 200))])], frame_height=100)
    assert sheet.width == 2 * 400 + 3 + 24
    white = np.full((1, 20, 20, 3), 250, np.uint8)
    assert np.asarray(draw_sheet("", [Section("", [Row("", white)])], frame_height=40)).min() < 250


def test_text_is_written_and_cut_where_it_would_leave_the_sheet():
    short, long = (draw_sheet(text, [Section("")], frame_height=20) for text in ("label", "label " * 200))
    assert short.size == long.size
    for sheet in (short, long):
        pixels = np.asarray(sheet)[10:32]
        assert (pixels < 100).any()
        assert (pixels[:, -10:] == 255).all()
    assert (np.asarray(long)[10:32, 100:] < 100).any()
    assert not (np.asarray(short)[10:32, 100:] < 100).any()


def test_the_sheet_can_be_written_and_read(tmp_path):
    sheet = draw_sheet("über 'é'", [Section("one\ntwo", [Row("…", frames(1, 20, 20))])], frame_height=20)
    sheet.save(tmp_path / "sheet.png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "sheet.png")), np.asarray(sheet))
