"""``mvit-video submit``: train, test or predict as jobs of a Slurm cluster."""

import argparse
import os
import shlex
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mvit_video.cli.parsing import Parser, UsageError, read_config, unshield

if TYPE_CHECKING:
    from mvit_video.config import Config
    from mvit_video.launch.resources import Resources
    from mvit_video.launch.submission import Request

_DESCRIPTION = """Train, test or predict as jobs of a Slurm cluster; they come back by themselves after a
preemption, a time limit or the loss of a node, at the last checkpoint.

What a configuration says is done by --nodes times --gpus-per-node processes: training if TRAIN.ENABLE, then
a test if TEST.ENABLE. NUM_SHARDS and NUM_GPUS become those numbers, unless KEY VALUE says otherwise.
--array N cuts the list of a test, or of a prediction, into N parts, a job with one process each.
"""

_EPILOG = """examples:
  mvit-video submit --cfg mine.yaml --partition gpu --nodes 2 --gpus-per-node 8 --time 1-00:00 OUTPUT_DIR out
  mvit-video submit --cfg mine.yaml --tasks-per-node 2 --time 60 --dry-run OUTPUT_DIR out
  mvit-video submit --cfg mine.yaml --partition gpu --gpus-per-node 1 --array 16 OUTPUT_DIR out
  mvit-video submit --partition gpu --gpus-per-node 1 --array 16 --predict videos.list \\
      --model mvitv2_s_16x4.k400 --output answers.json
  mvit-video status out

The exit status is 0 when the job is in the queue; with --wait it is that of the run: 0 done, 1 done but for
unreadable videos, 2 failed or cancelled.
"""


