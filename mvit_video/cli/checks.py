"""The checks behind ``mvit-video doctor``: each looks at one thing and returns what it found.

Packages are looked up by name here, so that one that is missing or broken is a finding like any other.
"""

import os
import platform
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType

from mvit_video.version import __version__

_CODECS = {  # what people have, and the decoders that can read it without special hardware
    "h264": ("h264", "libopenh264"),
    "hevc": ("hevc",),
    "vp8": ("vp8", "libvpx"),
    "vp9": ("vp9", "libvpx-vp9"),
    "av1": ("libdav1d", "libaom-av1", "libgav1"),
    "mpeg4": ("mpeg4",),
}
_IMPORTED_AS = {"pillow": "PIL", "pyyaml": "yaml", "pytorchvideo": "pytorchvideo.data"}
_OPTIONAL = ("decord",)


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        subject: what was looked at, a word.
        text: what was found, one line.
        ok: whether that is as it should be.
        remedy: what is wrong and what to do about it, one line; only where not ok.
    """

    subject: str
    text: str
    ok: bool = True
    remedy: str = ""


def check_packages() -> Sequence[Finding]:
    """Python and every dependency: there, new enough, importable, and torchvision built for this torch."""
    findings = [Finding("python", f"{platform.python_version()} ({sys.executable})")]
    findings.append(Finding("mvit_video", f"{__version__} ({Path(__file__).parents[1]})"))
    try:
        requirements = metadata.requires("mvit_video") or []
    except metadata.PackageNotFoundError:
        remedy = "mvit_video is not installed in this Python; run: pip install . (in its checkout)"
        return [*findings, Finding("dependencies", "unknown", ok=False, remedy=remedy)]
    for requirement in requirements:
        if "extra ==" not in requirement:
            findings.append(check_requirement(requirement))
    return findings


def check_requirement(requirement: str) -> Finding:
    """One line of the dependencies, such as ``torch>=2.6``: is it there, new enough, and does it import?"""
    matched = re.match(r"([\w.-]+?)\s*(?:(>=|==)\s*([\w.]+))?\s*(?:;.*)?$", requirement.strip())
    assert matched is not None, requirement
    name, relation, wanted = matched.groups()
    install = f'pip install "{name}{relation or ""}{wanted or ""}"'
    optional = name in _OPTIONAL
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        remedy = f"{name} is missing; run: {install}"
        return Finding(
            name, "not installed" + (" (optional)" if optional else ""), ok=optional, remedy=remedy
        )
    error = _import_error(_IMPORTED_AS.get(name, name))
    if name == "torchvision" and (mismatch := _torchvision_mismatch(version)):
        return Finding(name, f"{version}; {mismatch}", ok=False, remedy=mismatch)
    if error is not None:
        remedy = f"{name} {version} does not import ({error}); reinstall it: {install} --force-reinstall"
        return Finding(name, f"{version}, but it does not import: {error}", ok=optional, remedy=remedy)
    if wanted and not _satisfies(version, relation, wanted):
        remedy = f"{name} is {version}, wanted {relation}{wanted}; run: {install}"
        return Finding(name, f"{version}, wanted {relation}{wanted}", ok=False, remedy=remedy)
    return Finding(name, version)


def _import_error(module: str) -> str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import_module(module)
    except Exception as error:  # whatever a broken package raises
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return None


def _torchvision_mismatch(version: str) -> str | None:
    """A released torchvision works with one torch only, the one it was compiled against: its metadata say."""
    pinned = [r for r in metadata.requires("torchvision") or [] if re.match(r"torch\s*\(?==", r)]
    if not pinned:
        return None
    wanted = re.split(r"==", pinned[0])[1].strip(" )")
    try:
        found = metadata.version("torch")
    except metadata.PackageNotFoundError:
        return None
    if _numbers(found) == _numbers(wanted):
        return None
    return (
        f"torchvision {version} was built for torch {wanted}, but torch is {found}; "
        f'run: pip install "torch=={wanted}", or pip install --upgrade torch torchvision'
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", re.split(r"[+a-z]", version)[0]))


def _satisfies(version: str, relation: str, wanted: str) -> bool:
    if relation == "==":
        return _numbers(version) == _numbers(wanted)
    return _numbers(version) >= _numbers(wanted)


def check_devices() -> Sequence[Finding]:
    """The CPU, the GPUs torch can use, and why it cannot where there seem to be some."""
    torch = import_module("torch")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    findings = [Finding("cpu", f"{cores} cores, {_cpu_model()}")]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        available = torch.cuda.is_available()
    reasons = "; ".join(" ".join(str(warning.message).split()) for warning in caught)
    if available:
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            gibibytes = properties.total_memory / 2**30
            findings.append(
                Finding(
                    f"cuda:{index}", f"{properties.name}, {gibibytes:.0f} GiB (CUDA {torch.version.cuda})"
                )
            )
    elif not Path("/proc/driver/nvidia/version").exists():
        findings.append(Finding("cuda", "no GPU; everything runs on the CPU"))
    elif torch.version.cuda is None:
        remedy = f"this machine has an NVIDIA driver, but torch {torch.__version__} is built without CUDA"
        findings.append(Finding("cuda", "torch is built without CUDA", ok=False, remedy=remedy))
    else:
        reasons = reasons or "it gives no reason"
        remedy = f"this machine has an NVIDIA driver, but torch finds no GPU it can use: {reasons}"
        findings.append(Finding("cuda", "no GPU that torch can use", ok=False, remedy=remedy))
    return findings


def check_bf16() -> Sequence[Finding]:
    """Whether bfloat16 arithmetic is done by hardware: without, it only saves memory."""
    torch = import_module("torch")
    instructions = import_module("mvit_video.models.processor").bfloat16_instructions()
    text = f"in hardware ({instructions})" if instructions else "no (works, about as fast as fp32)"
    findings = [Finding("cpu", text)]
    if torch.cuda.is_available():
        supported = torch.cuda.is_bf16_supported(including_emulation=False)
        findings.append(Finding("cuda", "in hardware" if supported else "no"))
    return findings


def _cpuinfo() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text(errors="replace") if path.exists() else ""


def _cpu_model() -> str:
    matched = re.search(r"^model name\s*:\s*(.+)$", _cpuinfo(), re.MULTILINE)
    return matched.group(1) if matched else platform.machine()


def check_decoders() -> Sequence[Finding]:
    """Which kinds of video PyAV can decode here, and whether decord is there as well."""
    error = _import_error("decord")
    decord = Finding("decord", "yes" if error is None else f"no, and not needed ({error})")
    if error := _import_error("av"):
        remedy = f"no video can be read without PyAV ({error})"
        return [Finding("av", "does not import", ok=False, remedy=remedy), decord]
    av: ModuleType = import_module("av")
    libavcodec = ".".join(str(part) for part in av.library_versions["libavcodec"])
    findings = [Finding("av", f"PyAV {av.__version__}, libavcodec {libavcodec}")]
    for codec, decoders in _CODECS.items():
        found = [name for name in decoders if name in av.codecs_available]
        remedy = f"this PyAV cannot decode {codec}; the wheels on PyPI can: pip install --force-reinstall av"
        findings.append(Finding(codec, f"yes ({found[0]})" if found else "no", ok=bool(found), remedy=remedy))
    return [*findings, decord]


def check_cache() -> Sequence[Finding]:
    """Where downloaded weights are kept, how much lies there, and whether there is room and permission."""
    from mvit_video.weights import cache_path

    folder = cache_path("https://host/file").parents[1]
    files = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    megabytes = sum(path.stat().st_size for path in files) / 1e6
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free / 1e9
    text = f"{folder} ({len(files)} files, {megabytes:.0f} MB; {free:.0f} GB free)"
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return [Finding("folder", text)]
    remedy = (
        f"no weights can be kept in {folder}: {existing} is not writable; set MVIT_VIDEO_CACHE to another"
    )
    return [Finding("folder", f"{text}, not writable", ok=False, remedy=remedy)]


CHECKS: Mapping[str, Callable[[], Sequence[Finding]]] = {
    "packages": check_packages,
    "devices": check_devices,
    "bf16": check_bf16,
    "decoders": check_decoders,
    "weight cache": check_cache,
}
