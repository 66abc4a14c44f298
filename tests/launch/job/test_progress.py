"""Counting starts that leave nothing behind."""

from mvit_video.launch.job.progress import newest_checkpoint, starts_without_progress


def started(saved, **details):
    return {"event": "started", "time": 0, "saved": saved, **details}


def test_starts_from_the_same_checkpoint_are_counted_from_the_last_one_back():
    events = [
        started(None),
        started("a"),
        {"event": "stopped", "time": 0},
        started("a"),
        {"event": "x", "time": 0},
    ]
    assert starts_without_progress(events, "a") == 2
    assert starts_without_progress(events, "b") == 0
    assert starts_without_progress([*events, started("b")], "a") == 0
    assert starts_without_progress([], None) == 0


def test_submitting_again_forgives():
    events = [started(None), started(None), {"event": "submitted", "time": 0}, started(None)]
    assert starts_without_progress(events, None) == 1


def test_parts_are_counted_apart():
    events = [started(None, part=0), started(None, part=1), started(None, part=0)]
    assert [starts_without_progress(events, None, part) for part in (0, 1, 2)] == [2, 1, 0]


def test_the_newest_checkpoint_is_known_by_its_name(tmp_path):
    assert newest_checkpoint(tmp_path) is None
    (tmp_path / "checkpoints").mkdir()
    for name in ("checkpoint_epoch_00002.pyth", "checkpoint_epoch_00010.pyth", "checkpoint_epoch_00010.tmp"):
        (tmp_path / "checkpoints" / name).touch()
    assert newest_checkpoint(tmp_path) == "checkpoint_epoch_00010.pyth"
    (tmp_path / "checkpoints" / "checkpoint_epoch_00010_step_00000123.pyth").touch()
    assert newest_checkpoint(tmp_path) == "checkpoint_epoch_00010_step_00000123.pyth"
