import importlib.util
import pickle
import subprocess
import sys

import pytest
from kit.videos import read_numbers, write_video
from PIL import Image

from mvit_video.data import Decoding, VideoError, open_reader, open_video
from mvit_video.data.video.pyav_reader import PyavReader


@pytest.fixture(scope="module")
def mp4(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("opening") / "v.mp4", 12)


@pytest.mark.parametrize("backend", ["auto", "pyav"])
def test_files_are_pyavs(mp4, backend):
    with open_reader(mp4, Decoding(backend)) as video:
        assert type(video) is PyavReader
        assert read_numbers(video.frames([11, 0])) == [11, 0]
    with open_video(mp4, backend=backend) as video:
        assert type(video.reader) is PyavReader


def test_what_decoding_can_be():
    assert Decoding() == Decoding("auto", "keep", 1)
    assert pickle.loads(pickle.dumps(Decoding("pyav", "refuse", 2))) == Decoding("pyav", "refuse", 2)
    with pytest.raises(
        ValueError, match="backend is 'nvdec', expected one of auto, pyav, decord, torchcodec"
    ):
        Decoding("nvdec")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="on_damage is 'drop', expected one of keep, refuse"):
        Decoding(on_damage="drop")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"threads is -1, expected 0 \(the decoder chooses\) or more"):
        Decoding(threads=-1)
    with pytest.raises(ValueError, match=r"frames_fps is 0, expected a number above 0"):
        Decoding(frames_fps=0)


@pytest.mark.parametrize("backend", ["decord", "torchcodec"])
def test_a_backend_that_is_not_installed_is_named(mp4, backend):
    """In a process where it cannot be imported, installed here or not."""
    code = f"""
import sys
sys.modules[{backend!r}] = None
from mvit_video.data import Decoding, VideoError, open_reader
try:
    open_reader({str(mp4)!r}, Decoding({backend!r}))
except VideoError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    (line,) = done.stdout.splitlines()
    assert f"v.mp4: backend '{backend}' is asked for, but it cannot be imported" in line
    assert f"pip install {backend}, or take backend 'auto'" in line


def test_decord_is_taken_when_told(mp4):
    if importlib.util.find_spec("decord") is None:
        pytest.fail("decord is among the requirements where it has wheels")
    with open_reader(mp4, Decoding("decord")) as video:
        assert type(video).__name__ == "DecordReader"
        assert read_numbers(video.frames([3, 11])) == [3, 11]


def test_opening_imports_one_backend_only(mp4):
    code = (
        "import sys; from mvit_video.data import open_reader\n"
        f"open_reader({str(mp4)!r}).num_frames\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & "
        "{'decord', 'torchcodec', 'pytorchvideo', 'torchvision', 'iopath'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_folder_without_images_is_no_video(tmp_path):
    with pytest.raises(VideoError, match="no images"):
        open_reader(tmp_path)


def test_the_frame_rate_of_a_folder_is_given(tmp_path):
    for number in range(3):
        Image.new("RGB", (32, 32)).save(tmp_path / f"{number}.png")
    assert open_reader(tmp_path).fps == 30
    assert open_reader(tmp_path, Decoding(frames_fps=12)).duration == 0.25
