import pickle

import numpy as np
import pytest
import torch
from kit.videos import read_number, write_headless_video, write_video

from mvit_video.data import (
    ClipSpec,
    ListError,
    SampleKey,
    TestVideos,
    TrainClips,
    TrainLoader,
    TrainTransform,
    VideoError,
    VideoList,
    VideoRecord,
    ViewPlan,
    decode_views,
    open_video,
)
from mvit_video.data.loading import loader  # a bare name starting with test_ would be collected

CLIP = ClipSpec(8, 2)
WHOLE = TrainTransform(64, (64, 64), area=None, aspect=None, flip=False)  # numbers stay readable
PLAN = ViewPlan(8, 2, 2, 1, 64, 64)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    rows = [
        VideoRecord(str(write_video(folder / f"{i}.mp4", 30 + 4 * i, width=80, height=64)), i % 3)
        for i in range(7)
    ]
    return VideoList(rows, ("a", "b", "c"))


@pytest.fixture(scope="module")
def square_record(tmp_path_factory):
    return VideoRecord(str(write_video(tmp_path_factory.mktemp("square") / "v.mp4", 60)), 1)


def bad_file(folder):
    (folder / "bad.mp4").write_bytes(b"no video" * 100)
    return str(folder / "bad.mp4")


def clip_numbers(clip_3TSS):
    return [read_number(frame) for frame in clip_3TSS.permute(1, 2, 3, 0).numpy()]


def test_a_training_sample_is_a_random_clip(square_record):
    dataset = TrainClips([square_record], CLIP, WHOLE, seed=3)
    starts = set()
    for epoch in range(30):
        sample = dataset[SampleKey(epoch, 0)]
        assert sample.clips.shape == (1, 3, 8, 64, 64)
        assert sample.clips.dtype == torch.uint8
        assert (sample.label, sample.index, sample.bad, sample.damaged) == (1, 0, (), ())
        numbers = clip_numbers(sample.clips[0])
        assert numbers[-1] - numbers[0] in (15, 16)
        assert numbers == sorted(numbers)
        starts.add(numbers[0])
    assert len(starts) > 10
    assert min(starts) < 10
    assert max(starts) > 34


def test_a_sample_depends_on_its_key_and_the_seed_alone(records):
    transform = TrainTransform(32)
    dataset = TrainClips(records, CLIP, transform, seed=1)
    clip = dataset[SampleKey(2, 4)].clips
    for other in range(3):
        dataset[SampleKey(0, other)]  # nothing before matters
    np.random.seed(5)
    torch.manual_seed(5)
    assert torch.equal(dataset[SampleKey(2, 4)].clips, clip)
    assert torch.equal(pickle.loads(pickle.dumps(dataset))[SampleKey(2, 4)].clips, clip)
    for key in (SampleKey(3, 4), SampleKey(2, 5)):
        assert not torch.equal(dataset[key].clips, clip)
    assert not torch.equal(TrainClips(records, CLIP, transform, seed=2)[SampleKey(2, 4)].clips, clip)


def test_training_reads_short_videos_and_miscounting_packets(tmp_path):
    short = VideoRecord(str(write_video(tmp_path / "short.mp4", 3)), 0)
    headless = VideoRecord(str(write_headless_video(tmp_path / "v.mkv", 60, gop=12)), 0)
    dataset = TrainClips([short, headless], CLIP, WHOLE)
    assert clip_numbers(dataset[SampleKey(0, 0)].clips[0]) == [0, 2, 2, 2, 2, 2, 2, 2]
    last = set()
    for epoch in range(40):
        numbers = clip_numbers(dataset[SampleKey(epoch, 1)].clips[0])
        assert numbers[0] >= 12  # the frames before it cannot be decoded
        assert numbers[-1] - numbers[0] in range(15, 19)
        last.add(numbers[-1])
    assert max(last) >= 56


def test_an_unreadable_video_is_replaced_and_counted(tmp_path, records):
    rows = [VideoRecord(bad_file(tmp_path), 2), VideoRecord(str(tmp_path / "none.mp4"), 2), *records]
    dataset = TrainClips(rows, CLIP, WHOLE, seed=0)
    samples = [dataset[SampleKey(epoch, 0)] for epoch in range(12)]
    for sample in samples:
        assert len(sample.bad) >= 1
        assert sample.index >= 2
        assert sample.label == rows[sample.index].label
    assert len({sample.index for sample in samples}) > 2
    again = dataset[SampleKey(5, 0)]
    assert (again.index, again.bad) == (samples[5].index, samples[5].bad)
    assert torch.equal(again.clips, samples[5].clips)
    assert samples[0].bad[0].path == rows[0].path
    assert samples[0].bad[0].reason.startswith("not a video")


def test_no_video_is_tried_twice_and_eleven_are_enough(tmp_path):
    rows = [VideoRecord(str(tmp_path / f"{number}.mp4"), 0) for number in range(12)]
    with pytest.raises(VideoError, match=r"no such file \(and 10 more videos before it could not be read"):
        TrainClips(rows, CLIP, WHOLE)[SampleKey(0, 0)]
    task = TrainClips(rows, CLIP, WHOLE).task(SampleKey(0, 0))
    for _ in range(10):
        task = TrainClips(rows, CLIP, WHOLE).replace(task, "gone")
    assert len({video.path for video in task.bad} | {task.path}) == 11


