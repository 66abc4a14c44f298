"""``mvit-video data make-list``: files of data sets and folders in, lists that train out."""

import json
import shlex

import pytest
from kit.lists import paths_in, touch, write, write_kinetics, write_ssv2

from mvit_video.cli import main
from mvit_video.data import read_list
from mvit_video.weights import class_names


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Where the commands run."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(*words):
    return main(["data", "make-list", *words])


def test_kinetics(folder, capsys):
    touch(
        folder / "k400",
        "air_drumming/aaaaaaaaaaa_000001_000011.mp4",
        "air_drumming/aaaaaaaaaaa.mp4",
        "zumba/bbbbbbbbbbb.mp4",
        "other.mp4",
    )
    rows = (
        "air drumming,aaaaaaaaaaa,1,11,train",
        "zumba,bbbbbbbbbbb,2,12,train",
        "zumba,ccccccccccc,3,13,train",
    )
    write_kinetics(folder, *(f"{row},0" for row in rows), "zumba,bbbbbbbbbbb,2,12,train,0")
    assert (
        make("kinetics400", "--annotations", "train.csv", "--videos", "k400", "--output", "train.list") == 0
    )
    found = read_list("train.list")
    assert paths_in(folder / "k400", found) == [
        "air_drumming/aaaaaaaaaaa_000001_000011.mp4", "zumba/bbbbbbbbbbb.mp4"
    ]  # fmt: skip
    assert [record.label for record in found] == [1, 399]
    assert (folder / "train.missing.txt").read_text() == "ccccccccccc_000003_000013.mp4\n"
    assert sorted(path.name for path in folder.iterdir()) == [
        "k400",
        "train.csv",
        "train.list",
        "train.missing.txt",
    ]
    text = capsys.readouterr().out
    for line in (
        "train.list: 2 videos of 2 classes",
        "missing: 1 of 3 annotated videos (33.3%), named in train.missing.txt",
        "on disk: 4 videos, 1 of them not annotated",
        f"copies of a listed video, left out: 1: {folder}/k400/air_drumming/aaaaaaaaaaa.mp4 (of {folder}",
        "annotated more than once, listed once: 1: bbbbbbbbbbb_000002_000012.mp4",
        "classes without a video: 398: abseiling, answering questions, applauding, applying cream, archery",
        "next: mvit-video data check train.list --class-names kinetics400; then train with DATA.TRAIN_LIST",
    ):
        assert f"\n{line}" in f"\n{text}"


@pytest.mark.parametrize(
    ("kind", "count"), [("kinetics400", 400), ("kinetics600", 600), ("kinetics700", 700)]
)
def test_labels_count_in_the_order_of_each_kinetics(folder, kind, count):
    names = class_names(kind)
    touch(folder / "videos", *(f"{number:011d}.mp4" for number in range(count)))
    write_kinetics(folder, *(f'"{name}",{number:011d},0,10,train,0' for number, name in enumerate(names)))
    assert make(kind, "--annotations", "train.csv", "--videos", "videos", "--output", "train.list") == 0
    assert read_list("train.list").labels.tolist() == list(range(count))


def test_a_split_of_a_kinetics_file(folder):
    touch(folder / "videos", "aaaaaaaaaaa.mp4", "bbbbbbbbbbb.mp4")
    write_kinetics(folder, "zumba,aaaaaaaaaaa,1,11,train,0", "zumba,bbbbbbbbbbb,2,12,validate,0")
    words = ("kinetics400", "--annotations", "train.csv", "--videos", "videos", "--output", "val.list")
    assert make(*words, "--split", "val", "--relative") == 0
    assert (folder / "val.list").read_text() == "bbbbbbbbbbb.mp4 399\n"
    assert make(*words) == 2


