"""Whole training runs: they learn, repeat themselves, and go on after a stop as if there had been none."""

import logging
import math
import os
import shutil
import signal
import threading
import time

import pytest
import torch
from kit.tiny_runs import tiny_config, write_videos

from mvit_video.config import load_config
from mvit_video.data import ViewPlan
from mvit_video.engine import RunError, Stopped, train
from mvit_video.engine.checkpoints.files import checkpoint_path, list_checkpoints, read_resumable
from mvit_video.engine.checkpoints.keeping import best_path
from mvit_video.engine.inputs import read_split
from mvit_video.engine.records.logs import read_rows
from mvit_video.engine.training.preparation import prepare_training


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return write_videos(tmp_path_factory.mktemp("videos"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory, videos):
    """A run of 3 epochs that nothing interrupts, evaluated after each; with its configuration."""
    folder = tmp_path_factory.mktemp("whole")
    config = tiny_config(folder, "DATA.VAL_LIST", videos / "list.csv", "TRAIN.EVAL_PERIOD", 1, videos=videos)
    return config, train(config)


def _losses(rows):
    return [(row["step"], row["epoch"], row["lr"], row["loss"]) for row in rows if row["kind"] == "train"]


def _same_state(one, other):
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def _sitting(tmp_path, whole, epochs_saved, videos, *overrides):
    """The folder of a run that was cut down after some epochs: its first checkpoints, and a longer log."""
    config, _ = whole
    source, target = config.output_dir, tmp_path / "out"
    (target / "checkpoints").mkdir(parents=True)
    for epoch in range(1, epochs_saved + 1):
        shutil.copy(checkpoint_path(source, epoch), checkpoint_path(target, epoch))
    shutil.copy(os.path.join(source, "train.jsonl"), target)
    words = ("DATA.VAL_LIST", videos / "list.csv", "TRAIN.EVAL_PERIOD", 1, *overrides)
    return tiny_config(tmp_path, *words, videos=videos)


def test_a_run_leaves_what_it_should(whole):
    config, result = whole
    assert (result.epochs, result.steps) == (3, 6)
    assert result.checkpoint == checkpoint_path(config.output_dir, 3)
    assert sorted(os.listdir(config.output_dir)) == [
        "checkpoints",
        "config.yaml",
        "tensorboard",
        "train.jsonl",
    ]
    contents = read_resumable(result.checkpoint)
    assert (contents["epoch"], contents["step"], contents["class_names"]) == (3, 6, None)
    from mvit_video.config import load_config

    assert load_config([os.path.join(config.output_dir, "config.yaml")]) == config
    rows = read_rows(os.path.join(config.output_dir, "train.jsonl"))
    assert rows == list(result.rows)
    assert [row["step"] for row in rows if row["kind"] == "val"] == [2, 4, 6]
    assert all(row["num_videos"] == 8 for row in rows if row["kind"] == "val")


def test_the_learning_rate_moves_within_epochs(whole):
    rates = [rate for _, _, rate, _ in _losses(whole[1].rows)]
    # warm-up over half an epoch of two steps, then the cosine over 3 epochs: cos(pi / 6), cos(pi / 3), ...
    expected = [1e-4] + [5e-4 * (1 + c) for c in (3**0.5 / 2, 0.5, 0, -0.5, -(3**0.5) / 2)]
    assert rates == pytest.approx(expected, rel=1e-9)


def test_a_run_repeats_itself_and_another_seed_does_not(tmp_path, whole, videos):
    again = train(tiny_config(tmp_path / "again", videos=videos))
    assert _losses(again.rows) == _losses(whole[1].rows)
    other = train(tiny_config(tmp_path / "other", "RNG_SEED", 2, "SOLVER.MAX_EPOCH", 1, videos=videos))
    assert [loss for *_, loss in _losses(other.rows)] != [loss for *_, loss in _losses(again.rows)[:2]]


def test_workers_change_nothing(tmp_path, whole, videos):
    one = train(tiny_config(tmp_path, "DATA_LOADER.NUM_WORKERS", 1, videos=videos))
    assert _losses(one.rows) == _losses(whole[1].rows)


@pytest.mark.parametrize("epochs_saved", [1, 2])
def test_a_resumed_run_is_bitwise_the_one_that_never_stopped(tmp_path, whole, videos, epochs_saved):
    torch.rand(17)  # whatever the process drew before
    resumed = train(_sitting(tmp_path, whole, epochs_saved, videos))
    assert _losses(resumed.rows) == _losses(whole[1].rows)
    steps = [row["step"] for row in read_rows(tmp_path / "out/train.jsonl") if row["kind"] == "train"]
    assert steps == [1, 2, 3, 4, 5, 6]
    end, expected = read_resumable(resumed.checkpoint), read_resumable(whole[1].checkpoint)
    _same_state(end["model_state"], expected["model_state"])
    for index, state in expected["optimizer_state"]["state"].items():
        _same_state(end["optimizer_state"]["state"][index], state)


def test_a_truncated_newest_checkpoint_costs_its_epochs_only(tmp_path, whole, videos, caplog):
    config = _sitting(tmp_path, whole, 2, videos)
    os.truncate(checkpoint_path(tmp_path / "out", 2), 1000)
    with caplog.at_level(logging.INFO):
        resumed = train(config)
    assert "checkpoint_epoch_00002.pyth: cannot be read" in caplog.text
    assert "checkpoint_epoch_00001.pyth: 1 epochs done" in caplog.text
    assert _losses(resumed.rows) == _losses(whole[1].rows)


def test_only_damaged_checkpoints_stop_the_run_and_stay(tmp_path, whole, videos):
    config = _sitting(tmp_path, whole, 1, videos, "SOLVER.MAX_EPOCH", 1)
    path = checkpoint_path(tmp_path / "out", 1)
    os.truncate(path, 1000)
    with pytest.raises(
        RunError, match=r"out/checkpoints: none of the 1 checkpoints can be read, .*OUTPUT_DIR"
    ):
        train(config)
    assert path.stat().st_size == 1000


def test_a_best_checkpoint_alone_is_not_written_over(tmp_path, whole, videos):
    config = _sitting(tmp_path, whole, 1, videos, "SOLVER.MAX_EPOCH", 1)
    best = checkpoint_path(tmp_path / "out", 1).rename(best_path(tmp_path / "out"))
    before = best.read_bytes()
    with pytest.raises(RunError, match=r"checkpoint_best.pyth: is the only checkpoint there, .*OUTPUT_DIR"):
        train(config)
    assert best.read_bytes() == before


def test_an_evaluation_that_was_cut_off_is_made_up_for(tmp_path, whole, videos):
    config = _sitting(tmp_path, whole, 3, videos)
    log = tmp_path / "out/train.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:-1]))
    assert '"kind": "val", "step": 6' in lines[-1]
    assert train(config).rows[-1] == whole[1].rows[-1]
    assert log.read_text().splitlines(keepends=True) == lines


def test_the_configuration_is_replaced_whole(tmp_path, whole, videos):
    config = _sitting(tmp_path, whole, 3, videos, "LOG_PERIOD", 7)
    path, other_name = tmp_path / "out/config.yaml", tmp_path / "before.yaml"
    path.write_text("LOG_PERIOD: 3\n")
    os.link(path, other_name)  # shows what becomes of the old file
    train(config)
    assert load_config([path]).log_period == 7
    assert other_name.read_text() == "LOG_PERIOD: 3\n"


def test_a_finished_run_is_left_alone(tmp_path, whole, videos):
    config = _sitting(tmp_path, whole, 3, videos)
    before = checkpoint_path(tmp_path / "out", 3).stat().st_mtime_ns
    assert _losses(train(config).rows) == _losses(whole[1].rows)
    assert checkpoint_path(tmp_path / "out", 3).stat().st_mtime_ns == before


def test_other_values_on_resume_are_named(tmp_path, whole, videos, caplog):
    train(_sitting(tmp_path, whole, 3, videos, "SOLVER.BASE_LR", 0.5, "LOG_PERIOD", 7, "TEST.BATCH_SIZE", 1))
    line = next(
        record.message for record in caplog.records if "was trained with other values" in record.message
    )
    assert "SOLVER.BASE_LR" in line
    assert "LOG_PERIOD" not in line
    assert "TEST.BATCH_SIZE" not in line


def test_the_optimiser_goes_on_with_the_values_of_now(tmp_path, whole, videos):
    words = ("SOLVER.WEIGHT_DECAY", 0.321, "SOLVER.BETAS", "[0.8, 0.95]")
    end = read_resumable(train(_sitting(tmp_path, whole, 2, videos, *words)).checkpoint)
    groups = {group["name"]: group for group in end["optimizer_state"]["param_groups"]}
    assert (groups["decay"]["weight_decay"], groups["no_decay"]["weight_decay"]) == (0.321, 0.0)
    assert [tuple(group["betas"]) for group in groups.values()] == [(0.8, 0.95)] * 2


def test_another_model_on_resume_is_refused(tmp_path, whole, videos):
    config = _sitting(tmp_path, whole, 1, videos, "MVIT.EMBED_DIM", 32)
    with pytest.raises(
        RunError, match=r"00001.pyth: does not fit this configuration \(changed: MVIT.EMBED_DIM\)"
    ):
        train(config)


def test_another_kind_of_optimiser_on_resume_is_refused(tmp_path, whole, videos):
    config = _sitting(tmp_path, whole, 1, videos, "SOLVER.OPTIMIZING_METHOD", "sgd")
    with pytest.raises(RunError, match=r"does not fit this .*\(changed: SOLVER.OPTIMIZING_METHOD\)"):
        train(config)


def test_a_folder_of_another_run_is_not_written_over(tmp_path, whole, videos):
    config = _sitting(tmp_path, whole, 1, videos, "TRAIN.AUTO_RESUME", False)
    with pytest.raises(
        RunError, match=r"OUTPUT_DIR holds checkpoints of an earlier run and TRAIN.AUTO_RESUME"
    ):
        train(config)


def test_it_learns(tmp_path, videos):
    config = tiny_config(
        tmp_path, "SOLVER.MAX_EPOCH", 12, "SOLVER.BASE_LR", 5e-3, "LOG_PERIOD", 2,
        "TRAIN.CHECKPOINT_PERIOD", 12, videos=videos,
    )  # fmt: skip
    losses = [loss for *_, loss in _losses(train(config).rows)]
    assert len(losses) == 12  # one row an epoch of two steps
    assert sum(losses[-3:]) / 3 < 0.5 * losses[0]
    assert os.listdir(tmp_path / "out/checkpoints") == ["checkpoint_epoch_00012.pyth"]


def _press_after_epochs(folder, epochs, stopped):
    """Ctrl-C once the checkpoint of so many epochs is there; and again if the run does not stop."""
    while not checkpoint_path(folder, epochs).exists():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)
    while not stopped.wait(20):
        os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_saves_after_the_step_and_says_so(tmp_path, videos):
    config = tiny_config(tmp_path, "SOLVER.MAX_EPOCH", 500, videos=videos)
    stopped = threading.Event()
    thread = threading.Thread(target=_press_after_epochs, args=(tmp_path / "out", 2, stopped))
    thread.start()
    with pytest.raises(Stopped) as caught:
        train(config)
    stopped.set()
    thread.join()
    saved = caught.value.saved
    contents = read_resumable(saved)
    assert caught.value.signal_number == signal.SIGINT
    assert contents["step"] == 2 * contents["epoch"] + contents["step_in_epoch"] >= 4
    assert str(caught.value) == (
        f"stopped by SIGINT after step {contents['step']}, saved to {saved}; the same command goes on"
    )
    assert saved in list_checkpoints(tmp_path / "out")[:2]
    assert not list((tmp_path / "out/checkpoints").glob("*.tmp"))


