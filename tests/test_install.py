"""The wheel: built from a copy of the checkout, unpacked beside nothing else, used from an empty folder."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent
NEEDED = ("mvit_video", "configs", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The built wheel; the checkout is copied, so that building leaves nothing in it."""
    source = tmp_path_factory.mktemp("source")
    for name in NEEDED:
        place = CHECKOUT / name
        copy = shutil.copytree if place.is_dir() else shutil.copy
        copy(place, source / name)
    out = tmp_path_factory.mktemp("wheel")
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(out),
        str(source),
    ]
    subprocess.run(build, check=True, capture_output=True)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def run(wheel, tmp_path_factory):
    """Runs a program that sees the wheel's contents first, in an empty folder."""
    site = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    empty = tmp_path_factory.mktemp("empty")

    def run(*words):
        done = subprocess.run(
            [sys.executable, *words],
            cwd=empty,
            env={**os.environ, "PYTHONPATH": str(site)},
            capture_output=True,
            text=True,
        )
        assert list(empty.iterdir()) == []
        return done

    where = run("-c", "import mvit_video; print(mvit_video.__file__)").stdout.strip()
    assert Path(where).is_relative_to(site)
    return run


def test_wheel_holds_configs_class_names_types_and_the_licence(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for config in (CHECKOUT / "configs").glob("*/*.yaml"):
        assert f"mvit_video/{config.relative_to(CHECKOUT)}" in names
    for text in (CHECKOUT / "mvit_video/weights/class_names").glob("*.txt"):
        assert str(text.relative_to(CHECKOUT)) in names
    for module in (CHECKOUT / "mvit_video").rglob("*.py"):
        assert str(module.relative_to(CHECKOUT)) in names
    assert "mvit_video/py.typed" in names
    assert any(name.endswith("LICENSE") for name in names)


def test_help_and_version(run):
    assert "predict" in run("-m", "mvit_video", "--help").stdout
    assert run("-m", "mvit_video", "--version").stdout.split()[-1][0].isdigit()


def test_packaged_configuration_is_found_by_name(run):
    done = run("-m", "mvit_video", "run", "--cfg", "K400/MVITv2_B_32x3", "--print-config")
    assert done.returncode == 0, done.stderr
    assert "51.23 M" in done.stdout


def test_checkout_that_is_not_installed_finds_its_configurations():
    code = "from mvit_video.config import load_config; print(load_config('K400/MVITv2_S_16x4').model.name)"
    # -S: without site-packages' .pth files an editable installation does not help either.
    paths = os.pathsep.join(path for path in sys.path if path.endswith("site-packages"))
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONPATH": f"{CHECKOUT}{os.pathsep}{paths}"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "mvitv2_s_16x4", done.stderr


def test_missing_data_and_weights_are_said_in_a_line(run):
    done = run("-m", "mvit_video", "test", "--cfg", "K400/MVITv2_S_16x4")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "TEST.CHECKPOINT_FILE_PATH" in done.stderr
