"""The local cluster itself: several nodes, tasks on each of them, accounting, and starting it twice."""

import time

import pytest
from kit.slurm_jobs import cluster, slurm

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.usefixtures("slurm_cluster")]


def test_tasks_land_on_several_nodes():
    text = slurm(
        "srun", "--job-name=test-tasks", "-N2", "--ntasks-per-node=2", "--gpus-per-node=2",
        "bash", "-c", "echo $SLURM_PROCID $SLURMD_NODENAME $SLURM_GPUS_ON_NODE",
    )  # fmt: skip
    ranks, nodes, gpus = zip(*sorted(line.split() for line in text.splitlines()), strict=True)
    assert ranks == ("0", "1", "2", "3")
    assert nodes[0] == nodes[1] != nodes[2] == nodes[3]
    assert set(gpus) == {"2"}


def test_jobs_are_accounted_for():
    command = ("sbatch", "--parsable", "--job-name=test-exit", "--output=/dev/null", "--wrap", "exit 3")
    number = slurm(*command)
    for _ in range(60):  # accounting comes a moment after the end
        state = slurm("sacct", "-X", "-n", "-P", "-j", number, "-o", "state,exitcode")
        if state.startswith("FAILED"):
            break
        time.sleep(0.5)
    assert state == "FAILED|3:0"


def test_starting_it_again_changes_nothing():
    before = slurm("pidof", "slurmctld", "slurmd", "slurmdbd", "mariadbd")
    again = cluster("up")
    assert again.returncode == 0, again.stderr
    assert slurm("pidof", "slurmctld", "slurmd", "slurmdbd", "mariadbd") == before
