"""What the documents say: links, examples, command lines and tables, against the files and the code."""

import re
import shlex
from pathlib import Path

import pytest
from kit import fixtures
from kit.doc_tables import BLOCK, TABLES, fill
from kit.videos import write_video

from mvit_video.cli import build_parser
from mvit_video.config import find_config, load_config, packaged_configs
from mvit_video.models import ARCHITECTURES
from mvit_video.weights import ZOO

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "data_lists" / "README.md"])
PAGES += [ROOT / "benchmarks" / "RESULTS.md"]
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))
MADE_UP = ("mine.yaml", "runs/mine/config.yaml")  # files of a reader's own, in examples
FENCE = re.compile(r"(<!-- runs -->\n)?^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
COMMAND = re.compile(r"^(?:mvit-video|python (?:tools|benchmarks|examples)/\S+|make [a-z-]+)\b.*")

# What must not be in a project that speaks of itself alone; put together here, so as not to be found here.
FOREIGN = re.compile("|".join(["/wo" + "rk/", r"\bDESI" + r"GN\.md", r"\bSPE" + r"C\.md", "sha" + "red/ref"]))
FOREIGN_IN_PROSE = re.compile(r"\b(?:sess" + r"ions?|hand" + r"over|sand" + r"box)\b", re.IGNORECASE)
TEXT = (".md", ".py", ".yaml", ".yml", ".cfg", ".toml", ".txt", ".json", ".sh")


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def blocks(language):
    """(page and line, marked as runnable, code) of every fenced block."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in FENCE.finditer(text):
            if match[2] == language:
                line = text[: match.start(3)].count("\n") + 1
                yield pytest.param(bool(match[1]), match[3], id=f"{name_of(page)}:{line}")


def commands():
    """Every command line in a fenced block, in a code span, or in the header of a packaged configuration."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        fenced = [
            line for match in FENCE.finditer(text) if match[2] != "python" for line in match[3].splitlines()
        ]
        spans = re.findall(r"`([^`\n]+)`", FENCE.sub("", text))
        for command in fenced + spans:
            if COMMAND.match(command.strip()):
                yield pytest.param(command.strip(), id=f"{name_of(page)}: {command.strip()[:60]}")
    for path in CONFIGS:
        for command in re.findall(
            r"^# (?:Test|Train): +(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE
        ):
            if COMMAND.match(command):
                command = re.sub(r" \(.*\)$", "", command)
                yield pytest.param(command, id=f"{name_of(path)}: {command[:60]}")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in LINK.findall(text):
        if target.startswith(("http://", "https://", "mailto:", "#")):
            continue
        path, _, anchor = target.partition("#")
        found = page.parent / path
        assert found.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.*)$", found.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}, (
                target
            )


@pytest.mark.parametrize(("runs", "code"), list(blocks("python")))
def test_examples_compile_and_those_marked_run(runs, code, tmp_path, monkeypatch, capsys):
    compiled = compile(code, "example", "exec")
    if runs:
        (tmp_path / "videos").mkdir()
        for name in "ab":
            write_video(tmp_path / "videos" / f"{name}.mp4", 60)
        monkeypatch.chdir(tmp_path)
        exec(compiled, {"__name__": "example"})


def test_some_examples_run():
    assert sum(block.values[0] for block in blocks("python")) >= 3


@pytest.mark.parametrize("command", list(commands()))
def test_commands_are_those_of_the_program(command):
    words = shlex.split(command, comments=True)
    if words[0] == "make":
        makefile = (ROOT / "Makefile").read_text()
        for target in (word for word in words[1:] if "=" not in word and word != "#"):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
        return
    if words[0] == "python":
        assert (ROOT / words[1]).is_file()
        verbs = {"tools/run_net.py": "run", "tools/predict.py": "predict"}
        if words[1] not in verbs:
            return
        words = ["mvit-video", verbs[words[1]], *words[2:]]
    check_words(words[1:])


def check_words(words):
    """A verb alone, as prose has it, or a whole line."""
    parser = build_parser()
    if words and words[0].startswith("--"):
        assert words in (["--help"], ["--version"])
        return
    if not words:  # the program's name
        return
    rest = [word for word in words if word != "--help"]
    while rest and parser.verbs:
        assert rest[0] in parser.verbs
        parser = parser.verbs[rest.pop(0)]
    if not rest:
        return
    args = parser.parse_words(rest)  # raises for an unknown flag or a missing one
    files = [name for name in getattr(args, "cfg", []) if name not in MADE_UP]
    for name in files:
        assert find_config(name).is_file()
        assert name.removesuffix(".yaml") in packaged_configs()
    overrides = getattr(args, "overrides", None) or (
        args.opts if isinstance(getattr(args, "opts", 0), list) else []
    )
    load_config(files, overrides)
    if getattr(args, "model", None):
        assert args.model in (*ARCHITECTURES, *ZOO)
    if words[0] == "models" and args.name:
        assert args.name in (*ARCHITECTURES, *ZOO)


def test_there_are_commands_to_check():
    assert len(list(commands())) > 15


@pytest.mark.parametrize(
    "page", [page for page in PAGES if BLOCK.search(page.read_text(encoding="utf-8"))], ids=name_of
)
def test_tables_are_the_codes(page):
    text = page.read_text(encoding="utf-8")
    assert text == fill(text), "run python tests/kit/doc_tables.py"


def test_every_table_is_in_the_docs():
    found = [name for page in PAGES for name, _ in BLOCK.findall(page.read_text(encoding="utf-8"))]
    assert sorted(found) == sorted(TABLES)


def test_parity_names_every_video_fixture_within_its_tolerance():
    text = (ROOT / "docs" / "parity.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w+) \| .*? \| ([\d.e-]+) \| [\d.e-]+ \| ([\d.e-]+) \|$", text, re.MULTILINE)
    assert sorted(name for name, _, _ in rows) == sorted([*fixtures.SLOWFAST, *fixtures.FOREIGN])
    for name, difference, tolerance in rows:
        assert float(difference) <= float(tolerance) == 1e-4, name


def test_the_project_speaks_of_itself_alone():
    folders = (
        "mvit_video",
        "configs",
        "docs",
        "data_lists",
        "tests",
        "tools",
        "benchmarks",
        "examples",
        ".ci",
    )
    files = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    files += [path for path in ROOT.iterdir() if path.suffix in TEXT or path.name in ("Makefile", "LICENSE")]
    checked = 0
    for path in files:
        if not path.is_file() or (
            path.suffix not in TEXT and path.parent.name != ".ci" and path.name != "Makefile"
        ):
            continue
        text = path.read_text(encoding="utf-8")
        checked += 1
        assert not (found := FOREIGN.search(text)), f"{name_of(path)}: {found[0]}"
        if path.suffix in (".md", ".yaml"):
            assert not (found := FOREIGN_IN_PROSE.search(text)), f"{name_of(path)}: {found[0]}"
    assert checked > 100
