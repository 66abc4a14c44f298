"""The configuration files of the local cluster, with the reason for what is not Slurm's default."""

from dataclasses import dataclass
from pathlib import Path

MARK = "# Written by tools/slurm of mvit_video; `cluster.py down` removes it.\n"
DATABASE_PORT = 13306
FIRST_NODE_PORT = 17001
NAME = "mvit_video_tests"


@dataclass(frozen=True)
class Cluster:
    """What the cluster is to be.

    Attributes:
        host: this machine's short name.
        state: folder of everything the daemons write.
        version: Slurm's, like (22, 5).
        nodes: how many of them; they are called n1, n2, ...
        cpus: that every node claims to have, more than the machine may have.
        gpus: likewise; they are empty files, good for asking and being given, not for computing.
    """

    host: str
    state: Path
    version: tuple[int, int]
    nodes: int
    cpus: int = 8
    gpus: int = 2

    @property
    def names(self) -> list[str]:
        """n1, n2, ..."""
        return [f"n{number}" for number in range(1, self.nodes + 1)]


def slurm_conf(cluster: Cluster) -> str:
    """slurm.conf: one controller and several slurmd on one machine."""
    nodes = "\n".join(
        f"NodeName={name} NodeHostname={cluster.host} NodeAddr=127.0.0.1 Port={FIRST_NODE_PORT + index} "
        f"CPUs={cluster.cpus} RealMemory=16000 Gres=gpu:{cluster.gpus}"
        for index, name in enumerate(cluster.names)
    )
    return f"""{MARK}
ClusterName={NAME}
SlurmctldHost={cluster.host}(127.0.0.1)
SlurmUser=root
StateSaveLocation={cluster.state}/controller
SlurmctldPidFile={cluster.state}/slurmctld.pid
SlurmctldLogFile={cluster.state}/log/slurmctld.log
# %n is the node: several slurmd share this file and this machine.
SlurmdSpoolDir={cluster.state}/%n
SlurmdPidFile={cluster.state}/slurmd-%n.pid
SlurmdLogFile={cluster.state}/log/slurmd-%n.log

# No cgroups: containers seldom let us have them.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
# Nodes may claim more CPUs than there are; memory is not counted.
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
GresTypes=gpu

# A job that is requeued waits until the credential of its former start has expired: 120 s by default.
AuthInfo=cred_expire=8
# From SIGTERM to SIGKILL. Longer than a step and a checkpoint of the tests, on a machine that is busy.
KillWait=12
# A time limit may be overrun by a minute before the job is ended; the signal ahead of it comes as always. On
# a slow machine a start, a step and a save take longer than the shortest limit, one minute.
OverTimeLimit=1
# Look at the queue at once rather than once a minute.
SchedulerParameters=sched_interval=2,bf_interval=2
# sacct is asked long after: jobs stay known to scontrol, too.
MinJobAge=3600
# A node that stopped answering is lost after half a minute, and back when it answers again; one that was
# taken down by hand (scontrol update state=down) stays down until it is resumed by hand.
SlurmdTimeout=30
ReturnToService=1

# Jobs in `preemptible` give way to jobs in `main`: they get the signal that they asked for with --signal at
# once (without this: SIGTERM alone), then GraceTime seconds, and are queued again.
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal

# submitit follows jobs through sacct, which needs the database.
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost

{nodes}
PartitionName=main Nodes=ALL Default=YES DefaultTime=30 PriorityTier=10 PreemptMode=OFF
PartitionName=preemptible Nodes=ALL DefaultTime=30 PriorityTier=1 PreemptMode=REQUEUE GraceTime=60
"""


def gres_conf(cluster: Cluster) -> str:
    """gres.conf: GPUs that are files. Without them slurmd finds fewer than promised: the node is refused."""
    gpus = "\n".join(
        f"NodeName=n[1-{cluster.nodes}] Name=gpu File={cluster.state}/gpu{number}"
        for number in range(cluster.gpus)
    )
    return f"{MARK}AutoDetect=off\n{gpus}\n"


def cgroup_conf(cluster: Cluster) -> str:
    """cgroup.conf: newer versions ask for cgroups unless told not to; older ones do not know the word."""
    return MARK + ("CgroupPlugin=disabled\n" if cluster.version >= (23, 11) else "")


def slurmdbd_conf(cluster: Cluster) -> str:
    """slurmdbd.conf: where the database listens. slurmdbd insists that nobody else may read it (mode 600)."""
    return f"""{MARK}
DbdHost=localhost
SlurmUser=root
PidFile={cluster.state}/slurmdbd.pid
LogFile={cluster.state}/log/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={DATABASE_PORT}
StorageUser=root
"""
