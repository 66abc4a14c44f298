"""Features of videos: what enters the head, kept on disk, gone on with."""

import json
import os
import resource
import signal
import tracemalloc

import numpy as np
import pytest
import torch
from kit.tiny_runs import tiny_config, write_videos

from mvit_video.data import TestVideos, read_list
from mvit_video.data.checking.facts import FileState
from mvit_video.engine import Stopped
from mvit_video.engine.resolve import resolve_architecture, resolve_views
from mvit_video.engine.stopping import signals_noted
from mvit_video.finetuning.errors import FinetuneError
from mvit_video.finetuning.head.feature_cache import FeatureCache, describe_backbone
from mvit_video.finetuning.head.features import compute_features
from mvit_video.models import MViT


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return write_videos(tmp_path_factory.mktemp("coloured") / "videos", videos_per_class=3)


@pytest.fixture
def config(tmp_path, videos):
    return tiny_config(tmp_path, videos=videos)


def build(config, seed=0):
    torch.manual_seed(seed)
    return MViT(resolve_architecture(config))


def compute(config, folder, model=None, *, mirrored=False, views=None, listing=None):
    return compute_features(
        model or build(config),
        listing or read_list(config.data.train_list),
        folder,
        config=config,
        views=views or resolve_views(config),
        mirrored=mirrored,
        title="features",
    )


def lines(folder):
    return [line for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]


