"""Looking for the settings that run a model fastest on this machine, one choice after the other."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from mvit_video.engine.device import Precision
from mvit_video.engine.machine import num_cpus
from mvit_video.engine.tuning.trials import Gain, Setting, Trial, Workbench

WORTH_IT = 0.97  # of the time that the best setting so far takes: less gain is noise, or not worth the memory

_BATCHES = {  # on a GPU, in training
    (False, False): (1, 2, 4, 8),
    (False, True): (1, 2, 4),
    (True, False): (1, 4, 16, 32, 64),
    (True, True): (1, 4, 8, 16, 32),
}

ROUNDS = 5


@dataclass(frozen=True)
class Findings:
    """What came of looking.

    Attributes:
        trials: in the order they were made; the first is the plain one.
        best: the fastest of them.
        gain: how many times as fast as the first, run in turns; None where it is the first, or that failed.
        checkpointing: share of the memory and times the time that activation checkpointing takes; None where
            it was not tried or memory is not known.
    """

    trials: tuple[Trial, ...]
    best: Trial
    gain: Gain | None
    checkpointing: tuple[float, float] | None


def choices_of(device: torch.device, *, training: bool, compiling: bool = False) -> dict[str, Sequence[Any]]:
    """What there is to choose on a device, by the names of `Setting`, in the order to try it in."""
    on_gpu = device.type == "cuda"
    cpus = num_cpus()
    choices: dict[str, Sequence[Any]] = {
        "precision": _gpu_precisions(device) if on_gpu else ("fp32", "bf16"),
        "threads": (cpus,) if on_gpu else tuple(dict.fromkeys(max(cpus // n, 1) for n in (1, 2, 4))),
        "batch": _BATCHES[on_gpu, training],
    }
    if compiling:
        choices["compiled"] = (False, True)
    if training:
        choices["checkpointing"] = (False, True)
    return choices


def search(try_setting: Callable[[Setting], Trial], choices: Mapping[str, Sequence[Any]]) -> Iterator[Trial]:
    """Try every value of one choice with the best of those before it; each trial as soon as it is known.

    It starts with the first value of each. Larger batches than one that did not run are not tried.
    """
    first = Setting(**{name: values[0] for name, values in choices.items()})
    trials = [try_setting(first)]
    yield trials[0]
    for name, values in choices.items():
        best = fastest(trials)
        start = first if best is None else best.setting
        for value in values:
            setting = replace(start, **{name: value})
            if any(trial.setting == setting for trial in trials):
                continue
            trials.append(try_setting(setting))
            yield trials[-1]
            if trials[-1].problem and name == "batch":
                break


def tune(
    bench: Workbench, choices: Mapping[str, Sequence[Any]], on_trial: Callable[[Trial], None]
) -> Findings | None:
    """Search on a bench, then run the fastest setting and the first in turns; None where nothing ran.

    Args:
        bench: model, device and clip size.
        choices: as `choices_of` gives them.
        on_trial: called with each trial as soon as it is known.
    """
    trials: list[Trial] = []
    for trial in search(bench.try_setting, choices):
        trials.append(trial)
        on_trial(trial)
    best = fastest(trials)
    if best is None:
        return None
    gain = None
    if trials[0].seconds is not None and best is not trials[0]:
        gain = bench.compare(best.setting, trials[0].setting, ROUNDS)
    return Findings(tuple(trials), best, gain, _price_of_checkpointing(trials))


def _price_of_checkpointing(trials: Sequence[Trial]) -> tuple[float, float] | None:
    costs = {t.setting: (t.extra_bytes, t.seconds) for t in trials if t.seconds and t.extra_bytes}
    for setting, (lean_bytes, lean_seconds) in costs.items():
        plain = replace(setting, checkpointing=False)
        if setting.checkpointing and plain in costs:
            full_bytes, full_seconds = costs[plain]
            return lean_bytes / full_bytes, lean_seconds / full_seconds
    return None


def fastest(trials: Sequence[Trial]) -> Trial | None:
    """The trial with the least time a clip; a later one has to be clearly faster. None where none ran."""
    best: Trial | None = None
    for trial in trials:
        if trial.seconds is None:
            continue
        if best is None or best.seconds is None or trial.seconds < WORTH_IT * best.seconds:
            best = trial
    return best


def _gpu_precisions(device: torch.device) -> tuple[Precision, ...]:
    has_bf16 = torch.cuda.get_device_capability(device) >= (8, 0)
    return ("fp32", "bf16", "fp16") if has_bf16 else ("fp32", "fp16")
