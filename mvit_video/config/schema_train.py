"""TRAIN, AUG, MIXUP, SOLVER and TEST: how weights are found and measured."""

import re
from typing import Annotated, Literal

from mvit_video.config.section import (
    Count,
    Expected,
    FactorToOne,
    NonNegative,
    NonNegativeInt,
    Positive,
    Probability,
    Section,
    Share,
    checked,
)

Precision = Literal["auto", "fp32", "bf16", "fp16"]

_RAND_AUGMENT = r"|rand(-[mn]\d+|-mmax\d+|-(p|mstd)\d+(\.\d+)?|-inc[01]|-w0)*"
RandAugmentSpec = Annotated[
    str,
    checked(lambda text: re.fullmatch(_RAND_AUGMENT, text) is not None),
    Expected("'' (none) or a RandAugment such as rand-m7-n4-mstd0.5-inc1"),
]
ResultsPath = Annotated[
    str,
    checked(lambda text: not text or text.endswith((".csv", ".json"))),
    Expected("'' (none) or a path that ends in .csv or .json"),
]


class Train(Section):
    """TRAIN: whether and how to train."""

    enable: bool = True
    """Train (when the configuration is run as a whole)."""

    batch_size: Count = 64
    """Videos per optimiser step on one node of NUM_GPUS GPUs, AUG.NUM_SAMPLE clips of each; kept by
    accumulation where there are fewer GPUs."""

    micro_batch_size: Count | None = None
    """Most videos one device holds in one forward pass, AUG.NUM_SAMPLE clips of each; accumulation makes up
    the rest of the batch. None: what one of NUM_GPUS GPUs would hold."""

    precision: Precision = "auto"
    """Number format of the forward pass; auto: fp32, unless MIXED_PRECISION asks for less on a GPU."""

    mixed_precision: bool = False
    """SlowFast's switch for a 16-bit forward pass on GPUs; PRECISION, when not auto, overrules it."""

    eval_period: Count = 10
    """Epochs between evaluations."""

    checkpoint_period: Count = 10
    """Epochs between checkpoints; the end of the training has one too."""

    checkpoint_minutes: NonNegative = 15.0
    """Minutes after which a checkpoint is due within an epoch too; the one before it goes. 0: never."""

    checkpoints_kept: NonNegativeInt = 3
    """Last checkpoints of epochs' ends that stay, beside the best; 0: all."""

    skipped_steps_limit: NonNegativeInt = 10
    """Steps with a loss that is no number which are left out before the run stops; each leaves a file in
    OUTPUT_DIR/skipped."""

    auto_resume: bool = True
    """Go on from the last checkpoint in OUTPUT_DIR, if there is one."""

    checkpoint_file_path: str = ""
    """Weights to start from: a path, a URL or a name such as mvitv2_s_16x4.k400."""

    checkpoint_epoch_reset: bool = False
    """No effect: CHECKPOINT_FILE_PATH always gives the weights alone, and AUTO_RESUME continues a run."""

    checkpoint_inflate: bool = False
    """CHECKPOINT_FILE_PATH holds image weights: kernels are repeated over time and divided by its length."""

    checkpoint_in_init: bool = False
    """CHECKPOINT_FILE_PATH holds image weights: kernels are repeated over time, and not divided."""

    ema_decay: Share = 0.0
    """Keep an average of the weights over the steps, which forgets by this factor a step (0.9999, say) and
    is evaluated and saved beside them; 0: none."""

    eval_at_start: bool = False
    """Evaluate once before the first step."""

    kill_loss_explosion_factor: NonNegative = 0.0
    """Stop when a step's loss is more than this many times the mean of the five before it; 0: never."""


class Aug(Section):
    """AUG: augmentation of training clips."""

    enable: bool = False
    """Use RandAugment (AA_TYPE) or colour jitter, and random erasing."""

    num_sample: Count = 1
    """Differently augmented clips made of each training video; the batch grows by this factor."""

    color_jitter: NonNegative | None = 0.4
    """Strength of colour jitter, for training without RandAugment: beside AA_TYPE it counts for nothing, as
    in SlowFast. None: none."""

    aa_type: RandAugmentSpec = "rand-m9-mstd0.5-inc1"
    """RandAugment in timm's dialect: m magnitude, n operations, p probability of each, mstd spread of the
    magnitude, mmax its largest, inc1 strength growing with the magnitude, w0 geometric operations preferred;
    '': none."""

    interpolation: Literal["bilinear", "bicubic", "random"] = "bicubic"
    """Resampling of RandAugment's geometric operations."""

    re_prob: Probability = 0.25
    """Probability that a clip has a box erased."""

    re_mode: Literal["pixel", "rand", "const"] = "pixel"
    """What fills the box: noise per pixel, one random colour, or zeros."""

    re_count: Count = 1
    """Boxes erased in one clip."""


