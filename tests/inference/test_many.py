"""Many videos at once: the answers of one at a time, in order, while the next are read in a thread."""

import io
import logging
import threading
import time
import warnings
from contextlib import closing

import numpy as np
import pytest
import torch
from kit import colours
from kit.colours import BLUE, CLASS_NAMES, RED
from kit.media_damage import harm_file, zeroed
from kit.videos import write_video

from mvit_video.config import load_config
from mvit_video.data import DamagedVideoWarning, VideoError, open_reader
from mvit_video.inference import ClipPrediction, Prediction, Predictor
from mvit_video.inference.reading import Stoppable, StoppedError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    colours.write_config(folder)
    colours.write_weights(folder / "weights.safetensors")
    rng = np.random.default_rng(0)
    for number in range(5):
        shades = rng.integers(0, 256, (4, 1, 1, 3)).astype(np.uint8).repeat(48, 1).repeat(64, 2)
        write_video(folder / f"{number}.mp4", 40, width=64, height=48, picture=lambda i, s=shades: s[i // 10])
    (folder / "broken.mp4").write_bytes(b"no video at all")
    return folder


@pytest.fixture(scope="module")
def paths(folder):
    """Five videos, with a broken one and an absent one between them."""
    names = ("0.mp4", "broken.mp4", "1.mp4", "2.mp4", "absent.mp4", "3.mp4", "4.mp4")
    return [folder / name for name in names]


def make_predictor(folder, *, words=(), **options):
    config = load_config([folder / "colours.yaml"], list(words))
    options = {"device": "cpu", "precision": "fp32", "views_per_batch": 4} | options
    return Predictor(config, checkpoint=folder / "weights.safetensors", **options)


def watch_batches(predictor):
    """The number of views of each pass through the model from now on."""
    sizes = []
    predictor._scorer.model.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    return sizes


def scores_of(prediction):
    return {entry.index: entry.score for entry in prediction.top}


def one_by_one(predictor, paths, **options):
    answers = []
    for path in paths:
        try:
            answers.append(predictor(path, **options))
        except VideoError as error:
            answers.append(error)
    return answers


def assert_alike(found, expected, tolerance):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert type(one) is type(other)
        if isinstance(one, VideoError):
            assert str(one) == str(other)
            continue
        assert (one.path, one.num_views, one.damage) == (other.path, other.num_views, other.damage)
        assert scores_of(one) == pytest.approx(scores_of(other), abs=tolerance)
        assert len(one.clips) == len(other.clips)
        for clip, same in zip(one.clips, other.clips, strict=True):
            assert (clip.start_seconds, clip.end_seconds) == (same.start_seconds, same.end_seconds)
            assert scores_of(clip) == pytest.approx(scores_of(same), abs=tolerance)


@pytest.mark.parametrize("readers", [1, 2, 5, 100])
@pytest.mark.parametrize("words", [("TEST.NUM_ENSEMBLE_VIEWS", "1"), ("TEST.NUM_SPATIAL_CROPS", "3")])
def test_the_answers_are_those_of_one_at_a_time(folder, paths, readers, words):
    predictor = make_predictor(folder, words=words, readers=readers)
    found = list(predictor.many(paths))
    assert_alike(found, one_by_one(predictor, paths), 1e-4)
    assert len({scores_of(answer)[0] for answer in found if isinstance(answer, Prediction)}) == 5


@pytest.mark.parametrize("every_seconds", [0.1, 0.4])
def test_along_files_too(folder, paths, every_seconds):
    predictor = make_predictor(folder, readers=2)
    found = list(predictor.many(paths, every_seconds=every_seconds))
    assert_alike(found, one_by_one(predictor, paths, every_seconds=every_seconds), 1e-4)


def test_in_bf16_to_its_rounding(folder, paths):
    predictor = make_predictor(folder, precision="bf16")
    assert_alike(list(predictor.many(paths)), one_by_one(predictor, paths), 0.02)


def test_a_model_with_bf16_weights_is_shown_bf16(folder, paths):
    full = make_predictor(folder)
    half = make_predictor(folder)
    half._scorer.model.bfloat16()
    assert_alike(list(half.many(paths)), list(full.many(paths)), 0.03)


@pytest.mark.parametrize(("views_per_batch", "sizes"), [(4, [4, 4, 4, 3]), (2, [2] * 7 + [1]), (100, [15])])
def test_videos_share_batches(folder, paths, views_per_batch, sizes):
    predictor = make_predictor(folder, views_per_batch=views_per_batch)
    seen = watch_batches(predictor)
    assert sum(isinstance(answer, Prediction) for answer in predictor.many(paths)) == 5
    assert seen == sizes


def test_clips_are_handed_over_before_the_answer_they_belong_to(folder, paths):
    events = []
    predictor = make_predictor(folder)
    for answer in predictor.many(paths, on_clip=events.append):
        events.append(answer)
    kinds = [type(event) for event in events]
    video = [ClipPrediction] * 3 + [Prediction]
    assert kinds == [*video, VideoError, *video * 2, VideoError, *video * 2]
    assert all(event.clips == () for event in events if isinstance(event, Prediction))


def test_damage_is_noted_at_the_right_video(folder, tmp_path):
    noise = np.random.default_rng(0).integers(-25, 25, (60, 48, 64, 3))
    pictures = (np.array(RED) + noise).clip(0, 255).astype(np.uint8)
    damaged = write_video(tmp_path / "damaged.mp4", 60, width=64, height=48, picture=lambda i: pictures[i])
    harm_file(damaged, zeroed(40, 58))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamagedVideoWarning)
        answers = list(make_predictor(folder).many([folder / "0.mp4", damaged, folder / "1.mp4"]))
        refused = list(
            make_predictor(folder, words=("DATA.ON_DAMAGE", "refuse")).many([damaged, folder / "1.mp4"])
        )
    assert [answer.damage is None for answer in answers] == [True, False, True]
    assert answers[1].damage.startswith("good up to frame ")
    assert [type(answer) for answer in refused] == [VideoError, Prediction]


def test_no_videos_no_answers(folder):
    assert list(make_predictor(folder).many([])) == []


class WatchedFile(io.BytesIO):
    """A video in memory that knows whether anybody has read in it."""

    def __init__(self, contents):
        super().__init__(contents)
        self.is_begun = False

    def read(self, size=-1, /):
        self.is_begun = True
        return super().read(size)


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.005)


