import pytest
from kit.lists import KINETICS_HEADER, paths_in, touch, write

from mvit_video.data import ListError, VideoList, VideoRecord, read_list
from mvit_video.data.lists import files
from mvit_video.data.lists.kinetics import read_kinetics
from mvit_video.data.lists.making import make_from_annotations, make_from_folders, make_from_list, split_off

CSV = KINETICS_HEADER + (
    "run,aaaaaaaaaaa,0,10,train,0\n"
    "walk,bbbbbbbbbbb,5,15,train,0\n"
    "run,ccccccccccc,7,17,train,0\n"
    "run,aaaaaaaaaaa,0,10,train,0\n"  # again
    "walk,ccccccccccc,7,17,train,0\n"  # again, as something else
    "sit,ddddddddddd,0,10,train,0\n"
)
NAMES = ("run", "sit", "walk")


def test_what_is_on_disk_is_listed_and_the_rest_is_said(tmp_path):
    videos = touch(
        tmp_path / "videos",
        "a/aaaaaaaaaaa_000000_000010.mp4",
        "b/aaaaaaaaaaa_000000_000010.mp4",
        "walk/bbbbbbbbbbb.mp4",
        "ccccccccccc_7_17.mkv",
        "eeeeeeeeeee_000000_000010.mp4",
        "notes.txt",
    )
    made = make_from_annotations(read_kinetics(CSV, "train.csv"), str(videos), NAMES)
    assert paths_in(videos, made.videos) == [
        "a/aaaaaaaaaaa_000000_000010.mp4", "walk/bbbbbbbbbbb.mp4", "ccccccccccc_7_17.mkv"
    ]  # fmt: skip
    assert [record.label for record in made.videos] == [0, 2, 0]
    assert made.videos.class_names == NAMES
    assert (made.num_annotated, made.num_files, made.num_outside) == (4, 5, 1)
    assert made.missing == ("ddddddddddd_000000_000010.mp4",)
    assert made.repeated == ("aaaaaaaaaaa_000000_000010.mp4",)
    assert made.contradicted == ("ccccccccccc_000007_000017.mp4",)
    assert [tuple(path.removeprefix(f"{videos}/") for path in pair) for pair in made.copies] == [
        ("a/aaaaaaaaaaa_000000_000010.mp4", "b/aaaaaaaaaaa_000000_000010.mp4")
    ]
    assert made.empty_classes == ("sit",)
    assert made.unwritable == made.ambiguous == ()


