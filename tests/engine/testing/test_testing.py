"""Whole test runs: which weights, which classes, which numbers, and what is refused at once."""

import csv
import json
import logging

import numpy as np
import pytest
import torch
from kit.tiny_runs import tiny_config, write_videos
from kit.videos import write_video

from mvit_video.api import create_model
from mvit_video.engine import RunError, run, test, train
from mvit_video.engine.checkpoints.files import checkpoint_path, save_checkpoint
from mvit_video.engine.inputs import find_weights
from mvit_video.engine.resolve import resolve_architecture, resolve_views
from mvit_video.engine.testing.results import TestResult
from mvit_video.engine.testing.testing import differences_to_published
from mvit_video.models import MViT
from mvit_video.weights import ZOO, WeightsError

run_test = test
del test  # pytest would collect it


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return write_videos(tmp_path_factory.mktemp("videos"), videos_per_class=3)


def _save(config, path, *, bias=(0.0, 0.0), class_names=None):
    """A model whose bias is so large that it always answers with one class."""
    torch.manual_seed(0)
    model = MViT(resolve_architecture(config))
    state = model.state_dict()
    state["head.projection.bias"] = torch.tensor(bias)
    contents = {"model_state": state, "epoch": 1, "class_names": class_names, "cfg": ""}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(path, contents)
    return path


@pytest.fixture
def weights(tmp_path, videos):
    """Always answers class 1."""
    return _save(tiny_config(tmp_path, videos=videos), tmp_path / "one.pyth", bias=(0.0, 1e4))


