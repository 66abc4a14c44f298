"""Submissions in a folder, and programs that stand where Slurm's would."""

import os
import sys
from pathlib import Path

import pytest

from mvit_video.launch.resources import Resources
from mvit_video.launch.submission import Request, new_submission

GOLDEN = Path(__file__).parents[1] / "golden" / "slurm"


@pytest.fixture
def make_submission(tmp_path):
    """``make_submission(what, **fields)``: a submission into ``tmp_path/out``."""

    def make(what="run", **fields):
        submission = new_submission(tmp_path / "out")
        request = Request(what, Resources(), str(tmp_path), fields.pop("restarts", 3), **fields)
        submission.write(request, {})
        return submission

    return make


class Commands:
    """Programs on PATH that say what they are told to say, and keep how they were called."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()

    def add(self, name, *, says="", complains="", status=0):
        """A program that prints ``says``, and ``complains`` to standard error."""
        (self.folder / f"{name}.says").write_text(says)
        script = self.folder / name
        script.write_text(
            f"#!{sys.executable}\nimport sys\n"
            f"open({str(self.folder / 'calls')!r}, 'a').write(' '.join([{name!r}, *sys.argv[1:]]) + '\\n')\n"
            f"print(open({str(self.folder / f'{name}.says')!r}).read(), end='')\n"
            f"print({complains!r}, file=sys.stderr, end='')\n"
            f"sys.exit({status})\n"
        )
        script.chmod(0o755)

    @property
    def calls(self):
        """How they were called, a line each."""
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """Nothing but these programs, and those of the system, is found on PATH."""
    found = Commands(tmp_path / "commands")
    monkeypatch.setenv("PATH", f"{found.folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    for name in ("sbatch", "srun", "scontrol", "squeue", "sacct"):  # a real one is not to be asked
        found.add(name, complains="not there", status=127)
    return found
