"""What every section of the configuration is, and the kinds of values its keys take."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le, Lt
from pydantic import AfterValidator, BaseModel, ConfigDict


class Section(BaseModel):
    """A group of keys. A field's name is its YAML key in lower case; its docstring says what it means.

    Frozen. Types are exact, but a whole number may stand for a fraction. `model_fields_set` tells which keys
    were given.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        protected_namespaces=(),  # MODEL.MODEL_NAME is SlowFast's
        use_attribute_docstrings=True,
    )


@dataclass(frozen=True)
class Expected:
    """Words for an error message, where the type alone does not say what a key takes."""

    text: str


def checked(check: Callable[[Any], bool]) -> AfterValidator:
    """A validator that lets pass what `check` holds for; goes with an `Expected` that says it in words."""

    def validate(value: Any) -> Any:
        if not check(value):
            raise ValueError("out of range")
        return value

    return AfterValidator(validate)


Count = Annotated[int, Ge(1)]
NonNegativeInt = Annotated[int, Ge(0)]
Positive = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
Probability = Annotated[float, Ge(0), Le(1)]
Share = Annotated[float, Ge(0), Lt(1)]
FactorToOne = Annotated[float, Gt(0), Le(1)]

THW = Annotated[tuple[Count, Count, Count], Expected("[t, h, w], three whole numbers of at least 1")]
PaddingTHW = Annotated[
    tuple[NonNegativeInt, NonNegativeInt, NonNegativeInt],
    Expected("[t, h, w], three whole numbers of at least 0"),
]
BlockFactor = Annotated[
    tuple[NonNegativeInt, Positive], Expected("[block, factor], a whole number and a number above 0")
]
BlockStride = Annotated[
    tuple[NonNegativeInt, Count, Count, Count], Expected("[block, t, h, w], four whole numbers")
]
PerChannel = tuple[float, float, float]

PixelRange = Annotated[
    tuple[Count, Count],
    checked(lambda pair: pair[0] <= pair[1]),
    Expected("[least, most], two whole numbers of at least 1, in pixels"),
]
OptionalRange = Annotated[
    tuple[Positive, ...],
    checked(lambda pair: not pair or (len(pair) == 2 and pair[0] <= pair[1])),
    Expected("[least, most], two numbers above 0, or []"),
]
PositivePerChannel = tuple[Positive, Positive, Positive]
