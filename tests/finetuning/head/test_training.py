"""A run that trains the head alone: its checkpoint is a plain model, and stopping it loses little."""

import json
import logging
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from kit.tiny_runs import tiny_config, write_videos
from kit.videos import write_video

from mvit_video import engine
from mvit_video.cli import main
from mvit_video.data import TestVideos, ViewPlan, read_list
from mvit_video.engine import Stopped
from mvit_video.engine.records.logs import read_rows
from mvit_video.engine.resolve import resolve_architecture, resolve_views
from mvit_video.engine.stopping import signals_noted
from mvit_video.finetuning.errors import FinetuneError
from mvit_video.finetuning.head.features import compute_features
from mvit_video.finetuning.head.fitting import PENALTIES, PENALTY
from mvit_video.finetuning.head.training import train_frozen, training_views
from mvit_video.inference import Predictor
from mvit_video.models import MViT
from mvit_video.weights import read_checkpoint

NAMES = ("dark", "red thing")


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return write_videos(tmp_path_factory.mktemp("coloured") / "videos", videos_per_class=3)


def frozen_config(folder, videos, *overrides):
    own = ("DATA.VAL_LIST", videos / "list.csv", "SOLVER.MAX_EPOCH", 50, "TEST.PRECISION", "fp32")
    return tiny_config(folder, *own, *overrides, videos=videos)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, videos):
    folder = tmp_path_factory.mktemp("trained")
    config = frozen_config(folder, videos)
    return config, train_frozen(config, NAMES)


def test_the_checkpoint_has_what_a_checkpoint_has(trained):
    config, result = trained
    assert result.checkpoint == Path(config.output_dir) / "checkpoints" / "checkpoint_best.pyth"
    assert result.val_top1 == 100.0
    read = read_checkpoint(result.checkpoint)
    assert read.class_names == NAMES
    assert read.metadata["epoch"] == result.epochs > 0
    assert "NUM_CLASSES: 2" in read.metadata["cfg"]
    torch.manual_seed(config.rng_seed)
    backbone = MViT(resolve_architecture(config)).state_dict()
    for name, tensor in read.state_dict.items():
        assert torch.equal(tensor, backbone[name]) != name.startswith("head."), name


def test_logits_are_features_times_head(trained, videos, tmp_path):
    config, result = trained
    state = read_checkpoint(result.checkpoint).state_dict
    model = MViT(resolve_architecture(config)).eval()
    model.load_state_dict(state)
    listing = read_list(videos / "list.csv")
    found = compute_features(
        model, listing, tmp_path, config=config, views=resolve_views(config), mirrored=False, title="features"
    )
    expected = found.features @ state["head.projection.weight"].T + state["head.projection.bias"]
    with torch.inference_mode():
        logits = torch.stack(
            [
                model((sample.views.float() / 255 - 0.45) / 0.225)
                for sample in TestVideos(listing, resolve_views(config))
            ]
        )
    assert logits.std() > 0.5
    torch.testing.assert_close(logits, expected, atol=1e-3, rtol=1e-4)


def test_a_test_run_finds_what_training_found(trained):
    config, result = trained
    best = config.test.model_copy(update={"checkpoint_file_path": str(result.checkpoint)})
    found = engine.test(config.model_copy(update={"test": best}))
    assert found.top1 == result.val_top1


def test_the_checkpoint_predicts(trained, videos, capsys, monkeypatch):
    config, result = trained
    prediction = Predictor(config, checkpoint=result.checkpoint)(videos / "class_1" / "0.mp4")
    assert prediction.top[0].name == "red thing"
    monkeypatch.chdir(Path(config.output_dir).parent)
    words = ["--cfg", "tiny.yaml", "--checkpoint", str(result.checkpoint), "--device", "cpu"]
    assert main(["predict", str(videos / "class_0" / "1.mp4"), *words]) == 0
    assert "dark" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_checkpoint_is_exported(trained, tmp_path, monkeypatch):
    config, result = trained
    monkeypatch.chdir(Path(config.output_dir).parent)
    path = tmp_path / "model.pt2"
    words = ["--cfg", "tiny.yaml", "--checkpoint", str(result.checkpoint), "--output", str(path)]
    assert main(["export", *words]) == 0
    model = MViT(resolve_architecture(config)).eval()
    model.load_state_dict(read_checkpoint(result.checkpoint).state_dict)
    clip = torch.rand(1, 3, 4, 16, 16)
    exported = torch.export.load(path).module()
    with torch.inference_mode():
        torch.testing.assert_close(exported(clip), model(clip), atol=1e-4, rtol=1e-4)


def test_again_the_same_and_no_video_is_read(trained, videos, tmp_path):
    """The videos are not there any more, but for their size and date."""
    own = write_videos(tmp_path / "videos", videos_per_class=2)
    config = frozen_config(tmp_path, own)
    first = read_checkpoint(train_frozen(config, NAMES).checkpoint).state_dict
    rows = read_rows(Path(config.output_dir) / "train.jsonl")
    for path in own.glob("*/*.mp4"):
        state = os.stat(path)
        path.write_bytes(bytes(state.st_size))
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    again = read_checkpoint(train_frozen(config, NAMES).checkpoint).state_dict
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert read_rows(Path(config.output_dir) / "train.jsonl") == rows


def test_stopped_and_gone_on_with(trained, videos, tmp_path):
    _, result = trained
    own = frozen_config(tmp_path, videos)
    with signals_noted():
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Stopped, match=r"stopped by SIGTERM .* after 1 of 6 videos, saved to .*features"):
            train_frozen(own, NAMES)
    first = read_checkpoint(result.checkpoint).state_dict
    second = read_checkpoint(train_frozen(own, NAMES).checkpoint).state_dict
    assert all(torch.equal(first[name], second[name]) for name in first)
    with signals_noted():  # now the features are there
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(
            Stopped, match=r"while the head was trained, saved to .*features; the same command"
        ):
            train_frozen(own, NAMES)


