"""A fine-tuning from beginning to end, on tiny videos: what it leaves, going on, and what is refused."""

import json
import logging
import shutil
from dataclasses import replace

import numpy as np
import pytest
from kit.tiny_runs import YAML
from kit.videos import write_video

from mvit_video.data import read_list
from mvit_video.finetuning import flow
from mvit_video.finetuning.errors import FinetuneError
from mvit_video.finetuning.record import Request
from mvit_video.weights import read_checkpoint

COLOURS = {"blue": (40, 40, 220), "green": (40, 220, 40), "red": (220, 40, 40)}
QUICK = ("SOLVER.MAX_EPOCH", "2", "TRAIN.BATCH_SIZE", "4")


def write_clips(folder, sources=3, clips=2, seed=0):
    """A folder per colour, with parts of several recordings: blotches in one colour."""
    rng = np.random.default_rng(seed)
    for name, colour in COLOURS.items():
        for source in range(sources):
            grain = rng.integers(-40, 35, (4, 6, 1)).repeat(6, axis=0).repeat(6, axis=1)
            for part in range(1, clips + 1):
                path = folder / name / f"film{source}_part{part}.mp4"
                path.parent.mkdir(parents=True, exist_ok=True)
                picture = np.clip(np.array(colour) + grain * (1 if part % 2 else -1), 0, 255).astype(np.uint8)
                write_video(path, 8, picture=lambda _, picture=picture: picture, width=36, height=24)
    return folder


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_clips(tmp_path_factory.mktemp("clips"))


@pytest.fixture
def request_(tmp_path, clips):
    return asked(tmp_path, clips)


def asked(folder, clips, *overrides, **changes):
    (folder / "tiny.yaml").write_text(YAML)
    words = {"cfg": (str(folder / "tiny.yaml"),), "weights": "none", "mode": "full", **changes}
    return Request(str(clips), str(folder / "out"), overrides=(*QUICK, *overrides), **words)


@pytest.fixture(scope="module")
def done(tmp_path_factory, clips):
    folder = tmp_path_factory.mktemp("done")
    request = asked(folder, clips)
    return request, flow.finetune(request), folder / "out"


def test_what_it_leaves(done):
    _, outcome, out = done
    for name in (
        "report.md",
        "report.json",
        "confusion.png",
        "confusion.csv",
        "per_class.csv",
        "finetune.json",
    ):
        assert (out / name).is_file(), name
    facts = outcome.report.facts
    assert facts["class_names"] == ["blue", "green", "red"]
    assert facts["num_videos"] == {"train": 12, "val": 6, "test": 6}
    assert (facts["num_sources"], facts["is_shared"]) == (9, True)
    assert outcome.report.share.total == 6
    assert outcome.predict == f"mvit-video predict VIDEO --cfg {out}/config.yaml"
    best = read_checkpoint(out / "checkpoints" / "checkpoint_best.pyth")
    assert best.class_names == ("blue", "green", "red")


def test_no_source_is_on_both_sides(done):
    _, _, out = done
    films = [
        {record.path.rpartition("_")[0] for record in read_list(out / "lists" / f"{name}.csv")}
        for name in ("train", "test")
    ]
    assert len(films[0]) == 6
    assert len(films[1]) == 3
    assert not films[0] & films[1]


def test_done_is_done(done, caplog):
    request, _, out = done
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    with caplog.at_level(logging.INFO):
        outcome = flow.finetune(request)
    assert outcome.report is None
    assert "is done already" in caplog.text
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_another_plan_is_refused(done):
    request, _, _ = done
    with pytest.raises(
        FinetuneError, match=r"holds a fine-tuning with another KEY VALUE .* choose another --output"
    ):
        flow.finetune(replace(request, overrides=(*QUICK, "SOLVER.BASE_LR", "1")))


