"""What a folder remembers, and which commands may go on with it."""

import json
from dataclasses import replace

import pytest

from mvit_video.finetuning.errors import FinetuneError
from mvit_video.finetuning.record import (
    FILE_NAME,
    Record,
    Request,
    check_same,
    describe_request,
    read_config,
    read_record,
    write_record,
)

ASKED = Request("clips", "out", model="mvitv2_s_16x4.k400", overrides=("SOLVER.MAX_EPOCH", "3"))


def record_of(request, mode="full"):
    return Record(describe_request(request) | {"mode": request.mode or mode}, mode, {"words": ["a"]})


def test_a_record_is_read_as_it_was_written(tmp_path):
    assert read_record(tmp_path) is None
    record = record_of(ASKED)
    write_record(tmp_path, record)
    assert read_record(tmp_path) == record
    write_record(tmp_path, replace(record, is_done=True))
    assert read_record(tmp_path).is_done
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_the_same_command_goes_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clips").mkdir()
    record = record_of(ASKED)
    check_same(record, ASKED)
    check_same(record, replace(ASKED, overrides=("SOLVER.MAX_EPOCH=3",)))  # another spelling
    check_same(record, replace(ASKED, videos=str(tmp_path / "clips")))
    check_same(record, replace(ASKED, mode="full"))  # what was decided, said aloud
    free = ("DATA_LOADER.NUM_WORKERS", "4", "DEVICE", "cpu", "TRAIN.MICRO_BATCH_SIZE", "1")
    check_same(record, replace(ASKED, overrides=(*ASKED.overrides, *free)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"videos": "others"}, "another FOLDER_OR_LIST (clips then, others now)"),
        ({"model": "mvitv2_s_16x4"}, "another --model (mvitv2_s_16x4.k400 then, mvitv2_s_16x4 now)"),
        ({"weights": "none"}, "another --weights (nothing then, none now)"),
        ({"val": "val", "group_by": "x"}, "another --val and --group-by (nothing then, val now)"),
        ({"mode": "frozen"}, "another --frozen or --full (full then, frozen now)"),
        ({"overrides": ()}, 'another KEY VALUE ({"SOLVER.MAX_EPOCH": "3"} then, nothing now)'),
    ],
)
def test_another_command_is_refused(changes, message):
    with pytest.raises(FinetuneError) as error:
        check_same(record_of(ASKED), replace(ASKED, **changes))
    assert f"out: holds a fine-tuning with {message}: choose another --output, or remove" in str(error.value)


@pytest.mark.parametrize("content", ["", "{}", '{"format": 1}', "[1]"])
def test_a_damaged_record_is_named(tmp_path, content):
    (tmp_path / FILE_NAME).write_text(content)
    with pytest.raises(FinetuneError, match=f"{FILE_NAME}: is damaged"):
        read_record(tmp_path)


def test_a_record_of_a_newer_version_is_named(tmp_path):
    (tmp_path / FILE_NAME).write_text(json.dumps({"format": 99}))
    with pytest.raises(FinetuneError, match="was written by a newer version"):
        read_record(tmp_path)


def test_what_may_change_is_taken_as_it_is_typed_now(tmp_path):
    (tmp_path / "config.yaml").write_text("SOLVER: {BASE_LR: 0.5}\nDATA_LOADER: {NUM_WORKERS: 8}\n")
    words = ("DATA_LOADER.NUM_WORKERS", "2", "SOLVER.BASE_LR", "0.1")
    config = read_config(tmp_path, replace(ASKED, overrides=words))
    assert (config.data_loader.num_workers, config.solver.base_lr) == (2, 0.5)
