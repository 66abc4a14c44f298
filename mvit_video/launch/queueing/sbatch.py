"""Handing jobs to Slurm, through submitit; or showing the script that would be used."""

import shlex
import shutil
from collections.abc import Callable, Sequence
from typing import Any

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError

from mvit_video.launch.errors import LaunchError
from mvit_video.launch.resources import Resources
from mvit_video.launch.submission import Request, Submission

Call = Callable[[], int]


class _Executor(submitit.SlurmExecutor):
    """Can be made where there is no Slurm: its script is shown there."""

    @classmethod
    def affinity(cls) -> int:
        return 1


def sbatch_script(submission: Submission, request: Request, num_jobs: int) -> str:
    """The script that :func:`submit_jobs` hands to ``sbatch``."""
    executor = _executor(submission, request)
    if num_jobs > 1:
        executor.parameters["map_count"] = num_jobs
    text: str = executor._make_submission_file_text(executor._submitit_command_str, "")
    return text


def check_slurm(advice: str) -> None:
    """Make sure that there is a Slurm to submit to.

    Args:
        advice: what to do here without it.

    Raises:
        LaunchError: there is none.
    """
    missing = [name for name in ("sbatch", "srun") if shutil.which(name) is None]
    if missing:
        raise LaunchError(
            f"there is no Slurm here ({' and '.join(missing)} not found on PATH): submit on a login node of "
            f"the cluster, or show the script with --dry-run; on this machine alone: {advice}"
        )


def submit_jobs(submission: Submission, request: Request, calls: Sequence[Call]) -> str:
    """Submit one job per call, several as an array; gives the number of the job.

    Raises:
        LaunchError: Slurm refuses, for the reason in the text.
    """
    executor = _executor(submission, request)
    try:
        # A job submitted from inside of another one would inherit its numbers of tasks and nodes.
        with submitit.helpers.clean_env(), executor.batch():
            jobs = [executor.submit(call) for call in calls]
    except (FailedJobError, FailedSubmissionError, OSError) as error:
        lines = [line.strip() for line in str(error).splitlines() if "error:" in line]
        raise LaunchError(f"Slurm refuses the job: {' '.join(lines) or error}") from error
    job: str = jobs[0].job_id.split("_")[0]
    return job


def _executor(submission: Submission, request: Request) -> _Executor:
    executor = _Executor(submission.logs)
    parameters = _parameters(request.resources, request.directory)
    python, folder = f"{executor.python} -m mvit_video.launch.job", shlex.quote(str(submission.folder))
    # The processes may hang, or be gone without a word: what to do then is up to the script.
    parameters["setup"] = [*request.resources.setup, f"{python}.deadline {folder} &"]
    parameters["teardown"] = [
        "status=$?",
        "kill $! 2>/dev/null",
        f"[ $status = 0 ] || {python}.aftermath {folder} $status",
        "exit $status",
        "",
    ]
    executor.update_parameters(**parameters)
    return executor


def _parameters(resources: Resources, directory: str) -> dict[str, Any]:
    """Names of submitit for what is asked for; requeueing allowed, whatever the cluster's default."""
    return {
        "job_name": resources.name,
        "partition": resources.partition,
        "time": resources.minutes,
        "nodes": resources.nodes,
        "ntasks_per_node": resources.tasks_per_node,
        "cpus_per_task": resources.cpus_per_task,
        "gpus_per_node": resources.gpus_per_node or None,
        "mem": resources.mem,
        "account": resources.account,
        "qos": resources.qos,
        "constraint": resources.constraint,
        "comment": resources.comment,
        "exclude": resources.exclude,
        "wckey": None,
        "signal_delay_s": resources.signal_seconds,
        # srun knows nothing of sbatch's --cpus-per-task since Slurm 22.05. A task that dies takes the others
        # with it, which would wait for it in vain.
        "srun_args": ["--kill-on-bad-exit=1", f"--cpus-per-task={resources.cpus_per_task}"],
        "additional_parameters": {"requeue": True, "chdir": directory, **resources.extra},
    }
