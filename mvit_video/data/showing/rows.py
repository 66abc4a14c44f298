"""What is shown of a training batch and of a video's test views, in frames and in words.

Axes: B clips, R repeats, V views, K classes, C = 3 colours, T frames, S crop size, N frames shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
import torch
from numpy.typing import NDArray

from mvit_video.data.augment.normalising import subsample
from mvit_video.data.lists.records import VideoRecord
from mvit_video.data.loading.bad_videos import bad_video
from mvit_video.data.loading.batches import Batch
from mvit_video.data.loading.datasets import TestSample
from mvit_video.data.sampling.view_plan import ViewPlan
from mvit_video.data.showing.sheet import Row, Section

_TOLD = 3  # classes of a soft label
_CROPS = {1: ("centre",), 3: ("left or top", "centre", "right or bottom")}


@dataclass(frozen=True)
class Names:
    """How videos and classes are called.

    Args:
        records: The list that indices count in.
        classes: Their names by label, where known.
    """

    records: Sequence[VideoRecord]
    classes: Sequence[str] | None = None

    def of_class(self, label: int) -> str:
        """The name of a class, or its number."""
        if self.classes is None or not 0 <= label < len(self.classes):
            return f"class {label}"
        return f"'{self.classes[label]}'"

    def of_video(self, index: int) -> str:
        """A video's file name."""
        return PurePath(self.records[index].path).name


def denormalise(clips: torch.Tensor, mean: Sequence[float], std: Sequence[float]) -> NDArray[np.uint8]:
    """Pictures of normalised clips, what lies outside of black and white cut off: uint8 (B, T, S, S, 3).

    Args:
        clips: floats (B, 3, T, S, S).
        mean: That was subtracted, per colour, in 0 to 1.
        std: That was divided by, per colour.
    """
    mean_C, std_C = (torch.tensor(numbers, dtype=torch.float32).view(3, 1, 1, 1) for numbers in (mean, std))
    pixels = (clips.float().cpu() * std_C + mean_C).mul(255).round().clamp(0, 255).to(torch.uint8)
    return pixels.permute(0, 2, 3, 4, 1).numpy()


def train_sections(
    batch: Batch,
    pictures: NDArray[np.uint8],
    targets: torch.Tensor,
    names: Names,
    *,
    repeats: int,
    num_frames: int,
) -> list[Section]:
    """A section per video of a batch, in it a row per repeat.

    Args:
        batch: From the loader.
        pictures: Its clips once finished, denormalised: uint8 (B, T, S, S, 3).
        targets: Its soft labels: (B, K).
        names: Of videos and classes.
        repeats: Clips per video.
        num_frames: Frames shown of each clip, spread evenly.
    """
    sections = []
    for first in range(0, len(pictures), repeats):
        index, label = int(batch.indices[first]), int(batch.labels[first])
        rows = []
        for clip in range(first, first + repeats):
            words = [f"repeat {clip - first}"] if repeats > 1 else []
            words += [_soft_label(targets[clip], names), _mixed(batch, clip, repeats, names)]
            words += [_erased(batch, clip)]
            rows.append(Row(_joined(words), _spread(pictures[clip], num_frames)))
        sections.append(Section(f"train: {names.of_video(index)}, {names.of_class(label)}", rows))
    sections += [Section(f"train: damaged: {damaged}") for damaged in batch.damaged]
    sections += [Section(f"train: another video stands in for {bad}") for bad in batch.bad]
    return sections


def _spread(frames_THWC: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    clip_CTHW = torch.from_numpy(frames_THWC).permute(3, 0, 1, 2)
    return subsample(clip_CTHW, min(number, len(frames_THWC))).permute(1, 2, 3, 0).numpy()


def _joined(words: Sequence[str]) -> str:
    return " · ".join(word for word in words if word)


def _erased(batch: Batch, clip: int) -> str:
    erasure = batch.erasures[clip] if batch.erasures else None
    if erasure is None:
        return ""
    height, width = batch.clips.shape[-2:]
    share = sum(box.height * box.width for box in erasure.boxes) / (height * width)
    return f"{share:.0%} erased"


def _mixed(batch: Batch, clip: int, repeats: int, names: Names) -> str:
    if not batch.mixes:
        return ""
    group, place = divmod(clip, batch.group_size)
    mix = batch.mixes[group]
    if mix.lam == 1 and mix.box is None:
        return "not mixed"
    partner = group * batch.group_size + batch.group_size - 1 - place
    other = names.of_video(int(batch.indices[partner]))
    other += f", repeat {partner % repeats}" if repeats > 1 else ""
    erased = _erased(batch, partner)
    other += f" ({erased})" if erased else ""
    if mix.box is None:
        return f"mixup: {mix.lam:.2f} of itself, {1 - mix.lam:.2f} of {other}"
    return f"CutMix: {1 - mix.lam:.0%} of the area from {other}"


def _soft_label(target_K: torch.Tensor, names: Names) -> str:
    """The classes asked for, and what every other one gets."""
    rest = float(target_K.min())
    order = target_K.argsort(descending=True)[:_TOLD].tolist()
    told = [
        f"{target_K[label]:.2f} {names.of_class(label)}" for label in order if target_K[label] > rest + 1e-6
    ]
    if not told:
        return "label: all classes alike"
    return f"label: {', '.join(told)}" + (f", {rest:.2g} each other class" if rest > 0 else "")


def test_section(sample: TestSample, plan: ViewPlan, names: Names, *, num_frames: int) -> Section:
    """The test views of a video: a row per crop, in it frames of each temporal view in turn."""
    record = names.records[sample.index]
    heading = f"test: {names.of_video(sample.index)}"
    heading += "" if record.label is None else f", {names.of_class(record.label)}"
    if sample.views is None:
        return Section(f"{heading}: left out: {bad_video(record.path, str(sample.error)).reason}")
    heading += "".join(f": damaged: {damaged.reason}" for damaged in sample.damaged)
    crops = _CROPS.get(plan.spatial_crops, [f"crop {crop}" for crop in range(plan.spatial_crops)])
    of_each = max(1, num_frames // plan.temporal_views)
    rows = []
    for crop, crop_name in enumerate(crops):
        views = sample.views[crop :: plan.spatial_crops].permute(0, 2, 3, 4, 1).numpy()
        spread = [_spread(view, of_each) if of_each > 1 else view[len(view) // 2][None] for view in views]
        rows.append(Row(_joined([crop_name, _times(sample, of_each)]), np.concatenate(spread)))
    return Section(heading, rows)


test_section.__test__ = False  # type: ignore[attr-defined]  # not a test, whatever pytest thinks of the name


def _times(sample: TestSample, of_each: int) -> str:
    spans = [f"{clip.start_seconds:.2f}-{clip.end_seconds:.2f} s" for clip in sample.clips]
    frames = "the middle frame" if of_each == 1 else f"{of_each} frames"
    return f"{frames} of each clip: {', '.join(spans)}" if len(spans) > 1 else f"clip: {spans[0]}"
