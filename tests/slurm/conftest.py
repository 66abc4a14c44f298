"""A real Slurm for the tests marked ``slurm``: one that runs is used, otherwise one is started and ended."""

import os

import pytest
from kit.slurm_jobs import cluster, curve, slurm, submit
from kit.tiny_runs import YAML, write_videos

from mvit_video.config import load_config
from mvit_video.engine import train

# 32 videos, 8 to a step: 4 steps in each of 5 epochs. Every process has 2 of the 8, and mixes them.
WORDS = {
    "MIXUP.ENABLE": True,
    "MODEL.LOSS_FUNC": "soft_cross_entropy",
    "TRAIN.MICRO_BATCH_SIZE": 2,
    "SOLVER.MAX_EPOCH": 5,
    "TEST.ENABLE": False,
    "TRAIN.ENABLE": True,
}


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


@pytest.fixture(scope="session")
def recipe(tmp_path_factory):
    """A configuration file of a run that takes seconds, and the words that stand behind it."""
    folder = tmp_path_factory.mktemp("recipe")
    listing = write_videos(folder / "videos", videos_per_class=16) / "list.csv"
    (folder / "tiny.yaml").write_text(YAML)
    words = {"DATA.TRAIN_LIST": listing, "DATA.TEST_LIST": listing, **WORDS}
    return folder / "tiny.yaml", [str(word) for pair in words.items() for word in pair]


@pytest.fixture
def start(slurm_cluster, recipe, tmp_path):
    """``start(*words, hold=step, flags=...)`` hands in a training of 2 nodes x 2 tasks."""
    jobs = []

    def submit_training(*words, hold=None, flags=(), nodes=2):
        config, own = recipe
        brake = tmp_path / "brake"
        brake.mkdir()
        if hold is not None:
            (brake / "hold").write_text(str(hold))
        output = tmp_path / "out"
        job = submit(
            *(config, output, brake, "--nodes", nodes, "--tasks-per-node", 2, "--cpus-per-task", 1),
            *("--name", f"test-{tmp_path.name}", *flags, *own, "OUTPUT_DIR", output, *words),
        )
        jobs.append(job)
        return job

    yield submit_training
    for job in jobs:
        slurm("scancel", job.number)


@pytest.fixture(scope="session")
def trained(recipe, tmp_path_factory):
    """OUTPUT_DIR of the same training by one process that nothing interrupts, outside of Slurm."""
    config, words = recipe
    output = tmp_path_factory.mktemp("alone")
    train(load_config([config], [*words, "NUM_SHARDS", "2", "OUTPUT_DIR", str(output)]))
    return output


@pytest.fixture(scope="session")
def alone(trained):
    """Its curve."""
    return curve(trained)