def test_progress_is_told_now_and_then(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_PROGRESS_EVERY", 4)
    touch(tmp_path, "aaaaaaaaaaa_000000_000010.mp4", *(f"{number}.mp4" for number in range(8)))
    seen = []
    make_from_annotations(read_kinetics(CSV, "train.csv"), str(tmp_path), NAMES, seen.append)
    assert seen == [4, 8]


def test_nothing_there_is_an_error(tmp_path):
    touch(tmp_path / "videos", "x.mp4")
    with pytest.raises(
        ListError,
        match=r"videos: holds none of the 4 videos of train\.csv \(1 others\); expected names like "
        r"aaaaaaaaaaa_000000_000010\.mp4",
    ):
        make_from_annotations(read_kinetics(CSV, "train.csv"), str(tmp_path / "videos"), NAMES)
    with pytest.raises(ListError, match=r"videos: holds none of the 1 videos of old \(1 others\).* a\.mp4"):
        make_from_list(VideoList([VideoRecord("b/a.mp4")], source="old"), str(tmp_path / "videos"))


def test_a_name_with_a_line_break_is_left_out_and_said(tmp_path):
    touch(tmp_path, "run\nfast/aaaaaaaaaaa.mp4", "walk/bbbbbbbbbbb.mp4")
    made = make_from_annotations(read_kinetics(CSV, "train.csv"), str(tmp_path), NAMES)
    assert paths_in(tmp_path, made.videos) == ["walk/bbbbbbbbbbb.mp4"]
    assert made.unwritable == (f"{tmp_path}/run\nfast/aaaaaaaaaaa.mp4",)
    made = make_from_folders(str(tmp_path))
    assert paths_in(tmp_path, made.videos) == ["walk/bbbbbbbbbbb.mp4"]
    assert len(made.unwritable) == 1


def test_folders_are_classes(tmp_path):
    touch(tmp_path, "run_far/a.mp4", "run_far/deep/b.avi", "Walk/c.mp4")
    (tmp_path / "sit").mkdir()
    made = make_from_folders(str(tmp_path))
    assert paths_in(tmp_path, made.videos) == ["Walk/c.mp4", "run_far/a.mp4", "run_far/deep/b.avi"]
    assert [record.label for record in made.videos] == [0, 1, 1]
    assert made.videos.class_names == ("Walk", "run_far", "sit")
    assert made.empty_classes == ("sit",)
    known = make_from_folders(str(tmp_path), ["sit", "run far", "walk"])
    assert [record.label for record in known.videos] == [2, 1, 1]
    assert known.videos.class_names == ("sit", "run far", "walk")
    with pytest.raises(ListError, match="Walk: the class 'Walk' is none of the 2 known ones"):
        make_from_folders(str(tmp_path), ["sit", "run far"])


@pytest.mark.parametrize(
    ("listed", "there", "expected"),
    [
        ("/old/run/a.mp4", ["run/a.mp4"], "run/a.mp4"),
        ("/old/run/a.mp4", ["deep/down/a.mp4"], "deep/down/a.mp4"),
        ("run/a.avi", ["run/a.mp4"], "run/a.mp4"),  # encoded anew
        ("run/a.avi", ["run/a.mp4", "run/a.avi"], "run/a.avi"),
        ("/old/run/a.mp4", ["train/run/a.mp4", "train/walk/a.mp4"], "train/run/a.mp4"),
        ("/old/val/run/a.mp4", ["train/run/a.mp4", "val/run/a.mp4"], "val/run/a.mp4"),
        ("frames/78687", ["other/78687/000001.jpg"], "other/78687"),
        ("webm/78687.webm", ["other/78687/000001.jpg"], "other/78687"),
    ],
)
def test_a_list_is_found_again_elsewhere(tmp_path, listed, there, expected):
    videos = touch(tmp_path / "videos", *there, "unknown.mp4")
    old = VideoList([VideoRecord(listed, 7, 30)], ("x",) * 8, "old.csv")
    made = make_from_list(old, str(videos))
    assert paths_in(videos, made.videos) == [expected]
    assert (made.videos[0].label, made.videos.class_names) == (7, ("x",) * 8)
    assert made.missing == made.ambiguous == ()


def test_what_could_be_several_files_is_left_out_and_said(tmp_path):
    videos = touch(tmp_path / "videos", "train/a.mp4", "val/a.mp4", "b.mp4")
    old = read_list(write(tmp_path, "x/a.mp4 0\ny/b.mp4 1\nz/c.mp4 2\ny/b.mp4 1\ny/b.mp4 0\n"))
    made = make_from_list(old, str(videos))
    assert paths_in(videos, made.videos) == ["b.mp4"]
    assert (made.num_annotated, made.num_files, made.num_outside) == (3, 3, 2)
    assert (made.missing, made.ambiguous) == (("z/c.mp4",), ("x/a.mp4",))
    assert (made.repeated, made.contradicted) == (("y/b.mp4",), ("y/b.mp4",))
    assert made.empty_classes == ()


def test_a_part_is_split_off_class_by_class():
    counts = (1, 2, 3, 10, 40)
    videos = VideoList(
        [VideoRecord(f"{label}/{i}", label) for label, count in enumerate(counts) for i in range(count)],
        tuple("abcde"), "here",
    )  # fmt: skip
    train, val = split_off(videos, 0.25, seed=0)
    assert [val.labels.tolist().count(label) for label in range(5)] == [0, 1, 1, 2, 10]
    assert sorted([*train, *val]) == sorted(videos)
    assert train.class_names == val.class_names == tuple("abcde")
    shuffled = VideoList(sorted(videos, key=lambda record: record.path[::-1]), tuple("abcde"))
    assert set(split_off(shuffled, 0.25, seed=0)[1]) == set(val)  # whatever the order
    assert set(split_off(videos, 0.25, seed=1)[1]) != set(val)
