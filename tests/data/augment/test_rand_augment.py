import pickle
import re

import numpy as np
import pytest
from kit.random_streams import LikeRandom, numpy_drawing_from
from kit.real_clips import real_frames
from PIL import Image
from timm.data import auto_augment

from mvit_video.data import RandAugment
from mvit_video.data.augment.operations import apply_operations

RECIPE = "rand-m7-n4-mstd0.5-inc1"
TEXTS = [RECIPE, "rand-m9-n6-mstd0.5-inc1", "rand-m9-mstd0.5-inc1", "rand-m5-n3", "rand-n3-m6-mstd1-inc0",
         "rand-m8-n5-p0.8-inc1", "rand-m4-n2-p1", "rand-m9-n3-mstd101-inc1", "rand-m10-n4-mstd2-mmax12-inc1",
         "rand", "rand-inc1"]  # fmt: skip
INTERPOLATIONS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "random": (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC),
}
OUR_NAMES = {
    "AutoContrast": "auto_contrast", "Equalize": "equalize", "Invert": "invert", "Rotate": "rotate",
    "Posterize": "posterize", "Solarize": "solarize", "SolarizeAdd": "solarize_add", "Color": "colour",
    "Contrast": "contrast", "Brightness": "brightness", "Sharpness": "sharpness", "ShearX": "shear_x",
    "ShearY": "shear_y", "TranslateXRel": "translate_x", "TranslateYRel": "translate_y",
}  # fmt: skip


class Theirs:
    """timm's transform as SlowFast sets it up: no mean colour, so the fill is grey."""

    def __init__(self, text, interpolation="bicubic", transforms=None):
        hparams = {"translate_const": 100, "interpolation": INTERPOLATIONS[interpolation]}
        self.transform = auto_augment.rand_augment_transform(text, hparams, transforms)
        self.applied = []
        for operation in self.transform.ops:
            operation.aug_fn = self.recording(operation.name, operation.aug_fn)

    def recording(self, name, function):
        def record(picture, *values, **kwargs):
            resample = kwargs["resample"]
            moves = name.startswith(("Rotate", "Shear", "Translate"))
            if moves and isinstance(resample, tuple):
                resample = kwargs["resample"] = self.choice(resample)
            self.applied.append((name, *values, resample if moves else None))
            if name.startswith("Posterize") and values[0] == 0:
                return picture  # which PIL refuses
            return function(picture, *values, **kwargs)

        return record

    def __call__(self, picture, generator, monkeypatch):
        stream = LikeRandom(generator)
        self.choice, self.applied = stream.choice, []
        monkeypatch.setattr(auto_augment, "random", stream)
        monkeypatch.setattr(auto_augment, "np", numpy_drawing_from(generator))
        return self.transform(picture)


def as_theirs(operations):
    """Our operations as they were recorded of timm's."""
    names = {ours: theirs for theirs, ours in OUR_NAMES.items()}
    found = []
    for operation in operations:
        name = names[operation.name]
        values = [] if name in ("AutoContrast", "Equalize", "Invert") else [operation.value]
        moves = name.startswith(("Rotate", "Shear", "Translate"))
        found.append((name, *values, INTERPOLATIONS[operation.interpolation] if moves else None))
    return found


def assert_same_draws(ours, theirs, monkeypatch, draws):
    picture = Image.new("RGB", (8, 8))
    counts = set()
    for seed in range(draws):
        generator, their_generator = np.random.default_rng(seed), np.random.default_rng(seed)
        found = as_theirs(ours.draw(generator))
        theirs(picture, their_generator, monkeypatch)
        expected = [(name.removesuffix("Increasing"), *rest) for name, *rest in theirs.applied]
        assert found == [pytest.approx(entry, abs=1e-12) if len(entry) == 3 else entry for entry in expected]
        assert generator.random() == their_generator.random()  # as many numbers were drawn
        counts.add(len(found))
    return counts


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("text", TEXTS)
def test_draws_are_timms(text, interpolation, monkeypatch):
    ours = RandAugment.parse(text, interpolation=interpolation)
    counts = assert_same_draws(ours, Theirs(text, interpolation), monkeypatch, 80)
    assert max(counts) >= ours.num_operations - 1


