"""DATA and DATA_LOADER: which videos, which frames of them, and how they are cut."""

from typing import Literal

from mvit_video.config.section import (
    Count,
    NonNegative,
    NonNegativeInt,
    OptionalRange,
    PerChannel,
    PixelRange,
    Positive,
    PositivePerChannel,
    Section,
)


class Data(Section):
    """DATA: lists of videos, clips of NUM_FRAMES frames, their size and colours."""

    path_to_data_dir: str = ""
    """Folder with train.csv, val.csv and test.csv, used where TRAIN_LIST, VAL_LIST or TEST_LIST is empty."""

    train_list: str = ""
    """Training videos: a list file, or a folder with one folder of videos per class."""

    val_list: str = ""
    """Videos for the evaluations between training epochs: a list file or a folder per class."""

    test_list: str = ""
    """Test videos: a list file or a folder per class."""

    list_format: Literal["auto", "path", "path_label", "path_frames_label", "folders"] = "auto"
    """What a row of a list holds; auto looks: a second number counts as frames only if every row has it."""

    path_label_separator: str = " "
    """What stands between the columns of a list. Rows are split from the right: paths may hold it too."""

    path_prefix: str = ""
    """Folder that the paths of the lists are relative to; empty: as they stand."""

    class_names: str = ""
    """Names of the classes: a known set such as kinetics400, or a text file with one name a line."""

    num_frames: Count = 8
    """Frames of one clip (T). The model is built for this many."""

    sampling_rate: Count = 8
    """Step between the frames of a clip (tau), in frames of a video of TARGET_FPS."""

    target_fps: Positive = 30.0
    """Frames per second that SAMPLING_RATE is meant for; a clip spans the same seconds in any video."""

    use_offset_sampling: bool = False
    """Where test clips start: True, at whole frames, the last clip ending with the video; False, evenly, so
    that the last clip ends early. Every MViT recipe sets True. It changes testing only."""

    mean: PerChannel = (0.45, 0.45, 0.45)
    """Mean of red, green and blue in 0 to 1, subtracted."""

    std: PositivePerChannel = (0.225, 0.225, 0.225)
    """Standard deviation of red, green and blue in 0 to 1, divided by."""

    train_crop_size: Count = 224
    """Side of a training crop in pixels. The model is built for this size."""

    test_crop_size: Count = 256
    """Side of a test crop in pixels."""

    train_jitter_scales: PixelRange = (256, 320)
    """Range of the short side in pixels before a random training crop (when no relative scales are given).
    Testing with one spatial crop resizes the short side to the first number."""

    train_jitter_scales_relative: OptionalRange = ()
    """Range of a training crop's area, relative to the frame, as 0.08 to 1; empty: short-side jitter."""

    train_jitter_aspect_relative: OptionalRange = ()
    """Range of a training crop's width over height, as 3/4 to 4/3; goes with the relative scales."""

    train_jitter_fps: NonNegative = 0.0
    """Random change of a training clip's frame rate, in frames per second; 0: none."""

    inv_uniform_sample: bool = False
    """Draw the short side so that its inverse is uniform (Something-Something-v2's recipe)."""

    random_flip: bool = True
    """Mirror half of the training clips, left to right."""

    ensemble_method: Literal["sum", "max"] = "sum"
    """How the scores of a video's views become one: their sum or their maximum."""

    decoding_backend: Literal["auto", "pyav"] = "auto"
    """Which decoder reads the files; both are PyAV today."""


class DataLoader(Section):
    """DATA_LOADER: the processes that prepare the clips."""

    num_workers: NonNegativeInt = 8
    """Worker processes per training process; 0: clips are prepared in the process itself."""