def test_ssv2(folder, capsys):
    touch(folder / "webm", "7.webm", "8.webm")
    write_ssv2(folder, {"7": "Holding [something]", "8": "Closing [something]"}, "validation.json")
    words = (
        "ssv2",
        "--annotations",
        "validation.json",
        "--videos",
        "webm",
        "--output",
        "val.list",
        "--relative",
    )
    assert make(*words) == 0
    official = class_names("ssv2")
    holding, closing = official.index("Holding something"), official.index("Closing something")
    assert (folder / "val.list").read_text() == f"7.webm {holding}\n8.webm {closing}\n"
    text = capsys.readouterr().out
    assert f"DATA.CLASS_NAMES ssv2 DATA.PATH_PREFIX {folder}/webm" in text
    assert f"next: mvit-video data check val.list --class-names ssv2 --path-prefix {folder}/webm; " in text
    assert not (folder / "class_names.txt").exists()
    names = official[::-1]  # another order, said by labels.json beside it
    write(folder, json.dumps({name: str(index) for index, name in enumerate(names)}), "labels.json")
    assert make(*words, "--force") == 0
    assert (folder / "val.list").read_text() == f"7.webm {173 - holding}\n8.webm {173 - closing}\n"
    assert (folder / "class_names.txt").read_text().splitlines() == list(names)
    assert "the classes, in an order of their own, are in class_names.txt" in capsys.readouterr().out
    (folder / "labels.json").rename(folder / "mine.json")
    assert make(*words, "--force", "--class-names", "mine.json") == 0
    assert (folder / "val.list").read_text() == f"7.webm {173 - holding}\n8.webm {173 - closing}\n"


def test_ssv2_without_labels(folder, capsys):
    touch(folder / "webm", "7.webm", "8.webm")
    write_ssv2(folder, {"8": None, "7": None}, "test.json")
    assert (
        make("ssv2", "--annotations", "test.json", "--videos", "webm", "--output", "test.list", "--relative")
        == 0
    )
    assert (folder / "test.list").read_text() == "8.webm\n7.webm\n"
    text = capsys.readouterr().out
    assert "test.list: 2 videos, no labels" in text
    assert "classes without a video" not in text


def test_folders(folder, capsys):
    touch(folder / "clips", *(f"{name}/{number}.mp4" for name in ("run far", "Sit") for number in range(10)))
    words = (
        "folders",
        "--videos",
        "clips",
        "--output",
        "train.list",
        "--val-output",
        "val.list",
        "--relative",
    )
    assert make(*words) == 0
    train, val = read_list("train.list"), read_list("val.list")
    assert (len(train), len(val)) == (16, 4)
    assert sorted(record.label for record in val) == [0, 0, 1, 1]
    assert sorted([*train, *val]) == sorted(
        (f"{name}/{number}.mp4", label, None)
        for label, name in enumerate(("Sit", "run far")) for number in range(10)
    )  # fmt: skip
    assert (folder / "class_names.txt").read_text() == "Sit\nrun far\n"
    text = capsys.readouterr().out
    assert "val.list: 4 videos of 2 classes" in text
    assert "all of them are classes" not in text
    assert "DATA.TRAIN_LIST train.list DATA.VAL_LIST val.list DATA.CLASS_NAMES class_names.txt" in text
    assert make(*words, "--force", "--val-share", "0.5", "--seed", "3") == 0
    assert len(read_list("val.list")) == 10


def test_folders_of_a_known_set(folder, capsys):
    touch(folder / "clips", "air_drumming/a.mp4", "zumba/b.mp4")
    assert make("folders", "--videos", "clips", "--output", "a.list") == 0
    assert read_list("a.list").labels.tolist() == [0, 1]
    expected = (
        "all of them are classes of kinetics400: --class-names kinetics400 numbers them as its weights do"
    )
    assert expected in capsys.readouterr().out
    assert make("folders", "--videos", "clips", "--output", "b.list", "--class-names", "kinetics400") == 0
    assert read_list("b.list").labels.tolist() == [1, 399]
    write(folder, "zumba\n\nair drumming\n", "mine.txt")
    assert make("folders", "--videos", "clips", "--output", "c/../c.list", "--class-names", "mine.txt") == 2
    words = ("folders", "--videos", "clips", "--output", "c.list", "--class-names", "mine.txt")
    assert make(*words) == 2  # class_names.txt is of other lists
    assert (
        "class_names.txt: is there already, with other classes; put --output into another folder"
        in capsys.readouterr().err
    )
    assert make(*words, "--force") == 0
    assert read_list("c.list").labels.tolist() == [1, 0]


