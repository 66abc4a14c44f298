"""``mvit-video submit`` and ``status`` as they are typed, on a machine without Slurm."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from kit.tiny_runs import YAML, write_videos

from mvit_video.cli import main
from mvit_video.config import load_config
from mvit_video.data.lists.reading import read_list
from mvit_video.launch.queueing.circumstances import describe_checkout
from mvit_video.launch.submission import last_submission


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("submit")
    write_videos(folder / "videos")
    (folder / "tiny.yaml").write_text(YAML)
    return folder


@pytest.fixture
def submit(folder, tmp_path, monkeypatch, capsys):
    """Runs the verb; gives (status, stdout, stderr). Nothing is on PATH unless ``sbatch`` is asked for."""
    monkeypatch.chdir(folder)
    git = shutil.which("git")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    def run(*words, slurm=False):
        if slurm:
            (tmp_path / "bin").mkdir(exist_ok=True)
            if git and not (tmp_path / "bin" / "git").exists():
                (tmp_path / "bin" / "git").symlink_to(git)
            for name in ("sbatch", "srun"):
                script = tmp_path / "bin" / name
                script.write_text(f"#!{sys.executable}\nprint('Submitted batch job 41')\n")
                script.chmod(0o755)
        capsys.readouterr()
        status = main(["submit", *map(str, words)])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


LISTS = ("DATA.TRAIN_LIST", "videos/list.csv", "DATA.TEST_LIST", "videos/list.csv")


def options(script):
    return {line.removeprefix("#SBATCH ") for line in script.splitlines() if line.startswith("#SBATCH ")}


def test_the_script_is_shown_and_nothing_made(submit, tmp_path):
    output = tmp_path / "out"
    status, out, _ = submit(
        *("--cfg", "tiny.yaml", "--dry-run", "--nodes", 2, "--tasks-per-node", 2, "--time", "1:00:00"),
        *("--partition", "cpu", "--slurm", "reservation=now", *LISTS, "OUTPUT_DIR", output),
    )
    assert status == 0
    assert {
        "--nodes=2",
        "--ntasks-per-node=2",
        "--time=60",
        "--partition=cpu",
        "--reservation=now",
    } <= options(out)
    assert {"--signal=USR2@120", "--requeue", "--cpus-per-task=1"} <= options(out)
    assert not output.exists()
    subprocess.run(["/bin/bash", "-n", "-c", out], check=True)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--gpus-per-node", 4), {"--gpus-per-node=4", "--ntasks-per-node=4"}),
        (("--tasks-per-node", 3), {"--ntasks-per-node=3"}),
        (("NUM_GPUS", 2), {"--gpus-per-node=2", "--ntasks-per-node=2"}),
        ((), {"--ntasks-per-node=1"}),
        (("DATA_LOADER.NUM_WORKERS", 7), {"--cpus-per-task=8"}),
        (("--array", 5), {"--array=0-4%5", "--ntasks-per-node=1"}),
        (("--array", 5, "--gpus-per-node", 1), {"--array=0-4%5", "--gpus-per-node=1"}),
    ],
)
def test_how_many_processes_there_are(submit, tmp_path, words, expected):
    status, out, err = submit(
        "--cfg",
        "tiny.yaml",
        "--dry-run",
        *words,
        *LISTS,
        "TRAIN.BATCH_SIZE",
        12,
        "OUTPUT_DIR",
        tmp_path / "out",
    )
    assert status == 0, err
    assert expected <= options(out)


def test_without_slurm_one_learns_what_to_do(submit, tmp_path):
    words = ("--cfg", "tiny.yaml", "--tasks-per-node", 2, *LISTS, "OUTPUT_DIR", tmp_path / "out")
    status, _, err = submit(*words)
    assert status == 2
    assert err.count("\n") == 1
    assert "there is no Slurm here (sbatch and srun not found on PATH)" in err
    assert (
        "torchrun --nproc-per-node 2 -m mvit_video run --cfg tiny.yaml DATA.TRAIN_LIST videos/list.csv" in err
    )
    assert not (tmp_path / "out").exists()


def test_what_is_submitted_is_kept(submit, tmp_path):
    words = ("--cfg", "tiny.yaml", "--nodes", 2, "--tasks-per-node", 2, *LISTS)
    status, out, err = submit(*words, "OUTPUT_DIR", tmp_path / "out", slurm=True)
    assert (status, err) == (0, "")
    assert out.startswith("job 41: 4 processes on 2 nodes; ")
    submission = last_submission(tmp_path / "out")
    config = load_config(submission.config_path)
    assert (config.num_shards, config.num_gpus) == (2, 0)
    assert config.data.train_list == "videos/list.csv"
    record = submission.read()
    assert record["versions"].keys() >= {"mvit_video", "torch", "submitit"}
    checkout = describe_checkout()  # None where the package is installed apart from one
    if checkout is None:
        assert not (submission.folder / "git.json").exists()
    else:
        assert json.loads((submission.folder / "git.json").read_text())["commit"] == checkout[0]["commit"]
    assert submission.job_ids() == ["41"]
    assert main(["status", str(tmp_path / "out")]) == 2  # nobody answers here


def test_sizes_that_are_typed_stay(submit, tmp_path):
    words = ("--cfg", "tiny.yaml", "--nodes", 2, "--tasks-per-node", 2, *LISTS, "NUM_SHARDS", 8)
    assert submit(*words, "NUM_GPUS=4", "OUTPUT_DIR", tmp_path / "out", slurm=True)[0] == 0
    config = load_config(last_submission(tmp_path / "out").config_path)
    assert (config.num_shards, config.num_gpus) == (8, 4)


def test_a_batch_that_cannot_be_shared_is_refused_here(submit, tmp_path):
    words = ("--cfg", "tiny.yaml", "--nodes", 3, "--tasks-per-node", 5, *LISTS)
    status, _, err = submit(*words, "OUTPUT_DIR", tmp_path / "out", slurm=True)
    assert status == 2
    assert "TRAIN.BATCH_SIZE" in err
    assert not (tmp_path / "out").exists()


def test_a_refused_submission_leaves_no_folder(submit, tmp_path):
    words = ("--cfg", "tiny.yaml", *LISTS, "OUTPUT_DIR", tmp_path / "out")
    assert submit(*words, slurm=True)[0] == 0
    (tmp_path / "bin" / "sbatch").write_text(
        f"#!{sys.executable}\nimport sys\nsys.exit('sbatch: error: invalid partition specified: nope')\n"
    )
    status, _, err = submit(*words)
    assert status == 2
    assert "Slurm refuses the job: " in err
    assert "invalid partition specified: nope" in err
    assert last_submission(tmp_path / "out").folder.name == "001"


def test_a_disk_that_is_full_after_sbatch_leaves_the_job_its_folder(submit, tmp_path):
    """This ``sbatch`` takes the job, and sees to it that no event can be written."""
    words = ("--cfg", "tiny.yaml", *LISTS, "OUTPUT_DIR", tmp_path / "out")
    assert submit(*words, slurm=True)[0] == 0
    (tmp_path / "bin" / "sbatch").write_text(
        f"#!{sys.executable}\nimport pathlib, sys\n"
        "(pathlib.Path(sys.argv[1]).parents[1] / 'events.jsonl').mkdir()\n"
        "print('Submitted batch job 42')\n"
    )
    status, _, err = submit(*words)
    assert status == 2
    assert "002/events.jsonl: cannot be written (Is a directory), so that status would not know job 42" in err
    assert last_submission(tmp_path / "out").request().what == "run"
    assert (tmp_path / "out/launch/002/config.yaml").exists()


def test_all_parts_of_a_test_take_the_weights_of_now(submit, folder, tmp_path):
    """Checkpoints that are saved while parts wait do not count."""
    saved = Path(tmp_path, "out", "checkpoints", "checkpoint_epoch_00001.pyth")
    saved.parent.mkdir(parents=True)
    torch.save({}, saved)
    saved.with_name("checkpoint_epoch_00002.pyth").write_bytes(saved.read_bytes()[:100])  # of a full disk
    words = ("--cfg", "tiny.yaml", "--array", 2, *LISTS, "OUTPUT_DIR", tmp_path / "out")
    status, _, err = submit(*words, slurm=True)
    assert status == 0, err
    config = load_config(last_submission(tmp_path / "out").config_path)
    assert config.test.checkpoint_file_path == str(saved)
    (folder / "mine.pyth").touch()
    assert submit(*words, "TEST.CHECKPOINT_FILE_PATH", "mine.pyth", slurm=True)[0] == 0
    config = load_config(last_submission(tmp_path / "out").config_path)
    assert config.test.checkpoint_file_path == str(folder / "mine.pyth")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "give one of --cfg FILE and --predict"),
        (("--cfg", "tiny.yaml", "--predict", "a.mp4"), "give one of --cfg FILE and --predict"),
        (("--cfg", "tiny.yaml", "--nodes", "0"), "--nodes 0: expected at least 1"),
        (("--cfg", "tiny.yaml", "--retries", "-1"), "--retries -1: expected at least 0"),
        (
            ("--cfg", "tiny.yaml", "--gpus-per-node", "2", "--tasks-per-node", "3"),
            "there is a process per GPU",
        ),
        (("--cfg", "tiny.yaml", "--array", "3", "--nodes", "2"), "a part is one process"),
        (("--cfg", "tiny.yaml", "--time", "later"), "--time later: expected minutes"),
        (("--cfg", "tiny.yaml", "--slurm", "time=3"), "use --time"),
        (("--cfg", "tiny.yaml", "TRAIN.ENABLE", "False", "TEST.ENABLE", "False"), "nothing to do"),
        (("--cfg", "tiny.yaml", "--array", "2", "TEST.SHUFFLE_FRAMES", "True"), "TEST.SHUFFLE_FRAMES"),
        (("KEY", "1", "--predict", "a.mp4"), "KEY: KEY VALUE goes with --cfg"),
        (("--predict", "videos", "--model", "mvitv2_s_16x4.k400"), "--output (missing): expected a file"),
        (("--predict", "videos", "--model", "x", "--output", "a.txt"), "--output a.txt: expected a file"),
        (
            ("--predict", "videos", "--model", "x", "--output", "a.csv", "--format", "json"),
            "expected a file that ends in .json or .csv",
        ),
        (("--predict", "videos", "--output", "a.csv"), "give one of --model NAME and --cfg FILE"),
    ],
)
def test_what_does_not_go_together_is_said_in_a_line(submit, words, message):
    status, _, err = submit(*words, slurm=True)
    assert status == 2
    assert err.startswith("mvit-video: error: ")
    assert message in err
    assert err.count("\n") == 1


def test_a_prediction_in_parts(submit, folder, tmp_path):
    output = tmp_path / "answers.json"
    status, out, err = submit(
        *("--array", 3, "--predict", "videos/class_0", "--cfg", "tiny.yaml", "videos/class_1", "--top-k", 2),
        *("--clips", "--opts", "TEST.NUM_ENSEMBLE_VIEWS", 3, "--output", output),
        slurm=True,
    )
    assert status == 0, err
    assert "predict in 3 parts" in out
    request = last_submission(tmp_path / "answers").request()
    assert list(request.words) == [
        *("--cfg", "tiny.yaml", "--opts", "TEST.NUM_ENSEMBLE_VIEWS", "3", "--top-k", "2", "--clips"),
    ]
    lists = sorted(last_submission(tmp_path / "answers").parts.glob("*.list"))
    videos = [record.path for path in lists for record in read_list(path)]
    assert videos == sorted(f"videos/class_{c}/{n}.mp4" for c in range(2) for n in range(4))
    assert (request.output, request.directory) == (str(output), str(folder))


def test_an_answer_that_is_there_is_said_before_a_job_is_queued(submit, tmp_path):
    (tmp_path / "a.csv").touch()
    words = ("--predict", "videos/class_0", "--cfg", "tiny.yaml", "--output", tmp_path / "a.csv")
    status, _, err = submit("--array", 2, *words, slurm=True)
    assert status == 2
    assert "a.csv: is there already" in err
    assert submit("--array", 2, *words, "--force", slurm=True)[0] == 0
    assert "--force" not in last_submission(tmp_path / "a").request().words


def test_there_are_no_more_parts_than_videos(submit, tmp_path):
    words = ("--predict", "videos/class_0", "--cfg", "tiny.yaml", "--output", tmp_path / "a.csv")
    assert submit("--array", 99, *words, slurm=True)[0] == 0
    assert last_submission(tmp_path / "a").request().parts == 4


def test_status_of_a_folder_that_is_no_run(tmp_path, capsys):
    assert main(["status", str(tmp_path)]) == 2
    assert f"error: {tmp_path}: nothing was submitted from here" in capsys.readouterr().err
    assert main(["status", str(tmp_path), "-f"]) == 2
    assert "-f follows the logs: it goes with --logs" in capsys.readouterr().err


def test_the_tool_is_the_verb(folder):
    tool = Path(__file__).parents[2] / "tools" / "submit.py"
    done = subprocess.run(
        [sys.executable, str(tool), "--cfg", "x"], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "x: no such" in done.stderr or "x" in done.stderr