def test_weighted_draws_are_timms_with_slowfasts_weights(monkeypatch):
    # SlowFast, slowfast/datasets/rand_augment.py, _RAND_CHOICE_WEIGHTS_0
    weights = dict.fromkeys(OUR_NAMES, 0.005) | {
        "Rotate": 0.3, "ShearX": 0.2, "ShearY": 0.2, "TranslateXRel": 0.1, "TranslateYRel": 0.1,
        "Color": 0.025, "Sharpness": 0.025, "AutoContrast": 0.025, "Posterize": 0, "Invert": 0,
    }  # fmt: skip
    theirs = Theirs("rand-m9-n5-mstd0.5", transforms=weights)
    assert_same_draws(RandAugment.parse("rand-m9-n5-mstd0.5-w0"), theirs, monkeypatch, 200)


def test_clips_look_like_timms(monkeypatch):
    """Whole draws: where a value crosses a threshold, 1 of 255 becomes more, in few pixels."""
    frames = real_frames(2, height=128, width=170)
    ours, theirs = RandAugment.parse(RECIPE), Theirs(RECIPE)
    changed = 0
    for seed in range(40):
        operations = ours.draw(np.random.default_rng(seed))
        found = apply_operations(operations, frames).astype(int)
        for frame, picture in zip(frames, found, strict=True):
            expected = theirs(Image.fromarray(frame), np.random.default_rng(seed), monkeypatch)
            difference = np.abs(picture - np.asarray(expected).astype(int))
            assert (difference > 2).mean() < 0.01, (seed, operations)
        changed += bool((found != frames).any())
    assert changed > 30


def test_strengths_stay_in_their_ranges():
    ranges = {
        "rotate": (-30, 30), "posterize": (0, 4), "solarize": (0, 256), "solarize_add": (0, 110),
        "colour": (0.1, 1.9), "contrast": (0.1, 1.9), "brightness": (0.1, 1.9), "sharpness": (0.1, 1.9),
        "shear_x": (-0.3, 0.3), "shear_y": (-0.3, 0.3), "translate_x": (-0.45, 0.45),
        "translate_y": (-0.45, 0.45), "auto_contrast": (0, 0), "equalize": (0, 0), "invert": (0, 0),
    }  # fmt: skip
    generator = np.random.default_rng(0)
    for text in ("rand-m9-n15-mstd3-inc1-p1", "rand-m9-n15-mstd3-p1"):
        seen = {}
        for _ in range(200):
            for operation in RandAugment.parse(text).draw(generator):
                seen.setdefault(operation.name, []).append(operation.value)
        assert seen.keys() == ranges.keys()
        for name, (low, high) in ranges.items():
            assert low - 1e-9 <= min(seen[name])
            assert max(seen[name]) <= high + 1e-9


def test_half_of_the_operations_are_applied():
    generator = np.random.default_rng(0)
    counts = [len(RandAugment.parse(RECIPE).draw(generator)) for _ in range(2000)]
    assert np.bincount(counts) / 2000 == pytest.approx(np.array([1, 4, 6, 4, 1]) / 16, abs=0.03)


def test_texts_are_read():
    assert RandAugment.parse(RECIPE) == RandAugment(7, 4, magnitude_std=0.5, increasing=True)
    found = RandAugment.parse("rand-w0-mmax20-n3-p0.25-m12-inc0", interpolation="random")
    assert found == RandAugment(12, 3, prob=0.25, magnitude_max=20, weighted=True, interpolation="random")
    assert pickle.loads(pickle.dumps(found)) == found


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("rand-m7-n4-mstd0.5-incl", "incl"),
        ("rand-m7.5", "m7.5"),
        ("rand-inc2", "inc2"),
        ("rand-w1", "w1"),
        ("rand-x3", "x3"),
        ("rand-", ""),
        ("rand-mstd", "mstd"),
        ("rand-mstd1..2", "mstd1..2"),
        ("augmix-m3", "augmix"),
        ("", ""),
    ],
)
def test_texts_that_mean_nothing(text, part):
    expected = (
        f"RandAugment {text!r}: found {part!r}, expected rand, then m7 (magnitude), n4 (operations), p0.5, "
        "mstd0.5, mmax10, inc1 or w0, joined by '-'"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        RandAugment.parse(text)


def test_settings_that_cannot_be():
    with pytest.raises(ValueError, match="num_operations is 14, expected 13 at most with w0"):
        RandAugment.parse("rand-n14-w0")
    with pytest.raises(ValueError, match="interpolation is 'nearest', expected 'bilinear', 'bicubic' or"):
        RandAugment(interpolation="nearest")
