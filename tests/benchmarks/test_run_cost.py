"""The parts that the figures of run_cost.py hang on, and the script itself with a tiny model."""

import io
import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch
from kit import colours

from mvit_video.engine.training.preparation import prepare_training

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
FIGURE = r"[\d.]+ \([\d.]+-[\d.]+\)"


@pytest.fixture
def part(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return lambda name: import_module(f"costs.{name}")


@pytest.fixture
def setup(part, tmp_path):
    """Two clips, read without workers."""
    videos = [
        colours.write_colour_video(tmp_path / f"{name}.mp4", colour, frames_each=90)
        for name, colour in (("red", colours.RED), ("blue", colours.BLUE))
    ]
    return part("setups").Setup(tuple(videos), tmp_path, "cpu", workers=0, rounds=1, threads=1, quick=True)


def test_what_was_waited_is_a_share_of_the_later_steps(part):
    rows = [
        {"step_seconds": seconds, "data_seconds": data, "clips_per_second": 4 / seconds}
        for seconds, data in ((100.0, 99.0), (1.0, 0.25), (3.0, 0.75))
    ]
    assert part("waiting").waited(rows, 1) == pytest.approx((2.0, 0.25, 2.0))


@pytest.mark.parametrize(
    ("values", "text"),
    [([3.0, 1.0, 2.0], "2 (1-3)"), ([1.0, 2.0], "1.5 (1-2)"), ([0.12345, 2345.6], "1173 (0.123-2346)")],
)
def test_a_median_and_its_spread(part, values, text):
    assert part("setups").spread(values) == text


def test_what_is_discarded_is_counted_as_a_file_would_be(part):
    contents = {"a": torch.rand(300, 7), "b": [torch.zeros(5)]}
    sink, file = part("saving").Discarded(), io.BytesIO()
    torch.save(contents, sink)
    torch.save(contents, file)
    assert sink.bytes == file.getbuffer().nbytes


def test_the_setup_is_the_published_recipe_on_the_videos(setup):
    config = setup.config("mvitv2_s_16x4", 5, "TRAIN.BATCH_SIZE", 1)
    assert config.aug.aa_type == "rand-m7-n4-mstd0.5-inc1"
    assert (config.aug.num_sample, config.mixup.enable, config.train.batch_size) == (2, True, 1)
    lines = Path(config.data.train_list).read_text().splitlines()
    assert [line.rsplit(" ", 1) for line in lines] == [
        [str(setup.videos[number % 2]), str(number % 2)] for number in range(5)
    ]


def test_the_peer_gives_batches_like_ours(part, setup, tmp_path):
    words = ["TRAIN.BATCH_SIZE", 2, "MIXUP.GROUP_SIZE", 2, "OUTPUT_DIR", tmp_path / "out"]
    inputs = prepare_training(setup.config("tiny", 4, *words))
    paths = [str(video) for video in setup.videos * 2]
    theirs = part("waiting").PyTorchVideoLoader(inputs, paths)
    ours = list(inputs.loader.epoch(0))
    found = list(theirs.epoch(0))
    assert len(found) == len(ours) == theirs.num_batches == 2
    for mine, other in zip(ours, found, strict=True):
        assert other.clips.shape == mine.clips.shape == (4, 3, 4, 32, 32)
        assert other.clips.dtype == mine.clips.dtype
        assert other.clips.stride() == mine.clips.stride()
        assert (other.group_size, len(other.mixes)) == (mine.group_size, len(mine.mixes))


def test_the_rows_after_a_checkpoint_are_forgotten(part, tmp_path):
    resuming = part("resuming")
    log, folder = tmp_path / "train.jsonl", tmp_path / "checkpoints"
    assert resuming._saved_step(tmp_path) == 0
    folder.mkdir()
    for step in (3, 12):
        (folder / f"checkpoint_epoch_00000_step_{step:08d}.pyth").touch()
    assert resuming._saved_step(tmp_path) == 12
    rows = [{"kind": "train", "step": step, "epoch": 0.1} for step in (11, 12, 13, 14)]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    resuming._forget_rows(log, 12)
    assert [json.loads(line)["step"] for line in log.read_text().splitlines()] == [11, 12]


@pytest.mark.slow
def test_a_run_that_ends_at_once_is_said(part, tmp_path):
    output = tmp_path / "run"
    output.mkdir()
    command = part("resuming").Command(["--cfg", "K400/no_such_file"], output)
    with pytest.raises(RuntimeError, match=r"came to no step: .*no_such_file"):
        command.wait(bool)
    command._said.close()


@pytest.mark.slow
@pytest.mark.timeout(1800)  # a dozen processes, each of which imports torch
def test_every_part_runs_whole_with_a_tiny_model(setup, tmp_path):
    command = [sys.executable, str(FOLDER / "run_cost.py"), *map(str, setup.videos), "--quick"]
    options = ["--workers", "1", "--threads", "1", "--folder", str(tmp_path)]
    done = subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    tables = re.split(r"\n### ", done.stdout)
    titles = [table.splitlines()[0] for table in tables[1:]]
    assert titles == [
        "Waiting for data",
        "Two processes",
        "What processes tell each other in a step",
        "Checkpoints",
        "Averaged weights",
        "Going on after kill -9",
    ]
    rows = {title: _rows(table) for title, table in zip(titles, tables[1:], strict=True)}
    assert [len(found) for found in rows.values()] == [2, 2, 2, 1, 1, 1]
    for row in rows["Waiting for data"]:
        assert 0 <= float(row[4].split()[0]) <= 100
        assert float(row[3].split()[0]) * float(row[5].split()[0]) == pytest.approx(4, rel=0.02)
    assert [row[2] for row in rows["Two processes"]] == ["ddp", "fsdp"]
    assert all(re.fullmatch(FIGURE, row[5]) for row in rows["Two processes"])
    ((_, plain, averaged, *figures),) = rows["Checkpoints"]
    assert 0 < float(plain) < float(averaged) < 1.6 * float(plain)
    assert all(float(figure.split()[0].rstrip("%")) > 0 for figure in figures)
    ((_, _, new, resumed, ratio, lost, steps),) = rows["Going on after kill -9"]
    assert float(new.split()[0]) * float(ratio.split()[0]) == pytest.approx(
        float(resumed.split()[0]), rel=0.02
    )
    assert float(lost.split()[0]) >= 0
    assert float(steps.split()[0]) >= 0
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("run-cost-")]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_part_that_fails_costs_itself_alone(tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    command = [sys.executable, str(FOLDER / "run_cost.py"), str(broken), "--quick", "--threads", "1"]
    done = subprocess.run(
        [*command, "--parts", "waiting", "averaging"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert re.search(r"^waiting: failed: .*broken", done.stdout, re.MULTILINE)
    assert re.search(r"^\| tiny \| ", done.stdout, re.MULTILINE)


def _rows(table):
    lines = [line for line in table.splitlines() if line.startswith("| ")][1:]
    return [line.strip("| ").split(" | ") for line in lines]
