"""``mvit-video data check``: lists in, findings out."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
from kit.videos import write_video

from mvit_video.cli import main
from mvit_video.data import read_list


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with ten good videos and some others."""
    folder = tmp_path_factory.mktemp("made")
    for number in range(10):
        write_video(folder / f"{number}.mp4", 70 + number)
    (folder / "text.mp4").write_bytes(b"no video" * 50)
    write_video(folder / "short.mp4", 20)
    shutil.copy(folder / "3.mp4", folder / "copy.mp4")
    return folder


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, made):
    """Where the commands run: the videos in v."""
    shutil.copytree(made, tmp_path / "v")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check(*words):
    return main(["data", "check", *words])


def write_rows(folder, names, labels=(0, 1, 2)):
    rows = [f"v/{name}.mp4 {labels[number % len(labels)]}" for number, name in enumerate(names)]
    (folder / "x.list").write_text("\n".join(rows) + "\n")


def test_a_good_list(folder, capsys):
    write_rows(folder, range(10))
    assert check("x.list", "--workers", "1", "--clip", "16x4", "--num-classes", "3") == 0
    out = capsys.readouterr().out
    assert out.startswith("x.list: 10 videos, 745 frames, 0.4 minutes, ")
    assert re.search(r", [1-9][0-9.]+ kB\n", out)
    assert "frames per second: 30 (10)\nsizes: 64x64 (10)\n" in out
    assert "classes: 3, with 3 videos (class 1) to 4 videos (class 0)\n" in out
    assert out.endswith("x.list.check.json: nothing was found\n")
    assert json.loads((folder / "x.list.check.json").read_text())["findings"] == []


def test_a_video_listed_twice_is_not_taken_for_one_that_is_known(folder, capsys):
    write_rows(folder, [0, 1, 0])
    assert check("x.list", "--workers", "1") == 1
    assert "are known" not in capsys.readouterr().err
    assert check("x.list", "--workers", "1") == 1
    assert "2 of 2 are known from x.list.check.jsonl" in capsys.readouterr().err


def test_findings_a_clean_list_and_a_second_time(folder, capsys):
    write_rows(folder, [*range(9), "text", "short", "copy", "none", 9], labels=(0, 1, 2, 5))
    words = ("x.list", "--workers", "2", "--clip", "16x4", "--num-classes", "3", "--report", "r.json")
    assert check(*words, "--clean", "clean.list") == 1
    out, err = capsys.readouterr()
    for line in (
        "unreadable         2\n    v/text.mp4: not a video, or damaged: ",
        "\n    v/none.mp4: no such file\n",
        "damaged            0\n",
        "short              1\n    v/short.mp4: 20 frames, and a clip spans 64 at 30 frames per second\n",
        "duplicate          1\n    v/copy.mp4: the same bytes as v/3.mp4\n",
        "label              3\n    v/3.mp4: label 5, expected 0 to 2\n",
        "odd                0\n",
        "r.json: 6 videos with findings\n",
        "clean.list: 9 of 14 videos\n",
    ):
        assert line in out
    kept = [record.path for record in read_list("clean.list")]
    assert kept == [f"v/{name}.mp4" for name in (0, 1, 2, 4, 5, 6, 8, "short", 9)]
    known = (folder / "r.jsonl").read_bytes()
    assert check(*words, "--clean", "clean.list", "--force", "--drop", "short") == 1
    out, err = capsys.readouterr()
    assert "13 of 14 are known from r.jsonl" in err  # what was not there is looked for again
    assert "clean.list: 13 of 14 videos\n" in out
    assert len((folder / "r.jsonl").read_bytes()) > len(known)


def test_folders_and_class_names(folder, capsys):
    for name, number in (("cat", 1), ("dog", 2), ("dog", 4)):
        (folder / "set" / name).mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / "v" / f"{number}.mp4", folder / "set" / name)
    (folder / "names.txt").write_text("dog\ncow\ncat\n")
    assert check("set", "--workers", "0", "--class-names", "names.txt", "--report", "set.csv") == 0
    assert "classes: 2 of 3, with 1 video (cat) to 2 videos (dog)\n" in capsys.readouterr().out
    assert (folder / "set.csv").read_text() == "kind,path,label,detail\n"
    (folder / "set/dog/4.mp4").unlink()
    assert check("set/", "--workers", "0") == 0
    assert "set: 2 videos" in (out := capsys.readouterr().out)
    assert "classes: 2 of 2, with 1 video each\n" in out
    assert (folder / "set.check.json").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.list"], "none.list: no such list file or folder"),
        (["x.list", "--clip", "16"], "--clip 16: expected frames x distance, such as 16x4"),
        (["x.list", "--num-classes", "0"], "--num-classes 0: expected 1 or more"),
        (["x.list", "--drop", "short,bad"], "--drop short,bad: 'bad' is none of unreadable, damaged, short"),
        (["x.list", "--report", "r.txt"], "r.txt: a report's name ends in .json or .csv"),
        (["x.list", "--report", "no/r.csv"], "no: there is no such folder to write to"),
        (["x.list", "--clean", "x.list"], "x.list: is there already"),
        (["x.list", "--workers", "-1"], "--workers -1: expected 0 (this process alone) or more"),
        (["x.list", "--timeout", "0"], "--timeout 0: expected more than 0"),
        (["x.list", "--backend", "cv2"], "backend is 'cv2', expected one of auto, pyav"),
        (["x.list", "--class-names", "kinetics4000"], "did you mean 'kinetics400'?"),
        (["k.csv"], "their numbers are not known: set --class-names to kinetics400, "),
        (
            ["k.csv", "--class-names", "kinetics400"],
            "names videos, not paths: set --path-prefix to the folder",
        ),
        (["v/0.mp4"], "v/0.mp4: is a video, expected a list of videos"),
    ],
)
def test_mistakes(folder, capsys, words, message):
    write_rows(folder, [0])
    (folder / "k.csv").write_text("label,youtube_id,time_start,time_end,split\nabseiling,a,1,2,val\n")
    assert check(*words) == 2
    err = capsys.readouterr().err
    assert err.startswith("mvit-video: error: ")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.slow
def test_ctrl_c_and_on_again(folder):
    """Started like a user would, interrupted when some videos are done, and started again."""
    for number in range(2):
        write_video(folder / f"long{number}.mp4", 3000 + number, width=320, height=240)
    names = [*(f"v/{number}.mp4" for number in range(10)), *(f"long{number}.mp4" for number in range(2))]
    (folder / "x.list").write_text("".join(f"{name} 0\n" for name in names))
    command = [sys.executable, "-m", "mvit_video", "data", "check", "x.list", "--workers", "1"]
    options = {"env": {**os.environ, "OMP_NUM_THREADS": "1"}, "text": True, "stdout": subprocess.PIPE}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True, **options)
    journal = folder / "x.list.check.jsonl"
    deadline = time.monotonic() + 120
    while not journal.exists() or journal.read_bytes().count(b"\n") < 4:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "it never began"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert "videos left; the same command goes on\n" in err
    assert err.endswith("mvit-video: interrupted\n")
    done = journal.read_bytes().count(b"\n") - 1
    assert 3 <= done < 12
    again = subprocess.run(command, stderr=subprocess.PIPE, check=False, **options)
    assert f"{done} of 12 are known from x.list.check.jsonl\n" in again.stderr
    assert again.returncode == 0, again.stderr
    rows = [json.loads(line) for line in journal.read_text().split("\n")[1:-1]]
    assert sorted(row["path"] for row in rows) == sorted(names)
