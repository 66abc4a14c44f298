import json
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from kit.random_streams import numpy_drawing_from
from timm.data import mixup

from mvit_video.data import Mix, Mixing, soft_targets
from mvit_video.data.augment.placements import Box

FACTS = json.loads((Path(__file__).parents[2] / "golden/mixing/targets.json").read_text())
SETTINGS = {
    "both": Mixing(0.8, 1.0),
    "sometimes": Mixing(0.8, 1.0, prob=0.5, switch_prob=0.2),
    "mixup alone": Mixing(0.8, 0.0),
    "cutmix alone": Mixing(0.0, 1.0),
    "off": Mixing(0.8, 1.0, prob=0.0),
}


def timms(mixing, **settings):
    return mixup.Mixup(
        mixing.alpha, mixing.cutmix_alpha, prob=mixing.prob, switch_prob=mixing.switch_prob, **settings
    )


@pytest.mark.parametrize("fact", FACTS)
def test_targets_are_the_official_ones(fact):
    labels = torch.tensor(fact["labels"])
    found = soft_targets(
        labels, fact["num_classes"], smoothing=fact["smoothing"], mixes=[Mix(fact["lam"])], group_size=4
    )
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, torch.tensor(fact["target"]), atol=1e-7, rtol=0)


@pytest.mark.parametrize("lam", [1.0, 0.3, 0.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_targets_of_each_group_are_timms(lam, smoothing):
    labels = torch.tensor([0, 3, 6, 6, 2, 1])
    found = soft_targets(labels, 7, smoothing=smoothing, mixes=[Mix(lam), Mix(1 - lam)], group_size=3)
    expected = [
        mixup.mixup_target(labels[:3], 7, lam, smoothing),
        mixup.mixup_target(labels[3:], 7, 1 - lam, smoothing),
    ]
    torch.testing.assert_close(found, torch.cat(expected), atol=1e-7, rtol=0)
    torch.testing.assert_close(found.sum(1), torch.ones(6))


def test_without_mixing_labels_are_smoothed_alone():
    found = soft_targets(torch.tensor([1, 0]), 4, smoothing=0.2)
    torch.testing.assert_close(found, torch.tensor([[0.05, 0.85, 0.05, 0.05], [0.85, 0.05, 0.05, 0.05]]))
    assert soft_targets(torch.tensor([1]), 3).tolist() == [[0, 1, 0]]


@pytest.mark.parametrize(
    ("name", "kinds_expected"),
    [("both", 2), ("sometimes", 3), ("mixup alone", 1), ("cutmix alone", 1), ("off", 1)],
)
def test_draws_are_timms(name, kinds_expected, monkeypatch):
    """But for SlowFast's boxes, whose odd sizes are one pixel smaller than timm's today."""
    mixing = SETTINGS[name]
    theirs = timms(mixing)
    kinds = set()
    for seed in range(200):
        generator, their_generator = np.random.default_rng(seed), np.random.default_rng(seed)
        mix = mixing.draw(generator, 20, 30)
        monkeypatch.setattr(mixup, "np", numpy_drawing_from(their_generator))
        lam, cuts = theirs._params_per_batch()
        kinds.add((cuts, lam < 1))
        assert (mix.box is not None) == cuts
        if cuts:
            (top, bottom, left, right), _ = mixup.cutmix_bbox_and_lam((3, 20, 30), lam)
            assert (mix.box.top, mix.box.left) == (top, left)
            for found, expected, side in (
                (mix.box.height, bottom - top, 20),
                (mix.box.width, right - left, 30),
            ):
                odd = int(side * math.sqrt(1 - lam)) % 2
                assert expected - odd <= found <= expected
            assert mix.lam == pytest.approx(1 - mix.box.height * mix.box.width / 600, abs=1e-12)
        else:
            assert mix.lam == lam
        assert generator.random() == their_generator.random()  # as many numbers were drawn
    assert len(kinds) == {"both": 2, "sometimes": 3}.get(
        next(k for k, v in SETTINGS.items() if v is mixing), 1
    )


@pytest.mark.parametrize("mixing", [SETTINGS["mixup alone"], SETTINGS["cutmix alone"]])
def test_clips_are_mixed_as_timm_does_given_the_same_weight_and_box(mixing, monkeypatch):
    clips = torch.randn(4, 3, 2, 20, 30, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 3])
    for seed in range(10):
        mix = mixing.draw(np.random.default_rng(seed), 20, 30)
        box = mix.box or Box(0, 0, 0, 0)
        theirs = timms(mixing, num_classes=4)
        corners = (box.top, box.top + box.height, box.left, box.left + box.width)
        monkeypatch.setattr(theirs, "_params_per_batch", lambda mix=mix: (mix.lam, mix.box is not None))
        monkeypatch.setattr(mixup, "cutmix_bbox_and_lam", lambda *_, c=corners, m=mix, **__: (c, m.lam))
        expected, targets = theirs(clips.flatten(1, 2).clone(), labels)
        found = clips.clone()
        mix.apply_(found)
        torch.testing.assert_close(found.flatten(1, 2), expected, atol=1e-6, rtol=0)
        ours = soft_targets(labels, 4, smoothing=0.1, mixes=[mix], group_size=4)
        torch.testing.assert_close(ours, targets, atol=1e-7, rtol=0)


def test_the_weight_is_the_share_that_was_not_cut():
    clips = torch.stack([torch.full((3, 2, 16, 16), float(value)) for value in (0, 1)])
    mix = Mixing(0.0, 1.0).draw(np.random.default_rng(3), 16, 16)
    mix.apply_(clips)
    assert 0 < mix.lam < 1
    assert clips[0].mean() == pytest.approx(1 - mix.lam)
    assert clips[1].mean() == pytest.approx(mix.lam)


def test_a_mix_travels_between_processes():
    mix = Mix(0.25, Box(1, 2, 3, 4))
    assert pickle.loads(pickle.dumps(mix)) == mix


def test_groups_that_are_not_the_batch():
    with pytest.raises(ValueError, match="there are 2 mixes of 2 clips each, expected 3 clips in all"):
        soft_targets(torch.tensor([0, 1, 2]), 3, mixes=[Mix(), Mix()], group_size=2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prob": -0.1}, r"prob is -0\.1, expected a probability, 0 to 1"),
        ({"switch_prob": 2}, "switch_prob is 2, expected a probability, 0 to 1"),
        ({"alpha": -1}, "alpha is -1, expected 0 or more"),
        ({"cutmix_alpha": -1}, "cutmix_alpha is -1, expected 0 or more"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ValueError, match=message):
        Mixing(**settings)
