import numpy as np
from kit.tiny_runs import tiny_config, write_videos

from mvit_video.data import finish_batch, soft_targets
from mvit_video.data.showing.rows import Names, denormalise, train_sections
from mvit_video.data.showing.sheet import draw_sheet
from mvit_video.engine.showing import Shown, show
from mvit_video.engine.training.preparation import prepare_training

BELOW_THE_TITLE = 43  # pixels


def test_what_is_shown_is_what_is_trained_on(tmp_path):
    """The first batch of an epoch, as a training run with the same configuration would make it."""
    write_videos(tmp_path / "videos")
    config = tiny_config(
        tmp_path, "AUG.ENABLE", True, "AUG.NUM_SAMPLE", 2, "AUG.RE_PROB", 1.0, "MIXUP.ENABLE", True,
        "MODEL.LOSS_FUNC", "soft_cross_entropy",
    )  # fmt: skip
    inputs = prepare_training(config)
    batch = next(iter(inputs.loader.epoch(2)))
    mixes = {"mixes": batch.mixes, "group_size": batch.group_size}
    look = {"mean": inputs.plan.mean, "std": inputs.plan.std}
    clips = finish_batch(batch.clips, **look, erasures=batch.erasures, **mixes)
    targets = soft_targets(batch.labels, 2, smoothing=inputs.plan.smoothing, **mixes)
    names = Names(inputs.loader._dataset.records, inputs.class_names)
    sections = train_sections(batch, denormalise(clips, **look), targets, names, repeats=2, num_frames=8)
    expected = np.asarray(draw_sheet("", sections))
    assert len(sections) == 4
    sheet = show(config, Shown(("train",), num_videos=4, epoch=2))
    assert sheet.unreadable == 0
    np.testing.assert_array_equal(np.asarray(sheet.picture)[BELOW_THE_TITLE:], expected[BELOW_THE_TITLE:])
