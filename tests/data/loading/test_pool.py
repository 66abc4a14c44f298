import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from kit.pool_work import Unreadable, work

from mvit_video.data.loading.pool import Crash, RunEndedError, WorkerPool
from mvit_video.data.loading.workforce import WorkerError

PATIENT = 100.0


def numbers(count):
    return [("return", number) for number in range(count)]


def results(pool, tasks, again=None):
    return [result for _, result in pool.run(tasks, again)]


def wait_until(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture(scope="module")
def pool():
    with WorkerPool(work, num_workers=2, timeout_seconds=PATIENT, result_bytes=100_000) as pool:
        yield pool


def test_results_come_in_the_order_of_the_tasks(pool):
    slow_first = [("sleep", 0.2), *numbers(50)]
    found = list(pool.run(iter(slow_first)))
    assert [task for task, _ in found] == slow_first
    assert [result for _, result in found] == [0.2, *range(50)]
    assert results(pool, []) == []


def test_workers_share_the_work_and_stay(pool):
    pids = set(results(pool, [("pid", None)] * 4 + [("sleep", 0.1)] * 4 + [("pid", None)] * 20)) - {0.1}
    assert os.getpid() not in pids
    assert len(pids) == 2
    assert set(results(pool, [("pid", None)] * 20)) <= pids


def test_workers_leave_the_processor_and_the_memory_to_others(pool):
    assert results(pool, [("threads", None)]) == [1]
    (modules,) = results(pool, [("modules", None)])
    assert "torch" in modules
    assert not {"torchvision", "pytorchvideo", "matplotlib", "mvit_video.models"} & set(modules)


@pytest.mark.parametrize("size", [100_000, 10_000, 10, 0])
def test_arrays_are_sent_through_shared_memory_or_not(pool, size):
    # 800 kB are more than a slot holds.
    for _, result in pool.run([("array", size)] * 9):
        assert result["name"] == size
        assert np.array_equal(result["array"], np.arange(size))


def test_a_result_may_be_made_where_it_is_sent(pool):
    for number, (_, (made_there, copied)) in enumerate(pool.run([("write_into_room", i) for i in range(20)])):
        assert np.array_equal(made_there, np.full(10_000, number))
        assert np.array_equal(copied, np.full(10_000, number + 1))


def test_tensors_keep_their_layout(pool):
    shape = (4, 20, 30, 3)
    expected = torch.arange(7200, dtype=torch.int32).view(shape).permute(3, 0, 1, 2)
    for _, clip in pool.run([("clip", shape)] * 3):
        assert clip.stride() == expected.stride()
        assert torch.equal(clip, expected)


@pytest.mark.parametrize(
    ("culprit", "reason"),
    [
        (("segfault", None), "killed by SIGSEGV"),
        (("exit", 7), "ended with exit status 7"),
        (("exit", 0), "ended with exit status 0"),
    ],
)
@pytest.mark.parametrize("num_workers", [1, 2])
def test_a_crash_costs_one_task(culprit, reason, num_workers):
    tasks = [*numbers(3), culprit, ("return", 4), culprit, culprit, *numbers(4)]
    with WorkerPool(work, num_workers=num_workers, timeout_seconds=PATIENT) as pool:
        for _ in range(2):
            found = list(pool.run(tasks))
            assert [task for task, _ in found] == tasks
            crash = Crash(reason)
            assert [result for _, result in found] == [0, 1, 2, crash, 4, crash, crash, 0, 1, 2, 3]


@pytest.mark.parametrize("kind", ["sleep", "hold"])
def test_a_hang_costs_one_task(kind):
    with WorkerPool(work, num_workers=2, timeout_seconds=2) as pool:
        found = results(pool, [*numbers(2), (kind, 1000), *numbers(8)])
    assert found == [0, 1, Crash("no answer after 2 s"), *range(8)]


@pytest.mark.slow
def test_the_time_of_a_task_counts_from_its_beginning_and_from_every_sign_of_life():
    tasks = [("sleep", 0.5)] * 8
    with WorkerPool(work, num_workers=1, timeout_seconds=3, queued=5) as pool:
        assert results(pool, tasks) == [0.5] * 8
        assert results(pool, [("beat", (8, 0.5))]) == [8]


def test_a_worker_killed_from_outside_has_its_task_done_by_another(tmp_path):
    once, twice = [[tmp_path / f"{count}-{number}" for number in range(count)] for count in (1, 2)]
    with WorkerPool(work, num_workers=1, timeout_seconds=PATIENT) as pool:
        found = results(pool, [("kill", once), *numbers(2), ("kill", twice), ("return", "end")])
    assert found == ["done", 0, 1, Crash("killed by SIGKILL (memory may have run out)"), "end"]


def test_another_task_can_take_the_place_of_one(tmp_path):
    seen = []

    def again(task, result):
        seen.append((task, result))
        return {("return", 1): ("segfault", None), ("segfault", None): ("return", "third")}.get(task)

    for num_workers in (1, 2):
        with WorkerPool(work, num_workers=num_workers, timeout_seconds=PATIENT) as pool:
            found = list(pool.run(numbers(5), again))
        assert found == [
            (("return", 0), 0), (("return", "third"), "third"), *[(("return", n), n) for n in (2, 3, 4)]
        ]  # fmt: skip
        assert len(seen) == 7
        assert (("segfault", None), Crash("killed by SIGSEGV")) in seen
        seen.clear()


@pytest.mark.parametrize("num_workers", [0, 2])
def test_errors_are_raised_where_their_result_would_be(num_workers):
    with WorkerPool(work, num_workers=num_workers, timeout_seconds=PATIENT) as pool:
        found = []
        with pytest.raises(LookupError) as caught:
            found.extend(
                result for _, result in pool.run([*numbers(3), ("raise", "no such thing"), *numbers(9)])
            )
        assert found == [0, 1, 2]
        assert str(caught.value) == "no such thing"
        if num_workers:
            assert "do_raise" in "".join(caught.value.__notes__)
            with pytest.raises(RuntimeError, match=r"^StrangeError: text\n"):
                results(pool, [("raise_strange", "text")])
        assert results(pool, numbers(6)) == list(range(6))


def test_a_run_left_early_leaves_nothing_to_the_next(pool, tmp_path):
    for _ in range(3):
        for _, result in pool.run([("array", size) for size in range(20_000, 20_030)]):
            if result["name"] == 20_003:
                break
        assert results(pool, numbers(20)) == list(range(20))
    left = pool.run(numbers(20))
    assert next(left) == (("return", 0), 0)
    assert results(pool, [("return", "new")]) == ["new"]
    with pytest.raises(RunEndedError, match="another was begun"):
        next(left)
    assert results(pool, numbers(20)) == list(range(20))


def test_a_task_that_hangs_in_a_run_left_early_is_ended_in_the_next(tmp_path):
    marker = tmp_path / "begun"
    with WorkerPool(work, num_workers=1, timeout_seconds=2) as pool:
        run = pool.run([("return", 0), ("begin_and_sleep", marker), *numbers(5)])
        assert next(run) == (("return", 0), 0)
        wait_until(marker.exists)
        run.close()
        assert results(pool, [("return", number) for number in range(10, 20)]) == list(range(10, 20))


def test_a_run_is_stopped_from_another_thread(tmp_path):
    marker, stop = tmp_path / "begun", threading.Event()
    with WorkerPool(work, num_workers=1, timeout_seconds=2) as pool:
        threading.Thread(target=lambda: (wait_until(marker.exists), stop.set())).start()
        with pytest.raises(RunEndedError, match="it was stopped"):
            list(pool.run([("begin_and_sleep", marker), *numbers(9)], stop=stop))
        # All places for results are taken by tasks that nobody wants any more.
        assert results(pool, numbers(9)) == list(range(9))


def test_without_workers_it_is_all_done_here():
    with WorkerPool(work, num_workers=0) as pool:
        assert results(pool, [("pid", None)] * 3) == [os.getpid()] * 3
        again = {("return", 1): ("return", "new")}
        assert results(pool, numbers(3), lambda task, _: again.get(task)) == [0, "new", 2]


def test_what_cannot_be(tmp_path):
    with pytest.raises(ValueError, match=r"DATA\.TIMEOUT_SECONDS is 0, expected more than 0"):
        WorkerPool(work, num_workers=1, timeout_seconds=0)
    with pytest.raises(ValueError, match="num_workers is -1, expected 0 or more"):
        WorkerPool(work, num_workers=-1)
    pool = WorkerPool(Unreadable(), num_workers=2)
    with pytest.raises(WorkerError, match="cannot start: no module named transforms_of_mine"):
        results(pool, numbers(3))
    with pytest.raises(WorkerError, match="the workers were ended"):
        results(pool, numbers(3))


def test_workers_end_with_the_pool():
    pool = WorkerPool(work, num_workers=2, timeout_seconds=PATIENT)
    pids = set(results(pool, [("pid", None)] * 3 + [("sleep", 0.05)] * 4 + [("pid", None)] * 3)) - {0.05}
    assert all(map(is_running, pids))
    del pool  # nobody holds it any more
    wait_until(lambda: not any(map(is_running, pids)))


def test_idle_workers_that_are_killed_are_replaced(pool):
    for _ in range(3):
        for process in multiprocessing.active_children():
            if process.name.startswith("mvit-video worker"):
                os.kill(process.pid, signal.SIGKILL)
                wait_until(lambda process=process: not is_running(process.pid))
        assert results(pool, numbers(10)) == list(range(10))


@pytest.mark.slow
def test_workers_started_afresh():
    with WorkerPool(
        work, num_workers=2, timeout_seconds=PATIENT, result_bytes=8000, start_method="spawn"
    ) as pool:
        assert results(pool, [*numbers(5), ("segfault", None), *numbers(5)]) == [
            *range(5), Crash("killed by SIGSEGV"), *range(5)
        ]  # fmt: skip
        for _, result in pool.run([("array", 1000)] * 9):
            assert np.array_equal(result["array"], np.arange(1000))


# Whole programs


SCRIPT = """
    import os, sys
    sys.path.insert(0, {tests!r})
    from kit.pool_work import work
    from mvit_video.data.loading.pool import WorkerPool

    def main():
        with WorkerPool(work, num_workers=2, start_method={method!r}) as pool:
            for _, result in pool.run({tasks}):
                print(result, flush=True)
"""
TESTS = str(Path(__file__).parents[2])
QUIET = {**os.environ, "OMP_NUM_THREADS": "1"}


def script(tasks, ending, method="forkserver"):
    return textwrap.dedent(SCRIPT.format(tests=TESTS, tasks=tasks, method=method)) + textwrap.dedent(ending)


def start(arguments, **options):
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        env=QUIET, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("how", ["stdin", "file", "spawn"])
def test_any_program_can_have_workers_which_leave_it_alone(tmp_path, how):
    method = how if how == "spawn" else "forkserver"
    text = script([("return", 1), ("segfault", 0), ("modules", None)], "import wave\nmain()\n", method)
    (tmp_path / "program.py").write_text(text)
    words = ["-"] if how == "stdin" else [tmp_path / "program.py"]
    process = start(words, stdin=subprocess.PIPE)
    out, err = process.communicate(text if how == "stdin" else "")
    assert process.returncode == 0, err
    first, second, modules = out.strip().split("\n")
    assert (first, second) == ("1", "Crash(reason='killed by SIGSEGV')")
    assert "'kit.pool_work'" in modules
    assert "'wave'" not in modules
    assert err == ""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_a_script_that_defines_the_work_needs_a_guard_and_is_told_so(tmp_path, method):
    own = "def work(task):\n    return task\n\n"
    text = script([1, 2], own, method)
    for ending in ("main()\n", "if __name__ == '__main__':\n    main()\n"):
        (tmp_path / "program.py").write_text(text + ending)
        process = start([tmp_path / "program.py"])
        out, err = process.communicate()
        if ending != "main()\n":
            assert (process.returncode, out, err) == (0, "1\n2\n", "")
            continue
        assert process.returncode == 1
        assert out == ""
        last = err.strip().split("\n")[-1]
        assert last.startswith(
            "mvit_video.data.loading.workforce.WorkerError: a worker process cannot start: ended with"
        )
        assert "belongs under if __name__ == '__main__':" in last


@pytest.mark.slow
@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_a_python_that_does_not_start_again_is_told_what_to_do(tmp_path, method):
    (tmp_path / "sitecustomize.py").write_text("import os\nos._exit(3)\n")  # run by every Python started
    ending = f"os.environ['PYTHONPATH'] = {str(tmp_path)!r}\nmain()\n"
    process = start(["-c", script([1], ending, method)])
    out, err = process.communicate()
    assert (process.returncode, out) == (1, "")
    last = err.strip().split("\n")[-1]
    assert last.startswith("mvit_video.data.loading.workforce.WorkerError: a worker process cannot start: ")
    assert last.endswith("to do without: DATA_LOADER.NUM_WORKERS 0, or --workers 0 where there is that flag")


@pytest.mark.parametrize("method", ["forkserver", pytest.param("spawn", marks=pytest.mark.slow)])
def test_workers_end_with_a_parent_that_is_killed(tmp_path, method):
    markers = [str(tmp_path / name) for name in "ab"]
    tasks = list(zip(("begin_and_sleep", "begin_and_hold"), markers, strict=True))
    process = start(["-c", script(tasks, "main()\n", method)])
    memory = _shared_memory()
    wait_until(lambda: all(Path(marker).exists() and Path(marker).read_text() for marker in markers))
    pids = [int(Path(marker).read_text()) for marker in markers]
    assert all(map(is_running, pids))
    process.kill()
    process.wait()
    wait_until(lambda: not any(map(is_running, pids)))
    assert _shared_memory() <= memory


def _shared_memory():
    """What lies in shared memory, without semaphores: workers have none, those of others come and go."""
    return {name for name in os.listdir("/dev/shm") if not name.startswith("sem.")}


@pytest.mark.slow
def test_ctrl_c_is_the_parents_business(tmp_path):
    markers = [str(tmp_path / name) for name in "ab"]
    tasks = [("begin_and_sleep", marker) for marker in markers]
    ending = """
        try:
            main()
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """
    process = start(["-c", script(tasks, ending)], start_new_session=True)
    wait_until(lambda: all(Path(marker).exists() and Path(marker).read_text() for marker in markers))
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate()
    assert (process.returncode, out, err) == (0, "interrupted\n", "")
    assert not any(is_running(int(Path(marker).read_text())) for marker in markers)


REQUESTS = """
    import signal
    noted = set()
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT):
        signal.signal(number, lambda number, frame: noted.add(number))
    main()
    print(len(noted), flush=True)
"""


@pytest.mark.parametrize("method", ["forkserver", pytest.param("spawn", marks=pytest.mark.slow)])
def test_requests_to_leave_that_a_whole_job_is_sent_are_the_parents_business(tmp_path, method):
    markers = [str(tmp_path / name) for name in "ab"]
    tasks = [*(("begin_and_wait", marker) for marker in markers), *numbers(4)]
    process = start(["-c", script(tasks, REQUESTS, method)], start_new_session=True)
    wait_until(lambda: all(Path(marker).exists() and Path(marker).read_text() for marker in markers))
    pids = [Path(marker).read_text() for marker in markers]
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT):
        os.killpg(process.pid, number)
    for marker in markers:
        Path(marker + ".go").touch()
    out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert out.split() == [*pids, "0", "1", "2", "3", "4"]  # by the same workers, not by others after them


def test_a_program_that_does_not_close_its_workers_ends(tmp_path):
    ending = "pool = WorkerPool(work, num_workers=2)\nprint(next(iter(pool.run([('return', 7)]))))\n"
    process = start(["-c", script([], ending)])
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "(('return', 7), 7)\n", "")
