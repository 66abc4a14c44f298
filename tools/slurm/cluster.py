"""A Slurm cluster of several "nodes" on this one machine, for tests and for trying out job scripts.

    python3 tools/slurm/cluster.py up [--nodes 5]    installs Slurm where it is missing, starts everything
    python3 tools/slurm/cluster.py status            which nodes and jobs there are
    python3 tools/slurm/cluster.py down [--purge]    cancels all jobs and ends everything; --purge forgets all

A real Slurm: munge, slurmctld, slurmdbd on a MariaDB of its own (sacct works), and one slurmd per node. Needs
root on Debian or Ubuntu, no systemd. What the daemons write lies in /var/lib/mvit_video_slurm (--state), the
configuration in /etc/slurm; where that holds somebody else's it is left alone, and nothing starts.
"""

import argparse
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import configuration
import daemons
from configuration import DATABASE_PORT, MARK, Cluster
from daemons import ClusterError, call, wait_until

STATE = Path("/var/lib/mvit_video_slurm")
CONFIGURATION = Path("/etc/slurm")
FILES = ("slurm.conf", "gres.conf", "cgroup.conf", "slurmdbd.conf")
# The -core packages: mariadb-server pulls in twenty more, and starts a server of its own.
PACKAGES = (
    *("slurmctld", "slurmd", "slurm-client", "munge"),
    *("slurmdbd", "slurm-wlm-mysql-plugin", "mariadb-server-core", "mariadb-client-core"),
)


def up(state: Path, nodes: int) -> None:
    """Everything runs and every node is ready when this returns. Running already, it is left as it is."""
    check_machine()
    check_configuration()
    install()
    cluster = Cluster(socket.gethostname().split(".")[0], state, slurm_version(), nodes)
    prepare(cluster)
    start_munge(state)
    start_accounting(state)
    daemons.start(state / "slurmctld.pid", "slurmctld")
    for name in cluster.names:
        daemons.start(state / f"slurmd-{name}.pid", "slurmd", "-N", name)
    wait_until("slurmctld answers", lambda: call("scontrol", "ping", quiet=True, seconds=5))
    for name in call("sinfo", "-hN", "-t", "down,drain", "-p", "main", "-o", "%N").split():
        call("scontrol", "update", f"nodename={name}", "state=resume")
    wait_until("every node is ready", lambda: ready_nodes() >= nodes)


def check_machine() -> None:
    """Raise a ClusterError where this cannot work."""
    if not sys.platform.startswith("linux") or shutil.which("apt-get") is None:
        raise ClusterError(
            "a local Slurm is set up from Debian's or Ubuntu's packages, and there is no apt-get here; "
            "run it in a container: docker run --rm -it -v $PWD:/work -w /work python:3.12 bash"
        )
    if os.geteuid() != 0:
        raise ClusterError(
            "a local Slurm needs root (to install packages and start its daemons): use sudo, or a container"
        )


def check_configuration() -> None:
    """Raise a ClusterError where /etc/slurm is somebody else's."""
    for name in FILES:
        path = CONFIGURATION / name
        if path.exists() and not path.read_text().startswith(MARK):
            raise ClusterError(
                f"{path} was written by somebody else: this machine has a Slurm of its own, which is left "
                "alone; use a container or another machine"
            )


def install() -> None:
    """Install the packages that are missing. Another apt-get that runs is waited for."""
    states = call("dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *PACKAGES, quiet=True)
    if states.split().count("installed") == len(PACKAGES):
        return
    apt = ("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300")
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    call(*apt, "update", seconds=300, quiet=True)  # one source of many may be out of reach
    try:
        call(*apt, "install", "-y", "--no-install-recommends", *PACKAGES, seconds=600)
    except ClusterError as error:
        raise ClusterError(f"Slurm's packages cannot be installed: {error}") from None


def slurm_version() -> tuple[int, int]:
    """(22, 5) of "slurm-wlm 22.05.8"."""
    found = re.search(r"(\d+)\.(\d+)", call("slurmctld", "-V"))
    if found is None:
        raise ClusterError("slurmctld -V tells no version")
    return int(found[1]), int(found[2])


def prepare(cluster: Cluster) -> None:
    """Write the configuration and make the folders. A cluster that runs keeps the configuration it has."""
    state = cluster.state
    if daemons.running(state / "slurmctld.pid", "slurmctld"):
        if len(call("sinfo", "-hN", "-p", "main", "-o", "%N").split()) != cluster.nodes:
            raise ClusterError("a cluster of another size is running: take it down first (cluster.py down)")
        return
    for folder in ("munge", "controller", "log", *cluster.names):
        (state / folder).mkdir(parents=True, exist_ok=True)
    for number in range(cluster.gpus):
        (state / f"gpu{number}").touch()
    CONFIGURATION.mkdir(exist_ok=True)
    for name in FILES:
        write = getattr(configuration, name.replace(".", "_"))
        path = CONFIGURATION / name
        path.touch(mode=0o600 if name == "slurmdbd.conf" else 0o644)
        path.write_text(write(cluster))


def start_munge(state: Path) -> None:
    """Start munged, which vouches for who asks. One that answers already, a system's service, will do."""
    if subprocess.run("munge -n | unmunge", shell=True, capture_output=True).returncode == 0:
        return
    folder = state / "munge"
    folder.chmod(0o700)
    key = folder / "key"
    if not key.exists():
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(1024))
    Path("/run/munge").mkdir(mode=0o755, exist_ok=True)
    # --force: munged would rather not run as root.
    files = [f"--{name}-file={folder / name}" for name in ("key", "pid", "log", "seed")]
    daemons.start(folder / "pid", "munged", "--force", *files)