@pytest.mark.slow
def test_a_stopped_run_goes_on_with_its_lists(done, tmp_path, clips):
    request, outcome, _ = done
    moved = replace(request, output=str(tmp_path / "out"), videos=str(tmp_path / "clips"))
    shutil.copytree(clips, tmp_path / "clips")
    first = flow.finetune(moved)
    record = json.loads((tmp_path / "out/finetune.json").read_text())
    (tmp_path / "out/finetune.json").write_text(json.dumps(record | {"is_done": False}))
    for name in ("checkpoint_epoch_00002.pyth", "checkpoint_best.pyth"):
        (tmp_path / "out/checkpoints" / name).unlink()
    lists = (tmp_path / "out/lists/train.csv").read_text()
    shutil.copy(clips / "red/film0_part1.mp4", tmp_path / "clips/red/film9_part1.mp4")  # comes too late
    again = flow.finetune(moved)
    assert (tmp_path / "out/lists/train.csv").read_text() == lists
    assert again.report.counts.tolist() == first.report.counts.tolist() == outcome.report.counts.tolist()


@pytest.mark.slow
def test_a_run_that_never_began_is_planned_anew(request_, tmp_path):
    with pytest.raises(ValueError, match=r"SOLVER\.WARMUP_EPOCHS is 9"):
        flow.finetune(replace(request_, overrides=(*QUICK, "SOLVER.WARMUP_EPOCHS", "9.0")))
    assert flow.finetune(request_).report.share.total == 6


@pytest.mark.slow
def test_lists_and_given_videos(tmp_path, clips):
    (tmp_path / "names.txt").write_text("blue\ngreen\nred\n")
    numbers = {name: number for number, name in enumerate(COLOURS)}
    lines = [
        f"{path.relative_to(clips)} {numbers[path.parent.name]}\n" for path in sorted(clips.rglob("*.mp4"))
    ]
    (tmp_path / "all.csv").write_text("".join(lines))
    (tmp_path / "val.csv").write_text("".join(line for line in lines if "film2" in line))
    keys = ("DATA.PATH_PREFIX", str(clips), "DATA.CLASS_NAMES", str(tmp_path / "names.txt"))
    request = asked(tmp_path, tmp_path / "all.csv", *keys, val=str(tmp_path / "val.csv"))
    report = flow.finetune(request).report
    assert report.facts["num_videos"] == {"train": 12, "val": 6, "test": 6}  # what is in both is held out
    assert report.facts["class_names"] == ["blue", "green", "red"]
    train = read_list(tmp_path / "out/lists/train.csv")
    assert not any("film2" in record.path for record in train)


@pytest.mark.slow
def test_unreadable_videos_are_left_out_and_counted(tmp_path, clips, caplog):
    shutil.copytree(clips, tmp_path / "clips")
    bad = tmp_path / "clips/red/film0_part1.mp4"
    bad.write_bytes(b"no video")
    shutil.copy(tmp_path / "clips/red/film1_part1.mp4", tmp_path / "clips/red/film2_part3.mp4")
    with caplog.at_level(logging.WARNING):
        report = flow.finetune(asked(tmp_path, tmp_path / "clips")).report
    assert report.facts["num_unreadable"] == 1
    assert f"left out: {bad}" in caplog.text
    assert f"1 videos cannot be read and were left out, the first of them {bad}: " in caplog.text
    assert "1 files are copies of others, and stay on their side" in "\n".join(report.facts["words"])
    listed = "".join((tmp_path / f"out/lists/{name}.csv").read_text() for name in ("train", "test"))
    assert str(bad) not in listed


@pytest.mark.slow
def test_copies_across_the_split_are_warned_of(tmp_path, caplog):
    write_clips(tmp_path / "clips")
    write_clips(tmp_path / "val", sources=3, seed=1)
    write_video(tmp_path / "val/red/again.mp4", 8, picture=lambda _: picture(tmp_path), width=72, height=48)
    with caplog.at_level(logging.WARNING):
        report = flow.finetune(asked(tmp_path, tmp_path / "clips", val=str(tmp_path / "val"))).report
    assert report.facts["num_alike"] == 1
    assert f"{tmp_path}/val/red/again.mp4 is like {tmp_path}/clips/red/film0_part1.mp4" in caplog.text
    rows = (tmp_path / "out/lists/alike.tsv").read_text().splitlines()
    assert len(rows) == 2


