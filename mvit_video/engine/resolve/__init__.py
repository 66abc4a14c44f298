"""From a configuration to the plain frozen values that the other rooms take: each is computed here, once.

The only place that joins the configuration with the types of models, weights and data.
"""

from mvit_video.engine.resolve.architecture import resolve_architecture
from mvit_video.engine.resolve.augmentation import (
    resolve_erasing,
    resolve_mixing,
    resolve_smoothing,
    resolve_transform,
)
from mvit_video.engine.resolve.batch import BatchPlan, resolve_batch, resolve_test_batch
from mvit_video.engine.resolve.clips import (
    resolve_centre_view,
    resolve_statistics,
    resolve_train_sampling,
    resolve_views,
)
from mvit_video.engine.resolve.training import (
    check_trainable,
    has_schedule,
    learning_rate_scale,
    resolve_schedule,
)
from mvit_video.engine.resolve.videos import resolve_decoding, resolve_list

__all__ = [
    "BatchPlan",
    "check_trainable",
    "has_schedule",
    "learning_rate_scale",
    "resolve_architecture",
    "resolve_batch",
    "resolve_centre_view",
    "resolve_decoding",
    "resolve_erasing",
    "resolve_list",
    "resolve_mixing",
    "resolve_schedule",
    "resolve_smoothing",
    "resolve_statistics",
    "resolve_test_batch",
    "resolve_train_sampling",
    "resolve_transform",
    "resolve_views",
]
