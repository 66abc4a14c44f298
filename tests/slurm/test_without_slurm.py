"""Where there is no Slurm, handing something in says so; the script can still be looked at."""

import pytest
from kit.slurm_jobs import mvit_video
from kit.tiny_runs import YAML


@pytest.fixture
def config(tmp_path):
    (tmp_path / "tiny.yaml").write_text(YAML)
    (tmp_path / "list.csv").write_text("video.mp4 0\n")
    return tmp_path / "tiny.yaml"


def test_submitting_says_that_there_is_no_slurm(config, tmp_path):
    done = mvit_video(
        *("submit", "--cfg", config, "--nodes", 2, "OUTPUT_DIR", tmp_path / "out"),
        cwd=tmp_path,
        env={"PATH": str(tmp_path)},
    )
    assert done.returncode == 2
    assert "sbatch" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_script_is_shown_without_slurm(config, tmp_path):
    done = mvit_video(
        *("submit", "--dry-run", "--cfg", config, "--nodes", 2, "--tasks-per-node", 2),
        *("--partition", "gpu", "--time", "2:00:00", "OUTPUT_DIR", tmp_path / "out"),
        cwd=tmp_path,
        env={"PATH": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    options = [
        line.removeprefix("#SBATCH ") for line in done.stdout.splitlines() if line.startswith("#SBATCH")
    ]
    assert {"--nodes=2", "--ntasks-per-node=2", "--partition=gpu", "--time=120", "--requeue"} <= set(options)
    assert not (tmp_path / "out").exists()