def test_fine_tuning_takes_the_weights_alone(tmp_path, whole, caplog):
    videos = write_videos(tmp_path / "three", num_classes=3, videos_per_class=2)
    config = tiny_config(
        tmp_path, "TRAIN.CHECKPOINT_FILE_PATH", whole[1].checkpoint, "MODEL.NUM_CLASSES", 3,
        "SOLVER.MAX_EPOCH", 1, "SOLVER.BASE_LR", 1e-30, "SOLVER.WARMUP_EPOCHS", 0.0, videos=videos,
    )  # fmt: skip
    with caplog.at_level(logging.INFO):
        result = train(config)
    assert "re-initialised, as the number of classes differs" in caplog.text
    assert "training starts at epoch 0 from these weights, with a new optimiser" in caplog.text
    assert result.steps == 1
    tuned = read_resumable(result.checkpoint)["model_state"]
    origin = read_resumable(whole[1].checkpoint)["model_state"]
    assert tuned["head.projection.weight"].shape[0] == 3
    body = [name for name in origin if not name.startswith("head.")]
    for name in body:
        torch.testing.assert_close(tuned[name], origin[name], rtol=0, atol=1e-6)


def test_folders_give_the_class_names(tmp_path, videos):
    config = tiny_config(tmp_path, "DATA.TRAIN_LIST", videos, "SOLVER.MAX_EPOCH", 1, videos=videos)
    assert read_resumable(train(config).checkpoint)["class_names"] == ["class_0", "class_1"]


