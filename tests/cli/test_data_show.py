"""``mvit-video data show``: lists in, a picture out."""

import numpy as np
import pytest
from kit.videos import write_video
from PIL import Image

from mvit_video.cli import main

SMALL = ("DATA.TRAIN_CROP_SIZE", "32", "DATA.TEST_CROP_SIZE", "32", "DATA.TRAIN_JITTER_SCALES", "[32, 40]",
         "DATA.NUM_FRAMES", "4", "DATA.SAMPLING_RATE", "2", "TEST.NUM_ENSEMBLE_VIEWS", "2",
         "TEST.NUM_SPATIAL_CROPS", "1")  # fmt: skip
RECIPE = ("AUG.ENABLE", "True", "AUG.AA_TYPE", "rand-m7-n4-mstd0.5-inc1", "AUG.NUM_SAMPLE", "2",
          "MIXUP.ENABLE", "True", "MODEL.LOSS_FUNC", "soft_cross_entropy")  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Where the commands run: a folder of two classes."""
    for name in ("classes/jump/a", "classes/jump/b", "classes/run/c"):
        path = tmp_path / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, 30, width=48, height=48)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def show(*words):
    return main(["data", "show", *words])


def pixels(name="show.png"):
    with Image.open(name) as picture:
        return np.asarray(picture)


def test_both_splits(folder, capsys):
    assert show("classes", *SMALL, *RECIPE) == 0
    height, width = pixels().shape[:2]
    assert capsys.readouterr().out == f"show.png: {width} x {height} pixels\n"
    assert show("classes", *SMALL, *RECIPE, "--split", "train", "--output", "train.png") == 0
    assert show("classes", *SMALL, *RECIPE, "--split", "test", "--output", "test.png") == 0
    assert height > pixels("train.png").shape[0] > 2 * 2 * 128
    assert height > pixels("test.png").shape[0] > 3 * 128


def test_the_same_again_and_others_for_another_seed_or_epoch(folder):
    words = ("classes", *SMALL, *RECIPE, "--split", "train", "--num-videos", "2")
    for name, more in (
        ("a", ()),
        ("b", ()),
        ("seed", ("--seed", "7")),
        ("rng", ("RNG_SEED", "7")),
        ("epoch", ("--epoch", "2")),
    ):
        assert show(*words, *more, "--output", f"{name}.png") == 0
    pictures = {name: pixels(f"{name}.png") for name in ("a", "b", "seed", "rng", "epoch")}
    assert np.array_equal(pictures["a"], pictures["b"])
    assert np.array_equal(pictures["seed"], pictures["rng"])
    frames = slice(12 + 19 + 12, None)  # below the title
    for other in ("seed", "epoch"):
        assert not np.array_equal(pictures["a"][frames], pictures[other][frames])


def test_number_of_videos_and_frames(folder):
    sizes = {}
    for videos in ("1", "3"):
        words = (
            "--split",
            "test",
            "--num-videos",
            videos,
            "--num-frames",
            "16",
            "--output",
            "x.png",
            "--force",
        )
        assert show("classes", *SMALL, *words) == 0
        sizes[videos] = pixels("x.png").shape
    assert sizes["3"][0] - sizes["1"][0] > 2 * 128
    assert sizes["1"][1] == sizes["3"][1] == 8 * 128 + 7 * 3 + 24  # all four frames of both clips


def test_a_list_with_an_unreadable_video(folder, capsys):
    (folder / "bad.mp4").write_text("no video")
    (folder / "x.list").write_text("bad.mp4 0\nclasses/jump/a.mp4 1\n")
    assert show("x.list", *SMALL) == 1
    assert pixels().shape[0] > 128
    assert "training goes on without a video: bad.mp4" in capsys.readouterr().err


def test_what_is_odd_about_a_list_is_said_once(folder, capsys):
    (folder / "classes/run/c.mp4").rename(folder / "classes/run/c_000001_000002.mp4")
    rows = ("abseiling,c,1,2,val", "abseiling,gone,1,2,val")
    (folder / "k.csv").write_text("\n".join(("label,youtube_id,time_start,time_end,split", *rows)))
    words = ("DATA.PATH_PREFIX", "classes", "DATA.CLASS_NAMES", "kinetics400")
    assert show("k.csv", *SMALL, *words) == 1
    assert capsys.readouterr().err.count("1 of its 2 videos are not in classes and will count as") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("none",), "error: none: no such list file or folder"),
        (("classes/run/c.mp4",), "classes/run/c.mp4: is a video, expected a list of videos"),
        (("classes", "--output", "x.jpg"), "--output x.jpg: expected a name that ends in .png"),
        (("classes", "--output", "no/x.png"), "no: there is no such folder to write to"),
        (("classes", "--num-videos", "0"), "--num-videos 0: expected 1 or more"),
        (("classes", "--num-frames", "0"), "--num-frames 0: expected 1 or more"),
        (("classes", "--epoch", "-1"), "--epoch -1: expected 0 or more"),
        (("classes", "--seed", "-1"), "--seed -1: expected 0 or more"),
        (("classes", *SMALL, "MODEL.NUM_CLASSES", "1"), "expected 0 to 0"),
    ],
)
def test_mistakes(words, message, capsys):
    assert show(*words) == 2
    found = capsys.readouterr().err
    assert message in found
    assert len(found.splitlines()) == 1


def test_a_picture_is_only_replaced_when_asked(folder, capsys):
    (folder / "x.png").write_text("mine")
    words = ("classes", *SMALL, "--split", "test", "--num-videos", "1", "--output", "x.png")
    assert show(*words) == 2
    assert (
        "x.png: is there already; choose another name, or replace it with --force" in capsys.readouterr().err
    )
    assert (folder / "x.png").read_text() == "mine"
    assert show(*words, "--force") == 0
    assert pixels("x.png").shape[0] > 128


def test_too_few_videos_to_mix(folder, capsys):
    (folder / "x.list").write_text("classes/jump/a.mp4 0\n")
    assert show("x.list", *SMALL, *RECIPE, "--split", "train") == 2
    assert capsys.readouterr().err == (
        "mvit-video: error: x.list: has 1 videos, fewer than the 2 of MIXUP.GROUP_SIZE that are mixed with "
        "each other: list more, or set MIXUP.ENABLE False\n"
    )


def test_what_would_be_shown_can_be_printed(capsys):
    assert show("classes", *SMALL, "--print-config") == 0
    assert "TRAIN_CROP_SIZE: 32" in capsys.readouterr().out
