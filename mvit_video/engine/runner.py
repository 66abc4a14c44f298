"""A run as a configuration describes it: train if TRAIN.ENABLE, then test if TEST.ENABLE."""

from dataclasses import dataclass

from mvit_video.config import Config
from mvit_video.engine.errors import RunError
from mvit_video.engine.processes.group import Group
from mvit_video.engine.processes.joining import joined
from mvit_video.engine.processes.starting import processes_to_start, run_together
from mvit_video.engine.testing.results import TestResult
from mvit_video.engine.testing.testing import TestInputs, prepare_test, test
from mvit_video.engine.training.fitting import TrainResult, fit
from mvit_video.engine.training.preparation import prepare_training


@dataclass(frozen=True)
class RunResult:
    """What a run found; None for a part that was not enabled."""

    train: TrainResult | None
    test: TestResult | None


def run(config: Config) -> RunResult:
    """Train if TRAIN.ENABLE, then test if TEST.ENABLE.

    Processes that were started together, by torchrun or as the tasks of a Slurm job, share the work; where
    nobody has, one is started for each of NUM_GPUS GPUs.
    What the test needs (its list, where its results go) is checked before training starts.

    Raises:
        ValueError: something the user can mend; the text says what.
    """
    if not (config.train.enable or config.test.enable):
        raise RunError("TRAIN.ENABLE and TEST.ENABLE are both False: nothing to do; set one of them True")
    if (count := processes_to_start(config)) > 1:
        return run_together(run, config, count)
    with joined(config) as group:
        trained, inputs = _train(config, group) if config.train.enable else (None, None)
        tested = test(config, inputs) if config.test.enable else None
    return RunResult(trained, tested)


def _train(config: Config, group: Group) -> tuple[TrainResult, TestInputs | None]:
    """Train; also gives what the test after it needs, checked before."""
    inputs = prepare_training(config, group)
    test_inputs = prepare_test(config, inputs.class_names) if config.test.enable else None
    return fit(inputs), test_inputs
