"""Jobs: they tell how far they are, stop when asked to, and hide no error."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from axonlab import job as job_module
from axonlab.job import Job

LONG = 20  # seconds, after which a test that hangs has failed


def until_stopped(job: Job[str]) -> str:
    """Work until somebody stops it."""
    assert job.stopping.wait(LONG)
    return "stopped"


def wait_until(condition: Callable[[], Any]) -> None:
    """Look again and again until something is so."""
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_progress() -> None:
    """Every report reaches the listeners, in order, and so does the end."""
    seen: list[tuple[float, float, str, bool]] = []

    def work(job: Job[int]) -> int:
        for step in range(1, 4):
            job.report(step, 3, f"step {step}")
        return 7

    job = Job(work)
    job.listeners.append(lambda: seen.append((job.done, job.total, job.text, job.running)))
    assert (job.done, job.total, job.running, job.seconds_left) == (0, 0, False, None)
    job.start()
    assert job.wait() == 7
    assert seen == [(n, 3, f"step {n}", True) for n in (1, 2, 3)] + [(3, 3, "step 3", False)]


def test_the_rest_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is that of the pace so far: nothing at first, nothing after the end."""
    clock = iter([100.0, 103.0, 109.0])
    monkeypatch.setattr(job_module.time, "monotonic", lambda: next(clock))
    left: list[float | None] = []

    def work(job: Job[None]) -> None:
        left.append(job.seconds_left)
        for done in (1, 2, 4):
            job.report(done, 10)
            left.append(job.seconds_left)

    job = Job(work)
    job.start()
    job.wait()
    assert left == [None, None, 3 * 8, 3 * 6]
    assert job.seconds_left is None


