"""Devices and precisions are chosen by rule, and impossible wishes are refused."""

import logging
import os

import pytest
import torch

from mvit_video.engine.device import autocast, cap_workers, choose_device, choose_precision, grad_scaler
from mvit_video.engine.errors import RunError
from mvit_video.engine.processes.group import Group

CPU = torch.device("cpu")


def test_the_cpu_on_request():
    assert choose_device("cpu", 8) == CPU
    assert choose_device("auto", 0) == CPU


def test_auto_takes_the_gpu_where_there_is_one(caplog):
    with caplog.at_level(logging.INFO):
        device = choose_device("auto", 8)
    assert device.type == ("cuda" if torch.cuda.is_available() else "cpu")
    said = "NUM_GPUS is 8 but PyTorch sees no CUDA GPU: computing on the CPU" in caplog.text
    assert said is not torch.cuda.is_available()


@pytest.mark.parametrize(
    ("device", "num_gpus", "message"),
    [
        ("cuda", 0, "DEVICE is cuda but NUM_GPUS is 0: set NUM_GPUS 1, or DEVICE cpu"),
        ("tpu", 1, "DEVICE is 'tpu', expected auto, cpu or cuda"),
    ],
)
def test_impossible_devices(device, num_gpus, message):
    with pytest.raises(RunError, match=message):
        choose_device(device, num_gpus)


def test_a_gpu_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(
        RunError, match="DEVICE is cuda but PyTorch sees no CUDA GPU: set DEVICE cpu, or auto"
    ):
        choose_device("cuda", 1)


def test_precisions():
    for precision in ("fp32", "bf16", "fp16"):
        assert choose_precision(precision, CPU, training=True) == precision
    assert choose_precision("auto", CPU, training=True, mixed_precision=True) == "fp32"
    with pytest.raises(RunError, match="the precision is 'int8', expected auto, fp32, bf16 or fp16"):
        choose_precision("int8", CPU, training=False)


@pytest.mark.parametrize(("in_hardware", "expected"), [(True, "bf16"), (False, "fp32")])
def test_a_cpu_predicts_in_bf16_where_it_has_that_in_hardware(in_hardware, expected, monkeypatch):
    monkeypatch.setattr("mvit_video.engine.device.has_fast_bfloat16", lambda: in_hardware)
    assert choose_precision("auto", CPU, training=False) == expected
    assert choose_precision("auto", CPU, training=True) == "fp32"
    assert choose_precision("fp32", CPU, training=False) == "fp32"


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)]
)
def test_autocast_computes_in_the_precision(precision, dtype):
    layer = torch.nn.Linear(4, 4)
    with autocast(CPU, precision):
        assert layer(torch.ones(2, 4)).dtype == dtype


def test_only_fp16_scales_the_loss():
    assert [grad_scaler(CPU, precision).is_enabled() for precision in ("fp32", "bf16", "fp16")] == [
        False,
        False,
        True,
    ]


def test_workers_are_capped_with_a_line(caplog):
    num_cpus = len(os.sched_getaffinity(0))
    assert cap_workers(0) == 0
    with caplog.at_level(logging.INFO):
        assert cap_workers(num_cpus + 7) == num_cpus
    assert (
        f"DATA_LOADER.NUM_WORKERS is {num_cpus + 7}, and there are {num_cpus} CPUs: using {num_cpus}"
        in caplog.text
    )


def test_processes_of_a_node_share_its_cpus(caplog):
    num_cpus = len(os.sched_getaffinity(0))
    with caplog.at_level(logging.INFO):
        assert cap_workers(num_cpus + 1, 2) == max(num_cpus // 2, 1)
        assert cap_workers(num_cpus + 1, 10 * num_cpus) == 1
    assert f"and there are {num_cpus} CPUs for 2 processes: using" in caplog.text


@pytest.mark.parametrize(
    ("count", "local_rank", "index"),
    [(4, 3, 3), (8, 0, 0), (1, 3, 0)],  # the last: its launcher shows each process its own GPU alone
)
def test_each_process_has_its_own_gpu(monkeypatch, count, local_rank, index):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    group = Group(4 + local_rank, 8, local_rank, 4)
    assert choose_device("auto", 4, group) == choose_device("cuda", 4, group) == torch.device("cuda", index)
    assert choose_device("cpu", 4, group) == torch.device("cpu")


def test_more_processes_than_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(RunError) as caught:
        choose_device("cuda", 8, Group(2, 4, 2, 4))
    assert str(caught.value) == (
        "this is process 3 of 4 on this node, and PyTorch sees 2 GPUs: start one process for each, or set "
        "DEVICE cpu"
    )
