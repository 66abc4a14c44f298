"""From a configuration, or the words of a prediction, to a job in the queue."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from mvit_video.config import Config, dump_config
from mvit_video.launch import slurm
from mvit_video.launch.array.parts import PartJob, cut_videos, missing_parts
from mvit_video.launch.errors import LaunchError
from mvit_video.launch.job.tasks import RunJob
from mvit_video.launch.queueing.circumstances import describe_checkout, describe_circumstances
from mvit_video.launch.queueing.sbatch import Call, check_slurm, sbatch_script, submit_jobs
from mvit_video.launch.submission import Request, Submission, last_submission, new_submission


def show_script(run_folder: Path, request: Request) -> str:
    """The script that would be handed to ``sbatch``; nothing is written or submitted."""
    last = last_submission(run_folder)
    number = int(last.folder.name) + 1 if last else 1
    submission = Submission(run_folder.absolute() / "launch" / f"{number:03d}")
    return sbatch_script(submission, request, max(request.parts, 1))


def submit(
    run_folder: Path,
    request: Request,
    *,
    config: Config | None = None,
    videos: Sequence[str] = (),
    command: Sequence[str],
) -> tuple[Submission, str]:
    """Keep what is submitted in a folder of its own, and submit it.

    Args:
        run_folder: OUTPUT_DIR; for a prediction the folder that stands for it.
        request: what, and by how much of the cluster.
        config: for "run" and "test".
        videos: for "predict".
        command: the words that were typed.

    Returns:
        The folder, and the number of the job.

    Raises:
        LaunchError: Slurm refuses, or the run is still under way.
    """
    _check_idle(run_folder)
    submission = new_submission(run_folder)
    try:
        submission.write(request, describe_circumstances(command))
        if config is not None:
            submission.config_path.write_text(dump_config(config), encoding="utf-8")
        _keep_checkout(submission)
        if videos:
            cut_videos(submission, videos, request.parts)
        job = submit_jobs(submission, request, _calls(submission, request))
    except Exception:
        shutil.rmtree(submission.folder, ignore_errors=True)
        raise
    _tell(submission, job, request.parts or 1)  # from here on the folder is the job's
    return submission, job


def submit_again(run_folder: Path) -> tuple[Submission, str, list[int]]:
    """Submit what a run lacks: the run goes on at its last checkpoint, parts that are not done are done.

    Returns:
        The folder, the number of the job, and which parts it does.

    Raises:
        LaunchError: nothing was submitted, it is still under way, or all is done.
    """
    submission = last_submission(run_folder)
    if submission is None:
        raise LaunchError(f"{run_folder}: nothing was submitted from here (no launch/): mvit-video submit")
    check_slurm("there is nothing to submit to")
    _check_idle(run_folder)
    request = submission.request()
    parts = missing_parts(submission, request.parts)
    if request.parts and not parts:
        raise LaunchError(f"{run_folder}: all {request.parts} parts are done: --merge joins them")
    if not request.parts and any(event["event"] == "done" for event in submission.events()):
        raise LaunchError(f"{run_folder}: is done; submit it anew to go on with another configuration")
    job = submit_jobs(submission, request, _calls(submission, request))
    _tell(submission, job, len(parts) or 1)
    return submission, job, parts


def _tell(submission: Submission, job: str, num_jobs: int) -> None:
    """Keep the job's number.

    Raises:
        LaunchError: it cannot be kept, and the job is in the queue.
    """
    try:
        submission.tell("submitted", job=job, num_jobs=num_jobs)
    except OSError as error:
        raise LaunchError(
            f"{submission.folder}/events.jsonl: cannot be written ({error.strerror}), so that status would "
            f"not know job {job}, which is queued: make room, end the job (scancel {job}) and submit again"
        ) from error


def _calls(submission: Submission, request: Request) -> list[Call]:
    folder = str(submission.folder)
    if not request.parts:
        return [RunJob(folder)]
    return [PartJob(folder, part) for part in missing_parts(submission, request.parts)]


def _check_idle(run_folder: Path) -> None:
    """Refuse a second job for a run that waits or runs: both would write the same checkpoints.

    Raises:
        LaunchError: there is one.
    """
    last = last_submission(run_folder)
    for job in slurm.queue(last.job_ids()) or [] if last else []:
        if not job.has_ended:
            raise LaunchError(
                f"{run_folder}: job {job.job} of this run is {job.state}: wait for it, end it (scancel "
                f"{job.job.split('_')[0]}), or choose another OUTPUT_DIR"
            )


def _keep_checkout(submission: Submission) -> None:
    found = describe_checkout()
    if found is None:
        return
    facts, diff = found
    (submission.folder / "git.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    (submission.folder / "git.diff").write_bytes(diff)