def test_the_pace_of_work_that_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither what was prepared, nor what an earlier run did, counts as work of this one."""
    clock = iter([110.0, 113.0])
    monkeypatch.setattr(job_module.time, "monotonic", lambda: next(clock))
    left: list[float | None] = []

    def work(job: Job[None]) -> None:
        job.report(0, 0, "reading")
        for done in (501, 502):
            job.report(done, 1000)
            left.append(job.seconds_left)

    job = Job(work)
    job.start()
    job.wait()
    assert left == [None, 3 * 498]


def test_stop() -> None:
    """The work is asked to end, returns what it has, and its views are told at once."""
    job = Job(until_stopped)
    seen: list[bool] = []
    job.start()
    job.listeners.append(lambda: seen.append(job.stopping.is_set()))
    job.stop()
    assert job.wait() == "stopped"
    assert seen[0]
    assert not job.running


@pytest.mark.filterwarnings("error")
def test_a_listener_may_stop_the_work() -> None:
    """It is told of its own stop, and may ask again: it is told once."""
    told: list[bool] = []
    job = Job(until_stopped)

    def stop_it() -> None:
        told.append(job.running)
        job.stop()

    job.listeners.append(stop_it)
    job.start()
    job.stop()
    assert job.wait() == "stopped"
    assert told == [True, False]


def test_errors_are_raised_again() -> None:
    """By every wait, as what they were."""

    def work(job: Job[None]) -> None:
        raise OSError("disk full")

    job = Job(work)
    job.start()
    for _ in range(2):
        with pytest.raises(OSError, match="disk full"):
            job.wait()
    assert isinstance(job.error, OSError)
    assert not job.running


async def finish(job: Job[str]) -> str:
    """Await a job, as a cell of a notebook does."""
    return await job


def test_a_job_is_awaited() -> None:
    """What else the event loop has to do, such as a click on Stop, is done meanwhile."""

    async def cell() -> str:
        asyncio.get_running_loop().call_later(0.05, job.stop)
        return await job

    job = Job(until_stopped)
    job.start()
    assert asyncio.run(cell()) == "stopped"
    assert asyncio.run(finish(job)) == "stopped"  # after the end, as often as one likes


def test_an_awaited_error_is_raised() -> None:
    """As is that of a job that nobody has started."""

    def work(job: Job[str]) -> str:
        raise OSError("disk full")

    job = Job(work)
    with pytest.raises(RuntimeError, match="never started"):
        asyncio.run(finish(job))
    job.start()
    with pytest.raises(OSError, match="disk full"):
        asyncio.run(finish(job))


def test_an_interrupt_of_a_cell_that_awaits_stops_the_job() -> None:
    """It comes as a cancellation, which is raised after the work has ended."""

    async def cell() -> None:
        task = asyncio.ensure_future(finish(job))
        asyncio.get_running_loop().call_later(0.05, task.cancel)
        await task

    job = Job(until_stopped)
    job.start()
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cell())
    assert job.stopping.is_set()
    assert not job.running


def test_even_the_end_of_the_program_is_raised() -> None:
    """An error that is no Exception does not leave a job that runs for ever."""

    def work(job: Job[None]) -> None:
        raise SystemExit(3)

    job = Job(work)
    job.start()
    with pytest.raises(SystemExit):
        job.wait()
    assert not job.running


def test_waiting_for_what_was_never_started() -> None:
    """There is nothing to wait for."""
    with pytest.raises(RuntimeError, match=r"never started.*start\(\)"):
        Job(until_stopped).wait()


def test_a_job_runs_once_at_a_time() -> None:
    """A second start is an error, and the first run goes on."""
    job = Job(until_stopped)
    job.start()
    with pytest.raises(RuntimeError, match="Stop it first"):
        job.start()
    assert job.running
    job.stop()
    assert job.wait() == "stopped"


def test_a_job_starts_again() -> None:
    """After its end, after a stop and after an error; nothing of the run before is left."""
    outcomes = iter([ValueError("first"), None, None])
    fresh: list[tuple[Any, ...]] = []

    def work(job: Job[str]) -> str:
        fresh.append((job.done, job.total, job.text, job.error, job.stopping.is_set()))
        job.report(1, 2, "half")
        outcome = next(outcomes)
        if outcome:
            raise outcome
        return until_stopped(job)

    job = Job(work)
    job.start()
    with pytest.raises(ValueError, match="first"):
        job.wait()
    for _ in range(2):
        job.start()
        job.stop()
        assert job.wait() == "stopped"
    assert job.error is None
    assert [f[:4] for f in fresh] == [(0, 0, "", None)] * 3


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let SIGINT interrupt, also where the tests were started in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("how", ["interrupt the wait", "interrupt before the wait"])
def test_an_interrupt_stops_the_work(how: str) -> None:
    """The stop button of JupyterLab ends the work properly, and is then raised."""
    ended = threading.Event()

    def work(job: Job[str]) -> str:
        if how == "interrupt the wait":
            time.sleep(0.05)  # the main thread waits by now, or will at once
            os.kill(os.getpid(), signal.SIGINT)
        result = until_stopped(job)
        ended.set()
        return result

    job = Job(work)
    with pytest.raises(KeyboardInterrupt):
        job.start()
        if how == "interrupt before the wait":
            signal.raise_signal(signal.SIGINT)
        job.wait()
    if how == "interrupt before the wait":  # work in a thread does not notice it
        assert job.running
        job.stop()
    assert job.wait() == "stopped"
    assert ended.is_set()


def test_a_broken_listener_is_dropped() -> None:
    """It is told of once; the others are served and the work goes on."""
    calls: list[str] = []

    def broken() -> None:
        calls.append("broken")
        raise KeyError("view is closed")

    def work(job: Job[str]) -> str:
        job.report(1, 2)
        job.report(2, 2)
        return "done"

    job = Job(work)
    job.listeners += [broken, lambda: calls.append("whole")]
    with pytest.warns(UserWarning, match="view of a job was dropped.*view is closed"):
        job.start()
        assert job.wait() == "done"
    assert calls == ["broken", *["whole"] * 3]


def test_a_listener_that_leaves_in_a_quarrel() -> None:
    """It may have been removed already, by itself or in the other thread."""

    def leave() -> None:
        job.listeners.remove(leave)
        raise KeyError("gone")

    def work(job: Job[str]) -> str:
        job.report(1, 2)
        return "done"

    job = Job(work)
    job.listeners.append(leave)
    with pytest.warns(UserWarning, match="dropped"):
        job.start()
        assert job.wait() == "done"


def test_a_listener_may_ask_for_the_result() -> None:
    """It is called in the job's thread, which cannot wait for itself."""
    results: list[str] = []
    job = Job(lambda job: "done")
    job.listeners.append(lambda: results.append(job.wait()))
    job.start()
    job.wait()
    wait_until(lambda: results)
    assert results == ["done"]


def test_a_run_that_begins_while_the_last_one_is_still_told_of() -> None:
    """It has an end of its own: whoever waits for it is not answered by the run before."""
    told, go_on = threading.Event(), threading.Event()

    def slow_view() -> None:
        if not job.running:
            told.set()
            assert go_on.wait(LONG)

    job = Job(until_stopped)
    job.start()
    job.listeners.append(slow_view)
    first = job._thread
    job.stopping.set()
    assert told.wait(LONG)
    job.listeners.clear()
    job.start()
    go_on.set()
    assert first is not None
    first.join(LONG)
    assert not job._ended.is_set()
    job.stop()
    assert job.wait() == "stopped"


def test_a_job_does_not_keep_python_alive() -> None:
    """A kernel that is shut down ends, whatever runs in it."""
    job = Job(until_stopped)
    job.start()
    assert job._thread is not None
    assert job._thread.daemon
    job.stop()
    job.wait()
