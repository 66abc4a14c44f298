"""Runs that average their weights, evaluate them beside the raw ones, test them, and start from images'."""

import pytest
import torch
from kit.tiny_runs import tiny_config, write_videos

from mvit_video.engine import RunError, test, train
from mvit_video.engine.checkpoints.files import checkpoint_path, read_resumable
from mvit_video.weights import WeightsError


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return write_videos(tmp_path_factory.mktemp("videos"))


@pytest.fixture(scope="module")
def averaged(tmp_path_factory, videos):
    """One step an epoch, three epochs, a checkpoint and an evaluation after each."""
    folder = tmp_path_factory.mktemp("averaged")
    config = _config(folder, videos)
    return config, train(config)


def _config(folder, videos, *more):
    words = ["DATA.VAL_LIST", videos / "list.csv", "TRAIN.EVAL_PERIOD", 1, "TRAIN.EVAL_AT_START", True]
    words += ["TRAIN.BATCH_SIZE", 8, "TRAIN.EMA_DECAY", 0.25, "SOLVER.LAYER_DECAY", 0.5]
    return tiny_config(folder, *words, *more, videos=videos)


def _contents(config, epoch):
    return read_resumable(checkpoint_path(config.output_dir, epoch))


def test_checkpoints_hold_the_average_of_the_steps(averaged):
    config, _ = averaged
    first, second, third = (_contents(config, epoch) for epoch in (1, 2, 3))
    assert [c["ema_state"]["num_updates"] for c in (first, second, third)] == [1, 2, 3]
    for name, weights in third["model_state"].items():
        average = first["ema_state"]["weights"][name].double()
        average = 0.25 * average + 0.75 * second["model_state"][name].double()  # (1 + 2) / (10 + 2) is 0.25
        average = 0.25 * average + 0.75 * weights.double()
        found = third["ema_state"]["weights"][name].double()
        torch.testing.assert_close(found, average, rtol=1e-5, atol=1e-7)


def test_evaluations_score_both_and_one_comes_before_the_first_step(averaged):
    _, result = averaged
    rows = [row for row in result.rows if row["kind"] == "val"]
    assert [row["step"] for row in rows] == [0, 1, 2, 3]
    assert all({"top1", "top5", "ema_top1", "ema_top5"} <= row.keys() for row in rows)
    assert rows[0]["ema_top1"] == rows[0]["top1"]  # nothing is averaged yet


def test_a_resumed_run_averages_on_bitwise(tmp_path, averaged, videos):
    whole, _ = averaged
    config = _config(tmp_path, videos)
    folder = checkpoint_path(config.output_dir, 1).parent
    folder.mkdir(parents=True)
    checkpoint_path(config.output_dir, 1).write_bytes(checkpoint_path(whole.output_dir, 1).read_bytes())
    train(config)
    ours, theirs = (_contents(c, 3)["ema_state"] for c in (config, whole))
    assert ours["num_updates"] == theirs["num_updates"]
    for name, tensor in theirs["weights"].items():
        assert torch.equal(ours["weights"][name], tensor), name


def test_tests_take_the_average_where_they_are_told_to(tmp_path, averaged, videos, caplog):
    config, _ = averaged
    weights = _contents(config, 3)["ema_state"]["weights"]
    plain = tmp_path / "plain.pyth"
    torch.save({"model_state": weights}, plain)
    scores = {}
    for name, words in {
        "raw": [],
        "average": ["TEST.USE_EMA", True],
        "the same": ["TEST.CHECKPOINT_FILE_PATH", plain],
    }.items():
        caplog.set_level("INFO")
        caplog.clear()
        own = _config(tmp_path, videos, "OUTPUT_DIR", config.output_dir, *words)
        scores[name] = torch.stack([row.scores for row in test(own).rows])
        said = {
            "raw": "are in it too; these are the last ones",
            "average": "averaged (EMA) parameters loaded",
        }
        assert said.get(name, "parameters loaded") in caplog.text
    assert torch.equal(scores["average"], scores["the same"])
    assert not torch.equal(scores["raw"], scores["average"])


def test_an_average_that_is_not_there_is_not_tested(tmp_path, videos, averaged):
    config, _ = averaged
    plain = tmp_path / "plain.pyth"
    torch.save({"model_state": _contents(config, 3)["model_state"]}, plain)
    words = ["TEST.USE_EMA", True, "TEST.CHECKPOINT_FILE_PATH", plain]
    with pytest.raises(WeightsError, match=r"plain.pyth: holds no averaged weights .*TEST.USE_EMA False"):
        test(_config(tmp_path, videos, *words))


@pytest.mark.parametrize(("key", "share"), [("CHECKPOINT_INFLATE", 1 / 3), ("CHECKPOINT_IN_INIT", 1.0)])
def test_training_starts_from_image_weights(tmp_path, videos, averaged, key, share, caplog):
    image = _contents(averaged[0], 1)["model_state"]
    kernels = [name for name, tensor in image.items() if tensor.ndim == 5]
    flat = {name: tensor[:, :, 0] if name in kernels else tensor for name, tensor in image.items()}
    torch.save(flat, tmp_path / "image.pyth")
    words = [f"TRAIN.{key}", True, "TRAIN.CHECKPOINT_FILE_PATH", tmp_path / "image.pyth"]
    words += ["SOLVER.BASE_LR", 1e-12, "SOLVER.WARMUP_START_LR", 0, "SOLVER.MAX_EPOCH", 1]
    caplog.set_level("INFO")
    config = _config(tmp_path, videos, *words)
    train(config)
    assert f"{len(kernels)} inflated, kernels of images repeated over time" in caplog.text
    trained = _contents(config, 1)["model_state"]
    for name in kernels:
        for time in range(trained[name].shape[2]):
            torch.testing.assert_close(trained[name][:, :, time], flat[name] * share, rtol=1e-4, atol=1e-7)


def test_image_weights_that_are_not_named(tmp_path, videos):
    with pytest.raises(RunError, match=r"CHECKPOINT_IN_INIT is True and TRAIN.CHECKPOINT_FILE_PATH is empty"):
        train(_config(tmp_path, videos, "TRAIN.CHECKPOINT_IN_INIT", True))


def test_a_run_that_has_averaged_nothing_so_far_begins_where_it_goes_on(tmp_path, videos, caplog):
    train(_config(tmp_path, videos, "TRAIN.EMA_DECAY", 0.0, "SOLVER.MAX_EPOCH", 2))
    config = _config(tmp_path, videos, "SOLVER.MAX_EPOCH", 3)
    train(config)
    assert "has no averaged weights: TRAIN.EMA_DECAY averages from here on" in caplog.text
    second, third = (_contents(config, epoch) for epoch in (2, 3))
    assert second["ema_state"] is None
    assert third["ema_state"]["num_updates"] == 1
    for name, tensor in third["ema_state"]["weights"].items():
        kept = second["model_state"][name].double() * 2 / 11 + third["model_state"][name].double() * 9 / 11
        torch.testing.assert_close(tensor.double(), kept, rtol=1e-5, atol=1e-7)
