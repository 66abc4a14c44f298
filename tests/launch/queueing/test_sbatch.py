"""The script, and handing it over."""

import importlib.util
import re
import subprocess
from dataclasses import replace

import pytest

from mvit_video.launch.errors import LaunchError
from mvit_video.launch.job.tasks import RunJob
from mvit_video.launch.queueing.sbatch import check_slurm, sbatch_script, submit_jobs
from mvit_video.launch.resources import Resources


def options(script):
    return {line.removeprefix("#SBATCH ") for line in script.splitlines() if line.startswith("#SBATCH ")}


@pytest.fixture
def script(make_submission):
    def make(num_jobs=1, **resources):
        submission = make_submission()
        request = replace(submission.request(), resources=Resources(**resources))
        return sbatch_script(submission, request, num_jobs)

    return make


def test_what_was_asked_for_is_in_the_script(script, tmp_path):
    text = script(
        nodes=2, gpus_per_node=8, tasks_per_node=8, cpus_per_task=9, minutes=90, signal_seconds=60,
        partition="gpu", mem="64G", account="me", qos="low", constraint="a100", exclude="n[3-4]",
        comment="two words", name="mine", extra={"reservation": "soon", "exclusive": True},
    )  # fmt: skip
    logs = tmp_path / "out/launch/001/logs"
    assert options(text) == {
        "--nodes=2", "--gpus-per-node=8", "--ntasks-per-node=8", "--cpus-per-task=9", "--time=90",
        "--signal=USR2@60", "--partition=gpu", "--mem=64G", "--account=me", "--qos=low", "--constraint=a100",
        "--exclude='n[3-4]'",
        "--comment='two words'", "--job-name=mine", "--reservation=soon", "--exclusive", "--requeue",
        f"--chdir={tmp_path}", "--open-mode=append", f"--output={logs}/%j_0_log.out",
        f"--error={logs}/%j_0_log.err",
    }  # fmt: skip


def test_what_was_not_asked_for_is_left_to_the_cluster(script):
    names = {option.partition("=")[0] for option in options(script())}
    assert (
        not {"--time", "--partition", "--gpus-per-node", "--mem", "--account", "--wckey", "--array"} & names
    )


def test_processes_get_their_cpus_and_go_down_together(script):
    (line,) = [line for line in script(cpus_per_task=5).splitlines() if line.startswith("srun ")]
    assert " --kill-on-bad-exit=1 " in line
    assert " --cpus-per-task=5 " in line


def test_an_array(script):
    assert "--array=0-11%12" in options(script(num_jobs=12))


def test_lines_of_setup_come_before_the_program(script):
    lines = script(setup=("module load cuda", "source env")).splitlines()
    program = next(index for index, line in enumerate(lines) if line.startswith("srun "))
    assert lines.index("module load cuda") < lines.index("source env") < program


def test_the_programs_that_the_script_calls_are_there(script):
    names = re.findall(r"-m (mvit_video[.\w]+)", script())
    assert len(names) == 2
    assert all(importlib.util.find_spec(name) for name in names)


def test_the_script_ends_as_its_processes_did_and_looks_after_failures(script, commands, tmp_path):
    """Run by bash, with an srun that fails."""
    commands.add("srun", complains="killed", status=137)
    commands.add("scontrol", says="JobId=7 JobState=CANCELLED EndTime=Unknown\n")
    text = script()
    done = subprocess.run(["bash", "-c", text], capture_output=True, text=True)
    assert done.returncode == 137
    assert commands.calls[0].startswith("srun ")
    assert "Slurm says that job  is CANCELLED" in done.stderr
    commands.add("srun")
    done = subprocess.run(["bash", "-c", text], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_without_slurm_one_learns_what_to_do(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(
        LaunchError, match=r"no Slurm here \(sbatch and srun not found .* alone: mvit-video run"
    ):
        check_slurm("mvit-video run")


def test_a_refusal_is_passed_on(make_submission, commands):
    """The words of ``sbatch`` of Slurm 22.05.8 for a partition that is not there."""
    commands.add(
        "sbatch",
        complains="sbatch: error: invalid partition specified: nope\n"
        "sbatch: error: Batch job submission failed: Invalid partition name specified\n",
        status=1,
    )
    submission = make_submission()
    with pytest.raises(
        LaunchError, match=r"^Slurm refuses the job: .*invalid partition specified: nope"
    ) as refused:
        submit_jobs(submission, submission.request(), [RunJob(str(submission.folder))])
    assert "\n" not in str(refused.value)
    assert submission.job_ids() == []


def test_a_job_that_is_taken_has_a_number(make_submission, commands):
    commands.add("sbatch", says="Submitted batch job 41\n")
    submission = make_submission()
    calls = [RunJob(str(submission.folder))]
    assert submit_jobs(submission, submission.request(), calls) == "41"
    assert (submission.logs / "41_submission.sh").read_text().startswith("#!/bin/bash\n")