def add_parser(verbs: "argparse._SubParsersAction[Parser]") -> None:
    """Add the verb ``submit``."""
    parser = verbs.add_parser(
        "submit", help="train, test or predict on a Slurm cluster", description=_DESCRIPTION, epilog=_EPILOG
    )
    parser.add_argument(
        "--cfg",
        metavar="FILE",
        action="append",
        default=[],
        help="a YAML file or a packaged one such as K400/MVITv2_S_16x4; repeat it to lay one over another",
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="KEY VALUE", help="values that replace those of --cfg"
    )
    parser.add_argument("--opts", action="store_true", help="may stand before KEY VALUE; changes nothing")
    parser.add_argument(
        "--predict",
        nargs=argparse.REMAINDER,
        metavar="...",
        help="instead of --cfg: all that follows are words of mvit-video predict, with --output",
    )
    _add_resources(parser)
    coming_back = parser.add_argument_group("coming back")
    coming_back.add_argument(
        "--signal",
        metavar="SECONDS",
        type=int,
        help="how long before the time limit to save and queue again (default: 120, or half of --time)",
    )
    coming_back.add_argument(
        "--restarts",
        metavar="N",
        type=int,
        default=5,
        help="give up after so many starts in a row without a new checkpoint (default: 5)",
    )
    coming_back.add_argument(
        "--retries",
        metavar="N",
        type=int,
        default=2,
        help="with --array: how often a part that failed is tried again at once (default: 2)",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the script for sbatch and stop")
    parser.add_argument("--wait", action="store_true", help="wait until the run has ended")
    parser.set_defaults(run=run)


def _add_resources(parser: Parser) -> None:
    group = parser.add_argument_group("resources")
    group.add_argument("--nodes", metavar="N", type=int, default=1, help="computers (default: 1)")
    group.add_argument(
        "--gpus-per-node",
        metavar="G",
        type=int,
        help="GPUs of each, a process per GPU (default: NUM_GPUS; one for --array, none for --predict)",
    )
    group.add_argument(
        "--tasks-per-node", metavar="T", type=int, help="processes on each, to compute without GPUs"
    )
    group.add_argument(
        "--array", metavar="N", type=int, help="test (or --predict) in N parts, a job each, and join them"
    )
    group.add_argument("--partition", metavar="P", help="partition (default: the cluster's)")
    group.add_argument(
        "--time", metavar="LIMIT", help="minutes, HH:MM:SS or DAYS-HH:MM (default: the partition's)"
    )
    group.add_argument(
        "--cpus-per-task",
        metavar="C",
        type=int,
        help="CPUs of a process and its data workers (default: DATA_LOADER.NUM_WORKERS + 1)",
    )
    group.add_argument("--mem", metavar="SIZE", help="memory of each node, such as 64G")
    for flag in ("account", "qos", "constraint", "comment", "exclude"):
        group.add_argument(f"--{flag}", metavar=flag.upper(), help="as for sbatch")
    group.add_argument("--name", default="mvit_video", help="of the job (default: mvit_video)")
    group.add_argument(
        "--setup",
        metavar="LINE",
        action="append",
        default=[],
        help="a line of shell before the program, such as 'module load cuda'; may be repeated",
    )
    group.add_argument(
        "--slurm",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="any other option of sbatch, such as reservation=NAME or exclusive; may be repeated",
    )


def run(args: argparse.Namespace) -> int:
    """Submit, or show what would be submitted."""
    _check(args)
    return _submit_predict(args) if args.predict is not None else _submit_config(args)


def _submit_config(args: argparse.Namespace) -> int:
    from mvit_video.launch.submission import Request

    words = [*_sized(args), *map(unshield, args.overrides)]
    fixed = {"TRAIN.ENABLE": "False", "TEST.ENABLE": "True"} if args.array else None
    config = read_config(args.cfg, words, fixed=fixed)
    gpus = min(config.num_gpus, 1) if args.array else config.num_gpus
    resources = _resources(args, cpus=config.data_loader.num_workers + 1, gpus=gpus)
    if not args.dry_run:
        _check_slurm(args, resources.tasks_per_node)
    request = Request("run", resources, os.getcwd(), args.restarts)
    if args.array:
        output = Path(config.output_dir, config.test.save_results_path or "test_results.csv").absolute()
        parts = args.array
        if not args.dry_run:
            parts = min(parts, _count_test_videos(config))
            config = _with_weights(config)
        request = replace(request, what="test", parts=parts, retries=args.retries, output=str(output))
    else:
        _check_config(config, resources.tasks)
    return _go(args, Path(config.output_dir), request, config=config)


def _submit_predict(args: argparse.Namespace) -> int:
    from mvit_video.cli import predict
    from mvit_video.data.lists.writing import check_output
    from mvit_video.inference.videos import expand_inputs
    from mvit_video.launch.submission import Request

    parser = Parser(prog="mvit-video submit ... --predict")
    parser.add_verbs((predict,))
    words = parser.parse_words(["predict", *args.predict])
    predict.check(words)
    output = Path(words.output or "").absolute()
    if not words.output or predict.format_of(words) != output.suffix.lower().lstrip("."):
        raise UsageError(
            f"--predict ... --output {words.output or '(missing)'}: expected a file that ends in .json or "
            ".csv, in that format, which parts can be joined into"
        )
    check_output(output, force=words.force)
    videos = expand_inputs(words.inputs)
    resources = _resources(args, cpus=(words.readers or 3) + 1, gpus=0)
    if not args.dry_run:
        _check_slurm(args, 1)
    flags = given_flags(parser.verbs["predict"], words, but=("output", "force"))
    request = Request(
        "predict", resources, os.getcwd(), args.restarts, min(args.array or 1, len(videos)), args.retries,
        str(output), tuple(flags),
    )  # fmt: skip
    return _go(args, output.with_suffix(""), request, videos=videos)


def _go(
    args: argparse.Namespace,
    run_folder: Path,
    request: "Request",
    *,
    config: "Config | None" = None,
    videos: Sequence[str] = (),
) -> int:
    from mvit_video.launch.queueing import submitting

    if args.dry_run:
        print(submitting.show_script(run_folder, request), end="")
        return 0
    command = ["mvit-video", *sys.argv[1:]]
    submission, job = submitting.submit(run_folder, request, config=config, videos=videos, command=command)
    print(f"job {job}: {_describe(request)}; its folder is {submission.folder}")
    print(f"mvit-video status {shlex.quote(str(run_folder))} says how it goes")
    if not args.wait:
        return 0
    from mvit_video.cli.status import exit_status
    from mvit_video.launch.looking.describing import describe
    from mvit_video.launch.looking.waiting import wait

    state = wait(run_folder)
    print(describe(state))
    return exit_status(state)


def _check(args: argparse.Namespace) -> None:
    if bool(args.cfg) == (args.predict is not None):
        raise UsageError("give one of --cfg FILE and --predict ... (mvit-video submit --help explains)")
    if args.predict is not None and args.overrides:
        raise UsageError(
            f"{args.overrides[0]}: KEY VALUE goes with --cfg; words of a prediction follow --predict"
        )
    for flag in ("nodes", "tasks_per_node", "gpus_per_node", "array", "cpus_per_task", "restarts", "retries"):
        number, least = getattr(args, flag), 0 if flag in ("gpus_per_node", "retries") else 1
        if number is not None and number < least:
            raise UsageError(f"--{flag.replace('_', '-')} {number}: expected at least {least}")
    gpus, tasks = args.gpus_per_node, args.tasks_per_node
    if gpus and tasks not in (None, gpus):
        raise UsageError(f"--tasks-per-node {tasks}: there is a process per GPU, so leave it out")
    in_parts = args.array is not None or args.predict is not None
    if in_parts and args.nodes * (gpus or tasks or 1) != 1:
        raise UsageError(
            "a part is one process: --gpus-per-node 1 (or --tasks-per-node 1), and a larger --array"
        )


def _sized(args: argparse.Namespace) -> list[str]:
    """NUM_SHARDS and NUM_GPUS as the flags say, unless they are typed."""
    sizes = {"NUM_SHARDS": args.nodes}
    if args.gpus_per_node is not None or args.tasks_per_node is not None:
        sizes["NUM_GPUS"] = args.gpus_per_node or 0
    if args.array and args.gpus_per_node:
        del sizes["NUM_GPUS"]  # one of as many: TEST.BATCH_SIZE is that of all of them together
    typed = {word.partition("=")[0] for word in args.overrides}
    return [f"{key}={number}" for key, number in sizes.items() if key not in typed]


def _resources(args: argparse.Namespace, *, cpus: int, gpus: int) -> "Resources":
    """What the flags ask for; ``cpus`` of a process and ``gpus`` of a node where they do not say."""
    from mvit_video.launch.resources import Resources, parse_extra, parse_minutes, signal_seconds

    minutes = parse_minutes(args.time) if args.time else None
    if args.gpus_per_node is not None:
        gpus = args.gpus_per_node
    elif args.tasks_per_node is not None:
        gpus = 0
    return Resources(
        nodes=args.nodes,
        gpus_per_node=gpus,
        tasks_per_node=gpus or args.tasks_per_node or 1,
        cpus_per_task=args.cpus_per_task or cpus,
        minutes=minutes,
        signal_seconds=signal_seconds(args.signal, minutes),
        partition=args.partition,
        mem=args.mem,
        account=args.account,
        qos=args.qos,
        constraint=args.constraint,
        comment=args.comment,
        exclude=args.exclude,
        name=args.name,
        setup=tuple(args.setup),
        extra=parse_extra(args.slurm),
    )


def given_flags(parser: Parser, args: argparse.Namespace, *, but: Sequence[str] = ()) -> list[str]:
    """The flags that were given, as words again, without positional arguments."""
    words: list[str] = []
    for action in parser._actions:
        value = getattr(args, action.dest, action.default)
        if not action.option_strings or action.dest in but or value == action.default:
            continue
        flag = action.option_strings[-1]
        if action.nargs == 0:
            words.append(flag)
        elif action.nargs is None:  # once, or repeated
            words += [
                word for one in (value if isinstance(value, list) else [value]) for word in (flag, str(one))
            ]
        else:
            words += [flag, *map(str, value)]
    return words


def _check_slurm(args: argparse.Namespace, tasks: int) -> None:
    """Refuse a machine without Slurm, and say how to do the same on it alone."""
    from mvit_video.launch.queueing.sbatch import check_slurm

    if args.predict is not None:
        check_slurm(f"mvit-video predict {shlex.join(args.predict)}")
        return
    program = f"torchrun --nproc-per-node {tasks} -m mvit_video" if tasks > 1 else "mvit-video"
    files = [word for name in args.cfg for word in ("--cfg", name)]
    check_slurm(f"{program} {shlex.join(['test' if args.array else 'run', *files, *args.overrides])}")


def _check_config(config: "Config", num_processes: int) -> None:
    """Find out here, rather than on the cluster, what cannot be."""
    from mvit_video.engine.errors import RunError
    from mvit_video.engine.resolve import check_trainable, resolve_batch

    if not (config.train.enable or config.test.enable):
        raise RunError("TRAIN.ENABLE and TEST.ENABLE are both False: nothing to do; set one of them True")
    if config.train.enable:
        check_trainable(config)
        resolve_batch(config, num_processes)


def _with_weights(config: "Config") -> "Config":
    """With the weights of now, which all parts take, whatever is saved before the last one starts."""
    from mvit_video.engine.inputs import find_weights

    sources = find_weights(config)
    source = next(filter(zipfile.is_zipfile, sources), sources[0])  # one that was cut off is passed over
    path = str(Path(source).absolute()) if Path(source).exists() else source  # else a published model
    return config.model_copy(update={"test": config.test.model_copy(update={"checkpoint_file_path": path})})


def _count_test_videos(config: "Config") -> int:
    """How many there are to share out, with all that can be checked of a test beforehand."""
    from mvit_video.engine.testing.testing import prepare_test

    if config.test.shuffle_frames:
        raise UsageError("--array: TEST.SHUFFLE_FRAMES draws by the place in the whole list; leave one out")
    return len(prepare_test(config).videos)


def _describe(request: "Request") -> str:
    resources = request.resources
    if request.parts:
        return f"{request.what} in {request.parts} parts"
    processes = f"{resources.tasks} processes" if resources.tasks > 1 else "1 process"
    return f"{processes} on {resources.nodes} node{'s' if resources.nodes > 1 else ''}"
