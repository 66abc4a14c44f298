"""Versions and the checkout's state, in real repositories."""

import subprocess

import torch

from mvit_video.launch.queueing.circumstances import describe_checkout, describe_circumstances
from mvit_video.version import __version__


def git(folder, *words):
    own = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", folder, *own, *words], check=True, capture_output=True)


def repository(folder):
    package = folder / "package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("one\n")
    git(folder, "init", "--initial-branch=trunk")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "first")
    return package


def test_versions_and_command_line():
    found = describe_circumstances(["mvit-video", "submit", "OUTPUT_DIR", "my run"])
    assert found["command"] == "mvit-video submit OUTPUT_DIR 'my run'"
    assert found["versions"]["mvit_video"] == __version__
    assert found["versions"]["torch"] == torch.__version__
    assert found["versions"]["submitit"]


def test_a_checkout_is_kept_so_that_it_can_be_had_again(tmp_path):
    package = repository(tmp_path / "project")
    (package / "__init__.py").write_text("two\n")
    (package / "new.py").write_text("new\n")
    facts, diff = describe_checkout(package)
    commit = subprocess.run(
        ["git", "-C", package, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    )
    assert facts["commit"] == commit.stdout.strip()
    assert facts["branch"] == "trunk"
    assert facts["untracked"] == ["package/new.py"]
    git(tmp_path, "clone", str(tmp_path / "project"), "copy")
    (tmp_path / "kept.diff").write_bytes(diff)
    git(tmp_path / "copy", "apply", str(tmp_path / "kept.diff"))
    assert (tmp_path / "copy/package/__init__.py").read_text() == "two\n"


def test_an_installed_package_is_no_checkout(tmp_path):
    (tmp_path / "package").mkdir()
    assert describe_checkout(tmp_path / "package") is None


def test_a_virtual_environment_inside_of_another_project_is_no_checkout(tmp_path):
    repository(tmp_path / "project")
    installed = tmp_path / "project" / ".venv" / "package"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    assert describe_checkout(installed) is None
