"""The share of a training step spent waiting for its clips, with our loader and with PyTorchVideo's."""

import shutil
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from comparing import show
from measuring import Timing, as_text, table_head, table_row

from costs.setups import Setup, spread
from mvit_video.data import Batch, SampleTransform
from mvit_video.engine.resolve import resolve_mixing, resolve_train_sampling, resolve_transform
from mvit_video.engine.training.fitting import fit
from mvit_video.engine.training.preparation import TrainInputs, prepare_training

OURS, THEIRS = "TrainLoader", "DataLoader over PyTorchVideo"


@dataclass(frozen=True)
class Job:
    """So many steps of a model."""

    model: str
    videos_per_step: int
    steps: int
    skipped: (
        int  # at the start: workers start, and up to three batches are there when the first step has ended
    )
    loaders: tuple[str, ...]
    rounds: int


class PyTorchVideoLoader:
    """Gives a run the clips that PyTorchVideo reads, cut and augmented by our transform; none is erased."""

    def __init__(self, inputs: TrainInputs, paths: Sequence[str]) -> None:
        self._inputs, self._paths = inputs, paths
        self._config = inputs.config
        self._mixing = resolve_mixing(self._config)
        self.num_batches = len(paths) // inputs.batch.micro_batch

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Batch]:
        """Batches of the sizes that ours have."""
        generator, side = np.random.default_rng(epoch), self._config.data.train_crop_size
        videos, repeats = self._inputs.batch.micro_batch, self._config.aug.num_sample
        group = self._config.mixup.group_size
        for clips in self._loader():
            assert self._mixing is not None
            mixes = [self._mixing.draw(generator, side, side) for _ in range(videos // group)]
            labels = torch.zeros(len(clips), dtype=torch.int64)
            yield Batch(clips, labels, labels, (), mixes, group * repeats)

    def close(self) -> None:
        """Its workers end with the epoch."""

    def _loader(self) -> Iterator[torch.Tensor]:
        from pytorchvideo.data import LabeledVideoDataset, RandomClipSampler
        from torch.utils.data import DataLoader, RandomSampler

        sampling: Any = resolve_train_sampling(self._config)
        cut = SampleTransform(resolve_transform(self._config), sampling.num_frames)
        dataset = LabeledVideoDataset(
            [(path, {"label": 0}) for path in self._paths],
            RandomClipSampler(clip_duration=sampling.seconds),
            video_sampler=RandomSampler,
            transform=_Repeated(cut, self._config.aug.num_sample),
            decode_audio=False,
        )
        context = "fork" if self._inputs.num_workers else None  # PyTorchVideo starts in no other way
        loader: Iterator[torch.Tensor] = iter(
            DataLoader(
                dataset,
                self._inputs.batch.micro_batch,
                num_workers=self._inputs.num_workers,
                drop_last=True,
                collate_fn=_stacked,
                multiprocessing_context=context,
                pin_memory=self._inputs.device.type == "cuda",
            )
        )
        return loader


class _Repeated:
    """Several clips of what was decoded once, as AUG.NUM_SAMPLE asks for."""

    def __init__(self, transform: SampleTransform, repeats: int) -> None:
        self._transform, self._repeats = transform, repeats

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        clips = [self._transform(sample)["video"] for _ in range(self._repeats)]
        return {"video": torch.stack(clips)}


def _stacked(samples: list[dict[str, torch.Tensor]]) -> torch.Tensor:
    clips_BCTHW = torch.cat([sample["video"] for sample in samples])
    return clips_BCTHW.contiguous(memory_format=torch.channels_last_3d)


def waited(rows: Sequence[dict[str, Any]], skipped: int) -> tuple[float, float, float]:
    """(seconds of a step, its share spent waiting, clips a second) of the steps of a log but the first."""
    later = rows[skipped:]
    seconds = sum(row["step_seconds"] for row in later)
    clips = sum(row["clips_per_second"] * row["step_seconds"] for row in later)
    return seconds / len(later), sum(row["data_seconds"] for row in later) / seconds, clips / seconds


def run(setup: Setup) -> None:
    """Prints a table: a line for each model and loader."""
    torch.set_num_threads(setup.threads)
    warnings.filterwarnings("ignore", module="torch.utils.data")
    show(
        f"\n### Waiting for data\n\n{setup.workers} workers, {setup.threads} threads for the model; the "
        f"published recipe on {', '.join(path.name for path in setup.videos)}.\n"
    )
    titles = [
        "model",
        "clips a step",
        "loader",
        "s a step",
        "waiting for data",
        "clips/s",
        "clips/s of PyTorchVideo's",
    ]
    show(table_head(titles))
    for job in _jobs(setup):
        _compare(job, setup)


def _jobs(setup: Setup) -> list[Job]:
    both = (OURS, THEIRS)
    if setup.quick:
        return [Job("tiny", 2, 6, 4, both, 1)]
    if setup.device == "cuda":
        return [Job(model, 16, 24, 4, both, setup.rounds) for model in ("mvitv2_s_16x4", "small")]
    return [Job("mvitv2_s_16x4", 1, 4, 1, (OURS,), 1), Job("small", 2, 16, 4, both, setup.rounds)]


def _compare(job: Job, setup: Setup) -> None:
    found: dict[str, list[tuple[float, float, float]]] = {loader: [] for loader in job.loaders}
    for _ in range(job.rounds):
        for loader, results in found.items():
            results.append(_measure(job, loader, setup))
    theirs = found.get(THEIRS)
    for loader, results in found.items():
        seconds, shares, rates = zip(*results, strict=True)
        ratio = "-"
        if theirs is not None:
            ratio = as_text(Timing(rates).ratio_to(Timing(tuple(rate for *_, rate in theirs))))
        clips = 2 * job.videos_per_step
        waiting = spread([100 * share for share in shares])
        cells = [job.model, str(clips), loader, spread(seconds), f"{waiting} %", spread(rates), ratio]
        show(table_row(cells))


def _measure(job: Job, loader: str, setup: Setup) -> tuple[float, float, float]:
    """An epoch as a run goes through it."""
    output = setup.folder / "waiting"
    group = min(2, job.videos_per_step)
    words = ["TRAIN.BATCH_SIZE", job.videos_per_step, "MIXUP.GROUP_SIZE", group, "OUTPUT_DIR", output]
    config = setup.config(job.model, job.videos_per_step * job.steps, *words)
    inputs = prepare_training(config)
    if loader == THEIRS:
        inputs.loader.close()
        paths = [
            str(setup.videos[number % len(setup.videos)]) for number in range(job.videos_per_step * job.steps)
        ]
        inputs = replace(inputs, loader=PyTorchVideoLoader(inputs, paths))  # type: ignore[arg-type]
    rows = [row for row in fit(inputs).rows if row["kind"] == "train"]
    shutil.rmtree(output)
    return waited(rows, job.skipped)
