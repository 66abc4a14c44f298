"""Real processes that work together: by torchrun, or one by one as a cluster starts them."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
KIT = TESTS / "kit"
RUN_NET = TESTS.parent / "tools" / "run_net.py"
SECONDS = 600  # for what takes a few: the machine may be busy


def environment(**more):
    """This process's variables, without those by which processes find each other."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "MVIT_VIDEO"))}
    return {**own, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1", **{k: str(v) for k, v in more.items()}}


def torchrun(*words, count=2):
    """Runs a script in several processes, and waits; returns what was printed."""
    launcher = (sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}")
    done = subprocess.run(
        [*launcher, *map(str, words)], env=environment(), capture_output=True, text=True, timeout=SECONDS
    )
    return done.returncode, done.stdout + done.stderr


def start_ranks(folder, *words, count=2, variables=None):
    """Starts a script in several processes that find each other by a file in the folder; nobody minds them.

    ``variables``, called with a rank, gives those by which they find each other otherwise.

    Returns:
        The processes; their messages lie in ``folder/rank0.txt`` and so on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    processes = []
    for rank in range(count):
        numbers = {"RANK": rank, "WORLD_SIZE": count, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": count}
        own = variables(rank) if variables else {**numbers, "MVIT_VIDEO_RENDEZVOUS": folder}
        command = [sys.executable, *map(str, words)]
        with open(folder / f"rank{rank}.txt", "w") as said:
            processes.append(subprocess.Popen(command, env=environment(**own), stdout=said, stderr=said))
    return processes


def wait_for(processes):
    """The exit statuses, in order; kills what is still there after a long time."""
    try:
        return [process.wait(timeout=SECONDS) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def messages(folder, rank):
    """What a rank said."""
    return (folder / f"rank{rank}.txt").read_text()
