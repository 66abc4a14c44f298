"""Steps whose loss is no number."""

import math

import pytest
import torch
from kit.tiny_runs import tiny_config, write_videos

from mvit_video.engine import RunError, train
from mvit_video.engine.checkpoints.files import list_checkpoints, read_resumable
from mvit_video.engine.training.preparation import prepare_training
from mvit_video.engine.training.skipping import StepRecord, skip_step
from mvit_video.engine.training.starting import fresh_state
from mvit_video.models import MViT


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return write_videos(tmp_path_factory.mktemp("videos"))


def _same_state(one, other):
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def _spoil_clips(monkeypatch, steps):
    """The forward pass of these steps (from 0) gives no numbers."""
    calls = []
    forward = MViT.forward

    def spoiling(self, clips):
        calls.append(None)
        return forward(self, clips) * (math.nan if len(calls) - 1 in steps else 1.0)

    monkeypatch.setattr(MViT, "forward", spoiling)


def test_a_step_whose_loss_is_no_number_is_left_out_counted_and_noted(tmp_path, videos, monkeypatch, caplog):
    _spoil_clips(monkeypatch, {2})
    result = train(tiny_config(tmp_path, videos=videos))
    rows = [row for row in result.rows if row["kind"] == "train"]
    assert [row["loss"] is None for row in rows] == [False, False, True, False, False, False]
    assert [row["skipped"] for row in rows] == [0, 0, 1, 1, 1, 1]
    assert result.steps == 6
    assert "the loss is no number at step 2 (epoch 1, " in caplog.text
    assert "step skipped, 1 of at most 10; its batch is noted in " in caplog.text
    (path,) = (tmp_path / "out/skipped").iterdir()
    assert path.name == "step_00000002_rank_0.pt"
    noted = torch.load(path)
    assert (noted["step"], noted["epoch"], noted["seed"], noted["learning_rate"]) == (2, 1, 1, rows[2]["lr"])
    assert math.isnan(noted["loss"])
    expected = next(iter(prepare_training(tiny_config(tmp_path, videos=videos)).loader.epoch(1)))
    (batch,) = noted["batches"]
    assert batch["indices"].tolist() == expected.indices.tolist()
    assert batch["labels"].tolist() == expected.labels.tolist()
    assert batch["part"] == 0


def test_a_skipped_step_leaves_weights_and_optimiser_alone(tmp_path, videos, monkeypatch):
    words = ("SOLVER.MAX_EPOCH", 1, "TRAIN.BATCH_SIZE", 8, "TRAIN.EMA_DECAY", 0.9)
    before = train(tiny_config(tmp_path, *words, videos=videos)).checkpoint
    _spoil_clips(monkeypatch, {0})
    words = ("SOLVER.MAX_EPOCH", 2, *words[2:], "TRAIN.CHECKPOINTS_KEPT", 0)
    after = train(tiny_config(tmp_path, *words, videos=videos)).checkpoint
    one, other = read_resumable(before), read_resumable(after)
    assert (one["step"], other["step"], other["skipped"]) == (1, 2, 1)
    _same_state(one["model_state"], other["model_state"])
    _same_state(one["ema_state"]["weights"], other["ema_state"]["weights"])
    for index, state in one["optimizer_state"]["state"].items():
        _same_state(other["optimizer_state"]["state"][index], state)


def _spoil_gradients(monkeypatch, step):
    """The forward pass of this step (from 0) is as it should be, its backward pass gives no numbers."""
    calls = []
    forward = MViT.forward

    def spoiling(self, clips):
        calls.append(None)
        logits = forward(self, clips)
        if len(calls) == step + 1:
            logits.register_hook(lambda gradient: gradient * math.inf)
        return logits

    monkeypatch.setattr(MViT, "forward", spoiling)


@pytest.mark.parametrize("clipping", [(), ("SOLVER.CLIP_GRAD_L2NORM", 1.0), ("SOLVER.CLIP_GRAD_VAL", 1.0)])
def test_a_step_whose_gradients_alone_are_no_numbers_is_left_out_too(
    tmp_path, videos, monkeypatch, caplog, clipping
):
    _spoil_gradients(monkeypatch, 2)
    result = train(tiny_config(tmp_path, *clipping, "TRAIN.EMA_DECAY", 0.9, videos=videos))
    rows = [row for row in result.rows if row["kind"] == "train"]
    assert [row["skipped"] for row in rows] == [0, 0, 1, 1, 1, 1]
    assert "the gradients are no number at step 2 (epoch 1, " in caplog.text
    contents = read_resumable(result.checkpoint)
    assert all(bool(tensor.isfinite().all()) for tensor in contents["model_state"].values())
    assert contents["ema_state"]["num_updates"] == 5


def test_a_step_that_the_scaler_of_float16_leaves_out_is_not_averaged(tmp_path, videos, monkeypatch):
    _spoil_gradients(monkeypatch, 2)
    words = ("TRAIN.EMA_DECAY", 0.9, "TRAIN.PRECISION", "fp16")
    result = train(tiny_config(tmp_path, *words, videos=videos))
    contents = read_resumable(result.checkpoint)
    taken = {float(values["step"]) for values in contents["optimizer_state"]["state"].values()}
    assert (contents["step"], contents["skipped"], taken) == (6, 0, {contents["ema_state"]["num_updates"]})
    assert contents["ema_state"]["num_updates"] < 6


def test_the_loss_of_all_processes_says_what_was_no_number(tmp_path, videos, caplog):
    inputs = prepare_training(tiny_config(tmp_path, videos=videos))
    state = fresh_state(inputs, fresh=True)
    record = StepRecord(own_loss=0.5, loss=math.nan)  # another process's share is none
    skip_step(state, inputs.plan, record, inputs.group, tmp_path)
    assert "the loss is no number at step 0" in caplog.text


def test_too_many_skipped_steps_stop_the_run_and_a_resumed_one_counts_on(tmp_path, videos, monkeypatch):
    words = ("TRAIN.SKIPPED_STEPS_LIMIT", 1, "TRAIN.CHECKPOINT_MINUTES", 1e-9)
    _spoil_clips(monkeypatch, {1, 4})
    said = (
        r"^the loss is no number at step 4 \(epoch 2, learning rate .*\), for the 2nd time, and "
        r"TRAIN.SKIPPED_STEPS_LIMIT is 1: training stops, and checkpoints stay as they were; lower SOLVER"
    )
    with pytest.raises(RunError, match=said):
        train(tiny_config(tmp_path, *words, videos=videos))
    newest = list_checkpoints(tmp_path / "out")[0]
    assert read_resumable(newest)["step"] == 4
    monkeypatch.undo()
    _spoil_clips(monkeypatch, {0})
    with pytest.raises(RunError, match=r"at step 4 \(epoch 2, learning rate .*\), for the 2nd time"):
        train(tiny_config(tmp_path, *words, videos=videos))
    assert list_checkpoints(tmp_path / "out")[0] == newest
