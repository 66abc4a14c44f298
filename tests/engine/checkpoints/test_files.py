"""Checkpoints: atomic, found again, and honest about what cannot be read."""

import logging
import os
import random
import signal

import pytest
import torch

from mvit_video.engine.checkpoints import files as checkpoints
from mvit_video.engine.checkpoints.files import (
    checkpoint_path,
    last_resumable,
    list_checkpoints,
    read_resumable,
    save_checkpoint,
)
from mvit_video.engine.errors import RunError
from mvit_video.engine.randomness import random_states


def _contents(epoch):
    return {
        "model_state": {"weight": torch.full((3,), float(epoch))},
        "optimizer_state": {},
        "scaler_state": {},
        "epoch": epoch,
        "step": 4 * epoch,
        "random_states": random_states(),
        "class_names": ["a", "b"],
        "cfg": "OUTPUT_DIR: .\n",
    }


def test_name_says_the_epochs_and_the_newest_is_first(tmp_path):
    for epoch in (9, 100, 10):
        save_checkpoint(checkpoint_path(tmp_path, epoch), _contents(epoch))
    (tmp_path / "checkpoints/checkpoint_epoch_00200.tmp").touch()
    (tmp_path / "checkpoints/best.pyth").touch()
    names = [path.name for path in list_checkpoints(tmp_path)]
    assert names == [f"checkpoint_epoch_{epoch:05d}.pyth" for epoch in (100, 10, 9)]
    path, contents = last_resumable(tmp_path)
    assert (path.name, contents["epoch"], contents["step"]) == ("checkpoint_epoch_00100.pyth", 100, 400)
    assert contents["class_names"] == ["a", "b"]


def test_no_folder_means_no_checkpoints(tmp_path):
    assert list_checkpoints(tmp_path / "nothing") == []
    assert last_resumable(tmp_path / "nothing") is None


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_a_truncated_newest_is_passed_over_with_a_warning(tmp_path, caplog, keep):
    for epoch in (1, 2):
        save_checkpoint(checkpoint_path(tmp_path, epoch), _contents(epoch))
    newest = checkpoint_path(tmp_path, 2)
    size = newest.stat().st_size
    os.truncate(newest, int(size * keep) if keep < 1 else keep)
    with caplog.at_level(logging.WARNING):
        path, contents = last_resumable(tmp_path)
    assert path == checkpoint_path(tmp_path, 1)
    assert contents["model_state"]["weight"].tolist() == [1.0] * 3
    assert f"{newest}: cannot be read" in caplog.text
    assert "trying the checkpoint before it" in caplog.text


def test_what_the_disk_does_not_give_is_no_damage(tmp_path):
    save_checkpoint(checkpoint_path(tmp_path, 1), _contents(1))
    newest = checkpoint_path(tmp_path, 2)
    newest.mkdir()  # reading it is an OSError, for root too
    with pytest.raises(RunError, match=r"00002.pyth: cannot be read \(Is a directory\), .* check the disk"):
        last_resumable(tmp_path)


def test_damaged_ones_alone_are_no_new_run(tmp_path):
    for epoch in (1, 2):
        save_checkpoint(checkpoint_path(tmp_path, epoch), _contents(epoch))
        os.truncate(checkpoint_path(tmp_path, epoch), 50)
    with pytest.raises(RunError, match=r"checkpoints: none of the 2 checkpoints can be read, .* move them"):
        last_resumable(tmp_path)


def test_no_changed_bit_gets_through(tmp_path):
    """Wherever in the file one is changed, reading fails or gives what was written."""
    path = checkpoint_path(tmp_path, 1)
    save_checkpoint(path, _contents(1))
    good, expected = path.read_bytes(), read_resumable(path)
    dice, refused = random.Random(0), 0
    for _ in range(300):
        place = dice.randrange(len(good))
        path.write_bytes(good[:place] + bytes([good[place] ^ 1 << dice.randrange(8)]) + good[place + 1 :])
        try:
            found = read_resumable(path)
        except RunError:
            refused += 1
            continue
        assert found.keys() == expected.keys()
        assert torch.equal(found["model_state"]["weight"], expected["model_state"]["weight"])
        assert found["random_states"]["python"] == expected["random_states"]["python"]
        assert torch.equal(found["random_states"]["torch"], expected["random_states"]["torch"])
        assert (found["epoch"], found["step"], found["cfg"]) == (1, 4, expected["cfg"])
    assert refused > 150  # the rest of such a small file is padding and names of nothing


