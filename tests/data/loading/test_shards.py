import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.ranks import read_shards
from kit.videos import write_video

from mvit_video.data import TestVideos, VideoRecord, ViewPlan, merge_shards
from mvit_video.data.loading.shards import batch_positions, epoch_order, shard

PLAN = ViewPlan(4, 2, 1, 1, 32, 32)


@given(st.integers(0, 200), st.integers(1, 17))
def test_shards_cover_every_video_once_and_are_even(num_videos, world_size):
    shards = [list(shard(num_videos, rank, world_size)) for rank in range(world_size)]
    assert sorted(index for part in shards for index in part) == list(range(num_videos))
    sizes = [len(part) for part in shards]
    assert max(sizes) - min(sizes) <= 1
    named = [[(index, f"video {index}") for index in part] for part in shards]
    assert merge_shards(named, num_videos) == [f"video {index}" for index in range(num_videos)]


def test_results_that_do_not_cover_the_list():
    with pytest.raises(ValueError, match="results of 1 videos were merged, expected 3; video 0 is missing"):
        merge_shards([[(1, "b")], []], 3)
    with pytest.raises(ValueError, match="video 1 was tested twice"):
        merge_shards([[(0, "a"), (1, "b")], [(1, "b")]], 2)
    with pytest.raises(ValueError, match="results of 3 videos were merged, expected 2"):
        merge_shards([[(0, "a"), (1, "b"), (2, "c")]], 2)
    with pytest.raises(ValueError, match="rank is 2 of world_size 2, expected 0 to world_size - 1"):
        shard(5, 2, 2)


@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 9))
def test_the_batches_of_all_processes_make_the_global_batch(batch_size, world_size, batch):
    parts = [batch_positions(batch, batch_size, rank, world_size) for rank in range(world_size)]
    size = batch_size * world_size
    assert [place for part in parts for place in part] == list(range(batch * size, (batch + 1) * size))


def test_orders_differ_by_epoch_and_seed_and_nothing_else():
    order = epoch_order(50, seed=3, epoch=2).tolist()
    assert sorted(order) == list(range(50))
    assert order == epoch_order(50, seed=3, epoch=2).tolist()
    assert order != epoch_order(50, seed=3, epoch=1).tolist()
    assert order != epoch_order(50, seed=4, epoch=2).tolist()


@pytest.mark.slow
def test_three_processes_test_every_video_once(tmp_path):
    records = [VideoRecord(str(write_video(tmp_path / f"{i}.mp4", 10 + i)), 0) for i in range(7)]
    dataset = TestVideos(records, PLAN)
    merged = merge_shards(read_shards(dataset, 3), len(records))
    assert [pixels for _, pixels in merged] == [int(dataset[index].views.sum()) for index in range(7)]
    processes = [process for process, _ in merged]
    assert processes[:3] * 2 + processes[:1] == processes
    assert len(set(processes)) == 3
