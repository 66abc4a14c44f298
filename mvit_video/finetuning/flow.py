"""A fine-tuning from beginning to end; the same command goes on where it was stopped."""

import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path

from mvit_video import engine
from mvit_video.config import Config
from mvit_video.engine.checkpoints.files import list_checkpoints
from mvit_video.engine.processes.environment import count_loose_tasks
from mvit_video.engine.records.logs import prepare_output_dir
from mvit_video.engine.testing.results import TestResult
from mvit_video.finetuning.beginning import BEST, decide, write_decision
from mvit_video.finetuning.errors import FinetuneError
from mvit_video.finetuning.record import (
    Record,
    Request,
    check_same,
    read_config,
    read_record,
    write_record,
)
from mvit_video.finetuning.reporting.files import REPORT, Report, make_report, predict_line, write_report

_logger = logging.getLogger("mvit_video.finetuning")


@dataclass(frozen=True)
class Outcome:
    """What a command came to.

    Attributes:
        report: What was found; None where it was found before, or nothing was trained.
        report_path: Where it is written.
        predict: The command that uses the model.
    """

    report: Report | None
    report_path: Path
    predict: str


def show(request: Request) -> list[str]:
    """What ``finetune`` would do, a line each; no video is looked into, and nothing is written.

    Raises:
        ValueError: Something the user can mend; the text says what.
    """
    _refuse_output_among_videos(request)
    facts = decide(request, look=False).facts
    return [*facts["words"], *(f"mind: {line}" for line in facts["warnings"])]


def finetune(request: Request) -> Outcome:
    """Fine-tune as asked, or go on with it, or say that it is done.

    Everything lies in ``request.output`` afterwards: lists/, checkpoints/checkpoint_best.pyth, report.md and
    the tables and the picture beside it.

    Raises:
        ValueError: Something the user can mend; the text says what.
    """
    _refuse_many_processes()
    _refuse_output_among_videos(request)
    folder = prepare_output_dir(request.output, "--output")
    record = _begun(folder, request)
    if record is None:
        record = _begin(request)
    elif record.is_done:
        _logger.info("%s: is done already; another --output starts anew", request.output)
        return Outcome(None, folder / REPORT, predict_line(request.output))
    else:
        _logger.info("%s: going on with the lists and the plan it was begun with", request.output)
    config = read_config(folder, request)
    result = _train_and_test(config, record)
    report = make_report(result, record.facts["class_names"], record.facts, request.output)
    write_report(folder, report)
    write_record(folder, replace(record, is_done=True))
    return Outcome(report, folder / REPORT, report.predict)


def _refuse_many_processes() -> None:
    count = os.environ.get("WORLD_SIZE") or str(count_loose_tasks(os.environ))
    if count != "1":
        raise FinetuneError(
            f"{count} processes were started, and each would plan for itself: start one, and NUM_GPUS "
            f"{count} makes it "
            "use as many GPUs"
        )


def _refuse_output_among_videos(request: Request) -> None:
    output = Path(request.output).resolve()
    for given in filter(None, (request.videos, request.val, request.test)):
        if Path(given).is_dir() and output.is_relative_to(Path(given).resolve()):
            raise FinetuneError(
                f"{request.output}: lies in {given}, whose folders are taken for classes: choose an --output "
                "outside of it"
            )


def _begin(request: Request) -> Record:
    decision = decide(request, look=request.look_for_copies)
    for line in decision.facts["words"]:
        _logger.info("%s", line)
    for line in decision.facts["warnings"]:
        _logger.warning("mind: %s", line)
    return write_decision(decision, request)


def _begun(folder: Path, request: Request) -> Record | None:
    """What the folder holds of this very fine-tuning; None: nothing that would be lost.

    Raises:
        FinetuneError: It holds something else.
    """
    record = read_record(folder)
    has_work = bool(list_checkpoints(folder)) or (folder / "features").is_dir() or (folder / BEST).exists()
    if record is None:
        if has_work:
            raise FinetuneError(
                f"{request.output}: holds checkpoints of something that `finetune` did not begin: choose "
                f"another --output"
            )
        return None
    if not (has_work or record.is_done):
        return None  # it was planned, and nothing was trained: it is planned anew
    check_same(record, request)
    return record


def _train_and_test(config: Config, record: Record) -> TestResult:
    """Train, or what is left of it, and measure the best weights over the views of each video."""
    if record.mode == "frozen":
        from mvit_video.finetuning.head.training import train_frozen

        train_frozen(config, record.facts["class_names"])
        config = config.model_copy(update={"train": config.train.model_copy(update={"enable": False})})
    result = engine.run(config).test
    assert result is not None
    return result
