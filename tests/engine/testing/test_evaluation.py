"""Evaluation over several views, against a plain loop over the videos."""

import numpy as np
import pytest
import torch
from kit.processes import KIT, messages, start_ranks, wait_for
from kit.tiny_runs import write_videos
from kit.videos import write_video
from torch import nn

from mvit_video.data import TestVideos, VideoRecord, ViewPlan, decode_views, open_video
from mvit_video.engine.testing.evaluation import ViewScorer, evaluate, summarise
from mvit_video.engine.testing.results import VideoResult

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
PLAN = ViewPlan(num_frames=4, sampling_rate=2, temporal_views=2, spatial_crops=3, crop_size=16, short_side=16)
CPU = torch.device("cpu")


class _ByColour(nn.Module):
    """Logits from the mean colour; remembers how many views each forward pass had."""

    def __init__(self):
        super().__init__()
        self.sizes = []
        self.was_training = []

    def forward(self, clips):
        self.sizes.append(len(clips))
        self.was_training.append(self.training)
        return clips.mean(dim=(2, 3, 4)) * torch.tensor([3.0, 2.0, 1.0])


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    rng = np.random.default_rng(0)
    made = []
    for number in range(5):
        pictures = rng.integers(0, 256, (2, 1, 3, 3), np.uint8).repeat(20, 1).repeat(12, 2)  # stripes
        path = write_video(
            folder / f"{number}.mp4", 20, width=36, height=20, picture=lambda i, p=pictures: p[i // 10]
        )
        made.append(VideoRecord(str(path), number % 3))
    (folder / "broken.mp4").write_bytes(b"no video at all")
    made.insert(2, VideoRecord(str(folder / "broken.mp4"), 0))
    made.append(VideoRecord(str(folder / "absent.mp4"), 0))
    return made


@pytest.fixture(scope="module")
def expected(records):
    """Scores by a plain loop in numpy: softmax of each view, then the sum, over the number of views."""
    scores = []
    for record in records:
        if "broken" in record.path or "absent" in record.path:
            scores.append(None)
            continue
        with open_video(record.path) as video:
            views = decode_views(video, PLAN).views.double().numpy() / 255
        logits = ((views - np.reshape(MEAN, (3, 1, 1, 1))) / np.reshape(STD, (3, 1, 1, 1))).mean(
            (2, 3, 4)
        ) * [3, 2, 1]
        shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        scores.append(shares)
    return scores


def _evaluate(records, views_per_batch, num_workers=0, method="sum"):
    model = _ByColour()
    scorer = ViewScorer(model, MEAN, STD, CPU, views_per_batch=views_per_batch, method=method)
    seen = []
    result = evaluate(scorer, TestVideos(records, PLAN), num_workers=num_workers, progress=seen.append)
    assert seen == list(range(1, len(records) + 1))
    return result, model


@pytest.mark.parametrize(
    ("views_per_batch", "num_workers"), [(1, 0), (4, 0), (6, 0), (7, 0), (1000, 0), (4, 2)]
)
def test_equals_a_plain_loop_however_views_are_batched(records, expected, views_per_batch, num_workers):
    result, model = _evaluate(records, views_per_batch, num_workers)
    assert max(model.sizes) <= views_per_batch
    assert sum(model.sizes) == 30
    assert len(model.sizes) == -(-30 // views_per_batch)  # no pass but the last is less than full
    assert not any(model.was_training)
    assert model.training
    assert [row.path for row in result.rows] == [record.path for record in records]
    for row, shares in zip(result.rows, expected, strict=True):
        if shares is None:
            assert row.scores is None
            assert row.num_views == 0
        else:
            np.testing.assert_allclose(row.scores.numpy(), shares.mean(0), atol=1e-5)
            assert row.num_views == 6
    readable = [
        (s.sum(0).argmax() == r.label) for s, r in zip(expected, records, strict=True) if s is not None
    ]
    assert result.top1 == pytest.approx(100 * np.mean(readable))
    assert result.top5 == 100.0
    assert (result.num_videos, result.num_views) == (5, 30)


def test_the_largest_score_instead_of_the_sum(records, expected):
    result, _ = _evaluate(records, 8, method="max")
    for row, shares in zip(result.rows, expected, strict=True):
        if shares is not None:
            np.testing.assert_allclose(row.scores.numpy(), shares.max(0), atol=1e-5)


def test_unreadable_videos_are_listed_with_the_reason(records):
    result, _ = _evaluate(records, 8)
    assert [path for path, _ in result.unreadable] == [records[2].path, records[6].path]
    for path, reason in result.unreadable:
        assert path in reason
        assert "\n" not in reason


def test_all_videos_unreadable(records):
    result, model = _evaluate([records[2], records[6]], 8)
    assert (result.top1, result.num_videos, len(result.unreadable)) == (None, 0, 2)
    assert model.sizes == []


def test_accuracy_stands_on_labelled_readable_videos_only():
    sure = torch.tensor([1.0, 0, 0, 0, 0, 0, 0])
    rows = [
        VideoResult("right", 0, sure, 2),
        VideoResult("wrong", 6, sure, 2),  # six others are as good or better
        VideoResult("unlabelled", None, sure, 2),
        VideoResult("broken", 0, None, 0, "broken: no"),
    ]
    result = summarise(rows)
    assert (result.top1, result.top5, result.num_videos, result.num_views) == (50.0, 50.0, 3, 6)
    assert result.unreadable == (("broken", "broken: no"),)
    assert summarise(rows[2:]).top1 is None


@pytest.mark.slow
@pytest.mark.timeout(1200)  # of starting processes, mostly
def test_a_process_with_far_more_to_do_is_waited_for(tmp_path):
    """However long that takes: DISTRIBUTED.TIMEOUT_SECONDS is less here."""
    videos = write_videos(tmp_path / "videos", videos_per_class=2)
    seconds, timeout = 25, 12
    ranks = start_ranks(tmp_path / "said", KIT / "skewed_test.py", videos, seconds, timeout)
    statuses = wait_for(ranks)
    assert statuses == [0, 0], messages(tmp_path / "said", 0) + messages(tmp_path / "said", 1)
    assert messages(tmp_path / "said", 0).strip().splitlines()[-1] == "scored 4"
