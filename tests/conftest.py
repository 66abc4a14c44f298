"""What holds for every test: a skip has to be on the written list, and GPU tests need a GPU."""

import signal
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine decides no test, and neither does chance: examples are the same in every run.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")

ALLOWED_SKIPS = frozenset((Path(__file__).parent / "allowed_skips.txt").read_text().split())
_unexpected_skips: list[str] = []


def pytest_configure():
    # Started in the background of a script, a process ignores Ctrl-C, and so would all that tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    gpu_items = [item for item in items if item.get_closest_marker("gpu")]
    if not gpu_items:
        return
    import torch

    if not torch.cuda.is_available():
        for item in gpu_items:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


def pytest_runtest_logreport(report):
    if report.skipped and report.nodeid.split("[")[0] not in ALLOWED_SKIPS:
        _unexpected_skips.append(report.nodeid)


def pytest_collectreport(report):
    if report.skipped:
        _unexpected_skips.append(report.nodeid)


def pytest_sessionfinish(session, exitstatus):
    if _unexpected_skips and exitstatus == 0:
        session.exitstatus = 1


def pytest_terminal_summary(terminalreporter):
    for nodeid in _unexpected_skips:
        terminalreporter.write_line(f"SKIPPED, and not in tests/allowed_skips.txt: {nodeid}", red=True)
