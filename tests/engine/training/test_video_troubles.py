"""Videos that cannot be read, or only up to a damaged place: counted, told, and too many of them refused."""

import json
import logging
import shutil

import numpy as np
import pytest
from kit.media_damage import harm_file, zeroed
from kit.tiny_runs import tiny_config, write_videos
from kit.videos import write_video

from mvit_video.data import BadVideo, Batch
from mvit_video.engine import RunError, run, train
from mvit_video.engine.checkpoints.files import checkpoint_path
from mvit_video.engine.training.video_troubles import VideoTroubles

ONE_EPOCH = ("TRAIN.BATCH_SIZE", 10, "SOLVER.MAX_EPOCH", 1, "DATA.SAMPLING_RATE", 15)

# The engine's own log says it; the warning is for those who read frames themselves.
pytestmark = pytest.mark.filterwarnings("ignore::mvit_video.data.video.errors.DamagedVideoWarning")


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Eight good videos, one that is no video, and one whose second half is zeros."""
    folder = write_videos(tmp_path_factory.mktemp("videos"))
    (folder / "broken.mp4").write_bytes(b"nothing")
    noise = np.random.default_rng(0).integers(0, 255, (60, 20, 24, 3), np.uint8)
    write_video(folder / "half.mp4", 60, width=24, height=20, picture=lambda i: noise[i])
    harm_file(folder / "half.mp4", zeroed(30, 58))
    listing = folder / "list.csv"
    listing.write_text(f"{folder}/broken.mp4 0\n{folder}/half.mp4 1\n" + listing.read_text())
    return folder


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_epoch_says_which_and_why(tmp_path, videos, caplog, num_workers):
    words = ("TRAIN.BATCH_SIZE", 10, "SOLVER.MAX_EPOCH", 2, "DATA_LOADER.NUM_WORKERS", num_workers)
    with caplog.at_level(logging.WARNING):
        result = train(tiny_config(tmp_path, *words, "DATA.SAMPLING_RATE", 15, videos=videos))
    rows = [row for row in result.rows if row["kind"] == "videos"]
    assert [row["epoch"] for row in rows] == [1.0, 2.0]
    (bad,), (damaged,) = rows[0]["bad_videos"], rows[0]["damaged_videos"]
    assert bad["path"] == f"{videos}/broken.mp4"
    assert bad["reason"]
    assert damaged["path"] == f"{videos}/half.mp4"
    assert damaged["reason"].startswith("good up to frame ")
    train_rows = [row for row in result.rows if row["kind"] == "train"]
    assert [(row["bad"], row["damaged"]) for row in train_rows] == [(1, 1), (1, 1)]
    assert all(row["replaced"] >= 1 for row in train_rows)
    assert "epoch 1: 1 of 10 videos could not be read; " in caplog.text
    assert f"  {videos}/broken.mp4: {bad['reason']}" in caplog.text
    assert "epoch 2: 1 of 10 videos are damaged; what comes before the damage was used" in caplog.text
    lines = (tmp_path / "out/train.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == list(result.rows)


def test_an_evaluation_names_the_first_that_it_could_not_read(tmp_path, videos, caplog):
    listing = tmp_path / "val.csv"
    for number in range(7):
        (tmp_path / f"{number}.mp4").write_bytes(b"nothing")
    listing.write_text("".join(f"{tmp_path}/{number}.mp4 0\n" for number in range(7)))
    with caplog.at_level(logging.WARNING):
        train(tiny_config(tmp_path, *ONE_EPOCH, "DATA.VAL_LIST", listing, videos=videos))
    told = [text for text in caplog.messages if text.startswith("not read, and not counted: ")]
    assert [f"{tmp_path}/{number}.mp4" in text for number, text in enumerate(told)] == [True] * 5
    assert "and 2 more val videos; `mvit-video data check` names all" in caplog.messages


def test_damage_can_be_refused(tmp_path, videos):
    words = (*ONE_EPOCH, "DATA.ON_DAMAGE", "refuse", "DATA.BAD_VIDEOS_LIMIT", 0.2)
    result = train(tiny_config(tmp_path, *words, videos=videos))
    (row,) = (row for row in result.rows if row["kind"] == "videos")
    assert (row["bad"], row["damaged"]) == (2, 0)


def test_too_many_stop_the_run_and_the_last_checkpoint_stays(tmp_path, videos):
    copies = tmp_path / "copies"
    shutil.copytree(videos, copies)
    listing = copies / "list.csv"
    listing.write_text(listing.read_text().replace(str(videos), str(copies)))
    words = ("TRAIN.BATCH_SIZE", 10, "DATA.NUM_FRAMES", 4)
    train(tiny_config(tmp_path, *words, "SOLVER.MAX_EPOCH", 1, videos=copies))
    for number in range(3):
        (copies / f"class_1/{number}.mp4").write_bytes(b"")
    with pytest.raises(RunError) as caught:
        train(tiny_config(tmp_path, *words, "SOLVER.MAX_EPOCH", 2, videos=copies))
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith("epoch 2: ")
    assert "of 10 videos of this epoch could not be read" in text
    assert "DATA.BAD_VIDEOS_LIMIT is 0.1" in text
    assert text.endswith("training stops, and checkpoints stay as they were")
    assert checkpoint_path(tmp_path / "out", 1).exists()
    assert not checkpoint_path(tmp_path / "out", 2).exists()


def test_a_test_counts_the_damaged_and_lists_the_unreadable(tmp_path, videos, caplog):
    words = ("SOLVER.MAX_EPOCH", 1, "TRAIN.BATCH_SIZE", 10, "DATA.NUM_FRAMES", 4)
    with caplog.at_level(logging.WARNING):
        result = run(tiny_config(tmp_path, *words, videos=videos)).test
    assert (result.num_videos, len(result.unreadable), len(result.damaged)) == (9, 1, 1)
    assert [row.path for row in result.rows][:2] == [f"{videos}/broken.mp4", f"{videos}/half.mp4"]
    assert (result.rows[0].scores, result.rows[0].damage) == (None, None)
    assert result.rows[1].damage.startswith("good up to frame ")
    assert f"damaged, and counted by its good part: {videos}/half.mp4: good up to frame " in caplog.text


def test_of_many_the_log_names_the_first():
    troubles = VideoTroubles(1.0, 100, epoch=4)
    bad = tuple(BadVideo(f"{number}.mp4", "no") for number in range(30))
    batches = [Batch(None, None, None, bad=bad), Batch(None, None, None, bad=bad[:5])]
    assert list(troubles.watch(iter(batches))) == batches
    troubles.take(troubles.news())
    assert troubles.news() == []
    assert troubles.counts == {"bad": 30, "damaged": 0, "replaced": 35}
    lines = list(troubles.lines())
    assert lines[0].startswith("epoch 5: 30 of 100 videos could not be read; 35 times another one was taken")
    assert lines[1] == "  0.mp4: no"
    assert lines[-1] == "  and 10 more: train.jsonl names them all"
    assert len(troubles.details["bad_videos"]) == 30
    assert not list(VideoTroubles(1.0, 100, epoch=4).lines())
