"""Starting, finding and ending the cluster's processes, each by the file that holds its number."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path


class ClusterError(Exception):
    """The cluster cannot be had; the text says why and what to do."""


def call(*command: str, seconds: float = 30, quiet: bool = False) -> str:
    """The output of a command.

    Raises:
        ClusterError: it failed, or took longer; never where ``quiet``, which makes it the empty string.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    except (OSError, subprocess.TimeoutExpired) as error:
        if quiet:
            return ""
        raise ClusterError(f"{command[0]}: {error}") from None
    if done.returncode and not quiet:
        raise ClusterError(f"{' '.join(command)} ended with status {done.returncode}: {done.stderr.strip()}")
    return "" if done.returncode else done.stdout


def wait_until(what: str, holds: Callable[[], object], seconds: float = 60) -> None:
    """Ask until the answer is true.

    Raises:
        ClusterError: it never was.
    """
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise ClusterError(f"waited {seconds:.0f} s in vain for this: {what}")
        time.sleep(0.2)


def running(pid_file: Path, name: str) -> int | None:
    """The process of a pid file, if it runs under this name.

    Numbers are used again, and an ended process whose parent does not ask stays as a zombie: neither counts.
    """
    try:
        pid = int(pid_file.read_text())
        status = Path(f"/proc/{pid}/status").read_text()
    except (OSError, ValueError):
        return None
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return pid if fields["Name"] == name and not fields["State"].startswith("Z") else None


def start(pid_file: Path, *command: str) -> None:
    """Run a command that turns into a daemon and writes its pid file, unless it runs already."""
    name = os.path.basename(command[0])
    if running(pid_file, name) is None:
        call(*command)
        wait_until(f"{name} runs", lambda: running(pid_file, name))


def start_staying(pid_file: Path, log: Path, *command: str) -> None:
    """The same of a command that stays in the foreground."""
    name = os.path.basename(command[0])
    if running(pid_file, name) is None:
        with log.open("ab") as output:
            subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        wait_until(f"{name} runs", lambda: running(pid_file, name))


def stop(pid_file: Path, name: str) -> None:
    """End the process of a pid file: politely, and after ten seconds for good."""
    if (pid := running(pid_file, name)) is None:
        return
    os.kill(pid, signal.SIGTERM)
    try:
        wait_until(f"{name} has ended", lambda: running(pid_file, name) is None, seconds=10)
    except ClusterError:
        os.kill(pid, signal.SIGKILL)
        wait_until(f"{name} has ended", lambda: running(pid_file, name) is None, seconds=10)
