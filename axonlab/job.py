"""Long work in a thread: it tells how far it is, can be stopped, and is waited for."""

from __future__ import annotations

import asyncio
import threading
import time
import warnings
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Job(Generic[T]):
    """Work that runs in a thread of its own, so that a notebook stays usable beside it.

    A notebook waits with ``await job``, as then the kernel still answers buttons (ipykernel 7.4
    and later keep all that a widget sends waiting while a cell blocks); a script with ``wait``.

    Parameters
    ----------
    work : callable
        Called with the job. It should `report` how far it is, and end soon after `stopping` is
        set; what it returns or raises, `wait` does.

    Attributes
    ----------
    running : bool
        Whether it is at work.
    stopping : threading.Event
        Set by `stop`.
    done, total : float
        How far the work is; `total` is 0 before it has told.
    text : str
        What it does at present.
    error : BaseException or None
        What ended it.
    listeners : list of callable
        Called without arguments whenever something has changed, mostly in the job's thread.

    Examples
    --------
    >>> job = Job(lambda job: sum(range(5)))
    >>> job.start()
    >>> job.wait()
    10
    """

    def __init__(self, work: Callable[[Job[T]], T]) -> None:
        self._work = work
        self._thread: threading.Thread | None = None
        self.stopping = threading.Event()
        self.listeners: list[Callable[[], None]] = []
        self.running = False
        self.done = self.total = 0.0
        self.text = ""
        self.error: BaseException | None = None

    @property
    def seconds_left(self) -> float | None:
        """How long it will take at the pace so far; None before that can be said."""
        if not self.running or self.done <= self._first_done:
            return None
        pace = (time.monotonic() - self._first_time) / (self.done - self._first_done)
        return pace * (self.total - self.done)

    def start(self) -> None:
        """Begin, or begin again.

        Raises
        ------
        RuntimeError
            If it runs already.
        """
        if self.running:
            raise RuntimeError("This job is running. Stop it first, or wait for it.")
        self.stopping.clear()
        self.error, self.text, self.done, self.total = None, "", 0.0, 0.0
        self._first_time = self._first_done = float("inf")
        self.running = True
        # each run has its own: the end of the run before may still be told to listeners
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, args=[self._ended], daemon=True)
        self._thread.start()

    def report(self, done: float, total: float, text: str = "") -> None:
        """Tell how much of the work is done; called by the work."""
        if total and self._first_time == float("inf"):  # before, it was not at work yet
            self._first_time, self._first_done = time.monotonic(), done
        self.done, self.total, self.text = done, total, text
        self._tell()

    def stop(self) -> None:
        """Ask the work to end soon, and return at once; what has ended was not stopped."""
        if self.running and not self.stopping.is_set():
            self.stopping.set()
            self._tell()

    def wait(self) -> T:
        """Return the result once there is one.

        An interrupt (■ in JupyterLab, Ctrl+C) stops the work, waits for it to end and is raised.

        Raises
        ------
        RuntimeError
            If it was never started.
        BaseException
            What the work raised.
        """
        self._check_started()
        try:
            self._join()
        except KeyboardInterrupt:
            self.stop()
            self._join()
            raise
        if self.error is not None:
            raise self.error
        return self._result

    def __await__(self) -> Generator[Any, None, T]:
        """Wait as `wait` does, and leave the event loop free meanwhile."""
        return self._watch().__await__()

    async def _watch(self) -> T:
        self._check_started()
        ended = self._ended
        try:
            while not ended.is_set():
                await asyncio.sleep(0.1)
        except asyncio.CancelledError:  # what an interrupt becomes in a cell that awaits
            self.stop()
            self._join()
            raise
        return self.wait()

    def _check_started(self) -> None:
        if self._thread is None:
            raise RuntimeError("This job was never started. Call start() first.")

    def _join(self) -> None:
        if self._thread is threading.current_thread():  # a listener asks for the result
            return
        # Thread.join takes a thread for dead when it is interrupted, before Python 3.13
        ended = self._ended
        while not ended.wait(0.2):  # without a limit, Windows cannot interrupt it
            pass

    def _run(self, ended: threading.Event) -> None:
        try:
            self._result = self._work(self)
        except BaseException as error:
            self.error = error
        finally:
            self.running = False
            try:
                self._tell()
            finally:
                ended.set()

    def _tell(self) -> None:
        for listener in tuple(self.listeners):
            try:
                listener()
            except Exception as error:  # a closed view must not end a night's work
                with suppress(ValueError):  # the other thread was faster
                    self.listeners.remove(listener)
                warnings.warn(f"A view of a job was dropped: {error!r}", stacklevel=2)
