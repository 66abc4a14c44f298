"""A real Slurm for the tests marked ``slurm``: one that runs is used, otherwise one is started and ended."""

import os

import pytest
from kit.slurm_jobs import cluster


@pytest.fixture(scope="session")
def slurm_cluster():
    """Every node of the local cluster is ready.

    Where there can be none the tests are skipped, unless MVIT_VIDEO_REQUIRE_SLURM is set: then they fail, so
    that CI cannot pass for want of a cluster.
    """
    found = cluster("status").returncode == 0
    started = cluster("up")
    if started.returncode:
        refuse = pytest.fail if os.environ.get("MVIT_VIDEO_REQUIRE_SLURM") else pytest.skip
        refuse(started.stderr.strip())
    yield
    if not found:
        ended = cluster("down")
        assert ended.returncode == 0, ended.stderr
