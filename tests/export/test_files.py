"""Exported files give the model's logits, for any number of clips, and say how to show it videos."""

import json
import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from kit.small_models import CLASSES, SMALL_V2, small_clip, small_model

from mvit_video.data import ViewPlan
from mvit_video.export import FORMATS, Description, ExportError, compare, export_model, onnx_file
from mvit_video.export.files import write_program
from mvit_video.export.tracing import trace
from mvit_video.models import ARCHITECTURES

pytestmark = pytest.mark.timeout(1200)  # tracing takes long on a busy machine

# Two blocks hold all there is: pooling of each kind, a change of width, relative positions.
ARCHITECTURE = replace(SMALL_V2, depth=2, pool_q_stride=SMALL_V2.pool_q_stride[:2])
VIEWS = ViewPlan(4, 2, temporal_views=3, spatial_crops=1, crop_size=32, short_side=36)
NAMES = ("a", "b", "ç", 'd "quoted"', "e, f")
DESCRIPTION = Description("small", "random", VIEWS, (0.45, 0.4, 0.35), (0.225, 0.2, 0.21), NAMES)


@pytest.fixture(scope="module")
def model():
    return small_model(ARCHITECTURE)


@pytest.fixture(scope="module")
def program(model):
    return trace(model, VIEWS)


@pytest.fixture(scope="module")
def onnx_session(program, tmp_path_factory):
    """Attention in parts: 1 + 4*8*8 queries and 1 + 4*2*2 keys in the first block."""
    import onnxruntime

    path = tmp_path_factory.mktemp("onnx") / "small.onnx"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_file, "LARGEST_SCORES", 100)
        onnx_file.write_onnx(program, path, DESCRIPTION)
    assert [found.name for found in path.parent.iterdir()] == ["small.onnx"]
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def clips(count):
    generator = torch.Generator().manual_seed(count)
    return torch.randn(count, *small_clip().shape[1:], generator=generator)


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_traced_program_gives_the_models_logits(model, program, count):
    with torch.no_grad():
        torch.testing.assert_close(program.module()(clips(count)), model(clips(count)), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2, 5])
def test_onnxruntime_gives_the_models_logits(model, onnx_session, count):
    (found,) = onnx_session.run(["logits"], {"clips": clips(count).numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(found, model(clips(count)).numpy(), rtol=0, atol=1e-4)


@pytest.mark.slow
def test_sizes_are_fixed_but_for_the_batch_and_names_are_ours(onnx_session):
    (given,), (answer,) = onnx_session.get_inputs(), onnx_session.get_outputs()
    assert (given.name, given.shape) == ("clips", ["batch", 3, 4, 32, 32])
    assert (answer.name, answer.shape) == ("logits", ["batch", CLASSES])


@pytest.mark.slow
@pytest.mark.parametrize("file_format", FORMATS)
def test_no_file_tells_where_it_was_made(program, tmp_path, file_format):
    path = tmp_path / "small.file"
    write_program(program, path, DESCRIPTION, file_format)
    content = path.read_bytes()
    assert b"blocks.1.attn.qkv.weight" in content
    assert b"attention.py" not in content
    assert str(Path(onnx_file.__file__).parents[1]).encode() not in content


@pytest.mark.slow
def test_metadata_holds_the_description(onnx_session):
    texts = onnx_session.get_modelmeta().custom_metadata_map
    facts = {name: json.loads(text) for name, text in texts.items()}
    assert facts["class_names"] == list(NAMES)
    assert facts["mean"] == [0.45, 0.4, 0.35]
    assert facts["num_frames"] == 4
    assert facts["short_side"] == 36
    assert "pixel / 255" in facts["preprocessing"]


@pytest.mark.slow
def test_a_file_of_torch_export_gives_the_models_logits_and_mode_and_weights_stay(model, tmp_path):
    path = tmp_path / "small.pt2"
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    model.head.eval()
    try:
        export_model(model, path, DESCRIPTION, file_format="torch-export")
        assert model.training
        assert not model.head.training
        assert model.blocks[0].training
    finally:
        model.eval()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [found.name for found in tmp_path.iterdir()] == ["small.pt2"]
    loaded = torch.export.load(path, extra_files=(extra := {"mvit_video.json": ""}))
    assert json.loads(extra["mvit_video.json"])["class_names"] == list(NAMES)
    with torch.no_grad():
        torch.testing.assert_close(loaded.module()(clips(3)), model(clips(3)), rtol=1e-5, atol=1e-5)
    assert compare(model, path, VIEWS, file_format="torch-export") < 1e-5
    with torch.no_grad():
        model.head.projection.bias[2] += 0.01
        with pytest.raises(ExportError, match=r"differ from the model's by 0\.01"):
            compare(model, path, VIEWS, file_format="torch-export")
        model.head.projection.bias[2] -= 0.01


def test_names_and_classes_have_to_agree(model, tmp_path):
    with pytest.raises(ExportError, match="4 class names for a model with 5 classes"):
        export_model(
            model, tmp_path / "a.pt2", replace(DESCRIPTION, class_names=NAMES[:4]), file_format="torch-export"
        )


def test_the_format_has_to_be_one_of_two(model, tmp_path):
    with pytest.raises(ExportError, match="unknown format 'tflite', expected onnx or torch-export"):
        export_model(model, tmp_path / "a.tflite", DESCRIPTION, file_format="tflite")


def test_clips_have_to_be_large_enough(model):
    with pytest.raises(ExportError, match="too small"):
        trace(model, replace(VIEWS, num_frames=1))


@pytest.mark.slow
@pytest.mark.parametrize("file_format", FORMATS)
def test_a_file_that_grows_too_large_is_an_error_of_one_line_and_leaves_nothing(
    program, tmp_path, file_format
):
    path = tmp_path / "a.file"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(ExportError, match=r"a\.file: cannot be written") as caught:
            write_program(program, path, DESCRIPTION, file_format)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_has_these_formats():
    from mvit_video.cli.export import _FORMATS

    assert _FORMATS == FORMATS


def test_every_video_model_is_known_to_the_command_line():
    from mvit_video.cli.export import _packaged

    for name, architecture in ARCHITECTURES.items():
        config = _packaged(name)
        assert (config.data.num_frames, config.data.test_crop_size) == (
            architecture.num_frames,
            architecture.crop_size,
        )