@pytest.mark.parametrize(
    "kind", [(), ("MVIT.CLS_EMBED_ON", "False"), ("MVIT.USE_MEAN_POOLING", "True"), ("TEST.BATCH_SIZE", "5")]
)
def test_features_are_what_enters_the_head_of_each_view(tmp_path, videos, kind):
    config = tiny_config(tmp_path, *kind, videos=videos)
    model = build(config)
    found = compute(config, tmp_path / "features", model, mirrored=True)
    listing = read_list(config.data.train_list)
    assert found.features.shape == (6, 12, 32)
    assert found.features.dtype == torch.float32
    assert found.labels.tolist() == [record.label for record in listing]
    assert found.paths == tuple(record.path for record in listing)
    entered = []
    model.head.register_forward_pre_hook(lambda _, inputs: entered.append(inputs[0]))
    with torch.inference_mode():
        for sample in TestVideos(listing, resolve_views(config)):
            for views in (sample.views, sample.views.flip(-1)):
                model.eval()((views.float() / 255 - 0.45) / 0.225)
    expected = torch.cat(entered).view(6, 12, 32)
    assert found.features.std() > 0.1
    torch.testing.assert_close(found.features, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_the_model_stays_as_it_was(tmp_path, config, training):
    model = build(config).train(training)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    compute(config, tmp_path / "features", model)
    assert all(module.training == training for module in model.modules())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_what_is_known_is_not_computed_again(tmp_path, config, caplog):
    """A video that is spoilt in secret shows it: its features are still those from before."""
    own = write_videos(tmp_path / "own", videos_per_class=2)
    listing = read_list(own / "list.csv")
    first = compute(config, tmp_path / "features", listing=listing)
    path = listing[1].path
    state = os.stat(path)
    with open(path, "r+b") as file:
        file.write(bytes(state.st_size))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    again = compute(config, tmp_path / "features", listing=listing)
    assert torch.equal(first.features, again.features)
    assert (again.paths, again.unreadable) == (first.paths, ())
    os.utime(path)
    changed = compute(config, tmp_path / "features", listing=listing)
    assert [name for name, _ in changed.unreadable] == [path]
    assert path in changed.unreadable[0][1]
    assert changed.paths == tuple(name for name in first.paths if name != path)
    assert changed.labels.tolist() == [0, 1, 1]
    assert torch.equal(changed.features, first.features[[0, 2, 3]])
    assert sum("left out" in record.message for record in caplog.records) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_run_keeps_what_it_has_and_goes_on(tmp_path, config, number):
    whole = compute(config, tmp_path / "whole")
    parts = tmp_path / "parts"
    for done in (1, 2, 3):
        with signals_noted():
            os.kill(os.getpid(), number)
            with pytest.raises(
                Stopped, match=rf"after {done} of 6 videos, saved to .*; the same command"
            ) as stop:
                compute(config, parts)
        assert stop.value.signal_number == number
        assert len(lines(parts)) == done
    assert torch.equal(compute(config, parts).features, whole.features)
    assert sorted(lines(parts)) == sorted(lines(tmp_path / "whole"))


@pytest.mark.parametrize("cut", [1, 40, 200])
def test_a_line_that_was_cut_off_is_computed_again(tmp_path, config, cut):
    folder = tmp_path / "features"
    whole = compute(config, folder)
    (path,) = folder.glob("*.jsonl")
    content = path.read_bytes()
    path.write_bytes(content[:-cut])
    assert torch.equal(compute(config, folder).features, whole.features)
    assert path.read_bytes() == content


def test_damage_amid_the_file_is_passed_over(tmp_path, config):
    folder = tmp_path / "features"
    whole = compute(config, folder)
    (path,) = folder.glob("*.jsonl")
    rows = path.read_text().splitlines()
    short = json.loads(rows[2]) | {"features": "AAAA"}
    path.write_text(
        "\n".join([rows[0][:50], rows[1].replace('"features"', '"f"'), json.dumps(short), *rows[3:], ""])
    )
    assert torch.equal(compute(config, folder).features, whole.features)
    assert len(lines(folder)) == 9  # three more


def test_another_model_or_another_view_has_a_file_of_its_own(tmp_path, videos, config):
    folder = tmp_path / "features"
    first = compute(config, folder)
    other_head = build(config)
    with torch.no_grad():
        other_head.head.projection.weight.zero_()
    other_head.reset_head(7)
    assert torch.equal(compute(config, folder, other_head).features, first.features)
    assert len(lines(folder)) == 6
    assert not torch.equal(compute(config, folder, build(config, seed=1)).features, first.features)
    one_view = tiny_config(tmp_path, "TEST.NUM_ENSEMBLE_VIEWS", "1", videos=videos)
    assert compute(one_view, folder).features.shape == (6, 3, 32)
    darker = tiny_config(tmp_path, "DATA.MEAN", "[0.4, 0.4, 0.4]", videos=videos)
    assert not torch.equal(compute(darker, folder).features, first.features)
    assert len(list(folder.glob("*.jsonl"))) == 4
    assert torch.equal(compute(config, folder).features, first.features)


def test_every_weight_but_the_heads_counts(config):
    name = describe_backbone(build(config))
    assert describe_backbone(build(config)) == name
    model = build(config)
    for key, tensor in model.state_dict().items():
        before = tensor.flatten()[-1].clone()
        tensor.flatten()[-1] += 1
        assert (describe_backbone(model) == name) == key.startswith("head."), key
        tensor.flatten()[-1] = before
    assert describe_backbone(model, "fp32") != describe_backbone(model, "bf16")


@pytest.mark.slow
def test_workers_change_nothing(tmp_path, videos, config):
    helped = tiny_config(tmp_path, "DATA_LOADER.NUM_WORKERS", "1", videos=videos)
    one, other = compute(config, tmp_path / "none"), compute(helped, tmp_path / "one")
    assert torch.equal(one.features, other.features)
    assert lines(tmp_path / "none") == lines(tmp_path / "one")


def test_a_video_that_is_listed_twice(tmp_path, config, videos):
    path = tmp_path / "twice.csv"
    path.write_text((videos / "list.csv").read_text() * 2)
    found = compute(config, tmp_path / "features", listing=read_list(path))
    assert torch.equal(found.features[:6], found.features[6:])


def test_clips_do_not_pile_up(tmp_path, videos):
    """The most memory at one time is that of a few videos' views, however many videos there are."""
    config = tiny_config(tmp_path, "TEST.NUM_ENSEMBLE_VIEWS", "10", videos=videos)
    few, many = (
        read_list(write_videos(tmp_path / "few", videos_per_class=1) / "list.csv"),
        read_list(config.data.train_list),
    )
    compute(config, tmp_path / "warm", listing=few)
    peaks = []
    for listing in (few, many):
        tracemalloc.start()  # NumPy tells it of its arrays, which the views are
        compute(config, tmp_path / f"features{len(listing)}", listing=listing)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    views = np.zeros((30, 4, 16, 16, 3), np.uint8).nbytes
    assert peaks[0] > views
    assert peaks[1] - peaks[0] < views


def test_features_that_are_no_numbers(tmp_path, config):
    model = build(config)
    with torch.no_grad():
        model.norm.weight[3] = float("inf")
    with pytest.raises(
        FinetuneError, match=r"0\.mp4: its features are no numbers in fp32: set TEST.PRECISION"
    ):
        compute(config, tmp_path / "features", model)
    assert lines(tmp_path / "features") == []


def test_a_disk_that_is_full(tmp_path, config):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
    try:
        with pytest.raises(FinetuneError, match=r"\.jsonl: features cannot be kept \(.*\): check the disk"):
            compute(config, tmp_path / "features")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert torch.equal(
        compute(config, tmp_path / "features").features, compute(config, tmp_path / "other").features
    )


def test_a_file_where_the_folder_should_be(tmp_path, config):
    (tmp_path / "features").write_text("mine")
    with pytest.raises(FinetuneError, match=r"features cannot be kept \(.*\): check the disk"):
        compute(config, tmp_path / "features")


def test_odd_names_are_kept(tmp_path):
    path = 'a "name"\n with \udce9 and ü.mp4'
    cache = FeatureCache(tmp_path, "one", (2, 3))
    cache.make_ready()
    features_VC = torch.randn(2, 3)
    cache.add(path, FileState(5, 6), features_VC)
    ((found, state, values),) = cache.read()
    assert (found, state) == (path, FileState(5, 6))
    assert torch.equal(values, features_VC)
