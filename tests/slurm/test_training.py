"""Training on 2 nodes x 2 tasks of a real Slurm: undisturbed, and disturbed in every way a cluster knows.

Whatever happened, the log carries every step once, with the loss that one process alone has without a break:
the same to the rounding of sums that come in another order. A signal that arrives inside the optimiser's step
is acted upon after that step or after the next one, whenever the processes agree on it.
"""

import os
import re
import signal

import pytest
from kit.slurm_jobs import alive, curve, slurm

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(1500)]
STEPS = 20


def assert_nothing_shows(job, alone):
    """The run is over, and its curve is that of a run that nobody disturbed."""
    assert job.wait() == "COMPLETED", job.story()
    found = curve(job.output)
    assert [step for step, _, _ in found] == list(range(1, STEPS + 1))
    for ours, theirs in zip(found, alone, strict=True):
        assert ours == pytest.approx(theirs, rel=2e-5)


def resumed_from(job):
    """What its sittings began with, as (epochs, steps) done; None: none, or that of an epoch."""
    found = [event["saved"] or "" for event in job.events("started")]
    matches = [re.search(r"checkpoint_epoch_(\d+)_step_(\d+)\.pyth$", path) for path in found]
    return [match and (int(match[1]), int(match[2])) for match in matches]


def test_undisturbed(start, alone):
    job = start()
    assert_nothing_shows(job, alone)
    assert resumed_from(job) == [None]
    assert len(set(slurm("scontrol", "show", "hostnames", job.fields()["NodeList"]).split())) == 2


def test_preempted_by_a_job_of_higher_priority(start, alone):
    """The signal finds half of the processes before the change of the weights, half of them after it."""
    job = start("DATA_LOADER.NUM_WORKERS", 1, hold=9, flags=("--partition", "preemptible"))
    job.held()
    nodes = job.fields()["NodeList"]
    urgent = slurm(
        "sbatch", "--parsable", "--job-name=test-urgent", "--partition=main", "--exclusive",
        f"--nodelist={nodes}", "--nodes=2", "--output=/dev/null", "--wrap", "srun sleep 5",
    )  # fmt: skip
    assert job.signalled() <= {"SIGUSR1", "SIGUSR2"}
    job.release()
    job.started_again()
    assert "COMPLETED" in slurm("scontrol", "show", "job", "-o", urgent) or job.fields()["NodeList"] != nodes
    assert_nothing_shows(job, alone)
    assert resumed_from(job) in ([None, (2, 10)], [None, (2, 11)])


def test_time_limit(start, alone):
    """A limit of one minute: Slurm signals 10 to 40 s before it, and the run stands still until then.

    Where starting takes longer there are sittings that come to nothing before. Once the run has been seen to
    come back it may take its time.
    """
    job = start(hold=1, flags=("--time", 1, "--signal", 10))
    job.held()
    assert job.signalled() <= {"SIGUSR1", "SIGUSR2"}
    restarts = int(job.fields()["Restarts"])
    job.release()
    job.started_again(restarts + 1)
    slurm("scontrol", "update", f"jobid={job.number}", "timelimit=60")
    assert_nothing_shows(job, alone)
    assert resumed_from(job)[-1] in ((0, 2), (0, 3))


def test_requeued_by_hand(start, alone):
    """``scontrol requeue`` sends SIGTERM, and some seconds later SIGKILL."""
    job = start(hold=13)
    job.held()
    slurm("scontrol", "requeue", job.number)
    assert job.signalled() == {"SIGTERM"}
    job.release()
    job.started_again()
    assert_nothing_shows(job, alone)
    assert resumed_from(job) in ([None, (3, 14)], [None, (3, 15)])


def test_a_node_is_lost(start, alone):
    """All processes are killed where they stand; others on other nodes go on from the last checkpoint."""
    job = start(hold=10)
    processes = job.held()
    lost = slurm("scontrol", "show", "hostnames", job.fields()["NodeList"]).split()[1]
    slurm("scontrol", "update", f"nodename={lost}", "state=down", "reason=test")
    try:
        job.until("the processes are gone", lambda: not any(map(alive, processes)))
        job.release()
        job.started_again()
        assert lost not in slurm("scontrol", "show", "hostnames", job.fields()["NodeList"]).split()
    finally:
        slurm("scontrol", "update", f"nodename={lost}", "state=resume")
    assert_nothing_shows(job, alone)


def test_a_process_is_killed(start, alone):
    """The others do not wait for it: the job comes down, says why, and comes back."""
    job = start(hold=10)
    processes = job.held()
    os.kill(processes[3], signal.SIGKILL)
    job.until("the processes are gone", lambda: not any(map(alive, processes)))
    job.release()
    assert_nothing_shows(job, alone)
    assert [(event["restart"], event["status"]) for event in job.events("crashed")] == [
        (0, 128 + signal.SIGKILL)
    ]
    assert re.search(rf"rank 3 of 4 \(pid {processes[3]} on .*\) has died", job.log(rank=1))


def test_signal_inside_the_optimisers_step_of_a_sharded_model(start, alone):
    job = start("DISTRIBUTED.STRATEGY", "fsdp", hold=9)
    job.held()
    slurm("scancel", "--signal=USR2", job.number)
    assert job.signalled() == {"SIGUSR2"}
    job.release()
    job.started_again()
    assert_nothing_shows(job, alone)
    assert resumed_from(job) in ([None, (2, 10)], [None, (2, 11)])