class Mixup(Section):
    """MIXUP: mixing of training clips and their labels."""

    enable: bool = False
    """Mix, and smooth the labels."""

    group_size: Count = 2
    """Videos whose clips are mixed with each other. 2 is what one of SlowFast's 8 GPUs holds of 16 videos."""

    alpha: NonNegative = 0.8
    """Beta distribution of mixup's weight; 0: no mixup."""

    cutmix_alpha: NonNegative = 1.0
    """Beta distribution of CutMix's area; 0: no CutMix."""

    prob: Probability = 1.0
    """Probability that a group is mixed."""

    switch_prob: Probability = 0.5
    """Probability of CutMix rather than mixup."""

    label_smooth_value: Share = 0.1
    """Share of each label spread over all classes."""


class Solver(Section):
    """SOLVER: optimiser and learning rate.

    The defaults are SlowFast's, for other networks: training wants BASE_LR and MAX_EPOCH given.
    """

    base_lr: Positive = 0.1
    """Learning rate at the top of the schedule: for the batch of one node, or for BASE_LR_BATCH_SIZE."""

    base_lr_scale_num_shards: bool = True
    """Multiply BASE_LR, WARMUP_START_LR and COSINE_END_LR by NUM_SHARDS. SlowFast's default is False, but
    every MViT recipe of its sets True; with one node it makes no difference."""

    base_lr_batch_size: Count | None = None
    """Videos of one optimiser step that BASE_LR, WARMUP_START_LR and COSINE_END_LR are given for: they grow
    in proportion with the videos of a step on all nodes. It replaces BASE_LR_SCALE_NUM_SHARDS; None: that
    rule."""

    lr_policy: str = "cosine"
    """Shape of the schedule; cosine is the one there is."""

    max_epoch: Count = 300
    """Length of the training in epochs."""

    warmup_epochs: NonNegative = 0.0
    """Length of the linear warm-up in epochs."""

    warmup_start_lr: NonNegative = 0.01
    """Learning rate at the start of the warm-up."""

    cosine_end_lr: NonNegative = 0.0
    """Learning rate at the end."""

    cosine_after_warmup: bool = False
    """Start the cosine where the warm-up ends, rather than at epoch 0."""

    optimizing_method: Literal["sgd", "adam", "adamw"] = "sgd"
    """The optimiser."""

    momentum: Probability = 0.9
    """SGD's momentum."""

    dampening: NonNegative = 0.0
    """SGD's dampening."""

    nesterov: bool = True
    """SGD with Nesterov's momentum."""

    betas: tuple[Share, Share] = (0.9, 0.999)
    """Adam's and AdamW's averaging."""

    weight_decay: NonNegative = 0.0001
    """Weight decay of the parameters that have one."""

    zero_wd_1d_param: bool = False
    """No weight decay for biases and norms."""

    clip_grad_val: Positive | None = None
    """Largest magnitude of a gradient's element; None: no limit."""

    clip_grad_l2norm: Positive | None = None
    """Largest joint norm of all gradients; None: no limit."""

    layer_decay: FactorToOne = 1.0
    """Factor on the learning rate from one block to the one before it; 1: the same for all."""

    lars_on: bool = False
    """Scale each layer's step by its norms (LARS)."""


class Test(Section):
    """TEST: whether and how to measure, over several views of each video."""

    __test__ = False  # nothing for pytest to collect

    enable: bool = True
    """Test (when the configuration is run as a whole)."""

    batch_size: Count = 8
    """Views per forward pass, shared out over NUM_GPUS GPUs; it changes memory and time, not the result."""

    checkpoint_file_path: str = ""
    """Weights to test: a path, a URL or a name such as mvitv2_s_16x4.k400. Empty: the last checkpoint of
    OUTPUT_DIR, then TRAIN.CHECKPOINT_FILE_PATH."""

    use_ema: bool = False
    """Test the averaged weights of a checkpoint of ours (TRAIN.EMA_DECAY), rather than the last ones."""

    num_ensemble_views: Count = 10
    """Clips along each video."""

    num_spatial_crops: Literal[1, 3] = 3
    """Crops of each clip: the centre, or three along the longer side."""

    num_temporal_clips: tuple[Count, ...] = ()
    """SlowFast's list of numbers of clips to test in turn; a single entry replaces NUM_ENSEMBLE_VIEWS."""

    shuffle_frames: bool = False
    """Put the frames of each clip in a random order (seeded): a control that shows what order is worth."""

    save_results_path: ResultsPath = ""
    """File for the scores of every video, .csv or .json; empty: OUTPUT_DIR/test_results.csv."""

    precision: Precision = "auto"
    """Number format of the forward pass; auto: bf16 on a GPU or CPU that has it in hardware, else fp32."""
