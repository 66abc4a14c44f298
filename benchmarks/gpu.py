"""What a GPU can do: its matrix rate, the largest batch that fits, and where the time goes."""

import gc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from measuring import in_fresh_process, take_turns
from sides import Job


def matrix_rate(device: str, precision: str, size: int = 8192) -> float:
    """FLOP/s of a square matrix product on this device, measured; smaller on a CPU."""
    size = size if device == "cuda" else 1024
    dtype = torch.float32 if precision == "fp32" else torch.bfloat16
    a, b = torch.randn(2, size, size).to(device, dtype)

    def multiply() -> None:
        for _ in range(10):
            a @ b
        if device == "cuda":
            torch.cuda.synchronize()

    return 10 * 2 * size**3 / take_turns({"product": multiply}, 7, clock="wall")["product"].median


def largest(fits: Callable[[int], bool], limit: int) -> int:
    """The largest number up to the limit that fits, where all below one that fits do too; 0 for none."""
    good, bad = 0, limit + 1
    number = 1
    while number <= limit and number < bad:
        if fits(number):
            good = number
            number = min(2 * number, limit) if number < limit else limit + 1
        else:
            bad = number
    while bad - good > max(1, good // 64):  # to about 1.5 per cent
        middle = (good + bad) // 2
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    return good


def release(device: str) -> None:
    """Gives back the GPU memory of models and compiled graphs that nobody holds any more."""
    gc.collect()
    if device == "cuda":
        torch._dynamo.reset()
        torch.cuda.empty_cache()


def largest_batch(job: Job, limit: int) -> str:
    """The largest batch that runs, searched in a process of its own, and why a larger one does not."""
    return in_fresh_process(_largest_batch, job, limit)


def _largest_batch(job: Job, limit: int) -> str:
    reasons = [f"not tried beyond {limit}"]

    def fits(batch: int) -> bool:
        reason = _failure(replace(job, batch=batch))
        release(job.device)
        if reason:
            reasons.append(reason)
        return not reason

    return f"{largest(fits, limit)}; beyond: {reasons[-1]}"


def _failure(job: Job) -> str:
    """Why a job does not run; empty if it does."""
    try:
        job.prepare()()
    except (MemoryError, RuntimeError) as error:
        return first_line(error)
    return ""


def profile(job: Job, path: Path) -> Path:
    """Writes where the time of one run goes, operation by operation, longest first."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as watch

    run = job.prepare()
    run()
    on_gpu = job.device == "cuda"
    with watch(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]) as seen:
        run()
    order = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    path.parent.mkdir(parents=True, exist_ok=True)
    table = seen.key_averages().table(sort_by=order, row_limit=60, max_name_column_width=90)
    path.write_text(f"{job}\n{table}\n", encoding="utf-8")
    return path


def first_line(error: BaseException) -> str:
    """An error in one line of at most 150 characters, fit for a table."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].replace("|", "/")[:150]