def test_every_strength_is_told(trained):
    config, result = trained
    rows = read_rows(Path(config.output_dir) / "train.jsonl")
    assert [row["weight_decay"] for row in rows] == list(PENALTIES)
    assert all(row["kind"] == "head" and row["val_top1"] is not None for row in rows)
    assert result.epochs in [row["step"] for row in rows]


def test_a_strength_that_was_typed_is_the_only_one(videos, tmp_path):
    config = frozen_config(tmp_path, videos, "SOLVER.WEIGHT_DECAY", "0.02")
    train_frozen(config, NAMES)
    (row,) = read_rows(Path(config.output_dir) / "train.jsonl")
    assert row["weight_decay"] == 0.02


def test_without_val_videos(videos, tmp_path):
    config = frozen_config(tmp_path, videos, "DATA.VAL_LIST", "")
    assert train_frozen(config, NAMES).val_top1 is None
    (row,) = read_rows(Path(config.output_dir) / "train.jsonl")
    assert (row["weight_decay"], row["val_top1"]) == (PENALTY, None)


def test_no_val_video_can_be_read(videos, tmp_path, caplog):
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    (tmp_path / "val.csv").write_text(f"{tmp_path}/bad.mp4 0\n")
    with caplog.at_level(logging.WARNING):
        result = train_frozen(frozen_config(tmp_path, videos, "DATA.VAL_LIST", tmp_path / "val.csv"), NAMES)
    assert result.val_top1 is None
    assert "no val video could be read" in caplog.text


def test_mirrored_views_are_learned_from_where_clips_are_mirrored(videos, tmp_path):
    for flip, views in (("True", 12), ("False", 6)):
        folder = tmp_path / flip
        train_frozen(frozen_config(folder, videos, "DATA.RANDOM_FLIP", flip), NAMES)
        sizes = {
            len(json.loads(line)["features"]) * 3 // 4 // (32 * 4)
            for path in (folder / "out" / "features").glob("*.jsonl")
            for line in path.read_text().splitlines()
        }
        assert sizes == {6, views}  # to choose by, and to learn from


@pytest.mark.parametrize(
    ("num_videos", "views", "mirrored"),
    [
        (2, 5, True),
        (50, 5, True),
        (51, 5, False),
        (125, 4, False),
        (200, 2, False),
        (300, 1, False),
        (9**9, 1, False),
    ],
)
def test_many_videos_are_looked_at_less_often(num_videos, views, mirrored):
    plan = ViewPlan(16, 4, 5, 1, 224, 256, use_offset_sampling=False)
    chosen, flips = training_views(plan, num_videos, mirrored=True)
    assert (chosen.temporal_views, flips) == (views, mirrored)
    assert training_views(plan, num_videos, mirrored=False) == (chosen, False)
    if views == 1:
        (indices,) = chosen.frame_indices(301, 30.0)
        assert abs(int(indices[0]) + int(indices[-1]) - 300) <= 4
    crops = training_views(replace(plan, spatial_crops=3), num_videos, mirrored=True)[0]
    assert crops.temporal_views * 3 * num_videos <= max(500, 3 * num_videos)


def test_other_weights_are_started_from(trained, videos, tmp_path):
    _, result = trained
    config = frozen_config(tmp_path, videos, "TRAIN.CHECKPOINT_FILE_PATH", result.checkpoint, "RNG_SEED", 5)
    state = read_checkpoint(train_frozen(config, NAMES).checkpoint).state_dict
    start = read_checkpoint(result.checkpoint).state_dict
    assert all(torch.equal(state[name], start[name]) for name in state if not name.startswith("head."))


def listing_with(folder, *bad, good):
    """A list of good videos (path, label) and unreadable ones (label)."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{path} {label}\n" for path, label in good]
    for number, label in enumerate(bad):
        (folder / f"bad{number}.mp4").write_bytes(b"no video")
        lines.append(f"{folder}/bad{number}.mp4 {label}\n")
    (folder / "list.csv").write_text("".join(lines))
    return folder


def test_too_many_that_cannot_be_read(tmp_path):
    path = write_video(tmp_path / "good.mp4", 10, width=24, height=20)
    folder = listing_with(tmp_path / "some", 0, 1, good=[(path, 0), (path, 1)])
    config = frozen_config(tmp_path, folder)
    with pytest.raises(
        FinetuneError,
        match=r"^2 of 4 videos to learn from cannot be read, more than DATA.BAD_VIDEOS_LIMIT.*bad0.mp4",
    ):
        train_frozen(config, NAMES)
    lenient = frozen_config(tmp_path, folder, "DATA.BAD_VIDEOS_LIMIT", "0.5")
    assert train_frozen(lenient, NAMES).val_top1 is not None


def test_a_class_of_which_nothing_can_be_read(tmp_path):
    path = write_video(tmp_path / "good.mp4", 10, width=24, height=20)
    folder = listing_with(tmp_path / "some", 1, good=[(path, 0), (path, 0)])
    config = frozen_config(tmp_path, folder, "DATA.BAD_VIDEOS_LIMIT", "1.0")
    with pytest.raises(FinetuneError, match=r"^no video of 'red thing' to learn from can be read: add some"):
        train_frozen(config, NAMES)


def test_names_for_another_number_of_classes(videos, tmp_path):
    with pytest.raises(ValueError, match=r"names 3 classes, and the model has 2: set MODEL.NUM_CLASSES 3"):
        train_frozen(frozen_config(tmp_path, videos), ("a", "b", "c"))