def picture(folder):
    """The first frame of a red clip, twice as large."""
    from mvit_video.data import open_reader

    with open_reader(str(folder / "clips/red/film0_part1.mp4")) as video:
        return video.frames([0])[0].repeat(2, axis=0).repeat(2, axis=1)


def test_what_cannot_be_trained_leaves_nothing_behind(tmp_path, clips):
    (tmp_path / "one" / "only").mkdir(parents=True)
    shutil.copy(clips / "red/film0_part1.mp4", tmp_path / "one/only/a.mp4")
    with pytest.raises(FinetuneError, match="has videos of only one class"):
        flow.finetune(asked(tmp_path, tmp_path / "one"))
    with pytest.raises(ValueError, match="no such list file or folder"):
        flow.finetune(asked(tmp_path, tmp_path / "nowhere"))
    with pytest.raises(FinetuneError, match=r"DATA\.TEST_LIST: is --test here"):
        flow.finetune(asked(tmp_path, clips, "DATA.TEST_LIST", "x"))
    assert list((tmp_path / "out").iterdir()) == []


def test_a_class_that_cannot_be_read(tmp_path, clips):
    shutil.copytree(clips, tmp_path / "clips")
    for path in (tmp_path / "clips/green").iterdir():
        path.write_bytes(b"no video")
    with pytest.raises(FinetuneError, match="no video of green can be read"):
        flow.finetune(asked(tmp_path, tmp_path / "clips"))


def test_nothing_is_left_to_learn_from_or_to_measure_with(tmp_path, clips):
    lines = [f"{path} 2\n" for path in sorted((clips / "red").iterdir())]
    (tmp_path / "val.csv").write_text("".join(lines))
    for val, lost in ((clips, "blue, green, red"), (tmp_path / "val.csv", "red")):
        with pytest.raises(
            FinetuneError, match=f"nothing is left to learn from of {lost}, as all its videos"
        ):
            flow.finetune(asked(tmp_path, clips, val=str(val)))
    shutil.copytree(clips, tmp_path / "val")
    for path in (tmp_path / "val").rglob("*.mp4"):
        path.write_bytes(b"no video")
    with pytest.raises(FinetuneError, match=r"--val .*val: none of its videos can be read: mend it"):
        flow.finetune(asked(tmp_path, clips, val=str(tmp_path / "val")))


def test_somebody_elses_folder_is_left_alone(tmp_path, clips):
    (tmp_path / "out/checkpoints").mkdir(parents=True)
    (tmp_path / "out/checkpoints/checkpoint_epoch_00001.pyth").write_bytes(b"precious")
    with pytest.raises(FinetuneError, match="holds checkpoints of something that `finetune` did not begin"):
        flow.finetune(asked(tmp_path, clips))


@pytest.mark.parametrize("inside", [".", "runs/mine"])
def test_nothing_is_written_among_the_videos(tmp_path, clips, inside):
    request = replace(asked(tmp_path, clips), output=str(clips / inside))
    for ask in (flow.show, flow.finetune):
        with pytest.raises(
            FinetuneError, match="whose folders are taken for classes: choose an --output outside"
        ):
            ask(request)
    assert sorted(path.name for path in clips.iterdir()) == ["blue", "green", "red"]


def test_showing_writes_nothing(tmp_path, clips):
    lines = flow.show(asked(tmp_path, clips))
    assert lines[0] == "18 videos of 3 classes: blue, green, red"
    assert lines[1].startswith("9 sources, told by numbered parts")
    assert "12 to learn from, 6 to choose the best weights and to measure them" in lines[2]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "variables", [{"WORLD_SIZE": "4"}, {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "4"}]
)
def test_several_processes_would_plan_apart(request_, monkeypatch, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(FinetuneError, match="start one, and NUM_GPUS 4 makes it use as many GPUs"):
        flow.finetune(request_)