def test_a_list_in_a_new_place(folder, capsys):
    touch(folder / "new", "run/a.mp4", "run/b c.mp4", "x/d.mp4", "y/d.mp4")
    write(
        folder,
        "/old/run/a.avi,300,3\n/old/run/b c.avi,200,0\n/old/run/gone.avi,9,1\n/old/d.mp4,9,1\n",
        "old.csv",
    )
    assert make("list", "--annotations", "old.csv", "--videos", "new", "--output", "new.list") == 0
    assert (folder / "new.list").read_text() == f"{folder}/new/run/a.mp4 3\n{folder}/new/run/b c.mp4 0\n"
    assert (folder / "new.missing.txt").read_text() == "/old/run/gone.avi\n/old/d.mp4\n"
    text = capsys.readouterr().out
    assert "missing: 2 of 4 annotated videos (50.0%), named in new.missing.txt" in text
    assert "missing, as several files could be meant: 1: /old/d.mp4" in text
    assert text.endswith("then train with DATA.TRAIN_LIST new.list\n")


def test_nothing_is_replaced_unless_that_is_asked_for(folder, capsys):
    touch(folder / "clips", "run/a.mp4")
    words = ("folders", "--videos", "clips", "--output", "a.list")
    for name in ("a.list", "a.missing.txt"):
        write(folder, "mine", name)
        assert make(*words) == 2
        assert f"error: {name}: is there already; choose another name" in capsys.readouterr().err
        assert (folder / name).read_text() == "mine"
        (folder / name).unlink()
    assert not (folder / "a.list").exists()
    write(folder, "an older list's", "a.missing.txt")
    assert make(*words, "--force") == 0
    assert not (folder / "a.missing.txt").exists()  # nothing is missing from this one
    assert make(*words, "--force", "--missing", "elsewhere.txt") == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["kinetics", "--videos", "v", "--output", "a"],
            "argument KIND: invalid choice: 'kinetics' (choose from 'kinetics400'",
        ),
        (
            ["folders"],
            "the following arguments are required: --videos, --output (mvit-video data make-list --help",
        ),
        (["folders", "--videos", "none", "--output", "a"], "--videos none: there is no such folder"),
        (
            ["kinetics400", "--videos", "v", "--output", "a"],
            "kinetics400 needs --annotations FILE, which names",
        ),
        (
            ["folders", "--videos", "v", "--output", "a", "--annotations", "x.csv"],
            "--annotations: folders need none, as their names are the classes",
        ),
        (
            ["ssv2", "--videos", "v", "--output", "a", "--annotations", "none.json"],
            "--annotations none.json: there is no such file",
        ),
        (
            ["ssv2", "--videos", "v", "--output", "a", "--annotations", "x.csv", "--split", "val"],
            "--split chooses rows of Kinetics' csv files",
        ),
        (
            ["ssv2", "--videos", "v", "--output", "a", "--annotations", "x.csv", "--val-output", "b"],
            "--val-output: ssv2 has a validation file of its own",
        ),
        (
            ["folders", "--videos", "v", "--output", "a", "--seed", "1"],
            "--val-share and --seed go with --val-output",
        ),
        (
            ["folders", "--videos", "v", "--output", "a", "--val-output", "b", "--val-share", "20"],
            "--val-share 20: expected a part of 1, such as 0.2",
        ),
        (
            ["folders", "--videos", "v", "--output", "a", "--val-output", "./a"],
            "--output, --val-output and --missing: expected different files",
        ),
        (
            ["list", "--videos", "v", "--output", "a", "--annotations", "x.csv"],
            "x.csv: is an official annotation file: its KIND is kinetics400, kinetics600 or kinetics700",
        ),
        (["folders", "--videos", "v", "--output", "no/a.list"], "no: there is no such folder to write to"),
        (
            ["folders", "--videos", "v", "--output", "a", "--class-names", "kinetics40"],
            "unknown set of class names 'kinetics40'; did you mean 'kinetics400'?",
        ),
        (
            ["kinetics400", "--videos", "v", "--output", "a", "--annotations", "x.csv"],
            "x.csv:2: the class 'flying' is none of the 400 known ones",
        ),
        (
            ["list", "--videos", "v", "--output", "a", "--annotations", "old.csv", "--class-names", "k400"],
            "has label 400, expected 0 to 399",
        ),
    ],
)
def test_what_is_typed_or_written_wrong_is_one_line(folder, words, message, capsys):
    touch(folder / "v", "run/a.mp4")
    write_kinetics(folder, "flying,aaaaaaaaaaa,1,11,train,0", name="x.csv")
    write(folder, "a.mp4 400\n", "old.csv")
    before = sorted(folder.rglob("*"))
    assert make(*words) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert sorted(folder.rglob("*")) == before


