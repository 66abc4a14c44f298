"""Reading files of weights: what is accepted, what is refused, and what our own files keep."""

import argparse
import fractions
import json
import os
import warnings
from collections import OrderedDict

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mvit_video.weights import (
    Checkpoint,
    WeightsError,
    read_checkpoint,
    read_torch_file,
    write_safetensors,
)

WEIGHTS = {
    "patch_embed.proj.weight": torch.arange(6.0).reshape(2, 3),
    "head.projection.weight": torch.ones(2, 4),
    "head.projection.bias": torch.zeros(2),
}


class Harmful:
    """Would run code on reading, if anybody let it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (exec, (f"open({str(self.path)!r}, 'w').close()",))


def same(ours, theirs):
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda w: w,
        lambda w: {"model_state": w, "epoch": 3, "cfg": "MODEL: {}"},
        lambda w: {"state_dict": w, "meta": {"hooks": []}},
        lambda w: {"model": w},
        lambda w: {"model_state": {f"module.{k}": v for k, v in w.items()}},
        lambda w: {"model_state": {f"model.{k}": v for k, v in w.items()}},
        lambda w: {"state_dict": {f"module._orig_mod.{k}": v for k, v in w.items()}},
        lambda w: OrderedDict({k: torch.nn.Parameter(v) for k, v in w.items()}),
    ],
    ids=["plain", "slowfast", "state_dict", "model", "module.", "model.", "compiled", "parameters"],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_weights_are_found_in_every_usual_wrapping(tmp_path, wrap, zipped):
    path = tmp_path / "weights.pyth"
    torch.save(wrap(WEIGHTS), path, _use_new_zipfile_serialization=zipped)
    assert same(read_checkpoint(path).state_dict, WEIGHTS)


def test_safetensors_are_told_by_content_not_by_name(tmp_path):
    path = tmp_path / "weights.pyth"
    save_file(WEIGHTS, path)
    assert same(read_checkpoint(path).state_dict, WEIGHTS)


def test_a_training_checkpoint_keeps_its_class_names_and_plain_values(tmp_path):
    path = tmp_path / "checkpoint_epoch_00010.pyth"
    content = {
        "model_state": WEIGHTS,
        "optimizer_state": {"state": {}},
        "epoch": 10,
        "class_names": ["up", "down"],
    }
    torch.save(content, path)
    checkpoint = read_checkpoint(path)
    assert checkpoint.class_names == ("up", "down")
    assert checkpoint.metadata == {"epoch": 10}
    assert read_torch_file(path)["optimizer_state"] == {"state": {}}


def test_numpy_values_and_namespaces_are_harmless(tmp_path):
    path = tmp_path / "weights.pth"
    extras = {
        "scalar": np.float32(0.5),
        "integer": np.int64(7),
        "flag": np.bool_(True),
        "array": np.arange(6, dtype=np.float64).reshape(2, 3),
        "names": np.array(["up", "down"]),
        "args": argparse.Namespace(lr=0.1, steps=[1, 2]),
    }
    torch.save({"model": WEIGHTS, **extras}, path)
    content = read_torch_file(path)
    assert content["scalar"] == np.float32(0.5)
    assert content["integer"] == 7
    assert content["array"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert content["names"].tolist() == ["up", "down"]
    assert content["args"] == argparse.Namespace(lr=0.1, steps=[1, 2])
    assert same(read_checkpoint(path).state_dict, WEIGHTS)


@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_numpy_scalars_of_old_and_new_numpy_are_read(tmp_path, module):
    """The module that makes scalars moved in numpy 2; the file is rewritten to name either."""
    path = tmp_path / "weights.pth"
    torch.save({"model": WEIGHTS, "best": np.float64(81.0)}, path, _use_new_zipfile_serialization=False)
    data = path.read_bytes()
    for name in (b"numpy._core.multiarray", b"numpy.core.multiarray"):
        data = data.replace(b"c" + name + b"\n", b"c" + module.encode() + b"\n")
    assert f"c{module}\n".encode() in data
    path.write_bytes(data)
    assert read_torch_file(path)["best"] == 81.0


def test_reading_leaves_torchs_own_list_of_safe_types_as_it_was(tmp_path):
    torch.save(WEIGHTS, tmp_path / "w.pth")
    with torch.serialization.safe_globals([argparse.Namespace]):
        before = set(torch.serialization.get_safe_globals())
        read_checkpoint(tmp_path / "w.pth")
        assert set(torch.serialization.get_safe_globals()) == before


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_is_refused_by_name_and_not_run(tmp_path, zipped):
    path = tmp_path / "weights.pth"
    content = {"model": WEIGHTS, "extra": Harmful(tmp_path / "ran")}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match=r"holds (builtins\.)?exec, .* could run code") as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


def test_an_unknown_type_is_refused_by_name(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"model": WEIGHTS, "ratio": fractions.Fraction(1, 2)}, path)
    with pytest.raises(
        WeightsError, match=r"holds fractions\.Fraction, which is neither a tensor nor a plain value"
    ):
        read_checkpoint(path)


def test_a_whole_pickled_module_is_refused_by_name(tmp_path):
    path = tmp_path / "model.pth"
    torch.save(torch.nn.Linear(2, 2), path)
    with pytest.raises(WeightsError, match=r"holds torch\.nn\.modules\.linear\.Linear"):
        read_checkpoint(path)


def test_torchs_environment_variable_does_not_switch_the_refusal_off(tmp_path, monkeypatch):
    path = tmp_path / "weights.pth"
    torch.save({"model": WEIGHTS, "extra": Harmful(tmp_path / "ran")}, path)
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    with pytest.raises(WeightsError, match="could run code"):
        read_checkpoint(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "it is empty"),
        (b"<!doctype html><html></html>", "not a file of weights, or damaged"),
        (b"PK\x03\x04 and nothing more", "not a file of weights, or damaged"),
        (b"\x80\x02}q\x00.", "not a file of weights, or damaged"),
        (bytes(1000), "not a file of weights, or damaged"),
        (b"hello\n", "or damaged .*expected what torch.save or safetensors wrote: choose another file"),
    ],
)
def test_what_is_no_file_of_weights_is_refused(tmp_path, content, match):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=match) as caught:
        read_checkpoint(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
@pytest.mark.parametrize("kind", ["zip", "pickle", "safetensors"])
def test_a_truncated_file_is_refused(tmp_path, kind, share):
    path = tmp_path / "weights"
    if kind == "safetensors":
        save_file(WEIGHTS, path)
    else:
        torch.save(WEIGHTS, path, _use_new_zipfile_serialization=kind == "zip")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(WeightsError, match=str(path)):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"epoch": 3}, r"keys epoch\)"),
        ([1, 2], r"a list\)"),
        ({}, r"keys none\)"),
        (torch.ones(2), r"a Tensor\)"),
    ],
)
def test_a_file_without_named_tensors_is_refused(tmp_path, content, found):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=f"no named tensors found .{found}"):
        read_checkpoint(tmp_path / "w.pth")


def test_a_dict_that_holds_itself_is_refused(tmp_path):
    content = {}
    content["model"] = content
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="no named tensors found"):
        read_checkpoint(tmp_path / "w.pth")


@pytest.mark.parametrize("names", [5, "abc", {"red": 0, "blue": 1}])
@pytest.mark.parametrize("safetensors", [True, False])
def test_class_names_that_are_no_list_are_refused(tmp_path, names, safetensors):
    path = tmp_path / "w"
    if safetensors:
        save_file(WEIGHTS, path, metadata={"class_names": json.dumps(names)})
    else:
        torch.save({"model_state": WEIGHTS, "class_names": names}, path)
    with pytest.raises(WeightsError, match="expected a list of one name per class"):
        read_checkpoint(path)


def test_a_web_page_gets_no_advice_to_switch_the_safety_off(tmp_path):
    (tmp_path / "w.pth").write_text("<!doctype html>")
    with pytest.raises(WeightsError) as caught:
        read_checkpoint(tmp_path / "w.pth")
    assert "weights_only" not in str(caught.value)


@pytest.mark.parametrize("kind", ["zip", "pickle", "safetensors"])
def test_damage_anywhere_is_refused_or_harmless_to_reading(tmp_path, kind):
    """Random damage: whatever torch and safetensors stumble over comes out as one line."""
    path = tmp_path / "weights"
    if kind == "safetensors":
        save_file(WEIGHTS, path, metadata={"class_names": '["a", "b"]'})
    else:
        torch.save(WEIGHTS, path, _use_new_zipfile_serialization=kind == "zip")
    data = path.read_bytes()
    generator = np.random.default_rng(0)
    refusals = []
    for _ in range(200):
        damaged = bytearray(data)
        for place in generator.integers(len(data), size=generator.integers(1, 20)):
            damaged[place] ^= 1 << int(generator.integers(8))
        path.write_bytes(damaged)
        try:
            with warnings.catch_warnings(action="ignore"):
                read_checkpoint(path)
        except WeightsError as error:
            refusals.append(str(error))
    assert len(refusals) > 20
    assert not any("\n" in refusal for refusal in refusals)


def test_a_pipe_is_no_file_of_weights(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(WeightsError, match="expected a file of weights, found something else"):
        read_checkpoint(tmp_path / "pipe")


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path):
    with pytest.raises(WeightsError, match="no such file of weights"):
        read_checkpoint(tmp_path / "none.pth")
    with pytest.raises(WeightsError, match="found a folder"):
        read_checkpoint(tmp_path)


def test_written_safetensors_come_back_with_names_and_metadata(tmp_path):
    path = tmp_path / "weights.safetensors"
    shared = torch.ones(2, 4)
    weights = {
        **WEIGHTS,
        "head.projection.weight": shared,
        "norm.weight": shared[0],
        "norm.bias": shared.T[0],
    }
    write_safetensors(path, weights, class_names=["übung", "down"], metadata={"source": "here"})
    checkpoint = read_checkpoint(path)
    assert same(checkpoint.state_dict, weights)
    assert checkpoint.class_names == ("übung", "down")
    assert checkpoint.metadata["source"] == "here"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_class_names_must_be_as_many_as_classes(tmp_path):
    with pytest.raises(WeightsError, match="3 class names for a classifier of 2 classes"):
        write_safetensors(tmp_path / "w.safetensors", WEIGHTS, class_names=["a", "b", "c"])
    with pytest.raises(WeightsError, match="1 class names for a classifier of 2 classes"):
        Checkpoint(WEIGHTS, ("a",))
    assert not (tmp_path / "w.safetensors").exists()


def test_a_file_that_cannot_be_written_is_reported(tmp_path):
    with pytest.raises(WeightsError, match="cannot be written"):
        write_safetensors(tmp_path / "none" / "w.safetensors", WEIGHTS)
