"""What a run has to be repeated with: versions, the command line, and the checkout's state."""

import platform
import shlex
import socket
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from mvit_video.version import __version__

PACKAGE = Path(__file__).parents[2]
_VERSIONS = ("torchvision", "av", "submitit")


def describe_circumstances(command: Sequence[str]) -> dict[str, Any]:
    """Versions, computer and command line, as JSON can hold them."""
    import torch

    versions = {"mvit_video": __version__, "torch": str(torch.__version__)}  # with its build: 2.6.0+cu124
    return {
        "command": shlex.join(command),
        "host": socket.gethostname(),
        "python": f"{platform.python_version()} ({sys.executable})",
        "versions": {**versions, **{name: _version(name) for name in _VERSIONS}},
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def describe_checkout(package: Path = PACKAGE) -> tuple[dict[str, Any], bytes] | None:
    """The commit, the names of unknown files, and the diff to the commit; None outside of a checkout.

    Args:
        package: the folder of the package; it has to be one of the checkout's files, so that a virtual
            environment inside of some other project does not count.
    """
    top = _git(package, "rev-parse", "--show-toplevel")
    if top is None or _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    root = Path(top.decode().strip())
    commit = _git(root, "rev-parse", "HEAD")
    branch = _git(root, "rev-parse", "--abbrev-ref", "HEAD")
    untracked = _git(root, "ls-files", "-z", "--others", "--exclude-standard") or b""
    facts = {
        "folder": str(root),
        "commit": commit.decode().strip() if commit else None,
        "branch": branch.decode().strip() if branch else None,
        "untracked": [name.decode(errors="backslashreplace") for name in untracked.split(b"\0") if name],
    }
    return facts, _git(root, "diff", "--binary", "HEAD") or b""


def _git(folder: Path, *words: str) -> bytes | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
