"""The command line: one module per verb, nothing heavy imported until a verb runs."""

import os
import sys
from collections.abc import Sequence

from mvit_video.cli import (
    benchmark,
    convert,
    data,
    doctor,
    export,
    finetune,
    models,
    predict,
    run,
    status,
    submit,
)
from mvit_video.cli.console import console_logging, describe_error, let_first_speak, silence_stdout
from mvit_video.cli.parsing import Parser, shield_negative_numbers
from mvit_video.engine.errors import Stopped
from mvit_video.version import __version__

__all__ = ["main"]

TRACEBACK_VARIABLE = "MVIT_VIDEO_TRACEBACK"

_EPILOG = f"""examples:
  mvit-video predict holiday.mp4 --model mvitv2_s_16x4.k400
  mvit-video data make-list folders --videos clips --output train.list --val-output val.list
  mvit-video finetune clips --model mvitv2_s_16x4.k400 --output runs/mine
  mvit-video train --cfg mine.yaml DATA.TRAIN_LIST train.list DATA.VAL_LIST val.list OUTPUT_DIR out
  mvit-video test --cfg K400/MVITv2_S_16x4 DATA.PATH_TO_DATA_DIR lists TEST.CHECKPOINT_FILE_PATH FILE
  mvit-video export --model mvitv2_s_16x4.k400 --output mvitv2_s.onnx
  mvit-video submit --cfg mine.yaml --partition gpu --nodes 2 --gpus-per-node 8 OUTPUT_DIR out
  mvit-video doctor

exit status: 0 done; 1 done, but something was wrong (an unreadable video, a finding of doctor);
2 nothing could be done (an error in the arguments, the configuration or a file);
128 + signal: stopped by it, and the same command goes on (143 SIGTERM, 138 SIGUSR1, 140 SIGUSR2, 129 SIGHUP,
130 Ctrl-C; a second Ctrl-C does not wait for the step and its checkpoint).
{TRACEBACK_VARIABLE}=1 shows where in the code an error arose.
"""


def build_parser() -> Parser:
    """The parser of ``mvit-video`` with one sub-parser per verb."""
    parser = Parser(
        prog="mvit-video",
        description="Recognise what happens in videos with Multiscale Vision Transformers (MViT and MViTv2).",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"mvit-video {__version__}")
    verbs = (run, finetune, predict, data, models, convert, export, submit, status, benchmark, doctor)
    parser.add_verbs(verbs)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``mvit-video`` with the given words (the process's own by default) and return its exit status."""
    words = shield_negative_numbers(sys.argv[1:] if argv is None else argv)
    with console_logging():
        try:
            status = _run_verb(words)
            sys.stdout.flush()
            return status
        except BrokenPipeError:
            silence_stdout()  # the reader (head, less) has seen enough
            return 0
        except Stopped as stop:
            print(f"mvit-video: {stop}", file=sys.stderr)
            return 128 + stop.signal_number
        except KeyboardInterrupt:
            print("mvit-video: interrupted", file=sys.stderr)
            return 130
        except Exception as error:
            line = describe_error(error)
            if line is None or os.environ.get(TRACEBACK_VARIABLE, "0") not in ("", "0"):
                raise
            let_first_speak()
            print(f"mvit-video: error: {line}", file=sys.stderr)
            return 2


def _run_verb(words: Sequence[str]) -> int:
    try:
        args = build_parser().parse_words(words)
    except SystemExit as stop:  # --help and --version
        return stop.code if isinstance(stop.code, int) else 0
    status: int = args.run(args)
    return status
