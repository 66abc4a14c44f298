"""Training and testing: from a configuration to numbers.

Reading order: ``runner`` (train, then test), ``training`` (``fitting`` a run, its ``loop``, a
``step``), ``testing`` (``evaluation`` of videos over several views). They stand on ``resolve`` (what a
configuration means), ``inputs``, ``processes`` (several that work together), ``optimising``, ``checkpoints``
and ``records``.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mvit_video.engine.errors import RunError, Stopped
    from mvit_video.engine.runner import RunResult, run
    from mvit_video.engine.testing.ensemble import ensemble_views
    from mvit_video.engine.testing.evaluation import ViewScorer, evaluate
    from mvit_video.engine.testing.results import TestResult
    from mvit_video.engine.testing.testing import test
    from mvit_video.engine.training.fitting import TrainResult, train

_HOMES = {
    "RunError": "errors",
    "RunResult": "runner",
    "Stopped": "errors",
    "TestResult": "testing.results",
    "TrainResult": "training.fitting",
    "ViewScorer": "testing.evaluation",
    "ensemble_views": "testing.ensemble",
    "evaluate": "testing.evaluation",
    "run": "runner",
    "test": "testing.testing",
    "train": "training.fitting",
}

__all__ = [
    "RunError",
    "RunResult",
    "Stopped",
    "TestResult",
    "TrainResult",
    "ViewScorer",
    "ensemble_views",
    "evaluate",
    "run",
    "test",
    "train",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'mvit_video.engine' has no attribute {name!r}")
    return getattr(import_module(f"mvit_video.engine.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