def test_verbs_of_data(capsys):
    assert main(["data"]) == 2
    captured = capsys.readouterr()
    assert "mvit-video data make-list" in captured.out
    assert captured.err == "mvit-video: error: which verb? (mvit-video data --help lists them)\n"
    assert main(["data", "make-lists"]) == 2
    assert "invalid choice: 'make-lists'" in capsys.readouterr().err
    assert main(["data", "--help"]) == 0
    assert "write a list of the videos that are on disk" in capsys.readouterr().out
    assert main(["data", "make-list", "--help"]) == 0
    assert "\n  mvit-video data make-list ssv2 " in capsys.readouterr().out


def test_flags_may_stand_anywhere(folder):
    touch(folder / "clips", "run/a.mp4")
    assert make("--videos", "clips", "--relative", "folders", "--output", "a.list") == 0
    assert (folder / "a.list").read_text() == "run/a.mp4 0\n"


def test_names_with_blanks_can_be_copied_from_the_advice(folder, capsys):
    touch(folder / "my clips" / "run", "a.mp4")
    assert make("folders", "--videos", "my clips", "--output", "my train.list", "--relative") == 0
    words = shlex.split(capsys.readouterr().out.split("next: mvit-video ")[1].replace(";", " ;"))
    check = ["data", "check", "my train.list", "--class-names", "class_names.txt"]
    assert words[: words.index(";")] == [*check, "--path-prefix", f"{folder}/my clips"]
    assert words[-2:] == ["DATA.PATH_PREFIX", f"{folder}/my clips"]


def test_names_from_a_json_file_are_advised_as_the_text_file_they_become(folder, capsys):
    touch(folder / "clips", "a.mp4")
    write(folder, "a.mp4 1\n", "old.list")
    write(folder, '{"Holding": "0", "Closing": "1"}', "labels.json")
    words = ("--annotations", "old.list", "--videos", "clips", "--class-names", "labels.json")
    assert make("list", *words, "--output", "new.list") == 0
    assert "data check new.list --class-names class_names.txt; " in capsys.readouterr().out
    assert (folder / "class_names.txt").read_text() == "Holding\nClosing\n"


@pytest.mark.parametrize("kind", ["folders", "list"])
def test_a_link_to_itself_is_no_reason_to_stop(folder, kind):
    touch(folder / "clips" / "run", "a.mp4")
    for place in ("clips/run/loop.mp4", "clips/loop"):
        (folder / place).symlink_to(folder / place)
    write(folder, "old/a.mp4 0\n", "old.list")
    words = ("--annotations", "old.list") if kind == "list" else ()
    assert make(kind, *words, "--videos", "clips", "--output", "new.list") == 0
    assert "a.mp4" in paths_in(folder / "clips" / "run", read_list("new.list"))
