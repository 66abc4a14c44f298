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
    Probability,
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

    list_format: Literal[
        "auto", "path", "path_label", "path_frames_label", "folders", "kinetics", "ssv2", "frame_list"
    ] = "auto"
    """What a list is, and what its rows hold; auto looks: a second number counts as frames only if every row
    has it."""

    labels_path: str = ""
    """Something-Something-v2's file of labels, or the folder it is in; empty: it lies beside the list."""

    path_label_separator: str = " "
    """What stands between the columns of a list. Rows are split from the right: paths may hold it too."""

    path_prefix: str = ""
    """Folder that the paths of the lists are relative to, and below which the videos that the official files
    of Kinetics and Something-Something-v2 name are looked for; empty: as they stand."""

    class_names: str = ""
    """Names of the classes: a known set such as kinetics400, or a text file with one name a line. Kinetics'
    official csv files need it."""

    sampling: Literal["dense", "segments"] = "dense"
    """Which frames a clip has: dense, NUM_FRAMES frames SAMPLING_RATE apart (Kinetics); segments, one frame
    of each of NUM_FRAMES equal parts of the whole video (Something-Something-v2)."""

    num_frames: Count = 8
    """Frames of one clip (T). The model is built for this many."""

    sampling_rate: Count = 8
    """Step between the frames of a clip (tau), in frames of a video of TARGET_FPS."""

    target_fps: Positive = 30.0
    """Frames per second that SAMPLING_RATE is meant for; a clip spans the same seconds in any video."""

    use_offset_sampling: bool = False
    """Where test clips start: True, at whole frames, the last clip ending with the video; False, evenly, so
    that the last clip ends early. Every MViT recipe sets True. It changes testing only."""

    reverse_input_channel: bool = False
    """MEAN and STD stand in the order blue, green, red, as in SlowFast's files for Something-Something-v2,
    which read frames in that order and reverse them after normalising. The network sees red, green, blue
    either way."""

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
    """Raise TARGET_FPS by up to this for each training clip, which shortens it; 0: never."""

    inv_uniform_sample: bool = False
    """Draw the short side so that its inverse is uniform (Something-Something-v2's recipe)."""

    random_flip: bool = True
    """Mirror half of the training clips, left to right."""

    ensemble_method: Literal["sum", "max"] = "sum"
    """How the scores of a video's views become one: their sum or their maximum."""

    decoding_backend: Literal["auto", "pyav", "decord", "torchcodec"] = "auto"
    """Which decoder reads the files; auto is PyAV. decord and torchcodec have to be installed."""

    on_damage: Literal["keep", "refuse"] = "keep"
    """A file that is damaged half-way: keep its good part, with a warning, or refuse it as unreadable."""

    frames_fps: Positive = 30.0
    """Frames per second of videos that are folders of images, which do not say."""

    timeout_seconds: Positive = 60.0
    """Longest that a worker may take for one video; then it is ended, and the video counts as unreadable."""

    bad_videos_limit: Probability = 0.1
    """Share of the training videos that may be unreadable in one epoch; more stop the run."""


class DataLoader(Section):
    """DATA_LOADER: the processes that prepare the clips."""

    num_workers: NonNegativeInt = 8
    """Worker processes per training process; 0: clips are prepared in the process itself."""
