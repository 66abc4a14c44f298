"""What a predictor makes of segments, folders of images and damaged files."""

import warnings

import av
import numpy as np
import pytest
import torch
from kit import colours
from kit.colours import BLUE, CLASS_NAMES, RED
from kit.media_damage import harm_file, zeroed
from kit.small_models import randomise
from kit.videos import write_video
from PIL import Image

import mvit_video
from mvit_video.config import load_config
from mvit_video.data import DamagedVideoWarning, Decoding, VideoError, ViewPlan
from mvit_video.inference import Predictor
from mvit_video.weights import ZOO, class_names, write_safetensors


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("colours")
    colours.write_config(folder)
    colours.write_weights(folder / "weights.safetensors")
    return folder


def _predictor(folder, *words):
    config = load_config([folder / "colours.yaml"], list(words))
    return Predictor(config, checkpoint=folder / "weights.safetensors", device="cpu")


class TestSegments:
    def test_one_frame_of_each_part_of_the_whole_video(self, folder, tmp_path):
        """Against frames by PyAV's own iteration, at SlowFast's positions worked out by hand."""
        path = write_video(tmp_path / "numbered.mp4", 41, width=96, height=64)
        model = randomise(colours.build_model(folder)).eval()
        plan = ViewPlan(4, 2, 1, 3, crop_size=32, short_side=32, sampling="segments")
        predictor = Predictor(model, views=plan, device="cpu", precision="fp32")
        with av.open(str(path)) as container:
            images = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        # (41 - 1) / 4 = 10 frames a part: 0 to 10, 10 to 20, ..., the middle of each.
        clip_CTHW = (
            torch.from_numpy(np.stack([images[i] for i in (5, 15, 25, 35)])).permute(3, 0, 1, 2).float()
        )
        scaled = torch.nn.functional.interpolate(
            clip_CTHW.transpose(0, 1), size=(32, 48), mode="bilinear"
        ).transpose(0, 1)
        x = torch.stack([scaled[..., left : left + 32].round() for left in (0, 8, 16)])
        with torch.no_grad():
            expected_K = model((x / 255 - 0.45) / 0.225).softmax(1).mean(0)
        prediction = predictor(path)
        found = {entry.index: entry.score for entry in prediction.top}
        assert [found[0], found[1]] == pytest.approx(expected_K.tolist(), abs=5e-3)
        (clip,) = prediction.clips
        assert (clip.start_seconds, clip.end_seconds) == pytest.approx((5 / 30, 36 / 30))

    def test_a_configuration_says_so(self, folder, tmp_path):
        path = colours.write_colour_video(tmp_path / "late.mp4", RED, RED, RED, BLUE)
        words = ("TEST.NUM_ENSEMBLE_VIEWS=1", "DATA.USE_OFFSET_SAMPLING=True")
        dense = _predictor(folder, *words)(path)
        assert dense.clips[0].end_seconds - dense.clips[0].start_seconds < 0.3
        segments = _predictor(folder, *words, "DATA.SAMPLING=segments")(path)
        assert segments.clips[0].end_seconds - segments.clips[0].start_seconds > 2.5

    def test_the_published_models_are_shown_what_they_were_trained_on(self, tmp_path):
        torch.manual_seed(0)
        model = mvit_video.create_model("mvitv2_s_16x4", num_classes=174)
        write_safetensors(tmp_path / "ssv2.safetensors", model.state_dict())
        predictor = Predictor("mvitv2_s_16x4.ssv2", checkpoint=tmp_path / "ssv2.safetensors", device="cpu")
        assert predictor.views == ViewPlan(16, 4, 1, 3, 224, 224, sampling="segments")
        assert predictor.class_names == class_names("ssv2")
        assert ZOO["mvitv2_s_16x4.ssv2"].recipe.sampling == "segments"


def test_a_folder_of_images_is_a_video(folder, tmp_path):
    for number in range(30):
        colour = RED if number < 15 else BLUE
        Image.new("RGB", (64, 48), colour).save(tmp_path / f"{number + 1:06d}.png")
    prediction = _predictor(folder)(tmp_path)
    assert prediction.path == str(tmp_path)
    assert prediction.clips[0].top[0].name == CLASS_NAMES[0]
    assert prediction.clips[-1].top[0].name == CLASS_NAMES[1]
    assert prediction.clips[-1].end_seconds == pytest.approx(1.0)
    assert prediction.damage is None


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    """Red, then blue; zeros from somewhere in the blue part on."""
    path = tmp_path_factory.mktemp("damaged") / "cut.mp4"
    noise = np.random.default_rng(0).integers(-25, 25, (60, 48, 64, 3))
    picture = np.array([RED] * 30 + [BLUE] * 30)[:, None, None] + noise
    write_video(path, 60, width=64, height=48, picture=lambda i: picture[i].clip(0, 255).astype(np.uint8))
    harm_file(path, zeroed(40, 58))
    return path


class TestDamage:
    def test_the_good_part_is_answered_for_and_the_rest_noted(self, folder, damaged):
        with pytest.warns(DamagedVideoWarning):
            prediction = _predictor(folder)(damaged)
        assert prediction.clips[-1].end_seconds <= 40 / 30 + 1e-6
        assert prediction.clips[0].top[0].name == CLASS_NAMES[0]
        assert prediction.damage.startswith("good up to frame ")

    def test_along_it_too(self, folder, damaged):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DamagedVideoWarning)
            prediction = _predictor(folder)(damaged, every_seconds=0.25)
            clips = list(_predictor(folder).along(damaged, 0.25))
        assert prediction.damage.startswith("good up to frame ")
        assert tuple(clips) == prediction.clips
        assert clips[-1].end_seconds <= 40 / 30 + 1e-6

    def test_it_can_be_refused(self, folder, damaged):
        with pytest.raises(VideoError, match=r"cut\.mp4.*damaged"):
            _predictor(folder, "DATA.ON_DAMAGE=refuse")(damaged)
        config = load_config([folder / "colours.yaml"])
        weights = folder / "weights.safetensors"
        strict = Predictor(config, checkpoint=weights, device="cpu", decoding=Decoding(on_damage="refuse"))
        with pytest.raises(VideoError, match=r"cut\.mp4.*damaged"):
            strict(damaged)