def test_given_class_names_go_into_the_checkpoint_and_order_the_folders(tmp_path, videos):
    (tmp_path / "names.txt").write_text("class_1\nclass_0\n")
    words = ("DATA.TRAIN_LIST", videos, "DATA.CLASS_NAMES", tmp_path / "names.txt", "SOLVER.MAX_EPOCH", 1)
    config = tiny_config(tmp_path, *words, videos=videos)
    assert read_resumable(train(config).checkpoint)["class_names"] == ["class_1", "class_0"]
    records = read_split(config, "train", 2, ("class_1", "class_0"))
    assert {(record.path.split("/")[-2], record.label) for record in records} == {
        ("class_0", 1),
        ("class_1", 0),
    }


def test_evaluations_between_epochs_look_at_the_centre(tmp_path, videos):
    words = ("DATA.VAL_LIST", videos / "list.csv", "DATA.USE_OFFSET_SAMPLING", False)
    plan = prepare_training(tiny_config(tmp_path, *words, videos=videos)).validation.plan
    assert plan == ViewPlan(
        num_frames=4, sampling_rate=2, temporal_views=1, spatial_crops=1, crop_size=16, short_side=16,
        use_offset_sampling=True, target_fps=30.0,
    )  # fmt: skip
    # a clip of 8 frames in the middle of 48
    assert plan.frame_indices(48, 30.0)[0][0] == 20


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_trains_on_the_cpu_too(tmp_path, videos, precision):
    words = ("TRAIN.PRECISION", precision, "SOLVER.MAX_EPOCH", 1)
    result = train(tiny_config(tmp_path, *words, videos=videos))
    assert result.steps == 2
    assert all(row["loss"] < 2 for row in result.rows)


