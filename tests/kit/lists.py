"""Files and folders that lists are made of; empty files, as lists open none of them."""

import json
from pathlib import Path

KINETICS_HEADER = "label,youtube_id,time_start,time_end,split,is_cc\n"


def touch(folder: Path, *names: str) -> Path:
    """Makes empty files, and the folders they are in; returns ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def write(folder: Path, text: str, name: str = "list.csv") -> Path:
    """Writes a text file and returns its path."""
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def write_kinetics(folder: Path, *rows: str, name: str = "train.csv") -> Path:
    """Writes one of Kinetics' csv files from its rows and returns its path."""
    return write(folder, KINETICS_HEADER + "".join(f"{row}\n" for row in rows), name)


def write_ssv2(folder: Path, videos: dict[str, str | None], name: str = "train.json") -> Path:
    """Writes one of Something-Something-v2's json files, from ids and templates, and returns its path."""
    entries = [
        {"id": video} | ({} if template is None else {"label": "a potato", "template": template})
        for video, template in videos.items()
    ]
    return write(folder, json.dumps(entries), name)


def paths_in(folder: Path, videos) -> list[str]:
    """The paths of a list, relative to ``folder``."""
    return [record.path.removeprefix(f"{folder}/") for record in videos]
