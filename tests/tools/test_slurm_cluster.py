"""Where no local Slurm can be had, its tool says why, and touches nothing."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import cluster
import pytest
from daemons import ClusterError

TOOL = Path(__file__).parents[2] / "tools/slurm/cluster.py"


def test_other_systems_are_told(tmp_path):
    done = subprocess.run(
        [sys.executable, str(TOOL), "up", "--state", str(tmp_path)],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "there is no apt-get here; run it in a container" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_root_is_asked_for(tmp_path):
    program = (
        "import os, cluster; os.geteuid() or os.setuid(65534); cluster.main()"  # nobody, where we are root
    )
    with tempfile.TemporaryDirectory() as folder:  # that nobody may look into
        Path(folder).chmod(0o755)
        Path(folder, "apt-get").touch(mode=0o755)
        done = subprocess.run(
            [sys.executable, "-c", program, "up", "--state", str(tmp_path / "state")],
            env={"PATH": folder, "PYTHONPATH": str(TOOL.parent)},
            capture_output=True,
            text=True,
        )
    assert done.returncode == 1
    assert "a local Slurm needs root" in done.stderr
    assert not (tmp_path / "state").exists()


def test_a_configuration_of_somebody_else_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "CONFIGURATION", tmp_path)
    (tmp_path / "slurm.conf").write_text("ClusterName=ours\n")
    with pytest.raises(ClusterError, match=r"slurm.conf was written by somebody else.*left alone"):
        cluster.check_configuration()
    with pytest.raises(ClusterError, match="written by somebody else"):
        cluster.down(tmp_path / "state", purge=True)
    assert os.listdir(tmp_path) == ["slurm.conf"]


def test_nothing_running_is_said(tmp_path):
    done = subprocess.run(
        [sys.executable, str(TOOL), "status", "--state", str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "no local cluster runs: cluster.py up starts one" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("required", "status", "word"), [("", 0, "1 skipped"), ("1", 1, "1 error")])
def test_tests_that_need_the_cluster_fail_without_one_where_it_is_required(tmp_path, required, status, word):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-m", "slurm", "tests/slurm/test_cluster.py", "-k", "several_nodes"],
        cwd=TOOL.parents[2],
        env={"PATH": str(tmp_path), "MVIT_VIDEO_REQUIRE_SLURM": required},
        capture_output=True,
        text=True,
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert word in done.stdout
    assert "there is no apt-get here" in done.stdout
