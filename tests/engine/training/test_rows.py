"""What the rows of a run say: accuracy on training clips, and losses that explode."""

import math

import pytest
import torch
from kit.tiny_runs import tiny_config, write_videos

from mvit_video.data import finish_batch
from mvit_video.engine import RunError, train
from mvit_video.engine.randomness import seed_everything
from mvit_video.engine.training.preparation import prepare_training
from mvit_video.engine.training.starting import fresh_state
from mvit_video.engine.training.window import Window

STILL = ["SOLVER.BASE_LR", 1e-12, "SOLVER.WARMUP_START_LR", 0, "SOLVER.MAX_EPOCH", 1]
PLAIN = ["MODEL.DROPOUT_RATE", 0.0, "MVIT.DROPPATH_RATE", 0.0]


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return write_videos(tmp_path_factory.mktemp("videos"))


def test_rows_tell_how_many_training_clips_are_told_right(tmp_path, videos):
    words = [
        *STILL,
        *PLAIN,
        "LOG_PERIOD",
        2,
        "TRAIN.BATCH_SIZE",
        4,
        "AUG.NUM_SAMPLE",
        2,
        "TRAIN.MICRO_BATCH_SIZE",
        2,
    ]
    config = tiny_config(tmp_path, *words, videos=videos)
    (row,) = [row for row in train(config).rows if row["kind"] == "train"]
    inputs = prepare_training(tiny_config(tmp_path / "again", *words, videos=videos))
    seed_everything(config.rng_seed)
    model = fresh_state(inputs, fresh=True).model.eval()
    right = total = 0
    for batch in inputs.loader.epoch(0):
        clips = finish_batch(batch.clips, mean=(0.45,) * 3, std=(0.225,) * 3)
        with torch.no_grad():
            right += int((model(clips).argmax(1) == batch.labels).sum())
        total += len(clips)
    assert total == 16  # 8 videos, twice each
    assert row["top1"] == pytest.approx(100 * right / total)


def test_mixed_labels_have_no_right_class(tmp_path, videos):
    words = ["MIXUP.ENABLE", True, "MODEL.LOSS_FUNC", "soft_cross_entropy", *STILL]
    rows = [row for row in train(tiny_config(tmp_path, *words, videos=videos)).rows if row["kind"] == "train"]
    assert rows
    assert not any("top1" in row for row in rows)


def test_accuracy_carries_over_to_another_sitting():
    whole, first = Window(), Window()
    for window in (whole, first):
        window.add(1.0, 8, 3)
    second = Window.restored(first.state_dict())
    for window in (whole, second):
        window.add(1.0, 8, 5)
        assert window.close(torch.device("cpu"), lr=0.1, grad_norm=None)["top1"] == 50
        window.add(1.0, 8, 8)
        assert window.close(torch.device("cpu"), lr=0.1, grad_norm=None)["top1"] == 100


class TestExplosions:
    def window(self, *losses):
        window = Window()
        for loss in losses:
            window.refuse_explosion(loss, 2.0, 7)
            window.add(loss, 4)
        return window

    def test_a_loss_above_the_factor_times_the_mean_of_the_last_five_ends_the_run(self):
        window = self.window(90, 1, 1, 1, 1, 1)  # the 90 is the sixth last and does not count
        window.refuse_explosion(2.0, 2.0, 7)
        with pytest.raises(
            RunError, match=r"the loss is 2.1 at step 7, and was 1 in the 5 before it"
        ) as caught:
            window.refuse_explosion(2.1, 2.0, 7)
        assert "TRAIN.KILL_LOSS_EXPLOSION_FACTOR is 2" in str(caught.value)

    def test_fewer_than_five_say_nothing(self):
        self.window(1, 1, 1, 1).refuse_explosion(100, 2.0, 7)

    def test_a_row_of_the_log_in_between_changes_nothing(self):
        window = self.window(1, 1, 1, 1, 1)
        window.close(torch.device("cpu"), lr=0.1, grad_norm=None)
        with pytest.raises(RunError, match=r"explosion|EXPLOSION"):
            Window.restored(window.state_dict()).refuse_explosion(2.1, 2.0, 7)

    def test_off_by_default_and_deaf_to_skipped_steps(self):
        window = self.window(1, 1, 1, 1, 1)
        window.refuse_explosion(100, 0.0, 7)
        window.refuse_explosion(math.nan, 2.0, 7)

    def test_a_run_ends_by_it(self, tmp_path, videos):
        words = ["TRAIN.KILL_LOSS_EXPLOSION_FACTOR", 1e-6, "TRAIN.BATCH_SIZE", 1, "SOLVER.MAX_EPOCH", 1]
        with pytest.raises(RunError, match=r"at step 5, .*TRAIN.KILL_LOSS_EXPLOSION_FACTOR is 1e-06"):
            train(tiny_config(tmp_path, *words, videos=videos))