def test_numbers_and_rows(tmp_path, videos, weights, caplog):
    with caplog.at_level(logging.INFO):
        result = run_test(tiny_config(tmp_path, "TEST.CHECKPOINT_FILE_PATH", weights, videos=videos))
    assert (result.top1, result.top5, result.num_videos, result.num_views) == (50.0, 100.0, 6, 36)
    assert "top-1 50.00 %, top-5 100.00 %; 6 videos, 36 views, 0 unreadable" in caplog.text
    with open(tmp_path / "out/test_results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == ["0", "0", "0", "1", "1", "1"]
    assert {(row["top1_index"], row["top1_score"]) for row in rows} == {("1", "1.000000")}


def test_results_as_json_with_names(tmp_path, videos, weights):
    names = tmp_path / "names.txt"
    names.write_text("dark\nbright one\n")
    words = ("TEST.SAVE_RESULTS_PATH", "sub/results.json", "DATA.CLASS_NAMES", names)
    run_test(tiny_config(tmp_path, "TEST.CHECKPOINT_FILE_PATH", weights, *words, videos=videos))
    report = json.loads((tmp_path / "out/sub/results.json").read_text())
    assert report["class_names"] == ["dark", "bright one"]
    assert report["videos"][0]["top"][0]["name"] == "bright one"
    assert len(report["videos"][0]["scores"]) == 2


def test_unreadable_videos_are_listed_and_the_rest_counts(tmp_path, videos, weights, caplog):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/broken.mp4").write_bytes(b"nothing")
    listing = tmp_path / "videos/list.csv"
    listing.write_text(f"{tmp_path}/videos/broken.mp4 1\n" + (videos / "list.csv").read_text())
    result = run_test(tiny_config(tmp_path, "TEST.CHECKPOINT_FILE_PATH", weights))
    assert (result.top1, result.num_videos, len(result.unreadable)) == (50.0, 6, 1)
    assert "not read, and not counted: " in caplog.text
    with open(tmp_path / "out/test_results.csv", newline="") as file:
        first = next(csv.DictReader(file))
    assert first["top1_index"] == ""
    assert "broken.mp4" in first["error"]


def test_a_list_without_labels_gives_answers_but_no_accuracy(tmp_path, videos, weights, caplog):
    (tmp_path / "paths.txt").write_text("".join(f"{videos}/class_0/{number}.mp4\n" for number in range(3)))
    words = ("TEST.CHECKPOINT_FILE_PATH", weights, "DATA.TEST_LIST", tmp_path / "paths.txt")
    with caplog.at_level(logging.INFO):
        result = run_test(tiny_config(tmp_path, *words, videos=videos))
    assert (result.top1, result.top5, result.num_videos) == (None, None, 3)
    assert "no labels, so no accuracy; 3 videos" in caplog.text


def test_shuffled_frames_are_another_input_and_the_same_one_every_time(tmp_path, caplog):
    (tmp_path / "videos").mkdir()
    fade = write_video(
        tmp_path / "videos/fade.mp4", 20, width=24, height=20,
        picture=lambda i: np.full((20, 24, 3), 12 * i, np.uint8),
    )  # fmt: skip
    (tmp_path / "videos/list.csv").write_text(f"{fade} 0\n")
    config = tiny_config(tmp_path)
    weights = _save(config, tmp_path / "any.pyth")
    words = ("TEST.CHECKPOINT_FILE_PATH", weights, "TEST.SHUFFLE_FRAMES")
    with caplog.at_level(logging.INFO):
        plain, shuffled, again = (
            run_test(tiny_config(tmp_path, *words, value)).rows[0].scores for value in (False, True, True)
        )
    assert torch.equal(shuffled, again)
    assert not torch.equal(plain, shuffled)
    assert caplog.text.count(", frames shuffled, on ") == 2


def test_a_results_folder_that_cannot_be_is_said_before_anything_is_decoded(tmp_path, videos, weights):
    (tmp_path / "file").touch()
    words = ("TEST.CHECKPOINT_FILE_PATH", weights, "TEST.SAVE_RESULTS_PATH", tmp_path / "file/results.csv")
    with pytest.raises(RunError, match=r"the folder of TEST.SAVE_RESULTS_PATH is '.*', which cannot be"):
        run_test(tiny_config(tmp_path, *words, "DATA.TEST_LIST", tmp_path / "absent.csv", videos=videos))


def test_names_that_are_no_text(tmp_path, videos, weights):
    (tmp_path / "names.txt").write_bytes(bytes(range(256)))
    words = ("TEST.CHECKPOINT_FILE_PATH", weights, "DATA.CLASS_NAMES", tmp_path / "names.txt")
    with pytest.raises(ValueError, match=r"names.txt: cannot be read as a text file: "):
        run_test(tiny_config(tmp_path, *words, videos=videos))


class TestWhichWeights:
    def test_in_slowfasts_order(self, tmp_path, videos):
        config = tiny_config(tmp_path, videos=videos)
        with pytest.raises(RunError, match=r"there are no weights to test: set TEST.CHECKPOINT_FILE_PATH"):
            find_weights(config)
        zoo = tiny_config(tmp_path, "MODEL.NAME", "mvitv2_s_16x4.k400", videos=videos)
        assert find_weights(zoo) == ["mvitv2_s_16x4.k400"]
        tuned = tiny_config(tmp_path, "TRAIN.CHECKPOINT_FILE_PATH", "start.pyth", videos=videos)
        assert find_weights(tuned) == ["start.pyth"]
        for epoch in (1, 2):
            _save(config, checkpoint_path(config.output_dir, epoch))
        assert find_weights(tuned) == [str(checkpoint_path(config.output_dir, epoch)) for epoch in (2, 1)]
        given = tiny_config(tmp_path, "TEST.CHECKPOINT_FILE_PATH", "this.pyth", videos=videos)
        assert find_weights(given) == ["this.pyth"]

    def test_none_is_an_error_and_no_random_model(self, tmp_path, videos):
        with pytest.raises(RunError, match="there are no weights to test"):
            run_test(tiny_config(tmp_path, "MODEL.NUM_CLASSES", 2, videos=videos))

    def test_a_damaged_newest_is_passed_over(self, tmp_path, videos, caplog):
        config = tiny_config(tmp_path, videos=videos)
        _save(config, checkpoint_path(config.output_dir, 1), bias=(1e4, 0.0))
        checkpoint_path(config.output_dir, 2).write_bytes(b"half a file")
        assert run_test(config).top1 == 50.0
        assert "checkpoint_epoch_00002.pyth" in caplog.text
        assert "trying the checkpoint before it" in caplog.text

    def test_those_of_another_model_are_named(self, tmp_path, videos):
        torch.manual_seed(0)
        other = tmp_path / "other.pyth"
        torch.save({"model_state": create_model("mvitv2_s_16x4").state_dict()}, other)
        with pytest.raises(WeightsError, match=r"other.pyth: .*these weights fit 'mvitv2_s_16x4'"):
            run_test(tiny_config(tmp_path, "TEST.CHECKPOINT_FILE_PATH", other, videos=videos))

    def test_a_file_that_is_not_there(self, tmp_path, videos):
        words = ("TEST.CHECKPOINT_FILE_PATH", tmp_path / "absent.pyth")
        with pytest.raises(WeightsError, match=r"absent.pyth"):
            run_test(tiny_config(tmp_path, *words, videos=videos))


class TestClasses:
    def test_another_number_than_the_checkpoints_is_refused(self, tmp_path, videos, weights):
        words = ("TEST.CHECKPOINT_FILE_PATH", weights, "MODEL.NUM_CLASSES", 3)
        with pytest.raises(
            RunError, match=r"one.pyth: its classifier has another number of classes than the model"
        ):
            run_test(tiny_config(tmp_path, *words, videos=videos))

    def test_labels_out_of_range_are_refused(self, tmp_path, weights):
        videos = write_videos(tmp_path / "videos", num_classes=3, videos_per_class=1)
        words = ("TEST.CHECKPOINT_FILE_PATH", weights)
        with pytest.raises(ValueError, match=r"has label 2, expected 0 to 1 .*MODEL.NUM_CLASSES"):
            run_test(tiny_config(tmp_path, *words, videos=videos))

    def test_folders_in_another_order_are_matched_by_name_with_a_warning(self, tmp_path, videos, caplog):
        config = tiny_config(tmp_path, "DATA.TEST_LIST", videos, videos=videos)
        _save(
            config, checkpoint_path(config.output_dir, 1), bias=(0.0, 1e4), class_names=["class_1", "class_0"]
        )
        result = run_test(config)
        assert "its classes stand in another order than the checkpoint's; matched by name" in caplog.text
        assert [row.label for row in result.rows] == [1, 1, 1, 0, 0, 0]

    def test_given_names_in_another_order_are_warned_of(self, tmp_path, videos, caplog):
        (tmp_path / "names.txt").write_text("b\na\n")
        config = tiny_config(tmp_path, "DATA.CLASS_NAMES", tmp_path / "names.txt", videos=videos)
        _save(config, checkpoint_path(config.output_dir, 1), class_names=["a", "b"])
        run_test(config)
        assert (
            "the checkpoint names the classes in another order than DATA.CLASS_NAMES (class 0 is 'a' and 'b')"
            in caplog.text
        )

    def test_foreign_names_are_warned_of(self, tmp_path, videos, caplog):
        config = tiny_config(tmp_path, "DATA.TEST_LIST", videos, videos=videos)
        _save(config, checkpoint_path(config.output_dir, 1), class_names=["class_0", "walk"])
        run_test(config)
        assert "names the classes otherwise than" in caplog.text
        assert "class 1 is 'walk' and 'class_1'" in caplog.text

    def test_agreeing_names_are_not(self, tmp_path, videos, caplog):
        config = tiny_config(tmp_path, "DATA.TEST_LIST", videos, videos=videos)
        _save(config, checkpoint_path(config.output_dir, 1), class_names=["class_0", "class_1"])
        run_test(config)
        assert not [record for record in caplog.records if record.levelno >= logging.WARNING]

    def test_fewer_folders_than_classes_without_names_are_refused(self, tmp_path, videos):
        config = tiny_config(tmp_path, "DATA.TEST_LIST", videos, "MODEL.NUM_CLASSES", 3, videos=videos)
        _save(config, checkpoint_path(config.output_dir, 1), bias=(0.0, 0.0, 0.0))
        with pytest.raises(RunError, match=r"names 2 classes, and the model has 3: set MODEL.NUM_CLASSES 2"):
            run_test(config)


def test_what_makes_a_figure_another_than_the_published_one(tmp_path, videos):
    config = tiny_config(tmp_path, "DATA.NUM_FRAMES", 16, videos=videos)
    entry = ZOO["mvitv2_s_16x4.ssv2"]
    result = TestResult(50.0, 60.0, 100, 300, (), ())
    said = differences_to_published(entry, config, resolve_views(config), result)
    assert said[0] == f"on a whole validation set ({entry.num_videos} videos), this test scored 100"
    assert "with temporal_views 1, here it is 2" in said
    assert "with crop_size 224, here it is 16" in said
    assert not any("num_frames" in line or "mean" in line for line in said)


class TestRun:
    def test_trains_then_tests_what_it_trained(self, tmp_path, videos):
        stale = _save(tiny_config(tmp_path, videos=videos), tmp_path / "start.pyth")
        words = ("TRAIN.CHECKPOINT_FILE_PATH", stale, "SOLVER.MAX_EPOCH", 1, "TRAIN.BATCH_SIZE", 2)
        config = tiny_config(tmp_path, *words, videos=videos)
        result = run(config)
        assert result.train.checkpoint == checkpoint_path(config.output_dir, 1)
        last = run_test(
            tiny_config(tmp_path, "TEST.CHECKPOINT_FILE_PATH", result.train.checkpoint, videos=videos)
        )
        for row, again in zip(result.test.rows, last.rows, strict=True):
            assert torch.equal(row.scores, again.scores)

    def test_reads_the_test_list_once(self, tmp_path, videos, caplog):
        (tmp_path / "clips").mkdir()
        for number in range(2):
            write_video(tmp_path / "clips" / f"v{number}.mp4", 10, width=24, height=20)
        rows = ("a,v0,1,2,val", "b,v1,1,2,val", "b,gone,1,2,val")
        (tmp_path / "k.csv").write_text("\n".join(("label,youtube_id,time_start,time_end,split", *rows)))
        (tmp_path / "names.txt").write_text("a\nb\n")
        words = ("DATA.TEST_LIST", tmp_path / "k.csv", "DATA.PATH_PREFIX", tmp_path / "clips",
                 "DATA.CLASS_NAMES", tmp_path / "names.txt", "SOLVER.MAX_EPOCH", 1)  # fmt: skip
        result = run(tiny_config(tmp_path, *words, videos=videos))
        assert [row.label for row in result.test.rows] == [0, 1, 1]
        assert caplog.text.count("1 of its 3 videos are not in") == 1

    def test_only_one_half(self, tmp_path, videos):
        config = tiny_config(tmp_path, "TEST.ENABLE", False, "SOLVER.MAX_EPOCH", 1, videos=videos)
        result = run(config)
        assert result.test is None
        assert run(tiny_config(tmp_path, "TRAIN.ENABLE", False, videos=videos)).train is None

    def test_nothing_to_do(self, tmp_path, videos):
        with pytest.raises(RunError, match=r"TRAIN.ENABLE and TEST.ENABLE are both False"):
            run(tiny_config(tmp_path, "TRAIN.ENABLE", False, "TEST.ENABLE", False, videos=videos))

    def test_a_missing_test_list_is_said_before_training(self, tmp_path, videos):
        config = tiny_config(tmp_path, "DATA.TEST_LIST", tmp_path / "absent.csv", videos=videos)
        with pytest.raises(RunError, match=r"absent.csv: does not exist, and DATA.TEST_LIST says"):
            run(config)
        assert not (tmp_path / "out/checkpoints").exists()

    @pytest.mark.parametrize("split", ["TRAIN", "VAL", "TEST"])
    def test_a_list_of_which_no_video_is_there_is_said_before_training(self, tmp_path, videos, split):
        listing = tmp_path / "moved.csv"
        listing.write_text("".join(f"clips/{number}.mp4 {number % 2}\n" for number in range(200)))
        config = tiny_config(tmp_path, f"DATA.{split}_LIST", listing, videos=videos)
        expected = r"moved.csv: none of 50 of its .* is there, such as clips/0.mp4: .* DATA.PATH_PREFIX"
        with pytest.raises(RunError, match=expected):
            run(config)
        assert not (tmp_path / "out/checkpoints").exists()


class TestTrainingIsRefused:
    """At once: the configuration asks for a model that could never be built in the time of a test."""

    def _huge(self, tmp_path, *words, videos=None):
        return tiny_config(tmp_path, "MVIT.EMBED_DIM", 2**20, "TEST.ENABLE", False, *words, videos=videos)

    def test_without_a_list(self, tmp_path, videos):
        with pytest.raises(ValueError, match=r"DATA.TRAIN_LIST is not set"):
            train(self._huge(tmp_path, "DATA.TRAIN_LIST", "", videos=videos))

    def test_with_a_list_that_is_not_there(self, tmp_path):
        with pytest.raises(
            RunError, match=r"list.csv: does not exist, and DATA.TRAIN_LIST says that it lists"
        ):
            train(self._huge(tmp_path))

    def test_with_a_folder_without_train_csv(self, tmp_path):
        words = ("DATA.TRAIN_LIST", "", "DATA.PATH_TO_DATA_DIR", tmp_path)
        with pytest.raises(RunError, match=r"train.csv: .* DATA.PATH_TO_DATA_DIR .*, or set DATA.TRAIN_LIST"):
            train(self._huge(tmp_path, *words))

    def test_with_a_val_list_that_is_not_there(self, tmp_path, videos):
        with pytest.raises(RunError, match=r"val.csv: does not exist, and DATA.VAL_LIST says"):
            train(self._huge(tmp_path, "DATA.VAL_LIST", "val.csv", videos=videos))

    def test_without_labels(self, tmp_path, videos):
        (tmp_path / "paths.txt").write_text(f"{videos}/class_0/0.mp4\n")
        with pytest.raises(
            RunError, match=r"paths.txt: none of its videos has a label, which train videos need"
        ):
            train(self._huge(tmp_path, "DATA.TRAIN_LIST", tmp_path / "paths.txt"))

    def test_with_labels_out_of_range(self, tmp_path, videos):
        with pytest.raises(ValueError, match=r"has label 1, expected 0 to 0"):
            train(self._huge(tmp_path, "MODEL.NUM_CLASSES", 1, videos=videos))

    def test_with_more_classes_than_folders(self, tmp_path, videos):
        words = ("DATA.TRAIN_LIST", videos, "MODEL.NUM_CLASSES", 400)
        with pytest.raises(
            RunError, match=r"names 2 classes, and the model has 400: set MODEL.NUM_CLASSES 2"
        ):
            train(self._huge(tmp_path, *words))

    def test_with_names_that_are_not_there(self, tmp_path, videos):
        with pytest.raises(
            RunError, match=r"kinetics40: no such file of class names, nor a known set \(kinetics400"
        ):
            train(self._huge(tmp_path, "DATA.CLASS_NAMES", "kinetics40", videos=videos))

    def test_with_more_clips_a_step_than_videos(self, tmp_path, videos):
        with pytest.raises(
            RunError, match=r"has 6 videos, fewer than the 64 of one training step: lower TRAIN.BATCH"
        ):
            train(self._huge(tmp_path, "TRAIN.BATCH_SIZE", 64, "TRAIN.MICRO_BATCH_SIZE", 2, videos=videos))

    def test_with_an_output_folder_that_cannot_be(self, tmp_path, videos):
        (tmp_path / "file").touch()
        with pytest.raises(RunError, match=r"OUTPUT_DIR is .*file/out', which cannot be written"):
            train(self._huge(tmp_path, "OUTPUT_DIR", tmp_path / "file/out", videos=videos))

    def test_with_two_ways_of_clipping(self, tmp_path, videos):
        words = ("SOLVER.CLIP_GRAD_VAL", 1.0, "SOLVER.CLIP_GRAD_L2NORM", 2.0)
        with pytest.raises(
            RunError, match=r"CLIP_GRAD_VAL is 1.0 and SOLVER.CLIP_GRAD_L2NORM is 2.0: only one"
        ):
            train(self._huge(tmp_path, *words, videos=videos))

    def test_with_a_feature_that_does_not_exist(self, tmp_path, videos):
        with pytest.raises(ValueError, match=r"SOLVER.LARS_ON is True: training does not do this"):
            train(self._huge(tmp_path, "SOLVER.LARS_ON", True, videos=videos))

    def test_with_mixing_groups_that_do_not_fill_the_batch(self, tmp_path, videos):
        words = ("MIXUP.ENABLE", True, "MODEL.LOSS_FUNC", "soft_cross_entropy", "MIXUP.GROUP_SIZE", 3)
        with pytest.raises(ValueError, match=r"MIXUP.GROUP_SIZE is 3, which does not divide the 4 videos"):
            train(self._huge(tmp_path, *words, videos=videos))
