"""A long list in parts, one task of a job array each; what comes together is what one process writes."""

import os
import signal

import pytest
from kit.slurm_jobs import mvit_video, submit

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(1500)]


def test_a_part_that_dies_is_done_again(slurm_cluster, recipe, trained, tmp_path):
    config, words = recipe
    words = [
        *words,
        *("TRAIN.ENABLE", "False", "TEST.ENABLE", "True", "TEST.SAVE_RESULTS_PATH", "results.csv"),
        *("TEST.CHECKPOINT_FILE_PATH", str(trained / "checkpoints/checkpoint_epoch_00005.pyth")),
    ]
    whole = mvit_video("test", "--cfg", config, *words, "OUTPUT_DIR", tmp_path / "whole", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr

    brake, output = tmp_path / "brake", tmp_path / "parts"
    brake.mkdir()
    (brake / "hold-part").write_text("1")
    job = submit(config, output, brake, "--array", 3, "--name", "test-array", *words, "OUTPUT_DIR", output)
    job.until("part 1 works", (brake / "held.1").exists)
    os.kill(int((brake / "held.1").read_text()), signal.SIGKILL)
    (brake / "hold-part").unlink()
    waited = mvit_video("status", output, "--wait", cwd=tmp_path)
    assert waited.returncode == 0, job.story()

    assert (output / "results.csv").read_text() == (tmp_path / "whole/results.csv").read_text()
    assert {event["part"] for event in job.events("part_failed")} == {1}
    assert sorted(event["part"] for event in job.events("part_done")) == [0, 1, 2]