def test_training_needs_labelled_and_readable_videos(tmp_path, records):
    with pytest.raises(ListError, match="there are no videos to train on"):
        TrainClips([], CLIP, WHOLE)
    with pytest.raises(ListError, match=r"x\.mp4: has no label, and training needs one for every video"):
        TrainClips([*records, VideoRecord("x.mp4")], CLIP, WHOLE)
    bad = [VideoRecord(bad_file(tmp_path), 0)] * 3
    with pytest.raises(VideoError, match=r"bad\.mp4: not a video, .* \(0 more could not .* no other is left"):
        TrainClips(bad, CLIP, WHOLE)[SampleKey(0, 0)]
    for workers in (0, 1):
        batches = TrainLoader(TrainClips(bad, CLIP, WHOLE), batch_size=2, num_workers=workers).epoch(0)
        with pytest.raises(VideoError, match=r"bad\.mp4: not a video") as caught:
            next(batches)
        assert "\n" not in str(caught.value)


def epochs(train_loader, number=2):
    return [batch for epoch in range(number) for batch in train_loader.epoch(epoch)]


def same(first, second):
    return all(
        torch.equal(a.clips, b.clips)
        and torch.equal(a.labels, b.labels)
        and torch.equal(a.indices, b.indices)
        for a, b in zip(first, second, strict=True)
    )


def test_workers_and_a_resume_change_no_batch(records):
    dataset = TrainClips(records, CLIP, TrainTransform(32), seed=4)
    alone = TrainLoader(dataset, batch_size=2, seed=4)
    batches = epochs(alone)
    assert alone.num_batches == 3
    assert len(batches) == 6
    assert batches[0].clips.shape == (2, 3, 8, 32, 32)
    assert batches[0].labels.dtype == batches[0].indices.dtype == torch.int64
    two = TrainLoader(dataset, batch_size=2, num_workers=2, seed=4)
    assert same(epochs(two), batches)
    assert same(list(two.epoch(1, start_batch=2)), batches[5:])
    assert same(list(alone.epoch(0, start_batch=1)), batches[1:3])
    assert list(alone.epoch(0, start_batch=3)) == []


def test_an_epoch_is_a_shuffle_of_the_videos(records):
    train_loader = TrainLoader(TrainClips(records, CLIP, WHOLE), batch_size=1, seed=9)
    orders = [[int(batch.indices[0]) for batch in train_loader.epoch(epoch)] for epoch in range(2)]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(7))
    assert orders[0] != orders[1]
    for batch in train_loader.epoch(0):
        assert batch.labels[0] == records[int(batch.indices[0])].label
        assert batch.num_replaced == 0


def test_batches_that_cannot_be(records):
    dataset = TrainClips(records, CLIP, WHOLE)
    for size in (0, 8):
        with pytest.raises(
            ValueError, match=f"the batch size is {size}, expected 1 to 7, the number of training"
        ):
            TrainLoader(dataset, batch_size=size)
    with pytest.raises(ValueError, match="start_batch is 4, expected 0 to 3"):
        next(TrainLoader(dataset, batch_size=2).epoch(0, start_batch=4))


@pytest.mark.parametrize("workers", [0, 2])
def test_test_videos_come_in_order_and_errors_as_errors(tmp_path, records, workers):
    rows = [
        records[0],
        VideoRecord(bad_file(tmp_path), 0),
        records[3],
        VideoRecord(str(tmp_path / "none.mp4")),
    ]
    samples = list(loader.test_loader(TestVideos(rows, PLAN), num_workers=workers))
    assert [sample.index for sample in samples] == [0, 1, 2, 3]
    for number in (0, 2):
        with open_video(rows[number].path) as video:
            expected = decode_views(video, PLAN)
        assert torch.equal(samples[number].views, expected.views)
        assert samples[number].clips == expected.clips
        assert samples[number].error is None
    assert samples[1].views is samples[3].views is None
    assert samples[1].clips == samples[3].clips == ()
    assert "bad.mp4: not a video" in samples[1].error
    assert "none.mp4: no such file" in samples[3].error


def test_shuffled_test_videos_differ_by_video_and_seed(square_record):
    rows = [square_record] * 2
    shuffled = TestVideos(rows, PLAN, shuffle_frames=True, seed=1)
    orders = [shuffled[index].clips[0].frame_indices for index in range(2)]
    orders.append(TestVideos(rows, PLAN, shuffle_frames=True, seed=2)[0].clips[0].frame_indices)
    assert len(set(orders)) == 3
    assert {tuple(sorted(order)) for order in orders} == {TestVideos(rows, PLAN)[0].clips[0].frame_indices}
    assert shuffled[0].clips[0].frame_indices == orders[0]
    assert clip_numbers(shuffled[0].views[0]) == list(orders[0])
