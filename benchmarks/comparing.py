"""What model.py and train.py share: their options, and the table of our jobs beside torchvision's."""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from gpu import first_line, largest_batch, matrix_rate, profile, release
from measuring import Timing, as_text, heading, in_fresh_process, table_head, table_row, take_turns
from sides import MODELS, PRECISIONS, THEIRS, Job, agreement, extra_memory

from mvit_video.engine.machine import num_cpus
from mvit_video.engine.tuning.peak_memory import PeakMemory

TITLES = [
    "model",
    "precision",
    "batch",
    "ours is",
    "ours, s",
    "other, s",
    "times as fast",
    "GFLOP/s",
    "ours, extra MB",
    "other, extra MB",
    "share",
]


@dataclass(frozen=True)
class Result:
    """One side's figures, or why there are none."""

    timing: Timing | None = None
    extra_bytes: int | None = None
    problem: str = ""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of both scripts; what is not given depends on the device (see `complete`)."""
    parser.add_argument(
        "--models", nargs="+", choices=MODELS, help="default: s, and v1 in model.py; on a GPU b"
    )
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, help="default: fp32 bf16; GPU: bf16")
    parser.add_argument("--batches", nargs="+", type=int, metavar="N", help="default: 1; on a GPU 16")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, metavar="N", help="default: as many as there are CPUs")
    parser.add_argument("--clock", choices=("wall", "processor"), default="wall")
    parser.add_argument("--rounds", type=int, default=7, metavar="N")
    parser.add_argument("--compile", choices=("no", "yes", "both"), help="default: no; on a GPU both")
    parser.add_argument("--no-memory", action="store_true", help="time only")
    parser.add_argument("--frames", type=int, metavar="N", help="frames of a clip, default the model's")
    parser.add_argument("--crop", type=int, metavar="PIXELS", help="side of a clip, default the model's")
    parser.add_argument(
        "--rate", action="store_true", help="measure the device's matrix product too; always on a GPU"
    )
    parser.add_argument(
        "--largest-batch", type=int, metavar="LIMIT", help="find it; default: on a GPU, up to 1024"
    )
    parser.add_argument(
        "--profile", type=Path, metavar="FOLDER", help="default: on a GPU, runs/profiles; else none"
    )


def complete(options: argparse.Namespace, cpu_models: Sequence[str], gpu_models: Sequence[str]) -> None:
    """Fills in what was not given."""
    on_gpu = options.device == "cuda"
    options.models = options.models or list(gpu_models if on_gpu else cpu_models)
    options.precisions = options.precisions or (["bf16"] if on_gpu else ["fp32", "bf16"])
    options.batches = options.batches or [16 if on_gpu else 1]
    options.threads = options.threads or num_cpus()
    options.compile = options.compile or ("both" if on_gpu else "no")
    options.rate = options.rate or on_gpu
    if options.largest_batch is None:
        options.largest_batch = 1024 if on_gpu else 0
    if options.profile is None and on_gpu:
        options.profile = Path("runs/profiles")


def jobs(options: argparse.Namespace, *, training: bool) -> Iterator[Job]:
    """Ours, one for each line of the table."""
    compiled = {"no": (False,), "yes": (True,), "both": (False, True)}[options.compile]
    for model in options.models:
        for precision in options.precisions:
            for batch in options.batches:
                for is_compiled in compiled:
                    yield Job(
                        model=model,
                        precision=precision,
                        batch=batch,
                        device=options.device,
                        threads=options.threads,
                        frames=options.frames,
                        crop=options.crop,
                        training=training,
                        compiled=is_compiled,
                    )


def run_all(comparisons: Sequence[tuple[Sequence[Job], Job]], options: argparse.Namespace) -> int:
    """Prints heading, table and what else was asked for, each line as soon as it is known; an exit status.

    Args:
        comparisons: for each, our jobs and the other one that they are compared with.
        options: of `add_options`, completed.
    """
    show(heading(options.device, options.threads, options.clock, options.rounds))
    rates = {p: matrix_rate(options.device, p) for p in options.precisions} if options.rate else {}
    for precision, rate in rates.items():
        show(f"A square matrix product in {precision} runs at {rate / 1e12:.3g} TFLOP/s.")
    show("\n" + table_head(TITLES))
    num_failed = 0
    for ours, other in comparisons:
        results = measure([*ours, other], options)
        release(options.device)
        for job in ours:
            show(_row(job, other, results, rates))
        num_failed += sum(bool(result.problem) for result in results.values())
    show("")
    plain = (replace(ours[0], precision="fp32", batch=1, compiled=False) for ours, _ in comparisons)
    for job in dict.fromkeys(job for job in plain if job.model != "l"):
        attempt(
            f"{MODELS[job.model]}: logits with equal weights", lambda job=job: f"{agreement(job):.0e} apart"
        )
    for ours, other in comparisons:
        _look_closer(ours[0], options)
        if other.side == THEIRS:
            _look_closer(other, options)
    return 1 if num_failed else 0


def measure(every: Sequence[Job], options: argparse.Namespace) -> dict[Job, Result]:
    """Times all jobs in turns; then the memory of each. A job that does not run costs itself alone."""
    results: dict[Job, Result] = {}
    runs = {}
    for job in every:
        try:
            run = job.prepare()
            run()
            runs[job] = run
        except Exception as error:  # whatever compilers raise
            results[job] = Result(problem=first_line(error))
    named = {repr(job): run for job, run in runs.items()}
    timings = take_turns(named, options.rounds, clock=options.clock, warm=True)
    on_gpu = options.device == "cuda"
    extra = {job: _gpu_memory(run) for job, run in runs.items()} if on_gpu else {}
    running = list(runs)
    runs.clear()
    named.clear()
    for job in running:
        extra_bytes = extra.get(job)
        if not on_gpu and not options.no_memory and not job.compiled:
            extra_bytes = _cpu_memory(job)
        results[job] = Result(timings[repr(job)], extra_bytes)
    return results


def _cpu_memory(job: Job) -> int | None:
    try:
        return in_fresh_process(extra_memory, job)
    except MemoryError as error:
        print(f"{job}: {error}", file=sys.stderr)
        return None


def _gpu_memory(run) -> int | None:
    with PeakMemory(torch.device("cuda")) as memory:
        run()
    return memory.extra_bytes


def _row(job: Job, other: Job, results: dict[Job, Result], rates: dict[str, float]) -> str:
    mine, theirs = results[job], results[other]
    ours = "compiled" if job.compiled else "eager"
    if job.checkpointing:
        ours += f", checkpointing {'all' if job.checkpointing is True else job.checkpointing}"
    if job.own_pooling:
        ours += ", own pooling gradients"
    cells = [MODELS[job.model], job.precision, str(job.batch), ours]
    if mine.timing is None:
        return table_row([*cells, mine.problem, *["-"] * 6])
    speed = job.flops / mine.timing.median
    share = f" ({speed / rates[job.precision]:.0%})" if job.precision in rates else ""
    cells.append(f"{mine.timing.median:.3g}")
    if theirs.timing is None:
        cells += [theirs.problem, "-"]
    else:
        scale = job.flops / other.flops  # 1, unless another model is the other
        ratio = [scale * number for number in theirs.timing.ratio_to(mine.timing)]
        cells += [f"{theirs.timing.median:.3g}", as_text((ratio[0], ratio[1], ratio[2]))]
    cells += [f"{speed / 1e9:.4g}{share}", *(_megabytes(r.extra_bytes) for r in (mine, theirs))]
    known = mine.extra_bytes is not None and theirs.extra_bytes
    return table_row([*cells, f"{mine.extra_bytes / theirs.extra_bytes:.2f}" if known else "-"])


def _megabytes(number: int | None) -> str:
    return "-" if number is None else f"{number / 1e6:.0f}"


def _look_closer(job: Job, options: argparse.Namespace) -> None:
    """The largest batch and the profile of one job, where asked for."""
    title = f"{MODELS[job.model]} {job.precision} {job.side}{' compiled' if job.compiled else ''}"
    if options.largest_batch and not job.compiled:
        attempt(f"{title}: largest batch", lambda: largest_batch(job, options.largest_batch))
    if options.profile:
        kind = "training" if job.training else "inference"
        path = options.profile / f"{kind}_{title.replace(' ', '_')}_{job.batch}.txt"
        attempt(f"{title}: profile", lambda: profile(job, path))
        release(options.device)


def attempt(title: str, job: Callable[[], object]) -> None:
    """Prints what comes of something that the table can do without."""
    try:
        show(f"{title}: {job()}")
    except Exception as error:  # whatever compilers and drivers raise
        show(f"{title}: failed: {first_line(error)}")


def show(text: str) -> None:
    """Prints at once, so that a run that is stopped has shown what it knew."""
    print(text, flush=True)
