"""A test whose second process takes longer than others wait: ``skewed_test.py VIDEOS SECONDS TIMEOUT``."""

import sys
import time
from pathlib import Path

import torch
from kit.tiny_runs import tiny_config
from torch import nn

from mvit_video.data import TestVideos, ViewPlan, read_list
from mvit_video.engine.processes.joining import joined
from mvit_video.engine.testing.evaluation import ViewScorer, evaluate


class _Slow(nn.Module):
    """Logits of two classes, after some time."""

    def __init__(self, seconds):
        super().__init__()
        self._seconds = seconds

    def forward(self, clips):
        time.sleep(self._seconds)
        return clips.mean(dim=(2, 3, 4))[:, :2]


if __name__ == "__main__":
    videos, seconds, timeout = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
    plan = ViewPlan(
        num_frames=4, sampling_rate=2, temporal_views=1, spatial_crops=1, crop_size=16, short_side=16
    )
    with joined(tiny_config(videos / "config", "DISTRIBUTED.TIMEOUT_SECONDS", timeout)) as group:
        model = _Slow(seconds if group.rank == 1 else 0)
        scorer = ViewScorer(model, (0.4,) * 3, (0.2,) * 3, torch.device("cpu"))
        result = evaluate(scorer, TestVideos(read_list(videos / "list.csv"), plan), group=group)
        print("scored", result.num_videos)