def test_a_file_without_room_is_not_begun(tmp_path):
    vast = torch.zeros(1).expand(10**16)  # 40 petabytes, of which 4 bytes are in memory
    path = checkpoint_path(tmp_path, 1)
    said = r"00001.pyth: .* could not be written \(it needs 40000000000.0 MB, and \d+.\d MB are free\): check"
    with pytest.raises(RunError, match=said):
        save_checkpoint(path, _contents(1) | {"optimizer_state": {"state": {0: {"exp_avg": vast}}}})
    assert list(path.parent.iterdir()) == []


def test_the_first_format_is_read_too(tmp_path, monkeypatch):
    path = checkpoint_path(tmp_path, 3)
    monkeypatch.setattr(checkpoints, "FORMAT", 1)
    save_checkpoint(path, _contents(3))
    monkeypatch.undo()
    assert read_resumable(path)["step"] == 12


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = checkpoint_path(tmp_path, 1)
    save_checkpoint(path, _contents(1))
    before = path.read_bytes()
    with pytest.raises(AttributeError):  # pickle refuses half-way through the file
        save_checkpoint(path, _contents(1) | {"cfg": lambda: None})
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def _stopped(cause):
    """torch.save, stopped while it writes: closing the file it then raises an error of its own."""

    def save(*_):
        try:
            raise cause
        finally:
            raise RuntimeError("[enforce fail at inline_container.cc:671] . unexpected pos 872896 vs 872788")

    return save


def test_ctrl_c_while_saving_waits_until_the_file_is_whole(tmp_path, monkeypatch):
    def save(contents, file):
        os.kill(os.getpid(), signal.SIGINT)
        really_save(contents, file)

    really_save = torch.save
    monkeypatch.setattr(torch, "save", save)
    path = checkpoint_path(tmp_path, 1)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, _contents(1))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert read_resumable(path)["epoch"] == 1
    assert not list(path.parent.glob("*.tmp"))


def test_a_disk_that_fills_up_while_saving_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "save", _stopped(OSError(28, "No space left on device")))
    with pytest.raises(RunError, match=r"could not be written \(.*No space left on device\): check the disk"):
        save_checkpoint(checkpoint_path(tmp_path, 1), _contents(1))


def test_a_full_disk_is_said(tmp_path, monkeypatch):
    def refuse(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)  # a disk cannot be filled for real in a test
    path = checkpoint_path(tmp_path, 1)
    with pytest.raises(RunError, match=r"00001.pyth: the checkpoint could not be written \(.*No space left"):
        save_checkpoint(path, _contents(1))
    assert list(path.parent.iterdir()) == []


def test_files_of_others_are_not_continued(tmp_path):
    path = checkpoint_path(tmp_path, 3)
    path.parent.mkdir()
    torch.save({"model_state": {}, "epoch": 3, "optimizer_state": {}, "cfg": ""}, path)
    with pytest.raises(RunError, match=r"no state of a run of ours.*TRAIN.CHECKPOINT_FILE_PATH"):
        last_resumable(tmp_path)


def test_a_newer_format_is_said(tmp_path, monkeypatch):
    path = checkpoint_path(tmp_path, 3)
    monkeypatch.setattr(checkpoints, "FORMAT", 99)
    save_checkpoint(path, _contents(3))
    monkeypatch.undo()
    with pytest.raises(RunError, match="has checkpoint format 99, this version reads up to 2"):
        read_resumable(path)
