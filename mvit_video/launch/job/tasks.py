"""What the tasks of a job do: submitit calls these, in processes that Slurm has started."""

import os
from dataclasses import dataclass
from pathlib import Path

from mvit_video.engine.errors import PASSING_STATUS, Stopped
from mvit_video.engine.processes.environment import RENDEZVOUS_VARIABLE
from mvit_video.engine.stopping import signals_noted
from mvit_video.launch.job.progress import newest_checkpoint
from mvit_video.launch.job.sitting import Sitting, Task, exit_now, failures_told, log_to_stderr
from mvit_video.launch.submission import Submission


@dataclass(frozen=True)
class RunJob:
    """Trains and tests as the configuration of a submission says, in all tasks of the job.

    submitit's own handlers would save inside of the signal, in one process alone, and let the first process
    requeue the job while the others are anywhere: ours, in force from the first line on, only take a note.
    """

    folder: str

    def __call__(self) -> int:
        """One sitting; 1 if videos could not be read, 0 if all is well."""
        with signals_noted(), log_to_stderr():
            submission = Submission(Path(self.folder))
            sitting = Sitting(submission, submission.request(), Task.here())
            os.environ[RENDEZVOUS_VARIABLE] = str(submission.rendezvous)
            with failures_told(sitting):
                return self._sit(sitting)

    def _sit(self, sitting: Sitting) -> int:
        submission = sitting.submission
        sitting.begin(newest_checkpoint(submission.run_folder))
        try:
            status = _run(submission)
        except Stopped as stopped:
            sitting.leave(stopped, newest_checkpoint(submission.run_folder))
        except SystemExit as end:  # the first process says why
            exit_now(end.code if end.code in (2, PASSING_STATUS) else 0)
        if sitting.task.rank == 0:
            sitting.tell("done", status=status)
        return status


def _run(submission: Submission) -> int:
    import warnings

    from mvit_video.config import load_config
    from mvit_video.data import DamagedVideoWarning
    from mvit_video.engine import run

    warnings.simplefilter("ignore", DamagedVideoWarning)  # the log of the run names these videos
    result = run(load_config(submission.config_path))
    return 1 if result.test is not None and result.test.unreadable else 0
