"""What the environment says of processes that were started together; cheap to import."""

from collections.abc import Mapping

from mvit_video.engine.errors import RunError

RENDEZVOUS_VARIABLE = "MVIT_VIDEO_RENDEZVOUS"  # a folder that all nodes of a Slurm job see


def count_loose_tasks(environment: Mapping[str, str]) -> int:
    """How many tasks ``srun`` started without a word of where they meet; 1 where there is nothing amiss.

    A batch script is no task, and ``srun --pty bash`` is one alone, however many the job is for.
    """
    if environment.get(RENDEZVOUS_VARIABLE) or {"RANK", "WORLD_SIZE"} <= environment.keys():
        return 1
    count = environment.get("SLURM_STEP_NUM_TASKS", "")
    return int(count) if count.isdecimal() and environment.get("SLURM_PROCID") else 1


def refuse_loose_tasks(environment: Mapping[str, str]) -> None:
    """Refuse to do the same in several tasks of Slurm, which would write the same files.

    Raises:
        RunError: srun started several, and nothing tells them of each other.
    """
    count = count_loose_tasks(environment)
    if count > 1:
        raise RunError(
            f"srun has started {count} tasks (SLURM_STEP_NUM_TASKS) that do not know where to meet, and each "
            "would do all the work: hand the run in by mvit-video submit, or start one torchrun per node"
        )
