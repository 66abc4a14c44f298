"""Text that means a value: ``(3, 7, 7)``, ``1e-4`` or ``None``, in YAML and on the command line."""

import ast
import types
import typing
import warnings
from typing import Annotated, Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from mvit_video.config.section import Expected

_WORDS = {"true": True, "false": False, "none": None, "null": None}
_NOT_A_LITERAL = object()


def interpret(value: Any, annotation: Any) -> Any:
    """Read a value as its key's type has it: text that is a Python literal becomes it, lists become tuples.

    Text stays text where the key takes text, unless it is a quoted Python string. ``true``, ``false``,
    ``none`` and ``null`` count as literals, in any case.
    """
    if isinstance(value, str):
        literal = _literal(value)
        if takes_text(annotation):
            return literal if isinstance(literal, str) else value
        value = value if literal is _NOT_A_LITERAL else literal
    if isinstance(value, list | tuple):
        return tuple(interpret(item, annotation) for item in value)
    return value


def takes_text(annotation: Any) -> bool:
    """Whether a key of this type takes text."""
    if get_origin(annotation) is Literal:
        return any(isinstance(choice, str) for choice in get_args(annotation))
    return annotation is str or any(takes_text(part) for part in get_args(annotation))


def _literal(text: str) -> Any:
    if text.strip().lower() in _WORDS:
        return _WORDS[text.strip().lower()]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return _NOT_A_LITERAL


def expected(info: FieldInfo) -> str:
    """What a key takes, in words."""
    return _describe(info.annotation, tuple(info.metadata))


def _describe(annotation: Any, metadata: tuple[Any, ...] = ()) -> str:
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        return _describe(inner, (*metadata, *more))
    words = [note.text for note in metadata if isinstance(note, Expected)]
    if words:
        return words[0]
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(map(str, args)) if len(args) < 3 else f"one of {', '.join(map(str, args))}"
    if origin in (types.UnionType, typing.Union):
        return " or ".join("None" if part is type(None) else _describe(part, metadata) for part in args)
    if origin is tuple:
        return _describe_tuple(args)
    return {bool: "True or False", int: "a whole number", float: "a number", str: "text"}[
        annotation
    ] + _bounds(metadata)


def _describe_tuple(args: tuple[Any, ...]) -> str:
    if args[-1] is Ellipsis:
        return f"a list, each entry {_describe(args[0])}"
    items = [_describe(item) for item in args]
    if len(set(items)) == 1:
        return f"a list of {len(items)}, each {items[0]}"
    return f"[{', '.join(items)}]"


def _bounds(metadata: tuple[Any, ...]) -> str:
    words = []
    for note in metadata:
        match note:
            case Ge():
                words.append(f"of at least {note.ge}")
            case Gt():
                words.append(f"above {note.gt}")
            case Le():
                words.append(f"of at most {note.le}")
            case Lt():
                words.append(f"below {note.lt}")
    return "".join(
        f" {word}" if i == 0 else f" and {word.removeprefix('of ')}" for i, word in enumerate(words)
    )
