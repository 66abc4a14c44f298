import os
import statistics
import threading
from multiprocessing import active_children
from pathlib import Path

import pytest
import torch
from kit.broken_readers import break_reader
from kit.videos import read_number, write_video

from mvit_video.data import (
    BadVideo,
    ClipSpec,
    Decoding,
    Mixing,
    RandomErasing,
    SampleKey,
    TestVideos,
    TrainClips,
    TrainLoader,
    TrainTransform,
    VideoError,
    VideoList,
    VideoRecord,
    ViewPlan,
    open_reader,
    soft_targets,
)
from mvit_video.data.loading import loader  # a bare name starting with test_ would be collected

CLIP = ClipSpec(4, 2)
CUT = TrainTransform(32)
WHOLE = TrainTransform(64, (64, 64), area=None, aspect=None, flip=False)  # numbers stay readable
PLAN = ViewPlan(4, 2, 2, 1, 32, 32)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    rows = [
        VideoRecord(str(write_video(folder / f"{i}.mp4", 16 + i, width=80, height=64)), i % 3)
        for i in range(12)
    ]
    return VideoList(rows, ("a", "b", "c"))


def same(first, second):
    return len(first) == len(second) and all(
        torch.equal(a.clips, b.clips)
        and torch.equal(a.labels, b.labels)
        and torch.equal(a.indices, b.indices)
        and [*a.erasures] == [*b.erasures]
        and [*a.mixes] == [*b.mixes]
        and a.group_size == b.group_size
        and a.bad == b.bad
        for a, b in zip(first, second, strict=True)
    )


# What a batch is


def test_repeats_are_other_cuts_of_the_same_frames(tmp_path, records):
    square = VideoRecord(str(write_video(tmp_path / "square.mp4", 40)), 0)
    sample = TrainClips([square], CLIP, WHOLE, seed=1, repeats=3)[SampleKey(0, 0)]
    assert sample.clips.shape == (3, 3, 4, 64, 64)
    frames = [[read_number(frame) for frame in clip.permute(1, 2, 3, 0).numpy()] for clip in sample.clips]
    assert frames[0] == frames[1] == frames[2]
    cut_at_random = TrainClips(records, CLIP, CUT, seed=1, repeats=3)[SampleKey(0, 5)].clips
    assert not torch.equal(cut_at_random[0], cut_at_random[1])
    assert not torch.equal(cut_at_random[1], cut_at_random[2])
    # The first of them is what there is without repeats.
    assert torch.equal(cut_at_random[:1], TrainClips(records, CLIP, CUT, seed=1)[SampleKey(0, 5)].clips)
    with pytest.raises(ValueError, match="repeats is 0, expected at least 1"):
        TrainClips(records, CLIP, CUT, repeats=0)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_repeats_of_a_video_stand_together_in_a_batch(records, num_workers):
    erasing = RandomErasing(0.5)
    dataset = TrainClips(records, CLIP, CUT, seed=1, repeats=2, erasing=erasing)
    batches = list(TrainLoader(dataset, batch_size=3, num_workers=num_workers).epoch(4))
    assert len(batches) == 4
    erased = 0
    for batch in batches:
        assert batch.clips.shape == (6, 3, 4, 32, 32)
        assert batch.clips.is_contiguous(memory_format=torch.channels_last_3d)
        assert len(batch.erasures) == 6
        for number in range(6):
            sample = dataset[SampleKey(4, int(batch.indices[number]))]
            assert torch.equal(batch.clips[number], sample.clips[number % 2])
            assert batch.labels[number] == sample.label == records[sample.index].label
            assert batch.erasures[number] == sample.erasures[number % 2]
            erased += batch.erasures[number] is not None
        assert batch.indices[::2].tolist() == batch.indices[1::2].tolist()
    assert 0 < erased < 24


