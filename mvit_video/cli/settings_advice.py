"""What ``mvit-video benchmark`` found, as lines to read and to type."""

from mvit_video.engine.machine import num_cpus
from mvit_video.engine.tuning.trials import Setting
from mvit_video.engine.tuning.tuning import Findings


def advise(findings: Findings, model: str, device: str, *, training: bool) -> list[str]:
    """The fastest setting, how much it is worth, and the command lines that use it.

    Args:
        findings: of `tune`.
        model: the name as it was typed.
        device: "cpu", "cuda" or one GPU.
        training: whether the settings are for training.
    """
    setting = findings.best.setting
    lines = [f"fastest: {_in_words(setting)}: {findings.best.seconds:.3f} seconds a clip"]
    if findings.gain is None:
        lines.append("nothing else that was tried is clearly faster than the first setting")
    else:
        median, least, largest = findings.gain
        plain = _in_words(findings.trials[0].setting)
        lines.append(f"{median:.2f} times as fast ({least:.2f}-{largest:.2f}) as {plain}")
    lines += _training(device, setting) if training else _inference(model, device, setting)
    if setting.compiled:
        lines.append("compiled: in Python, torch.compile(model)")
    if findings.checkpointing is not None:
        memory, time = findings.checkpointing
        saved = f"{memory:.0%} of the memory for {time:.2f} times the time"
        lines.append(f"if memory is short: MODEL.ACT_CHECKPOINT True, {saved}")
    return lines


def _in_words(setting: Setting) -> str:
    clips = "1 clip" if setting.batch == 1 else f"{setting.batch} clips"
    threads = "1 thread" if setting.threads == 1 else f"{setting.threads} threads"
    return f"{setting.precision}, {clips} at a time, {threads}{', compiled' if setting.compiled else ''}"


def _inference(model: str, device: str, setting: Setting) -> list[str]:
    program, precision = _program(device, setting), setting.precision
    has_weights = "." in model
    named = model if has_weights else f"{model} --checkpoint FILE"
    arguments = f'"{model}"' if has_weights else f'"{model}", checkpoint="FILE"'
    return [
        f"{program} predict VIDEO --model {named} --device {device} --precision {precision} "
        f"--views-per-batch {setting.batch}",
        f"{program} test --cfg FILE DEVICE {device} TEST.PRECISION {precision} "
        f"TEST.BATCH_SIZE {setting.batch}",
        f'mvit_video.Predictor({arguments}, device="{device}", precision="{precision}", '
        f"views_per_batch={setting.batch})",
    ]


def _training(device: str, setting: Setting) -> list[str]:
    return [
        f"{_program(device, setting)} train --cfg FILE DEVICE {device} TRAIN.PRECISION {setting.precision} "
        f"TRAIN.MICRO_BATCH_SIZE {setting.batch}"
    ]


def _program(device: str, setting: Setting) -> str:
    """The command's name, after the number of threads where that is not the usual one."""
    usual = device != "cpu" or setting.threads == num_cpus()
    return "mvit-video" if usual else f"OMP_NUM_THREADS={setting.threads} mvit-video"
