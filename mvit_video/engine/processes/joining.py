"""Finding the other processes of a run: as torchrun or Slurm started them, or none."""

import faulthandler
import logging
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch.distributed import Store, TCPStore  # type: ignore[attr-defined]

from mvit_video.config import Config
from mvit_video.engine.device import choose_device
from mvit_video.engine.errors import PASSING_STATUS, PassingError, RunError, Stopped, is_mendable
from mvit_video.engine.processes.environment import RENDEZVOUS_VARIABLE, refuse_loose_tasks
from mvit_video.engine.processes.group import ALONE, Group, forget_patience, learn_patience
from mvit_video.engine.processes.watching import Watch, own_address

_POLL_SECONDS = 0.2
_LEAVING_SECONDS = 60.0

_joined: Group | None = None  # this process's, inside ``joined``


@contextmanager
def joined(config: Config) -> Iterator[Group]:
    """Work as one of the processes that were started together; leaving ends the connection.

    They are found by what torchrun puts into the environment, else by the variables of a Slurm task where
    ``MVIT_VIDEO_RENDEZVOUS`` names a folder that all nodes share; without either this process is alone.
    Inside another ``joined`` it is that one's group.

    Args:
        config: DEVICE and NUM_GPUS say which back ends are needed, DISTRIBUTED.TIMEOUT_SECONDS how long the
            others are waited for.

    Raises:
        RunError: the environment is not complete.
        PassingError: the others did not come.
    """
    global _joined
    if _joined is not None:
        yield _joined
        return
    group = find_group(os.environ)
    if group.world_size == 1:
        yield group
        return
    if not faulthandler.is_enabled():
        faulthandler.enable()  # a back end that gives up aborts the process
    _connect(config, group)
    logger = logging.getLogger("mvit_video")
    level = logger.level
    stop: Stopped | None = None
    try:
        if not group.is_main:
            logger.setLevel(logging.WARNING)
        learn_patience()
        watch = Watch(group, config.distributed.timeout_seconds)
        _joined = group
        with _failures_told(group, watch):
            try:
                yield group
            except Stopped as error:  # in all of them alike
                stop = error
            group.barrier()  # whoever left before could no longer be told of a failure
        watch.leave()
    finally:
        _joined = None
        logger.setLevel(level)
        _disconnect()
    if stop is not None:
        raise stop if group.is_main else SystemExit(exit_status(stop)) from stop


@contextmanager
def _failures_told(group: Group, watch: Watch) -> Iterator[None]:
    """What happens to this process is told to the others; what all can meet alike is said by the first alone.

    Raises:
        RunError: the first process fails because of an error of another one that the user can mend.
        PassingError: or that may pass by itself.
        SystemExit: another process fails with such an error.
    """
    try:
        yield
    except BaseException as error:
        status = exit_status(error)
        cause = watch.report((str(error).splitlines() or [""])[0] or type(error).__name__, status)
        if status is None and cause is not None and cause.status is not None:
            status = cause.status
            if group.is_main:
                raise (PassingError if status == PASSING_STATUS else RunError)(cause.text) from error
        if status is None or group.is_main:
            raise
        raise SystemExit(status) from error


def exit_status(error: BaseException) -> int | None:
    """The exit status of a process that ends by this error; None where the program may be at fault."""
    if isinstance(error, Stopped):
        return 128 + error.signal_number
    if isinstance(error, KeyboardInterrupt):
        return 130
    if is_mendable(error):
        return 2
    return PASSING_STATUS if isinstance(error, PassingError | OSError) else None


def _disconnect() -> None:
    """Leave the process group, within a bounded time whatever became of the others."""
    faulthandler.dump_traceback_later(_LEAVING_SECONDS, exit=True)
    forget_patience()
    dist.destroy_process_group()
    faulthandler.cancel_dump_traceback_later()


def find_group(environment: Mapping[str, str]) -> Group:
    """Which of how many processes this is, by the environment it was started in.

    Raises:
        RunError: a variable is missing, or is no number; or srun started several tasks that cannot meet.
    """
    if {"RANK", "WORLD_SIZE"} <= environment.keys():
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        return _group(environment, names, "start the processes by torchrun")
    if environment.get(RENDEZVOUS_VARIABLE) and environment.get("SLURM_NTASKS", "1") != "1":
        names = ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", "SLURM_NTASKS_PER_NODE")
        return _group(environment, names, "start the tasks by mvit-video submit")
    refuse_loose_tasks(environment)
    return ALONE


def _group(environment: Mapping[str, str], names: tuple[str, str, str, str], advice: str) -> Group:
    rank, world_size, local_rank, local_world_size = names
    try:
        group = Group(
            int(environment[rank]),
            int(environment[world_size]),
            int(environment.get(local_rank, 0)),
            int(environment.get(local_world_size, 1)),
        )
    except (KeyError, ValueError) as error:
        found = ", ".join(f"{name} {environment.get(name, 'not set')}" for name in names)
        raise RunError(f"the environment says {found}, expected numbers: {advice}") from error
    if not 0 <= group.rank < group.world_size:
        raise RunError(f"{rank} is {group.rank} of {world_size} {group.world_size}: {advice}")
    return group


def _connect(config: Config, group: Group) -> None:
    device = choose_device(config.device, config.num_gpus, group)
    seconds = config.distributed.timeout_seconds
    timeout = timedelta(seconds=seconds)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    if device.type == "cuda":
        torch.cuda.set_device(device)
    try:
        if "MASTER_ADDR" in os.environ and "RANK" in os.environ:
            dist.init_process_group(backend, timeout=timeout)
            return
        folder = os.environ.get(RENDEZVOUS_VARIABLE)
        if not folder:
            raise RunError("RANK and WORLD_SIZE are set, MASTER_ADDR is not: start the processes by torchrun")
        store = _meet(Path(folder) / _meeting_name(os.environ), group, seconds)
        dist.init_process_group(
            backend, store=store, rank=group.rank, world_size=group.world_size, timeout=timeout
        )
    except (RuntimeError, OSError) as error:
        raise PassingError(
            f"process {group.rank} of {group.world_size} (on {socket.gethostname()}) did not find the others "
            f"in {seconds:g} s: {(str(error).splitlines() or [type(error).__name__])[0]}"
        ) from error


def _meeting_name(environment: Mapping[str, str]) -> str:
    """The name of the file by which the tasks of a Slurm job step find each other; another at each start."""
    parts = [
        environment.get(f"SLURM_{name}", "0")
        for name in ("JOB_ID", "ARRAY_TASK_ID", "RESTART_COUNT", "STEP_ID")
    ]
    return "-".join(["meeting", *parts])


def _meet(path: Path, group: Group, seconds: float) -> Store:
    """The store of the first process, on a port that the system chose; a file tells the others where.

    Raises:
        PassingError: no such file.
        RuntimeError: nobody answers where it says.
    """
    timeout = timedelta(seconds=seconds)
    if group.is_main:
        store = TCPStore("0.0.0.0", 0, is_master=True, wait_for_workers=False, timeout=timeout)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.tmp")
        temporary.write_text(f"{own_address(group)} {store.port}\n", encoding="utf-8")
        os.replace(temporary, path)
        return store
    end = time.monotonic() + seconds
    while not path.exists():
        if time.monotonic() > end:
            raise PassingError(
                f"{path}: the first process has not written it in {seconds:g} s; do all nodes see this "
                "folder?"
            )
        time.sleep(_POLL_SECONDS)
    host, port = path.read_text(encoding="utf-8").split()
    return TCPStore(host, int(port), is_master=False, timeout=timeout)