def test_groups_are_mixed_alike_whatever_the_batch_and_the_number_of_processes(records):
    dataset = TrainClips(records, CLIP, CUT, seed=1, repeats=2)
    options = {"mixing": Mixing(), "group_size": 2, "seed": 5}

    def epoch(number, **more):
        return list(TrainLoader(dataset, **options, **more).epoch(number))

    single = epoch(0, batch_size=2)
    assert len(single) == 6
    assert [batch.group_size for batch in single] == [4] * 6
    mixes = [mix for batch in single for mix in batch.mixes]
    assert len(mixes) == 6
    assert len(set(mixes)) == 6
    assert mixes != [mix for batch in epoch(1, batch_size=2) for mix in batch.mixes]
    pairs = epoch(0, batch_size=4)
    assert [mix for batch in pairs for mix in batch.mixes] == mixes
    for world_size, batch_size in ((2, 2), (3, 4), (3, 2)):
        ranks = [
            epoch(0, batch_size=batch_size, rank=rank, world_size=world_size) for rank in range(world_size)
        ]
        for number, parts in enumerate(zip(*ranks, strict=True)):
            first = number * world_size * batch_size // 2
            whole = single[first : first + world_size * batch_size // 2]
            assert torch.equal(torch.cat([part.clips for part in parts]), torch.cat([b.clips for b in whole]))
            assert [mix for part in parts for mix in part.mixes] == [mix for b in whole for mix in b.mixes]
            assert torch.equal(
                torch.cat([part.indices for part in parts]), torch.cat([b.indices for b in whole])
            )
    targets = soft_targets(pairs[0].labels, 3, mixes=pairs[0].mixes, group_size=pairs[0].group_size)
    assert targets.shape == (8, 3)


def test_without_mixing_there_are_no_groups(records):
    batch = next(TrainLoader(TrainClips(records, CLIP, CUT), batch_size=3).epoch(0))
    assert (list(batch.mixes), batch.group_size, list(batch.erasures)) == ([], 1, [None] * 3)


def test_what_cannot_be(records):
    dataset = TrainClips(records, CLIP, CUT)
    with pytest.raises(
        ValueError, match=r"the batch size is 3 videos and MIXUP\.GROUP_SIZE 2, expected a mult"
    ):
        TrainLoader(dataset, batch_size=3, mixing=Mixing())
    with pytest.raises(
        ValueError, match="the batch size of each of 4 processes is 4, expected 1 to 3: there are 12 training"
    ):
        TrainLoader(dataset, batch_size=4, world_size=4)
    with pytest.raises(ValueError, match="rank is 4 of world_size 4"):
        TrainLoader(dataset, batch_size=1, rank=4, world_size=4)
    with pytest.raises(ValueError, match=r"DATA\.TIMEOUT_SECONDS is -1"):
        TrainLoader(dataset, batch_size=1, timeout_seconds=-1)


# Workers


@pytest.fixture(scope="module")
def expected(records):
    """Three epochs, read in this process."""
    dataset = TrainClips(records, CLIP, CUT, seed=4, repeats=2, erasing=RandomErasing(0.5))
    alone = TrainLoader(dataset, batch_size=2, seed=4, mixing=Mixing())
    return dataset, [list(alone.epoch(epoch)) for epoch in range(3)]


@pytest.mark.parametrize("num_workers", [1, 3])
def test_the_number_of_workers_changes_no_batch(expected, num_workers):
    dataset, epochs = expected
    train = TrainLoader(dataset, batch_size=2, num_workers=num_workers, seed=4, mixing=Mixing())
    assert train.num_batches == 6
    for epoch in (0, 1, 0):
        assert same(list(train.epoch(epoch)), epochs[epoch])
    train.close()


def test_an_epoch_left_early_leaves_nothing_to_the_next(expected):
    dataset, epochs = expected
    train = TrainLoader(dataset, batch_size=2, num_workers=2, seed=4, mixing=Mixing())
    for stop in (0, 1, 4):
        for number, batch in enumerate(train.epoch(0)):
            assert same([batch], [epochs[0][number]])
            if number == stop:
                break
    assert same(list(train.epoch(1, start_batch=3)), epochs[1][3:])
    held = train.epoch(2)
    assert same([next(held)], epochs[2][:1])
    assert same(list(train.epoch(0)), epochs[0])
    with pytest.raises(RuntimeError, match="another reading was begun"):
        next(held)
    train.close()
    assert not any(thread.name == "mvit-video read ahead" for thread in threading.enumerate())


def hidden(folder, records, names):
    """The same list with text in place of these videos, under the same names."""
    rows = []
    for record in records:
        path = Path(record.path)
        if path.name in names:
            path = folder / path.name
            path.write_bytes(b"no video" * 100)
        rows.append(record._replace(path=str(path)))
    return rows


@pytest.mark.parametrize("num_workers", [1, 2])
def test_a_crash_and_a_hang_cost_one_video_each(tmp_path, records, num_workers):
    crashing, hanging = "2.mp4", "7.mp4"
    unreadable = TrainClips(hidden(tmp_path, records, {crashing, hanging}), CLIP, CUT, seed=1)
    expected = [list(TrainLoader(unreadable, batch_size=4, seed=1).epoch(epoch)) for epoch in range(2)]
    dataset = TrainClips(records, CLIP, CUT, seed=1)
    break_reader(dataset, segfault_at=(crashing,), sleep_at=(hanging,))
    train = TrainLoader(dataset, batch_size=4, seed=1, num_workers=num_workers, timeout_seconds=3)
    for epoch in range(2):
        batches = list(train.epoch(epoch))
        assert same([b._replace(bad=()) for b in batches], [b._replace(bad=()) for b in expected[epoch]])
        met = [bad for batch in batches for bad in batch.bad]
        assert [Path(bad.path).name for bad in met] == [
            Path(bad.path).name for batch in expected[epoch] for bad in batch.bad
        ]
        assert set(met) == {
            BadVideo(records[2].path, "killed by SIGSEGV"),
            BadVideo(records[7].path, "no answer after 3 s"),
        }
    train.close()


def test_a_crash_and_a_hang_are_errors_of_a_test(records):
    expected = list(loader.test_loader(TestVideos(records, PLAN), num_workers=0))
    dataset = break_reader(TestVideos(records, PLAN), segfault_at=("2.mp4",), sleep_at=("7.mp4",))
    samples = list(loader.test_loader(dataset, num_workers=2, timeout_seconds=3))
    assert [sample.index for sample in samples] == list(range(12))
    errors = {sample.index: sample.error for sample in samples if sample.error is not None}
    assert errors == {
        2: f"{records[2].path}: killed by SIGSEGV",
        7: f"{records[7].path}: no answer after 3 s",
    }
    for sample, other in zip(samples, expected, strict=True):
        if sample.error is None:
            assert torch.equal(sample.views, other.views)
            assert sample.clips == other.clips


def test_a_bad_video_is_named_once(tmp_path, records, caplog):
    dataset = TrainClips(hidden(tmp_path, records, {"2.mp4"}), CLIP, CUT)
    train = TrainLoader(dataset, batch_size=4)
    for epoch in range(2):
        assert sum(batch.num_replaced for batch in train.epoch(epoch)) >= 1
    (told,) = caplog.messages
    assert told.startswith(f"training goes on without a video: {tmp_path / '2.mp4'}: not a video")


def test_too_many_bad_ones_in_a_row_are_an_error(records):
    dataset = break_reader(TrainClips(records[:2], CLIP, CUT), segfault_at=("0.mp4", "1.mp4"))
    train = TrainLoader(dataset, batch_size=2, num_workers=1)
    with pytest.raises(VideoError, match=r"mp4: killed by SIGSEGV \(1 more could not be read before it"):
        next(train.epoch(0))
    train.close()


# Damage


LONG = ViewPlan(8, 7, 1, 1, 32, 32)  # over all of the video
SQUEEZED = TrainTransform(64, area=(1, 1), aspect=(1.5, 1.5), flip=False)  # all of 96 x 64 pixels


@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.filterwarnings("ignore::mvit_video.data.DamagedVideoWarning")
def test_the_good_part_of_a_damaged_video_is_used_and_counted(media, num_workers):
    path = str(media.path("flipped.mp4"))  # of 60 frames the first 30 are good
    with open_reader(path) as video:
        assert video.is_trusted  # and decoding contradicts it
    (sample,) = loader.test_loader(TestVideos([VideoRecord(path)], LONG), num_workers=num_workers)
    assert sample.error is None
    assert [bad.path for bad in sample.damaged] == [path]
    dataset = TrainClips([VideoRecord(path, 0)], ClipSpec(8, 4), SQUEEZED)
    train = TrainLoader(dataset, batch_size=1, num_workers=num_workers)
    starts, met = set(), 0
    for epoch in range(20):
        (batch,) = train.epoch(epoch)
        numbers = [read_number(frame) for frame in batch.clips[0].permute(1, 2, 3, 0).numpy()]
        assert numbers == sorted(numbers)
        assert numbers[-1] < 30
        starts.add(numbers[0])
        assert batch.bad == ()
        assert all(bad.path == path and "good up to frame 30, then" in bad.reason for bad in batch.damaged)
        met += len(batch.damaged)
    assert max(starts) - min(starts) <= 1  # the clip is as long as what is left
    assert met > 10  # nowhere else does it end before 30
    refused = TrainClips(dataset.records, ClipSpec(8, 4), SQUEEZED, decoding=Decoding(on_damage="refuse"))
    with pytest.raises(VideoError, match=r"damaged at frame 30"):
        [refused[SampleKey(epoch, 0)] for epoch in range(10)]


# Memory


def memory_mb(pid):
    """What a process holds for itself, and what it shares with others through memory."""
    status = Path(f"/proc/{pid}/status").read_text().split("\n")
    return sum(int(line.split()[1]) for line in status if line.startswith(("RssAnon", "RssShmem"))) / 1024


@pytest.mark.slow
def test_memory_is_flat_over_epochs(records):
    dataset = TrainClips(VideoList([*records] * 4), CLIP, TrainTransform(64), seed=1, repeats=2)
    before = set(active_children())
    train = TrainLoader(dataset, batch_size=8, num_workers=2, seed=1)
    open_files, memory = [], []
    for epoch in range(40):
        for _ in train.epoch(epoch):
            pass
        pids = [os.getpid(), *(child.pid for child in set(active_children()) - before)]
        assert len(pids) == 3
        memory.append([memory_mb(pid) for pid in pids])
        open_files.append([len(os.listdir(f"/proc/{pid}/fd")) for pid in pids])
    train.close()
    early, late = memory[10:20], memory[30:40]
    for process in range(3):
        growth = statistics.median(row[process] for row in late) - statistics.median(
            row[process] for row in early
        )
        # MB in 20 epochs of 48 videos: 12 kB a video, less than one frame of it.
        assert growth < 12, (process, memory)
    assert open_files[-1] == open_files[5]