def start_accounting(state: Path) -> None:
    """Start MariaDB, slurmdbd on top of it, and enter the cluster."""
    database, log = state / "database", state / "log/mariadb.log"
    options = (
        *("--no-defaults", "--user=root", f"--datadir={database}"),
        *("--innodb-log-file-size=16M", "--innodb-lock-wait-timeout=900"),
    )
    if not (database / "mysql").exists():
        make = ("mariadb-install-db", *options, "--auth-root-authentication-method=normal", "--skip-test-db")
        call(*make, seconds=120)
    daemons.start_staying(
        state / "mariadb.pid", log, "mariadbd", *options, f"--pid-file={state}/mariadb.pid",
        "--bind-address=127.0.0.1", f"--port={DATABASE_PORT}", f"--socket={state}/mariadb.socket",
    )  # fmt: skip
    client = ("mariadb", "--no-defaults", "-h127.0.0.1", f"-P{DATABASE_PORT}", "-uroot", "-e", "select 1")
    wait_until("MariaDB answers", lambda: call(*client, quiet=True, seconds=5))
    daemons.start(state / "slurmdbd.pid", "slurmdbd")
    listing = ("sacctmgr", "-n", "list", "cluster", "format=cluster%30")
    wait_until("slurmdbd answers", lambda: call(*listing, "-P", quiet=True, seconds=5) or enter_cluster())


def enter_cluster() -> str:
    """Make the cluster known to slurmdbd; the empty string as long as that does not answer."""
    return call("sacctmgr", "-i", "add", "cluster", configuration.NAME, quiet=True, seconds=10)


def ready_nodes() -> int:
    """How many nodes take jobs."""
    return len(
        call("sinfo", "-hN", "-p", "main", "-t", "idle,mix,alloc,comp", "-o", "%N", quiet=True).split()
    )


def down(state: Path, purge: bool) -> None:
    """Cancel all jobs, end every daemon of ours, take the configuration away."""
    check_configuration()
    call("scancel", "--user=root", quiet=True)
    if daemons.running(state / "slurmctld.pid", "slurmctld"):
        wait_until("no job runs", lambda: not call("squeue", "-h", "-t", "R,CG", quiet=True, seconds=5), 40)
    for pid_file in sorted(state.glob("slurmd-*.pid")):
        daemons.stop(pid_file, "slurmd")
    for name in ("slurmctld", "slurmdbd", "mariadb"):
        daemons.stop(state / f"{name}.pid", "mariadbd" if name == "mariadb" else name)
    daemons.stop(state / "munge/pid", "munged")
    for name in FILES:
        (CONFIGURATION / name).unlink(missing_ok=True)
    if purge:
        shutil.rmtree(state, ignore_errors=True)


def status(state: Path) -> None:
    """Print the nodes and the jobs.

    Raises:
        ClusterError: nothing runs.
    """
    if daemons.running(state / "slurmctld.pid", "slurmctld") is None:
        raise ClusterError("no local cluster runs: cluster.py up starts one")
    print(call("sinfo", "-N", "-o", "%8N %14P %12T %E"))
    print(call("squeue", "-o", "%.8i %.12P %.24j %.10T %.8M %.6D %R"), end="")


def main() -> None:
    """What the command line asks for; errors are one line and exit status 1."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=("up", "down", "status"))
    parser.add_argument("--nodes", type=int, default=5, help="how many (default: 5)")
    parser.add_argument(
        "--state", type=Path, default=STATE, help=f"folder of state and logs (default: {STATE})"
    )
    parser.add_argument("--purge", action="store_true", help="down: forget jobs, accounting and logs as well")
    arguments = parser.parse_args()
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    try:
        match arguments.command:
            case "up":
                up(arguments.state, arguments.nodes)
                status(arguments.state)
            case "down":
                down(arguments.state, arguments.purge)
            case "status":
                status(arguments.state)
    except ClusterError as error:
        sys.exit(f"cluster.py {arguments.command}: {error}; logs are in {arguments.state}/log")


if __name__ == "__main__":
    main()
