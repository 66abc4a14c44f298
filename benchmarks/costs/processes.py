"""Two processes against one, and what they tell each other in every step.

All is measured inside one start of two processes: a step of the first one alone, while the other waits, then
the same step shared by DDP, then by FSDP2, in turns. Clips are there already: nothing is decoded.
"""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from comparing import show
from measuring import Timing, as_text, table_head, table_row, take_turns

from costs.setups import Setup, spread
from mvit_video.config import Config
from mvit_video.data import Batch
from mvit_video.engine.processes.group import ALONE, Group
from mvit_video.engine.processes.joining import joined
from mvit_video.engine.processes.starting import run_together
from mvit_video.engine.resolve import resolve_mixing
from mvit_video.engine.training.boundary import Boundary
from mvit_video.engine.training.preparation import TrainInputs, prepare_training
from mvit_video.engine.training.starting import fresh_state
from mvit_video.engine.training.step import train_step
from mvit_video.engine.training.video_troubles import VideoTroubles

ONE, DDP, FSDP = "one process", "ddp", "fsdp"
VIDEOS, EXCHANGES = 2, 100  # videos of a step, two clips each; exchanges that are timed together
Times = dict[str, Timing]


def run(setup: Setup) -> None:
    """Prints both tables."""
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).resolve().parents[1]), *_python_path()])
    show(
        f"\n### Two processes\n\nA step of {2 * VIDEOS} clips, forward to optimiser; every process "
        "has one thread.\n"
    )
    if setup.device == "cuda" and torch.cuda.device_count() < 2:
        show("Not measured: that takes two GPUs.")
        return
    show(table_head(["model", "clip", "strategy", "s a step, one process", "two", "clips/s of one's"]))
    exchanges: Times = {}
    for model, size in _models(setup):
        configs = {
            strategy: setup.config(model, VIDEOS, *size, *_words(setup), "DISTRIBUTED.STRATEGY", strategy)
            for strategy in (DDP, FSDP)
        }
        job = partial(_measure, sharded=configs[FSDP], rounds=setup.rounds)
        steps, exchanges = run_together(job, configs[DDP], 2)
        data = configs[DDP].data
        for strategy in (DDP, FSDP):
            ratio = as_text(steps[ONE].ratio_to(steps[strategy]))
            clip = f"{data.num_frames} x {data.train_crop_size}"
            seconds = [spread(steps[way].seconds) for way in (ONE, strategy)]
            show(table_row([model, clip, strategy, *seconds, ratio]))
    _show_exchanges(exchanges)


def _models(setup: Setup) -> list[tuple[str, list[str]]]:
    if setup.quick:
        return [("tiny", [])]
    if setup.device == "cuda":
        return [("mvitv2_s_16x4", []), ("small", [])]
    cut = ["DATA.TRAIN_CROP_SIZE", "112", "DATA.TRAIN_JITTER_SCALES", "[128, 160]"]
    return [("mvitv2_s_16x4", ["DATA.NUM_FRAMES", "8", *cut]), ("small", [])]


def _words(setup: Setup) -> list[object]:
    sizes = ["TRAIN.BATCH_SIZE", VIDEOS, "TRAIN.MICRO_BATCH_SIZE", 1, "MIXUP.GROUP_SIZE", 1]
    return [*sizes, "OUTPUT_DIR", setup.folder / "out"]


def _python_path() -> list[str]:
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


def _show_exchanges(times: Times) -> None:
    show("\n### What processes tell each other in a step\n")
    show(table_head(["processes", "µs a step", "of torch's all_reduce of one number"]))
    alone, two, floor = times[ONE], times[DDP], times["all_reduce"]
    each = [spread([1e6 * second / EXCHANGES for second in way.seconds]) for way in (alone, two, floor)]
    show(table_row(["1", each[0], "-"]))
    show(table_row(["2", each[1], f"{as_text(two.ratio_to(floor))} of {each[2]}"]))


def _measure(config: Config, sharded: Config, rounds: int) -> tuple[Times, Times]:
    """What the processes do; all come back with the times, of which the first one's count."""
    with joined(config) as group:
        torch.set_num_threads(1)
        ways = {
            ONE: _alone(config, group),
            DDP: _step(prepare_training(config, group), group),
            FSDP: _step(prepare_training(sharded, group), group),
        }
        steps = take_turns({name: _met(way, group) for name, way in ways.items()}, rounds, clock="wall")
        return steps, _exchanges(group, rounds)


def _alone(config: Config, group: Group) -> Callable[[], object]:
    """A step of the first process; the others have nothing to do."""
    return _step(prepare_training(config), ALONE) if group.is_main else lambda: None


def _step(inputs: TrainInputs, group: Group) -> Callable[[], object]:
    """A step as a run takes it, of clips that are in memory."""
    state = fresh_state(inputs, fresh=True)
    state.model.train()
    batches = list(_batches(inputs))

    def step() -> None:
        train_step(state, batches, inputs.plan, group)
        if inputs.device.type == "cuda":
            torch.cuda.synchronize()

    return step


def _batches(inputs: TrainInputs) -> Iterator[Batch]:
    data, repeats = inputs.config.data, inputs.config.aug.num_sample
    generator, mixing = np.random.default_rng(inputs.group.rank), resolve_mixing(inputs.config)
    side, clips = data.train_crop_size, inputs.batch.micro_batch * repeats
    assert mixing is not None
    for _ in range(inputs.plan.num_passes):
        shape = (clips, data.num_frames, side, side, 3)
        pixels = torch.from_numpy(generator.integers(0, 256, shape, np.uint8)).permute(0, 4, 1, 2, 3)
        labels = torch.zeros(clips, dtype=torch.int64)
        yield Batch(pixels, labels, labels, (), [mixing.draw(generator, side, side)], clips)


def _met(way: Callable[[], object], group: Group) -> Callable[[], object]:
    """A way that ends when it has ended in all processes."""

    def run() -> None:
        way()
        group.barrier()

    return run


def _exchanges(group: Group, rounds: int) -> Times:
    number = torch.zeros(1)

    def meet(boundary: Boundary) -> Callable[[], object]:
        troubles = VideoTroubles(0.1, VIDEOS, 0)
        return lambda: [boundary.meet(0.5, troubles) for _ in range(EXCHANGES)]

    ways = {
        ONE: meet(Boundary(ALONE, 15.0)),
        DDP: meet(Boundary(group, 15.0)),
        "all_reduce": lambda: [dist.all_reduce(number) for _ in range(EXCHANGES)],
    }
    return take_turns(ways, 3 * rounds, clock="wall")
