"""What differs between two sittings of a run."""

from mvit_video.config import Config, dump_config, load_config
from mvit_video.engine.checkpoints.changes import changed_keys


def test_changed_keys_names_what_matters_only():
    before = load_config(
        [], ["SOLVER.BASE_LR", "1.0", "TEST.BATCH_SIZE", "1", "DATA.MEAN", "[0.4, 0.4, 0.4]"]
    )
    after = load_config([], ["SOLVER.BASE_LR", "2.0", "TEST.BATCH_SIZE", "2", "OUTPUT_DIR", "b"])
    assert changed_keys(dump_config(before), after) == ["DATA.MEAN", "SOLVER.BASE_LR"]
    assert changed_keys(dump_config(before), before) == []


def test_a_default_written_out_is_no_change():
    assert changed_keys("", load_config([], ["SOLVER.MOMENTUM", "0.9"])) == []
    assert changed_keys("{MVIT: {DEPTH: 3}}", Config()) == ["MVIT.DEPTH"]


def _changed(before, after):
    return changed_keys(dump_config(load_config([], before)), load_config([], after))


def test_what_dropout_is_drawn_by_is_named():
    micro = "TRAIN.MICRO_BATCH_SIZE"
    assert _changed([micro, "4"], [micro, "2"]) == [micro]
    assert _changed([], ["NUM_GPUS", "4"]) == ["NUM_GPUS"]
    assert _changed(["NUM_GPUS", "0"], ["NUM_GPUS", "1"]) == []  # one device either way
    assert _changed([micro, "4"], [micro, "4", "NUM_GPUS", "4"]) == []
    assert _changed([], [micro, "4", "NUM_GPUS", "4"]) == [micro]
