"""Something-Something-v2 as it is downloaded (webm, json), and as SlowFast wants it (frames, frame lists)."""

import json

import av
import numpy as np
import pytest
from kit.tiny_runs import tiny_config
from kit.videos import write_video
from PIL import Image

from mvit_video.engine import run
from mvit_video.engine.checkpoints.files import read_resumable

TEMPLATES = ("Turning [something] dark", "Turning [something] light")
NAMES = ("Turning something dark", "Turning something light")


@pytest.fixture(scope="module")
def ssv2(tmp_path_factory):
    """Eight videos, ids 100 to 107, of classes 1, 0, 1, 0, ...; all of them in both splits."""
    folder = tmp_path_factory.mktemp("ssv2")
    (folder / "videos").mkdir()
    (folder / "labels.json").write_text(json.dumps({NAMES[1]: "1", NAMES[0]: "0"}))
    entries, rows = [], ["original_vido_id video_id frame_id path labels"]
    for number in range(8):
        name, label = str(100 + number), 1 - number % 2
        picture = np.full((20, 24, 3), 40 + 170 * label + number, np.uint8)
        path = write_video(
            folder / f"videos/{name}.webm", 12, width=24, height=20, fps=12, codec="libvpx-vp9",
            picture=lambda _, picture=picture: picture,
        )  # fmt: skip
        entries.append({"id": name, "template": TEMPLATES[label], "label": "...", "placeholders": ["x"]})
        (folder / "frames" / name).mkdir(parents=True)
        with av.open(str(path)) as container:
            for frame, image in enumerate(container.decode(video=0), 1):
                relative = f"{name}/{name}_{frame:06d}.png"
                Image.fromarray(image.to_ndarray(format="rgb24")).save(folder / "frames" / relative)
                rows.append(f'{name} {number} {frame - 1} {relative} ""')
    for split in ("train", "validation"):
        (folder / f"something-something-v2-{split}.json").write_text(json.dumps(entries))
    lists = folder / "lists"
    lists.mkdir()
    for split in ("train", "val"):
        (lists / f"{split}.csv").write_text("\n".join(rows) + "\n")
    return folder


def _run(tmp_path, *words):
    config = tiny_config(
        tmp_path, "DATA.TRAIN_LIST", "", "DATA.TEST_LIST", "", "DATA.SAMPLING", "segments",
        "DATA.RANDOM_FLIP", False, "DATA.INV_UNIFORM_SAMPLE", True, "TEST.NUM_ENSEMBLE_VIEWS", 1,
        "SOLVER.MAX_EPOCH", 1, *words,
    )  # fmt: skip
    return run(config)


def test_from_the_official_files(tmp_path, ssv2):
    words = ("DATA.PATH_TO_DATA_DIR", ssv2, "DATA.PATH_PREFIX", ssv2 / "videos")
    result = _run(tmp_path, *words, "DATA.LIST_FORMAT", "ssv2")
    assert [row.path for row in result.test.rows] == [f"{ssv2}/videos/{100 + i}.webm" for i in range(8)]
    assert [row.label for row in result.test.rows] == [1, 0] * 4
    assert (result.test.num_videos, result.test.num_views) == (8, 24)
    assert read_resumable(result.train.checkpoint)["class_names"] == list(NAMES)
    assert [row["kind"] for row in result.train.rows] == [
        "train",
        "train",
        "val",
    ]  # validation.json was found


def test_from_slowfasts_frame_lists_the_same_comes_out(tmp_path, ssv2):
    """PNG holds the very pixels that decoding gives; the rate is another, and segments do not ask for it."""
    videos = _run(tmp_path / "videos", "DATA.PATH_TO_DATA_DIR", ssv2, "DATA.PATH_PREFIX", ssv2 / "videos")
    words = ("DATA.PATH_TO_DATA_DIR", ssv2 / "lists", "DATA.PATH_PREFIX", ssv2 / "frames")
    frames = _run(tmp_path / "frames", *words, "DATA.LABELS_PATH", ssv2)
    assert [row.path for row in frames.test.rows] == [f"{ssv2}/frames/{100 + i}" for i in range(8)]
    assert [row.label for row in frames.test.rows] == [1, 0] * 4
    losses = [
        [row["loss"] for row in result.train.rows if row["kind"] == "train"] for result in (videos, frames)
    ]
    assert losses[0] == losses[1]
    for one, other in zip(videos.test.rows, frames.test.rows, strict=True):
        assert one.scores.tolist() == other.scores.tolist()
