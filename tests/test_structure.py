"""The rules of the house that no linter knows: sizes, names, and who may import what."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = sorted((ROOT / "mvit_video").rglob("*.py"))
EVERYTHING = [
    *PACKAGE,
    *(
        path
        for folder in ("tools", "tests", "benchmarks", "examples")
        for path in (ROOT / folder).rglob("*.py")
    ),
]
LONGEST_FILE, LONGEST_FUNCTION = 400, 80  # lines
NAMELESS = {"utils", "util", "misc", "common", "helpers", "helper"}


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def imports(path):
    """Every module that a file imports, wherever in it, with the names taken from it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


def test_the_files_are_found():
    assert len(PACKAGE) > 50
    assert set(PACKAGE) < set(EVERYTHING)


@pytest.mark.parametrize("path", PACKAGE, ids=name_of)
def test_files_and_functions_are_short(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno + 1 <= LONGEST_FUNCTION, node.name


def test_every_module_says_what_is_in_it():
    assert [name_of(path) for path in EVERYTHING if NAMELESS & {path.stem, path.parent.name}] == []


def test_only_decoding_imports_av():
    users = {name_of(path) for path in PACKAGE if any(name.split(".")[0] == "av" for name in imports(path))}
    assert users == {"mvit_video/data/video/container.py", "mvit_video/data/video/pyav.py"}


def test_nothing_imports_the_transforms_of_pytorchvideo():
    """Its released wheel's do not import beside a current torchvision."""
    users = [
        name_of(path)
        for path in EVERYTHING
        if any("pytorchvideo.transforms" in name for name in imports(path))
    ]
    assert users == []
