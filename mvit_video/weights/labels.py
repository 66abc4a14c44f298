"""Names of the classes of the known data sets, in the order of the published weights."""

from difflib import get_close_matches
from functools import cache
from importlib.resources import files

from mvit_video.weights.errors import WeightsError

CLASS_SETS = ("kinetics400", "kinetics600", "kinetics700", "kinetics710", "ssv2")

_ALIASES = {"k400": "kinetics400", "k600": "kinetics600", "k700": "kinetics700", "k710": "kinetics710"}


@cache
def class_names(name: str) -> tuple[str, ...]:
    """Class names of a known data set; the position of a name is its index.

    Args:
        name: One of `CLASS_SETS`, or its short form (``k400``).

    Raises:
        WeightsError: When there is no such set.
    """
    key = _ALIASES.get(name, name)
    if key not in CLASS_SETS:
        close = get_close_matches(name, CLASS_SETS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(CLASS_SETS)}"
        raise WeightsError(f"unknown set of class names {name!r}; {hint}")
    text = (files("mvit_video.weights") / "class_names" / f"{key}.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())
