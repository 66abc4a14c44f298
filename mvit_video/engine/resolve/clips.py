"""Which frames of a video a clip has, how they are cut, and how their colours become numbers."""

from mvit_video.config import Config, ConfigError
from mvit_video.data.sampling.clips import ClipSpec
from mvit_video.data.sampling.segments import SegmentSpec
from mvit_video.data.sampling.train_sampling import TrainSampling
from mvit_video.data.sampling.view_plan import ViewPlan


def resolve_train_sampling(config: Config) -> TrainSampling:
    """Which frames a training clip has: DATA.SAMPLING says by which rule."""
    data = config.data
    if data.sampling == "segments":
        return SegmentSpec(data.num_frames)
    return ClipSpec(data.num_frames, data.sampling_rate, data.target_fps, data.train_jitter_fps)


def resolve_views(config: Config) -> ViewPlan:
    """Which clips and crops of a video are tested.

    With one crop the short side becomes DATA.TRAIN_JITTER_SCALES[0]; with three, DATA.TEST_CROP_SIZE.

    Raises:
        ConfigError: When TEST.NUM_TEMPORAL_CLIPS asks for several tests.

    Source: SlowFast, slowfast/datasets/kinetics.py.
    """
    data, test = config.data, config.test
    if len(test.num_temporal_clips) > 1:
        raise ConfigError(
            f"TEST.NUM_TEMPORAL_CLIPS: found {list(test.num_temporal_clips)}, expected one number, or [] and "
            "TEST.NUM_ENSEMBLE_VIEWS: run one test for each"
        )
    short_side = data.train_jitter_scales[0] if test.num_spatial_crops == 1 else data.test_crop_size
    if short_side < data.test_crop_size:
        raise ConfigError(
            f"DATA.TEST_CROP_SIZE is {data.test_crop_size}, but one crop is cut where the short side is "
            f"{short_side}, DATA.TRAIN_JITTER_SCALES[0]: make the crop smaller or the scale larger"
        )
    return ViewPlan(
        num_frames=data.num_frames,
        sampling_rate=data.sampling_rate,
        temporal_views=test.num_temporal_clips[0] if test.num_temporal_clips else test.num_ensemble_views,
        spatial_crops=test.num_spatial_crops,
        crop_size=data.test_crop_size,
        short_side=short_side,
        use_offset_sampling=data.use_offset_sampling,
        target_fps=data.target_fps,
        sampling=data.sampling,
    )


def resolve_centre_view(config: Config) -> ViewPlan:
    """The one view of the evaluations between epochs: the centre in time and in space.

    SlowFast takes a random view here, so its figure changes from one evaluation to the next with the same
    weights; neither is the figure of a test, which takes more views.
    """
    single = config.test.model_copy(
        update={"num_ensemble_views": 1, "num_spatial_crops": 1, "num_temporal_clips": ()}
    )
    centred = config.data.model_copy(update={"use_offset_sampling": True})
    return resolve_views(config.model_copy(update={"test": single, "data": centred}))


def resolve_statistics(config: Config) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of red, green and blue, in 0 to 1.

    With DATA.REVERSE_INPUT_CHANNEL they are given the other way round: SlowFast reads the frames of
    Something-Something-v2 as blue, green, red, normalises them so, and reverses them last.

    Source: SlowFast, slowfast/datasets/ssv2.py and slowfast/datasets/utils.py, pack_pathway_output.
    """
    mean, std = config.data.mean, config.data.std
    return (mean[::-1], std[::-1]) if config.data.reverse_input_channel else (mean, std)
