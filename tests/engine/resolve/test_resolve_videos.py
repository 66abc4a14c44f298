"""Where a configuration finds its videos, and how they are decoded."""

import sys

from kit.configurations import message

from mvit_video.config import load_config
from mvit_video.config.schema_data import Data
from mvit_video.data import (
    LIST_FORMATS,
    Decoding,
)
from mvit_video.engine.resolve import (
    resolve_decoding,
    resolve_list,
)


def test_decoding():
    assert resolve_decoding(load_config()) == Decoding("auto", "keep")
    words = ["DATA.DECODING_BACKEND=decord", "DATA.ON_DAMAGE=refuse", "DATA.FRAMES_FPS=12"]
    assert resolve_decoding(load_config([], words)) == Decoding("decord", "refuse", frames_fps=12)


def test_a_decoder_that_is_not_there_is_said_at_once(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchcodec", None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, "mvit_video.data.video.torchcodec_reader", raising=False)
    text = message(resolve_decoding, "DATA.DECODING_BACKEND=torchcodec")
    assert text.startswith("DATA.DECODING_BACKEND is 'torchcodec', which cannot be imported (")
    assert text.endswith("): pip install torchcodec, or set it to auto")


def test_the_schema_knows_every_form_of_lists():
    assert Data.model_fields["list_format"].annotation.__args__ == LIST_FORMATS


def test_lists():
    config = load_config([], ["DATA.PATH_TO_DATA_DIR=/data/", "DATA.VAL_LIST=mine.csv"])
    assert resolve_list(config, "train") == "/data/train.csv"
    assert resolve_list(config, "val") == "mine.csv"
    assert message(resolve_list, more=("test",)) == (
        "DATA.TEST_LIST is not set: give a list file or a folder per class, or DATA.PATH_TO_DATA_DIR, "
        "a folder with test.csv"
    )


def test_something_something_has_its_lists_under_their_own_names(tmp_path):
    """SlowFast's frame lists first, then the official files; the test is on the validation videos."""
    config = load_config([], [f"DATA.PATH_TO_DATA_DIR={tmp_path}", "DATA.SAMPLING=segments"])
    assert (
        resolve_list(config, "train") == f"{tmp_path}/train.csv"
    )  # none is there: what the error shall name
    (tmp_path / "train.json").touch()
    (tmp_path / "something-something-v2-validation.json").touch()
    assert resolve_list(config, "train") == f"{tmp_path}/train.json"
    for split in ("val", "test"):
        assert resolve_list(config, split) == f"{tmp_path}/something-something-v2-validation.json"
    (tmp_path / "val.csv").touch()
    assert resolve_list(config, "test") == f"{tmp_path}/val.csv"
    dense = load_config([], [f"DATA.PATH_TO_DATA_DIR={tmp_path}"])
    assert resolve_list(dense, "test") == f"{tmp_path}/test.csv"
