"""The machine in words."""

import os
import platform

import torch

from mvit_video.engine.machine import describe_machine, num_cpus


def test_one_line_with_what_figures_depend_on():
    line = describe_machine(torch.device("cpu"))
    assert "\n" not in line
    assert f"{num_cpus()} CPUs, " in line
    assert "bf16 in hardware" in line
    assert f"Python {platform.python_version()}, torch {torch.__version__}, torchvision " in line


def test_cpus_are_those_this_process_may_use():
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert num_cpus() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert num_cpus() == len(allowed)
