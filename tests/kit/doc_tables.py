"""The tables of the docs that the code knows better: a block between two comments holds one of these."""

import json
import re
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from mvit_video.config import load_config
from mvit_video.config.schema import KEYS
from mvit_video.config.slowfast import RENAMED_VALUES, TABLE
from mvit_video.models import ARCHITECTURES, architecture, count_flops, count_parameters
from mvit_video.weights import ZOO

ROOT = Path(__file__).resolve().parents[2]
DEFAULTS = ROOT / "tests" / "golden" / "slowfast_configs" / "defaults.json"
BLOCK = re.compile(r"<!-- table: ([\w-]+) -->\n(.*?)<!-- end -->", re.DOTALL)

# M parameters, G multiply-adds, and who prints them
PUBLISHED = {
    "mvitv1_b_16x4": ("36.6", "70.5", "MViT, Table 4"),
    "mvitv1_b_32x3": ("36.6", "170", "MViT, Table 4"),
    "mvitv1_b_64x3": ("36.6", "455", "MViT, Table 4"),
    "mvitv1_b24_32x3": ("-", "-", "nobody"),
    "mvitv2_s_16x4": ("34.5", "64", "SlowFast, MODEL_ZOO.md"),
    "mvitv2_b_32x3": ("51.2", "225", "SlowFast, MODEL_ZOO.md"),
    "mvitv2_l_40x3": ("217.6", "2828", "SlowFast, MODEL_ZOO.md"),
}


@cache
def parameters_of(name, num_classes=400):
    return count_parameters(architecture(name, num_classes=num_classes)) / 1e6


def table(header, rows):
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def counts():
    """Parameters and multiply-adds of one view."""
    rows = []
    for name, numbers in ARCHITECTURES.items():
        flops, (parameters, gflops, by) = count_flops(numbers), PUBLISHED[name]
        rows.append(
            (
                f"`{name}`",
                f"{parameters_of(name):.2f}",
                parameters,
                f"{flops.multiply_adds / 1e9:.1f}",
                f"{flops.with_norms / 1e9:.1f}",
                gflops,
                by,
            )
        )
    return table(("model", "M parameters", "printed", "G multiply-adds", "with norms", "printed", "by"), rows)


def zoo():
    """Every published weight."""
    rows = []
    for entry in ZOO.values():
        recipe = entry.recipe
        what = f"{recipe.num_frames}x{recipe.sampling_rate}"
        if recipe.sampling == "segments":
            what = f"{recipe.num_frames} segments"
        rows.append(
            (
                f"`{entry.name}`",
                entry.dataset,
                f"{recipe.temporal_views}x{recipe.spatial_crops} of {what}, {recipe.crop_size} px",
                f"{entry.top1:g} / {entry.top5:g}",
                entry.source,
                f"{parameters_of(entry.architecture, entry.num_classes):.1f}",
                entry.licence,
                urlsplit(entry.url).hostname,
            )
        )
    header = ("name", "data set", "views", "top-1 / top-5", "measured by", "M parameters", "licence", "host")
    return table(header, rows)


def own_keys():
    """Keys that SlowFast has not."""
    theirs = json.loads(DEFAULTS.read_text())
    keys = [key for key in KEYS.values() if key.dotted not in theirs]
    return table(
        ("key", "default", "meaning"),
        [(f"`{key.dotted}`", f"`{_value(_default(key))}`", _line(key.info.description)) for key in keys],
    )


def changed_defaults():
    """Keys of SlowFast's whose default is another here."""
    theirs = json.loads(DEFAULTS.read_text())
    rows = []
    for key in KEYS.values():
        if key.dotted in theirs and _plain(theirs[key.dotted]) != _default(key):
            rows.append((f"`{key.dotted}`", f"`{_value(theirs[key.dotted])}`", f"`{_value(_default(key))}`"))
    return table(("key", "SlowFast", "here"), rows)


def refused_keys():
    """Keys of SlowFast's that ask for what is not done here."""
    rows = [
        (f"`{key}`", ", ".join(f"`{_value(value)}`" for value in entry.harmless), entry.reason)
        for key, entry in TABLE.items()
        if entry.refused
    ]
    return table(("key", "accepted values", "why others are refused"), rows)


def renamed_values():
    """Values that go by another name here."""
    return table(
        ("key", "value", "means here", "why"),
        [
            (f"`{key}`", f"`{value}`", f"`{_value(ours)}`", why)
            for (key, value), (ours, why) in RENAMED_VALUES.items()
        ],
    )


def configurations():
    """Every packaged configuration of a data set, by what its header says."""
    rows = []
    for path in sorted((ROOT / "configs").rglob("*.yaml")):
        name = path.relative_to(ROOT / "configs").with_suffix("").as_posix()
        header = path.read_text(encoding="utf-8").split("_BASE_")[0]
        if name.startswith(("base/", "demo/")):
            continue
        config = load_config(path)
        starts = config.train.checkpoint_file_path or "random weights"
        if config.train.checkpoint_inflate or config.train.checkpoint_in_init:
            starts = "image weights"
        elif name.startswith("MaskFeat/"):
            starts = "MaskFeat's weights"
        elif name.startswith("SSv2/") and not config.train.checkpoint_file_path:
            starts = "Kinetics-400 weights"
        solver, test = config.solver, config.test
        rows.append(
            (
                f"`{name}`",
                re.search(r"# Recipe: +(published|inferred)", header)[1],
                starts if " " in starts or "'" in starts else f"`{starts}`",
                f"{solver.optimizing_method}, {solver.max_epoch} epochs",
                f"{test.num_ensemble_views}x{test.num_spatial_crops}",
            )
        )
    return table(("`--cfg`", "recipe", "starts from", "training", "views"), rows)


TABLES = {
    "configurations": configurations,
    "counts": counts,
    "zoo": zoo,
    "own-keys": own_keys,
    "changed-defaults": changed_defaults,
    "refused-keys": refused_keys,
    "renamed-values": renamed_values,
}


def fill(text):
    """A page with its tables as they should be."""
    return BLOCK.sub(lambda m: f"<!-- table: {m[1]} -->\n{TABLES[m[1]]()}\n<!-- end -->", text)


def _default(key):
    return key.info.get_default(call_default_factory=True)


def _plain(value):
    return tuple(_plain(item) for item in value) if isinstance(value, list) else value


def _value(value):
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(str, value)) + "]"
    return "''" if value == "" else str(value)


def _line(text):
    return " ".join(text.split())


def main():
    """Writes the tables into the docs."""
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        text = page.read_text(encoding="utf-8")
        if text != fill(text):
            page.write_text(fill(text), encoding="utf-8")
            print(page)


if __name__ == "__main__":
    main()