def test_float16_gradients_that_overflow_cost_a_step_and_not_the_run(tmp_path, videos, monkeypatch):
    huge = torch.amp.GradScaler("cpu", init_scale=2.0**40)
    monkeypatch.setattr("mvit_video.engine.training.starting.grad_scaler", lambda device, precision: huge)
    words = ("TRAIN.PRECISION", "fp16", "SOLVER.CLIP_GRAD_L2NORM", 1.0, "DATA.NUM_FRAMES", 8)
    result = train(tiny_config(tmp_path, *words, "SOLVER.MAX_EPOCH", 1, videos=videos))
    assert huge.get_scale() == 2.0**38  # both steps overflowed, and were left out
    assert [row["grad_norm"] for row in result.rows] == [None, None]
    assert read_resumable(result.checkpoint)["scaler_state"]["scale"] == 2.0**38


def test_weights_that_are_no_numbers_are_not_kept(tmp_path, videos, monkeypatch):
    # The last step of the first epoch spoils a weight; no loss is left in that epoch to tell.
    def spoiling(optimiser, learning_rate):
        if learning_rate == pytest.approx(1e-3 * 0.5):
            weight = optimiser.param_groups[0]["params"][0]
            optimiser.register_step_post_hook(lambda *_: weight.data.mul_(math.nan))

    monkeypatch.setattr("mvit_video.engine.training.loop.set_learning_rate", spoiling)
    words = ("SOLVER.MAX_EPOCH", 1, "SOLVER.WARMUP_EPOCHS", 0.0)
    with pytest.raises(RunError, match=r"is not finite after step 2 \(1 epochs done\): training stops, and"):
        train(tiny_config(tmp_path, *words, videos=videos))
    assert not list((tmp_path / "out").glob("checkpoints/*"))


def test_activation_checkpointing_of_some_blocks_trains_the_same(tmp_path, videos):
    words = ("SOLVER.MAX_EPOCH", 1, "MODEL.ACT_CHECKPOINT")
    plain = train(tiny_config(tmp_path / "plain", *words, False, videos=videos))
    chosen = ("MODEL.ACT_CHECKPOINT_BLOCKS", "stages:1")
    checkpointed = train(tiny_config(tmp_path / "checkpointed", *words, True, *chosen, videos=videos))
    losses = [[row["loss"] for row in run.rows if row["kind"] == "train"] for run in (plain, checkpointed)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_stage_to_checkpoint_that_is_not_there_is_named(tmp_path, videos):
    words = ("MODEL.ACT_CHECKPOINT", True, "MODEL.ACT_CHECKPOINT_BLOCKS", "stages:1,9")
    with pytest.raises(
        RunError, match=r"MODEL.ACT_CHECKPOINT_BLOCKS: .*names stage 9, this model has stages 1"
    ):
        train(tiny_config(tmp_path, *words, videos=videos))
