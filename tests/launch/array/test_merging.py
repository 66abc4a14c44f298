"""Parts joined are byte for byte what one job would have written."""

from itertools import pairwise

import pytest
import torch

from mvit_video.engine.testing.evaluation import summarise
from mvit_video.engine.testing.results import VideoResult, write_results
from mvit_video.inference.reports import open_report
from mvit_video.inference.results import ClassScore, ClipPrediction, Prediction
from mvit_video.launch.array.merging import merge_parts
from mvit_video.launch.array.part_of_test import describe_weights, write_rows
from mvit_video.launch.errors import LaunchError

PATHS = ["a.mp4", "b, with a comma.mp4", 'c "quoted".mp4', "d\nbroken.mp4", "gone.mp4", "f.mp4", "é.mp4"]


def write_report(path, videos):
    top = (ClassScore("wave, both hands", 3, 0.75), ClassScore("bow", 1, 0.125))
    with open_report(path.suffix[1:], path) as report:
        for video in videos:
            report.start(video)
            if video == "gone.mp4":
                report.fail("gone.mp4: no such file")
                continue
            if video == "a.mp4":
                report.clip(ClipPrediction(0.0, 1.5, top))
            report.finish(Prediction(path=video, top=top, num_views=2, clips=()))


@pytest.mark.parametrize("suffix", [".json", ".csv"])
@pytest.mark.parametrize("cuts", [[0, 7], [0, 1, 4, 7], [0, 4, 5, 7]])
def test_predictions(tmp_path, suffix, cuts):
    write_report(tmp_path / f"whole{suffix}", PATHS)
    parts = []
    for number, (start, end) in enumerate(pairwise(cuts)):
        parts.append(tmp_path / f"{number}{suffix}")
        write_report(parts[-1], PATHS[start:end])
    status, summary = merge_parts(parts, tmp_path / f"joined{suffix}")
    assert (tmp_path / f"joined{suffix}").read_bytes() == (tmp_path / f"whole{suffix}").read_bytes()
    assert status == 1
    assert summary == f"{tmp_path}/joined{suffix}: 6 of 7 videos answered"


def rows(count, *, unreadable=()):
    random = torch.Generator().manual_seed(count)
    for index in range(count):
        if index in unreadable:
            yield VideoResult(f"{index}.mp4", index % 4, None, 0, error="no such file")
        else:
            scores = torch.rand(4, generator=random)
            yield VideoResult(f"{index}.mp4", index % 4, scores, 6, damage="cut off" if index == 1 else None)


@pytest.mark.parametrize("suffix", [".json", ".csv"])
@pytest.mark.parametrize("unreadable", [(), (0, 5)])
def test_tests(tmp_path, suffix, unreadable):
    names = ["a", "b", "c", "d"]
    whole = list(rows(9, unreadable=unreadable))
    write_results(tmp_path / f"whole{suffix}", summarise(whole), names)
    for number, (start, end) in enumerate([(0, 2), (2, 7), (7, 9)]):
        write_rows(tmp_path / f"{number}.pt", whole[start:end], names, 9, "w.pyth")
    status, summary = merge_parts(
        [tmp_path / f"{number}.pt" for number in range(3)], tmp_path / f"all{suffix}"
    )
    assert (tmp_path / f"all{suffix}").read_bytes() == (tmp_path / f"whole{suffix}").read_bytes()
    assert status == int(bool(unreadable))
    assert str(summarise(whole)) in summary


def test_a_missing_part_is_named(tmp_path):
    write_report(tmp_path / "0.json", PATHS[:2])
    with pytest.raises(LaunchError, match=r"1\.json: is missing, so its part is not done: --retry does it"):
        merge_parts([tmp_path / "0.json", tmp_path / "1.json"], tmp_path / "all.json")
    assert not (tmp_path / "all.json").exists()


def test_a_list_that_changed_between_parts_is_noticed(tmp_path):
    write_rows(tmp_path / "0.pt", list(rows(3)), None, 6, "w.pyth")
    write_rows(tmp_path / "1.pt", list(rows(4)), None, 7, "w.pyth")
    with pytest.raises(LaunchError, match="hold 7 videos of lists of 6, 7: the list has changed"):
        merge_parts([tmp_path / "0.pt", tmp_path / "1.pt"], tmp_path / "all.csv")


def test_weights_that_changed_between_parts_are_noticed(tmp_path):
    """One file, written again between the two parts."""
    weights = tmp_path / "w.pyth"
    for number in range(2):
        weights.write_text(f"weights {number}")
        write_rows(tmp_path / f"{number}.pt", list(rows(3)), None, 6, describe_weights(str(weights)))
    text = r"different weights: \S+/w.pyth \(SHA-256 \w{16}\), \S+/w.pyth \(SHA-256 \w{16}\); submit anew"
    with pytest.raises(LaunchError, match=text):
        merge_parts([tmp_path / "0.pt", tmp_path / "1.pt"], tmp_path / "all.csv")
    assert describe_weights("mvitv2_s_16x4.k400") == "mvitv2_s_16x4.k400"


@pytest.mark.parametrize(("suffix", "words"), [(".json", "is no report"), (".csv", "has other columns")])
def test_a_part_of_another_kind_is_named(tmp_path, suffix, words):
    write_report(tmp_path / f"0{suffix}", PATHS[:2])
    (tmp_path / f"1{suffix}").write_text("something else\n")
    with pytest.raises(LaunchError, match=rf"1{suffix}: {words}.*remove it, and --retry writes it again"):
        merge_parts([tmp_path / f"0{suffix}", tmp_path / f"1{suffix}"], tmp_path / f"all{suffix}")
