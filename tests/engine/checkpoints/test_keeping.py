"""Which checkpoints stay."""

import os

import pytest

from mvit_video.engine.checkpoints.files import checkpoint_path, list_checkpoints
from mvit_video.engine.checkpoints.keeping import best_path, drop_older, keep_as_best, remove_leftovers
from mvit_video.engine.errors import RunError


def _write(folder, *places):
    for place in places:
        path = checkpoint_path(folder, *place)
        path.parent.mkdir(exist_ok=True)
        path.write_text(path.name)


def _left(folder):
    return [path.name.removeprefix("checkpoint_").removesuffix(".pyth") for path in list_checkpoints(folder)]


@pytest.mark.parametrize(
    ("kept", "left"),
    [
        (1, ["epoch_00004"]),
        (2, ["epoch_00004", "epoch_00003"]),
        (3, ["epoch_00004", "epoch_00003", "epoch_00001"]),
        (0, ["epoch_00004", "epoch_00003", "epoch_00001"]),
    ],
)
def test_the_last_epochs_ends_stay(tmp_path, kept, left):
    _write(tmp_path, (1,), (3,), (3, 35), (4,))
    drop_older(checkpoint_path(tmp_path, 4), kept)
    assert _left(tmp_path) == left


@pytest.mark.parametrize("kept", [1, 2])
def test_one_within_an_epoch_makes_only_its_like_superfluous(tmp_path, kept):
    _write(tmp_path, (1,), (1, 15), (2,), (2, 25), (2, 27))
    drop_older(checkpoint_path(tmp_path, 2, 27), kept)
    assert _left(tmp_path) == ["epoch_00002_step_00000027", "epoch_00002", "epoch_00001"][: 1 + kept]


def test_nothing_newer_is_removed(tmp_path):
    """What was passed over as damaged is newer than the state that a run went on from."""
    _write(tmp_path, (1,), (2,), (3,), (3, 35))
    drop_older(checkpoint_path(tmp_path, 2), 1)
    assert _left(tmp_path) == ["epoch_00003_step_00000035", "epoch_00003", "epoch_00002"]


def test_names_order_by_epochs_then_steps(tmp_path):
    _write(tmp_path, (2, 9), (10,), (10, 100), (10, 99), (2,))
    expected = ["epoch_00010_step_00000100", "epoch_00010_step_00000099", "epoch_00010"]
    assert _left(tmp_path) == [*expected, "epoch_00002_step_00000009", "epoch_00002"]


def test_the_best_outlives_its_checkpoint_and_takes_no_room_beside_it(tmp_path):
    _write(tmp_path, (1,), (2,))
    for epoch in (1, 2, 2):
        keep_as_best(checkpoint_path(tmp_path, epoch))
        assert os.path.samefile(best_path(tmp_path), checkpoint_path(tmp_path, epoch))
    assert not list((tmp_path / "checkpoints").glob("*.tmp"))
    checkpoint_path(tmp_path, 2).unlink()
    assert best_path(tmp_path).read_text() == "checkpoint_epoch_00002.pyth"
    assert _left(tmp_path) == ["epoch_00001"]


def test_the_best_is_copied_where_there_are_no_links(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    _write(tmp_path, (1,))

    def sync(descriptor):
        on_disk.add(os.fstat(descriptor).st_ino)
        really_sync(descriptor)

    really_sync, on_disk = os.fsync, set()
    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "link", refuse)  # as on exFAT
    keep_as_best(checkpoint_path(tmp_path, 1))
    assert best_path(tmp_path).stat().st_ino in on_disk
    assert best_path(tmp_path).read_text() == "checkpoint_epoch_00001.pyth"
    assert not os.path.samefile(best_path(tmp_path), checkpoint_path(tmp_path, 1))


def test_a_best_that_cannot_be_written_is_said(tmp_path):
    _write(tmp_path, (1,))
    best_path(tmp_path).mkdir()
    with pytest.raises(RunError, match=r"checkpoint_best.pyth: cannot be written \(Is a directory\)"):
        keep_as_best(checkpoint_path(tmp_path, 1))


def test_leftovers_of_killed_runs_go_and_nothing_else(tmp_path):
    _write(tmp_path, (1,))
    (tmp_path / "checkpoints/checkpoint_epoch_00002.tmp").touch()
    (tmp_path / "checkpoints/checkpoint_best.tmp").touch()
    (tmp_path / "checkpoints/mine.tmp").touch()
    (tmp_path / "train.jsonl.tmp").touch()
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [
        "checkpoint_epoch_00001.pyth",
        "mine.tmp",
    ]
    assert not (tmp_path / "train.jsonl.tmp").exists()
