"""What a job asks for, as it is typed."""

import json

import pytest

from mvit_video.launch.errors import LaunchError
from mvit_video.launch.resources import Resources, parse_extra, parse_minutes, signal_seconds


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("90", 90),
        ("90:00", 90),
        ("0:30", 1),
        ("1:30:00", 90),
        ("1:30:01", 91),
        ("1-12", 36 * 60),
        ("1-12:30", 36 * 60 + 30),
        ("2-00:00:00", 2 * 24 * 60),
    ],
)
def test_time_limits_are_spelt_as_for_sbatch(text, minutes):
    """Each form as ``man sbatch`` lists it."""
    assert parse_minutes(text) == minutes


@pytest.mark.parametrize("text", ["", "0", "soon", "1:2:3:4", "-5", "1.5", "1-"])
def test_other_time_limits_are_refused(text):
    with pytest.raises(LaunchError, match=r"--time .*: expected minutes, HH:MM:SS or DAYS-HH:MM"):
        parse_minutes(text)


@pytest.mark.parametrize(
    ("given", "minutes", "seconds"),
    [(None, None, 120), (None, 600, 120), (None, 1, 30), (45, 1, 45), (5, None, 5)],
)
def test_the_signal_comes_in_time_to_save(given, minutes, seconds):
    assert signal_seconds(given, minutes) == seconds


@pytest.mark.parametrize(("given", "minutes"), [(0, None), (60, 1), (7200, 60)])
def test_a_signal_that_leaves_no_time_is_refused(given, minutes):
    with pytest.raises(LaunchError, match=f"--signal {given}: "):
        signal_seconds(given, minutes)


def test_other_options_of_sbatch():
    words = ["reservation=maintenance", "--exclusive", "gres=gpu:a100:2", "mail_user=me@here"]
    assert parse_extra(words) == {
        "reservation": "maintenance",
        "exclusive": True,
        "gres": "gpu:a100:2",
        "mail-user": "me@here",
    }


@pytest.mark.parametrize(
    ("word", "advice"),
    [
        ("time=5", "use --time"),
        ("--ntasks_per_node=5", "use --tasks-per-node"),
        ("no-requeue", "submit sets it by itself"),
        ("a b=c", "expected an option of sbatch"),
        ("", "expected an option of sbatch"),
    ],
)
def test_options_that_are_ours_are_refused(word, advice):
    with pytest.raises(LaunchError, match=advice):
        parse_extra([word])


def test_they_survive_being_written():
    asked = Resources(
        nodes=2, tasks_per_node=4, minutes=90, setup=("module load cuda",), extra={"gres": "gpu:2"}
    )
    assert Resources.from_json(json.loads(json.dumps(asked.to_json()))) == asked
    assert asked.tasks == 8
