"""How a run stands, in words."""

import time
from collections import Counter
from collections.abc import Iterator

from mvit_video.launch.looking.state import Progress, RunState
from mvit_video.launch.submission import Event

_LONGEST_HISTORY = 12
_LONGEST_ERROR = 300  # characters


def describe(run: RunState) -> str:
    """Text of several lines."""
    return "\n".join([_headline(run), *(f"  {line}" for line in _details(run))])


def _headline(run: RunState) -> str:
    job_ids = run.submission.job_ids()
    nodes = sorted({job.nodes for job in run.jobs if job.nodes and job.state == "RUNNING"})
    about = [f"job {job_ids[-1]}"] if job_ids else []
    about += [f"on {', '.join(nodes)}"] if nodes else []
    again = sum(row["event"] == "requeued" for row in run.events)
    about += [f"queued again {again} time{'s' if again > 1 else ''} by itself"] if again else []
    reason = f": {run.reason}" if run.reason else ""
    return f"{run.submission.run_folder}: {run.state} ({', '.join(about)}){reason}"


def _details(run: RunState) -> Iterator[str]:
    if run.request.parts:
        yield from _parts(run)
    if run.progress is not None:
        yield from _progress(run.progress, running=run.state == "running")
    done = [row for row in run.events if row["event"] == "done"]
    if done and done[-1].get("summary"):
        yield done[-1]["summary"]
    yield "what happened:"
    history = [line for line in map(_event, run.events) if line]
    if len(history) > _LONGEST_HISTORY:
        earlier = len(history) - _LONGEST_HISTORY
        yield f"  ... ({earlier} earlier events in {run.submission.folder}/events.jsonl)"
    yield from (f"  {line}" for line in history[-_LONGEST_HISTORY:])
    ends = Counter(
        start.state for start in run.starts if start.state not in ("RUNNING", "PENDING", "COMPLETED")
    )
    if ends:
        yield "Slurm's accounts: " + ", ".join(f"{count} x {state}" for state, count in sorted(ends.items()))
    yield f"logs: {run.submission.logs} (--logs shows their ends, --logs -f follows them)"
    if run.state in ("failed", "cancelled", "gone"):
        yield f"mvit-video status {run.submission.run_folder} --retry submits what is not done"


def _parts(run: RunState) -> Iterator[str]:
    parts, missing = run.request.parts, len(run.missing)
    states = Counter(job.state.lower() for job in run.jobs if job.state != "COMPLETED")
    at_work = (
        f"; {', '.join(f'{count} {state}' for state, count in sorted(states.items()))}" if states else ""
    )
    yield f"{parts - missing} of {parts} parts done{at_work}"
    if run.is_unjoined:
        yield f"all parts are done: mvit-video status {run.submission.run_folder} --merge joins them"


def _progress(progress: Progress, *, running: bool) -> Iterator[str]:
    total = round(progress.step / progress.epoch * progress.max_epoch)
    left = f"; {_duration(progress.seconds_left)} left" if running else ""
    yield f"step {progress.step} of {total}, epoch {progress.epoch:.2f} of {progress.max_epoch}{left}"
    row = progress.train
    yield f"loss {_number(row.get('loss'))}, learning rate {_number(row.get('lr'))}"
    if progress.val is not None:
        val = progress.val
        scores = ", ".join(f"{name} {_number(val[name])} %" for name in ("top1", "top5") if name in val)
        yield f"evaluated after epoch {val['epoch']:g}: {scores}"


def _event(row: Event) -> str | None:
    when = time.strftime("%m-%d %H:%M:%S", time.localtime(row["time"]))
    part = f"part {row['part']} " if row.get("part") is not None else ""
    saved = row.get("saved")
    texts = {
        "submitted": lambda: f"submitted as job {row['job']}",
        "started": lambda: f"{part}started on {row['nodes']}" + (f", from {saved}" if saved else ""),
        "stopped": lambda: f"{part}stopped by {row['signal']}" + (f", saved {saved}" if saved else ""),
        "requeued": lambda: f"{part}queued again",
        "crashed": lambda: f"{part}did not end in good order ({row['why']})",
        "part_failed": lambda: f"{part}failed: {row['why']} (try {row['attempt']})",
        "failed": lambda: f"{part}failed: {_short(row['error'])}",
        "done": lambda: "done" + (", but some videos could not be read" if row["status"] else ""),
    }
    text = texts.get(row["event"])
    return f"{when} {text()}" if text else None


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_ERROR else text[:_LONGEST_ERROR] + " ..."


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {rest} min" if hours else f"{rest} min"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"
