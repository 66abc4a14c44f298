"""Looking for the fastest settings: on costs that are known, and on a small model."""

import pytest
import torch
from kit.small_models import SMALL_V2

from mvit_video.engine.machine import num_cpus
from mvit_video.engine.tuning.trials import Setting, Trial, Workbench
from mvit_video.engine.tuning.tuning import choices_of, fastest, search, tune
from mvit_video.models import MViT

CHOICES = {"precision": ("fp32", "bf16"), "threads": (4, 2), "batch": (1, 2, 4, 8)}


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def cost(setting):
    """bf16 halves the time, fewer threads double it, and clips share one second of overhead."""
    if setting.batch > 4:
        return Trial(setting, problem="too large")
    seconds = (1 if setting.precision == "fp32" else 0.5) * 4 / setting.threads + 1 / setting.batch
    return Trial(setting, seconds, 100 * setting.batch)


def test_each_choice_is_tried_with_the_best_of_those_before():
    trials = list(search(cost, CHOICES))
    assert [t.setting for t in trials] == [
        Setting("fp32", 4, 1),
        Setting("bf16", 4, 1),
        Setting("bf16", 2, 1),
        Setting("bf16", 4, 2),
        Setting("bf16", 4, 4),
        Setting("bf16", 4, 8),
    ]
    assert fastest(trials).setting == Setting("bf16", 4, 4)


def test_larger_batches_than_one_that_failed_are_left_out():
    trials = search(cost, {**CHOICES, "batch": (1, 8, 2)})
    assert max(t.setting.batch for t in trials) == 8
    assert 2 not in {t.setting.batch for t in search(cost, {**CHOICES, "batch": (1, 8, 2)})}


def test_a_later_setting_must_be_clearly_faster():
    plain, same, faster = (Trial(Setting(batch=b), s) for b, s in ((1, 1.0), (2, 0.98), (4, 0.9)))
    assert fastest([plain, same]) is plain
    assert fastest([plain, same, faster]) is faster
    assert fastest([Trial(Setting(), problem="no")]) is None
    assert fastest([Trial(Setting(), problem="no"), faster]) is faster


def test_choices_of_a_cpu():
    cpus = num_cpus()
    choices = choices_of(torch.device("cpu"), training=False)
    assert choices["precision"] == ("fp32", "bf16")
    assert choices["threads"][0] == cpus
    assert len(set(choices["threads"])) == len(choices["threads"])
    assert "compiled" not in choices
    assert "checkpointing" not in choices
    more = choices_of(torch.device("cpu"), training=True, compiling=True)
    assert more["compiled"] == more["checkpointing"] == (False, True)


def test_a_small_model_is_tuned_for_training():
    bench = Workbench(MViT(SMALL_V2), (4, 32, 32), training=True, seconds=0)
    choices = {
        "threads": (1,),
        "precision": ("fp32", "bf16"),
        "batch": (1, 8),
        "checkpointing": (False, True),
    }
    seen = []
    findings = tune(bench, choices, seen.append)
    assert tuple(seen) == findings.trials
    assert [t.problem for t in seen] == [""] * len(seen)
    assert any(t.setting.checkpointing for t in seen)
    assert findings.best.setting.batch == 8  # eight clips cost far less than eight times one this small
    assert findings.gain.least <= findings.gain.median <= findings.gain.largest
    memory, time = findings.checkpointing
    assert memory > 0
    assert time > 0


def test_where_nothing_runs_there_is_nothing_to_find():
    bench = Workbench(MViT(SMALL_V2), (4, 32, 32), seconds=0)
    assert tune(bench, {"batch": (10**9,)}, lambda trial: None) is None