def test_the_next_video_is_read_while_the_model_runs_and_no_more_than_that(folder):
    contents = (folder / "0.mp4").read_bytes()
    files = [WatchedFile(contents) for _ in range(12)]
    predictor = make_predictor(folder, views_per_batch=3)  # a video is a batch
    passes = []

    def while_it_runs(_, inputs):
        number = len(passes)
        if number + 1 < len(files):
            wait_until(lambda: files[number + 1].is_begun)
        time.sleep(0.05)
        passes.append(sum(file.is_begun for file in files))

    predictor._scorer.model.register_forward_pre_hook(while_it_runs)
    with closing(predictor.many(files)) as answers:
        assert [next(answers).num_views for _ in range(5)] == [3] * 5
        assert all(begun <= number + 3 for number, begun in enumerate(passes, start=1)), passes
    assert not reading_threads()
    assert not files[-1].is_begun


def reading_threads():
    return [thread for thread in threading.enumerate() if thread.name == "mvit-video read ahead"]


@pytest.mark.parametrize("how", ["close", "let go", "error", "interrupt"])
def test_leaving_early_ends_the_reading(folder, how, tmp_path):
    long = colours.write_colour_video(tmp_path / "long.mp4", RED, BLUE, frames_each=300)
    predictor = make_predictor(folder)
    answers = predictor.many([folder / "0.mp4", *[long] * 50], every_seconds=0.1)
    assert isinstance(next(answers), Prediction)
    assert reading_threads()
    if how == "close":
        answers.close()
    elif how == "let go":
        del answers
    else:
        kind = {"error": MemoryError, "interrupt": KeyboardInterrupt}[how]

        def fail(*_):
            raise kind

        predictor._scorer.model.register_forward_pre_hook(fail)
        with pytest.raises(kind):
            next(answers)
    assert not reading_threads()


def test_a_video_that_nobody_waits_for_gives_no_more_frames(folder):
    stop = threading.Event()
    with open_reader(folder / "0.mp4") as video:
        stoppable = Stoppable(video, stop)
        assert (stoppable.name, stoppable.num_frames) == (video.name, 40)
        assert len(list(stoppable.stream(range(40)))) == 40
        frames = stoppable.stream(range(40))
        next(frames)
        stop.set()
        with pytest.raises(StoppedError):
            next(frames)


def test_a_model_that_gives_no_numbers_ends_it_with_the_video_named(folder, paths):
    predictor = make_predictor(folder, views_per_batch=3)
    with torch.no_grad():
        next(predictor._scorer.model.parameters()).fill_(float("nan"))
    answers = predictor.many(paths[2:])
    with pytest.raises(ValueError, match=r"1\.mp4: the model answers with values that are no numbers"):
        next(answers)
    assert not reading_threads()


def test_wishes_that_cannot_be(folder):
    with pytest.raises(ValueError, match="readers is 0, expected at least 1"):
        make_predictor(folder, readers=0)
    with pytest.raises(ValueError, match="clips every -1 seconds: expected a number above 0"):
        make_predictor(folder).many([], every_seconds=-1)


@pytest.mark.parametrize(("in_hardware", "number_format"), [(True, "bf16"), (False, "fp32")])
def test_the_precision_is_said(folder, in_hardware, number_format, monkeypatch, caplog):
    monkeypatch.setattr("mvit_video.engine.device.has_fast_bfloat16", lambda: in_hardware)
    with caplog.at_level(logging.INFO):
        predictor = make_predictor(folder, precision="auto")
    assert f"computing on the CPU ({torch.get_num_threads()} threads) in {number_format}" in caplog.text
    assert ("which this processor has in hardware" in caplog.text) is in_hardware
    red = colours.write_colour_video(folder / f"red in {number_format}.mp4", RED)
    assert predictor(red).top[0].name == CLASS_NAMES[0]
