"""``mvit-video doctor`` on this machine, and on machines where something is wrong."""

import os
import subprocess
import sys
from importlib import metadata

import pytest

from mvit_video.cli import checks, main


def doctor(tmp_path, **environment):
    """Runs it in a process of its own, where the folder's packages come before the installed ones."""
    return subprocess.run(
        [sys.executable, "-m", "mvit_video", "doctor"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path), **environment},
    )


def test_says_what_is_here(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MVIT_VIDEO_CACHE", str(tmp_path / "cache"))
    status = main(["doctor"])
    text = capsys.readouterr().out
    assert status == 0, text
    assert f"torch          {metadata.version('torch')}" in text
    assert f"torchvision    {metadata.version('torchvision')}" in text
    for codec in ("h264", "hevc", "vp9", "av1"):
        assert f"  {codec:<14} yes (" in text
    assert f"{tmp_path / 'cache'} (0 files, 0 MB;" in text
    assert text.endswith("nothing wrong found\n")
    assert not (tmp_path / "cache").exists()


def test_broken_packages_are_findings_and_the_rest_is_still_checked(tmp_path):
    for package, error in {"torchvision": "RuntimeError('operator torchvision::nms does not exist')",
                           "decord": "OSError('libdecord.so: no')",
                           "av": "ImportError('libav is broken')"}.items():  # fmt: skip
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(f"raise {error}\n")
    blocked = tmp_path / "file"
    blocked.touch()
    done = doctor(tmp_path, MVIT_VIDEO_CACHE=str(blocked / "cache"))
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    problems = done.stdout.partition("wrong:\n")[2]
    assert "torchvision::nms does not exist" in problems
    assert "reinstall it: pip install" in problems
    assert "set MVIT_VIDEO_CACHE to another" in problems
    assert "decord         no, and not needed (OSError: libdecord.so: no)" in done.stdout
    assert "decord" not in problems
    assert "av: no video can be read without PyAV (ImportError: libav is broken)" in problems
    assert f"numpy          {metadata.version('numpy')}" in done.stdout
    assert "bf16\n  cpu " in done.stdout


def test_requirements_that_are_missing_or_old():
    missing = checks.check_requirement("no-such-package-at-all>=3")
    assert (missing.ok, missing.text) == (False, "not installed")
    assert missing.remedy == 'no-such-package-at-all is missing; run: pip install "no-such-package-at-all>=3"'
    old = checks.check_requirement("pyyaml>=999.1")
    assert not old.ok
    assert old.text.endswith(", wanted >=999.1")
    assert checks.check_requirement("pyyaml>=6").ok
    assert checks.check_requirement('pyyaml>=6; python_version > "3"').ok


def test_a_torchvision_for_another_torch_is_named_with_what_to_install(tmp_path, monkeypatch):
    """Two distributions as pip would have left them."""
    for name, version, requires in (
        ("torchvision", "0.21.0", "Requires-Dist: torch==2.6.0\n"),
        ("torch", "2.8.1+cpu", ""),
    ):
        folder = tmp_path / f"{name}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}"
        )
    monkeypatch.syspath_prepend(str(tmp_path))
    finding = checks.check_requirement("torchvision>=0.21")
    assert not finding.ok
    assert "torchvision 0.21.0 was built for torch 2.6.0, but torch is 2.8.1+cpu" in finding.remedy
    assert 'pip install "torch==2.6.0"' in finding.remedy


@pytest.mark.parametrize(
    ("version", "relation", "wanted", "good"),
    [("2.10.0", ">=", "2.6", True), ("2.5.1+cu121", ">=", "2.6", False), ("0.1.5.post2", ">=", "0.1.5", True),
     ("0.1.5", "==", "0.1.5", True), ("0.1.6", "==", "0.1.5", False), ("2.11.0.dev2026", ">=", "2.6", True)],
)  # fmt: skip
def test_versions_are_compared_as_numbers(version, relation, wanted, good):
    assert checks._satisfies(version, relation, wanted) is good
