"""Evaluations between epochs."""

import logging
from typing import Any

from mvit_video.engine.device import choose_precision
from mvit_video.engine.records.display import counting
from mvit_video.engine.records.logs import RunLog
from mvit_video.engine.resolve import resolve_statistics, resolve_test_batch
from mvit_video.engine.testing.evaluation import ViewScorer, evaluate
from mvit_video.engine.testing.results import TestResult
from mvit_video.engine.training.preparation import TrainInputs
from mvit_video.engine.training.state import TrainState

_logger = logging.getLogger("mvit_video.engine")
_MOST_NAMED = 5  # unreadable videos, each time


def validate(inputs: TrainInputs, state: TrainState, log: RunLog) -> None:
    """Score one centre view of each video of the val list, if there is one, and write a row of kind "val".

    Where the weights are averaged, the averages are scored too: ``ema_top1`` and ``ema_top5`` of the row.
    """
    if inputs.validation is None:
        return
    result = _score(inputs, state, "evaluating")
    numbers: dict[str, Any] = {"top1": result.top1, "top5": result.top5}
    _logger.info("epoch %d, one centre view of each val video: %s", state.epoch, result)
    if inputs.group.is_main:
        _tell_unreadable(result)
    if state.average is not None:
        with state.average.in_model():
            averaged = _score(inputs, state, "evaluating averaged weights")
        numbers |= {"ema_top1": averaged.top1, "ema_top5": averaged.top5}
        _logger.info("epoch %d, the same by the averaged weights: %s", state.epoch, averaged)
    log.write(
        "val",
        step=state.step,
        epoch=float(state.epoch),
        **numbers,
        num_videos=result.num_videos,
        num_unreadable=len(result.unreadable),
        num_damaged=len(result.damaged),
    )


def _tell_unreadable(result: TestResult) -> None:
    for line in result.unreadable_lines[:_MOST_NAMED]:
        _logger.warning("%s", line)
    if (more := len(result.unreadable) - _MOST_NAMED) > 0:
        _logger.warning("and %d more val videos; `mvit-video data check` names all", more)


def _score(inputs: TrainInputs, state: TrainState, description: str) -> TestResult:
    assert inputs.validation is not None
    config = inputs.config
    mean, std = resolve_statistics(config)
    scorer = ViewScorer(
        state.model,
        mean=mean,
        std=std,
        device=inputs.device,
        precision=choose_precision(config.test.precision, inputs.device, training=False),
        views_per_batch=resolve_test_batch(config),
        method=config.data.ensemble_method,
    )
    with counting(description, len(inputs.validation), live=inputs.group.is_main) as progress:
        return evaluate(
            scorer,
            inputs.validation,
            num_workers=inputs.num_workers,
            timeout_seconds=config.data.timeout_seconds,
            progress=progress,
            group=inputs.group,
        )
